//! Rows with NULL in a partition column: the folder that a definition declares for them.

use serde_json::json;

use crate::support::{
    Sandbox, TestDestination, check_published, for_each_destination, lines, repository, rows,
};

for_each_destination!(
    the_declared_folder_is_read_as_null,
    a_value_of_its_own_is_not_mixed_with_null
);

const RUN: [&str; 3] = ["--date", "2026-01-15", "visits"];

/// Creates the table of `docs/values.md`, whose option has this value.
fn sandbox(destination: TestDestination, value: &str) -> Sandbox {
    let page = std::fs::read_to_string(repository().join("docs/values.md")).expect("the page");
    let start = page
        .find("COPY (\n  SELECT id, time, site")
        .expect("the example");
    let definition = page[start..].split("```").next().expect("the end");
    let sandbox = Sandbox::empty(destination);
    sandbox.write(
        "sql/visits.sql",
        definition.replace("__HIVE_DEFAULT_PARTITION__", value),
    );
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT, time TIMESTAMP(6), site VARCHAR)
         STORED AS JSON LOCATION 'events/'",
    );
    let time = "2026-01-15T10:00:00Z";
    let records = [
        json!({"id": 1, "time": time, "site": null}),
        json!({"id": 2, "time": time, "site": "a"}),
        json!({"id": 3, "time": time, "site": "none"}),
    ];
    sandbox.write("raw/events/a.json", lines(records));
    sandbox
}

fn the_declared_folder_is_read_as_null(destination: TestDestination) {
    let sandbox = sandbox(destination, "__HIVE_DEFAULT_PARTITION__");
    sandbox
        .run(&[&RUN[..], &["--format", "json"]].concat())
        .succeeded();
    let published = check_published(&sandbox.destination);
    let manifest = &published["visits"][0];
    let nulls = json!({"site": "__HIVE_DEFAULT_PARTITION__"});
    assert_eq!(manifest["null_partitions"], nulls);
    let paths = sandbox.destination.keys_below("data/visits");
    let of_null = "data/visits/site=__HIVE_DEFAULT_PARTITION__/data-000000000000.json.gz";
    assert!(paths.iter().any(|path| path == of_null), "{paths:?}");
    let ids = |condition: &str| {
        let query = format!("SELECT id FROM exported.visits WHERE site {condition}");
        let to = sandbox.destination.url();
        let run = sandbox.query(&["--to", &to, "--output", "json", &query]);
        run.exited_with(0).stdout.trim().to_owned()
    };
    assert_eq!(ids("IS NULL"), "{\"id\":1}");
    assert_eq!(ids("= 'a'"), "{\"id\":2}");
    assert_eq!(rows(&sandbox.destination, "visits").len(), 3);
    // A rerun replaces the file in its folder.
    let again = sandbox.run(&[&RUN[..], &["--format", "json", "--rerun"]].concat());
    again.exited_with(0);
    assert_eq!(rows(&sandbox.destination, "visits").len(), 3);
    let to = sandbox.destination.url();
    sandbox.dayport(&["verify", "--to", &to]).exited_with(0);
}

fn a_value_of_its_own_is_not_mixed_with_null(destination: TestDestination) {
    let sandbox = sandbox(destination, "none");
    sandbox
        .run(&RUN)
        .exited_with(1)
        .stderr_has("partition column `site` has the value `none`, which is declared for NULL");
    assert_eq!(sandbox.destination.keys_below("data"), [""; 0]);
    let definition = std::fs::read_to_string(sandbox.folder().join("sql/visits.sql")).expect("it");
    sandbox.write("sql/visits.sql", definition.replace("'none'", "'unknown'"));
    sandbox.run(&RUN).exited_with(0);
    let published = sandbox.destination.keys_below("data");
    let folders: Vec<&str> = published
        .iter()
        .filter_map(|key| key.split('/').nth(2))
        .collect();
    assert_eq!(folders, ["site=a", "site=none", "site=unknown"]);
}
