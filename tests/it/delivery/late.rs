//! Source files that arrive or change after their cycle was published.

use serde_json::{Value, json};

use super::ids;
use crate::support::{
    CommandOutput, Sandbox, TestDestination, check_published, for_each_destination, lines,
    manifest, rows,
};
use crate::world::{VIEWS, view, world};

for_each_destination!(
    a_late_file_makes_a_revision_and_then_nothing,
    a_file_that_changes_no_row_is_looked_at_once,
    a_final_cycle_is_not_published_again,
    a_cycle_whose_files_are_gone_is_not_published_again,
);

const JSON: [&str; 3] = ["views", "--output", "json"];

/// Creates the world with 2026-01-15 and 16 published. The folders hold the time.
fn published(destination: TestDestination, definition: &str) -> Sandbox {
    let sandbox = world(destination);
    sandbox.write(
        "sql/sources/views.sql",
        "CREATE EXTERNAL TABLE views (
           id BIGINT NOT NULL, time TIMESTAMP(6) WITH TIME ZONE NOT NULL,
           received TIMESTAMP(6) WITH TIME ZONE NOT NULL, note VARCHAR, date DATE
         ) STORED AS JSON PARTITIONED BY (date) LOCATION 'views/'
         OPTIONS ('time_column' 'received')",
    );
    sandbox.write("sql/views.sql", definition.to_owned());
    sandbox
        .run(&["--since", "2026-01-15", "--through", "2026-01-16", "views"])
        .succeeded();
    sandbox
}

/// Writes another file of 2026-01-15.
fn arrive(sandbox: &Sandbox, name: &str, id: u64) {
    let mut late = view(id, 15);
    late["received"] = json!("2026-01-15T23:00:00Z");
    sandbox.write(&format!("raw/views/date=2026-01-15/{name}"), lines([late]));
}

fn run(sandbox: &Sandbox) -> CommandOutput {
    sandbox.run(&JSON)
}

fn newest(sandbox: &Sandbox, revision: u64) -> Value {
    manifest(&sandbox.destination, "views", "2026-01-15", revision)
}

fn a_late_file_makes_a_revision_and_then_nothing(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    assert_eq!(run(&sandbox).succeeded().results(), Vec::<String>::new());
    assert_eq!(
        newest(&sandbox, 0)["final_after"],
        json!("2026-01-19T00:00:00Z")
    );

    arrive(&sandbox, "late.json", 150);
    let before = sandbox.destination.contents();
    let to = sandbox.destination.url();
    let planned = sandbox.dayport(&["plan", "--from", "raw", "--to", &to, "views"]);
    planned
        .exited_with(0)
        .stdout_has("publish as revision 1, late files")
        .stdout_has("1 to publish");
    assert_eq!(sandbox.destination.contents(), before);
    let output = sandbox.run(&["views"]).succeeded();
    output.stdout_has("published as revision 1, late files");
    assert_ne!(sandbox.destination.contents(), before);
    let cause = &newest(&sandbox, 1)["cause"];
    assert_eq!(
        (&cause["kind"], &cause["added"], &cause["changed"]),
        (&json!("late_source"), &json!(1), &json!(0))
    );
    assert_eq!(cause["rows_difference"], json!(1));
    let file = cause["files"][0].as_str().unwrap();
    assert!(file.ends_with("views/date=2026-01-15/late.json"), "{file}");
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [15, 16, 150]);
    check_published(&sandbox.destination);
    sandbox.dayport(&["verify", "--to", &to]).succeeded();
    let changes = [
        "changes",
        "--to",
        &to,
        "--since",
        "2020-01-01",
        "--output",
        "json",
    ];
    let report = sandbox.dayport(&changes).succeeded().report();
    let revision = &report["changes"][0];
    assert_eq!(
        (&revision["cycle"], &revision["revision"]),
        (&json!("2026-01-15"), &json!(1))
    );

    let after = sandbox.destination.contents();
    assert_eq!(run(&sandbox).succeeded().results(), Vec::<String>::new());
    assert_eq!(sandbox.destination.contents(), after, "nothing is written");
}

fn a_file_that_changes_no_row_is_looked_at_once(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    arrive(&sandbox, "other.json", 150);
    run(&sandbox).succeeded();
    // The same row with spaces: another file, the same rows.
    let mut late = view(150, 15);
    late["received"] = json!("2026-01-15T23:00:00Z");
    let text = format!("{}  \n", late.to_string().replace("\":", "\" : "));
    sandbox.write("raw/views/date=2026-01-15/other.json", text);
    let output = run(&sandbox).succeeded();
    assert_eq!(output.results(), ["views 2026-01-15 late"]);
    let table = &output.report()["tables"][0];
    assert_eq!(
        (&table["standing"], &table["changed"], &table["added"]),
        (&json!("same_rows"), &json!(1), &json!(0))
    );
    assert_eq!(run(&sandbox).succeeded().results(), Vec::<String>::new());
    assert!(
        sandbox
            .destination
            .find("manifests/views/2026-01-15.r2.json")
            .is_none()
    );
    check_published(&sandbox.destination);
}

fn a_final_cycle_is_not_published_again(destination: TestDestination) {
    let mut sandbox = published(destination, VIEWS);
    arrive(&sandbox, "late.json", 150);
    sandbox.set_clock("2026-01-17T03:00:00Z");
    let zero = ["--lookback", "0"];
    let output = sandbox.run(&[&JSON[..], &zero].concat()).succeeded();
    assert_eq!(output.results(), Vec::<String>::new());
    sandbox.set_clock("2026-01-19T03:00:00Z");
    for day in [17, 18] {
        crate::world::set_views(&sandbox, day, &[view(day, day)]);
    }
    let output = run(&sandbox).exited_with(0);
    assert_eq!(
        output.results(),
        [
            "views 2026-01-15 late",
            "views 2026-01-17 published",
            "views 2026-01-18 published"
        ]
    );
    output
        .stderr_has("1 source file arrived after it was published")
        .stderr_has("the cycle has been final since 2026-01-19 00:00 UTC")
        .hint_has("--rerun");
    check_published(&sandbox.destination);

    let to = sandbox.destination.url();
    let status = ["status", "--to", &to, "--days", "5"];
    sandbox
        .dayport(&[&status[..], &["--fail-on", "late-files"]].concat())
        .exited_with(1)
        .stderr_has("1 cycle with late source files")
        .stdout_has("late: views 2026-01-15: 1 source file came too late, first `")
        .stdout_has("the cycle was final since 2026-01-19 00:00 UTC")
        .stdout_has("l published, lacks source files that came too late")
        .stdout_has("final: through 2026-01-15");
    // A look at the same files writes nothing.
    let before = sandbox.destination.contents();
    assert_eq!(run(&sandbox).exited_with(0).results().len(), 1);
    assert_eq!(sandbox.destination.contents(), before);
    // Published with them, the cycle lacks nothing.
    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "views"])
        .succeeded();
    let status = sandbox.dayport(&status).succeeded();
    assert!(!status.stdout.contains("late:"), "{status}");
    check_published(&sandbox.destination);
}

fn a_cycle_whose_files_are_gone_is_not_published_again(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    arrive(&sandbox, "compacted.json", 15);
    sandbox.remove("raw/views/date=2026-01-15/views.json");
    let output = run(&sandbox).exited_with(0);
    assert_eq!(output.results(), ["views 2026-01-15 late"]);
    output
        .stderr_has("views.json`, which it was read from, is gone")
        .stderr_has("first `");
    sandbox.remove("raw/views/date=2026-01-15/compacted.json");
    let output = run(&sandbox).succeeded();
    assert_eq!(output.results(), Vec::<String>::new(), "nothing is late");
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [15, 16]);
    check_published(&sandbox.destination);
}

#[test]
fn a_query_with_other_rows_each_time_is_published_again_once() {
    let definition = "COPY (SELECT id, random() AS chance FROM views
        WHERE received >= $window_start AND received < $window_end) TO 'views'";
    let sandbox = published(TestDestination::local(), definition);
    arrive(&sandbox, "late.json", 150);
    assert_eq!(
        run(&sandbox).succeeded().results(),
        ["views 2026-01-15 published"]
    );
    arrive(&sandbox, "later.json", 151);
    let output = run(&sandbox).exited_with(0);
    assert_eq!(output.results(), ["views 2026-01-15 late"]);
    output.stderr_has("its query gives other rows each time");
}
