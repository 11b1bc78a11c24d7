//! Cycles whose source files do not exist wait for them.

use serde_json::{Value, json};

use super::ids;
use crate::support::{
    CommandOutput, Sandbox, TestDestination, check_published, for_each_destination, lines,
    manifest, rows,
};
use crate::world::{VIEWS, set_sites, set_views, view, world};

for_each_destination!(
    a_day_without_files_waits_and_later_days_do_not,
    an_empty_day_can_be_allowed,
    a_snapshot_without_files_replaces_nothing,
    a_failure_outranks_a_cycle_that_waits,
);

const JSON: [&str; 2] = ["--output", "json"];

/// Removes the file of a day of `views`. Its folder stays.
fn remove_views(sandbox: &Sandbox, day: u64) {
    sandbox.remove(&format!("raw/views/date=2026-01-{day}/views.json"));
}

fn a_day_without_files_waits_and_later_days_do_not(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-13"]).succeeded();
    remove_views(&sandbox, 15);
    let output = sandbox
        .run(&[&["views"], &JSON[..]].concat())
        .exited_with(75);
    assert_eq!(
        output.results(),
        [
            "views 2026-01-14 published",
            "views 2026-01-15 awaited",
            "views 2026-01-16 published"
        ]
    );
    let awaited = &output.report()["tables"][1];
    assert_eq!(awaited["stays_due"], true);
    let source = &awaited["sources"][0];
    assert_eq!(
        (&source["name"], &source["folders"]),
        (&json!("views"), &json!("date=2026-01-15"))
    );
    sandbox
        .run(&["views"])
        .exited_with(75)
        .stdout_has("awaits views date=2026-01-15")
        .stdout_has("0 published, 0 skipped, 1 awaited, 0 failed")
        .stderr_has("the source `views` has no file in `file://")
        .hint_has("--allow-empty");
    assert!(
        sandbox
            .destination
            .find("manifests/views/2026-01-15.r0.json")
            .is_none()
    );
    check_published(&sandbox.destination);

    set_views(&sandbox, 15, &[view(15, 15)]);
    let arrived = sandbox.run(&[&["views"], &JSON[..]].concat()).succeeded();
    assert_eq!(arrived.results(), ["views 2026-01-15 published"]);
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [13, 14, 15, 16]);
}

fn an_empty_day_can_be_allowed(destination: TestDestination) {
    let sandbox = world(destination);
    for day in [15, 16] {
        remove_views(&sandbox, day);
    }
    let day = ["--date", "2026-01-15", "views"];
    sandbox
        .run(&day)
        .exited_with(75)
        .hint_has("--date 2026-01-15");
    sandbox
        .run(&[&day[..], &["--allow-empty"]].concat())
        .succeeded();
    let allowed = format!("{VIEWS} OPTIONS ('empty' 'allowed')");
    sandbox.write("sql/views.sql", allowed);
    sandbox.run(&["--date", "2026-01-16", "views"]).succeeded();
    for day in ["2026-01-15", "2026-01-16"] {
        assert_eq!(manifest(&sandbox.destination, "views", day, 0)["rows"], 0);
    }
    check_published(&sandbox.destination);
}

fn a_snapshot_without_files_replaces_nothing(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    let before = sandbox.destination.contents();
    sandbox.remove("raw/sites/sites.json");
    let shrink = ["sites", "--allow-shrink"];
    sandbox
        .run(&shrink)
        .exited_with(75)
        .stdout_has("awaits sites");
    std::fs::remove_dir(sandbox.folder().join("raw/sites")).expect("remove a folder");
    sandbox.run(&shrink).exited_with(75);
    assert_eq!(sandbox.destination.contents(), before);

    set_sites(&sandbox, 3);
    sandbox.run(&["sites"]).succeeded();
    assert_eq!(ids(&rows(&sandbox.destination, "sites")), [0, 1, 2]);
}

fn a_failure_outranks_a_cycle_that_waits(destination: TestDestination) {
    let sandbox = world(destination);
    remove_views(&sandbox, 16);
    sandbox.write("raw/sites/sites.json", "not JSON\n");
    let output = sandbox.run(&JSON).exited_with(1);
    assert_eq!(
        output.results(),
        ["sites 2026-01-16 failed", "views 2026-01-16 awaited"]
    );
}

/// A mistake in the call is not a source that is late.
#[test]
fn an_empty_root_is_an_error() {
    let sandbox = world(TestDestination::local());
    let to = sandbox.destination.url();
    sandbox
        .dayport(&["run", "--from", "nowhere", "--to", &to])
        .exited_with(1)
        .stderr_has("there is nothing at")
        .hint_has("--from");
}

#[test]
fn the_plan_shows_what_is_awaited() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    let to = sandbox.destination.url();
    let plan = |args: &[&str]| {
        sandbox.dayport(&[&["plan", "--from", "raw", "--to", &to, "views"], args].concat())
    };
    // Without a declared time column, the rows of the day may be in other folders.
    remove_views(&sandbox, 15);
    plan(&[])
        .exited_with(0)
        .stdout_has("2 to publish")
        .stderr_has("if the query yields no row, the cycle is awaited");
    let declaration = sandbox.folder().join("sql/sources/views.sql");
    let mut text = std::fs::read_to_string(declaration).expect("a declaration");
    text.push_str(" OPTIONS ('time_column' 'received')");
    sandbox.write("sql/sources/views.sql", text);
    plan(&[])
        .exited_with(75)
        .stdout_has("awaits views date=2026-01-15")
        .stdout_has("1 to publish");
    let report = plan(&JSON).exited_with(75).report();
    let steps: Vec<&Value> = (0..2).map(|i| &report["tables"][i]["plan"]).collect();
    assert_eq!(steps, ["awaits", "publish"]);
    plan(&["--allow-empty"]).succeeded();
}

/// Runs one table over two sources, `a` and `b`, by date, of which only one has a file for the day.
fn run_of_two(query: &str, present: &str, args: &[&str]) -> CommandOutput {
    let sandbox = Sandbox::empty(TestDestination::local());
    for name in ["a", "b", "undated"] {
        let folders = if name == "undated" {
            ""
        } else {
            "PARTITIONED BY (date)"
        };
        let date = if name == "undated" { "" } else { ", date DATE" };
        let declaration = format!(
            "CREATE EXTERNAL TABLE {name} (id BIGINT NOT NULL, time TIMESTAMP(6) WITH TIME ZONE{date})
             STORED AS JSON {folders} LOCATION '{name}/' OPTIONS ({})",
            if name == "undated" { "'compression' 'none'" } else { "'time_column' 'time', 'time_slack' '2 hours'" }
        );
        sandbox.write(&format!("sql/sources/{name}.sql"), declaration);
    }
    let row = |day: u64| lines([json!({ "id": day, "time": format!("2026-01-{day}T12:00:00Z") })]);
    for name in ["a", "b"] {
        // The folders of the neighbours are within the slack.
        for day in [14, 16] {
            sandbox.write(&format!("raw/{name}/date=2026-01-{day}/x.json"), row(day));
        }
    }
    sandbox.write(&format!("raw/{present}/date=2026-01-15/x.json"), row(15));
    sandbox.write("raw/undated/x.json", row(15));
    sandbox.write("sql/t.sql", format!("COPY ({query}) TO 't'"));
    sandbox.run(&[&["--date", "2026-01-15", "--output", "json"], args].concat())
}

/// Which source has to have a file depends on how the query uses it.
#[test]
fn the_sources_that_rows_come_from_are_awaited() {
    const WINDOW: &str = "time >= $window_start AND time < $window_end";
    let of = |name: &str| format!("(SELECT id, time FROM {name} WHERE {WINDOW})");
    let (a, b) = (of("a"), of("b"));
    let before = "(SELECT id, time FROM a WHERE time >= CAST($window_start AS TIMESTAMP WITH TIME ZONE) - INTERVAL '1 day' \
                  AND time < $window_start)";
    for (query, present, awaited) in [
        (format!("SELECT * FROM {a}"), "a", false),
        (format!("SELECT * FROM {a}"), "b", true),
        (format!("SELECT count(*) AS n FROM {a}"), "b", true),
        (format!("SELECT * FROM {a} UNION ALL SELECT * FROM {b}"), "a", false),
        (format!("SELECT * FROM {a} UNION ALL SELECT * FROM {b}"), "b", false),
        (format!("SELECT x.id FROM {a} x JOIN {b} y USING (id)"), "a", true),
        (format!("SELECT x.id FROM {a} x LEFT JOIN {b} y USING (id)"), "a", false),
        (format!("SELECT x.id FROM {a} x LEFT JOIN {b} y USING (id)"), "b", true),
        (format!("SELECT id FROM {a} WHERE id IN (SELECT id FROM {b})"), "b", true),
        (format!("SELECT id FROM {a} x WHERE NOT EXISTS (SELECT 1 FROM {b} y WHERE y.id = x.id)"), "a", false),
        // The only source with the window has no file, although another one drives the rows.
        (format!("SELECT id FROM undated x WHERE NOT EXISTS (SELECT 1 FROM {b} y WHERE y.id = x.id)"), "a", true),
        // The day before has a file, but that is not the day.
        (format!("SELECT x.id FROM {a} x LEFT JOIN {before} y USING (id)"), "b", true),
        (format!("SELECT x.id FROM {b} x LEFT JOIN {before} y USING (id)"), "b", false),
        // A wider window reads the neighbours, whose files do not make up for the day's.
        (
            "SELECT id FROM a WHERE time >= CAST($window_start AS TIMESTAMP WITH TIME ZONE) - INTERVAL '1 day' AND time < $window_end AND time >= $window_start"
                .to_owned(),
            "b",
            true,
        ),
    ] {
        let output = run_of_two(&query, present, &[]);
        let result = if awaited { "t 2026-01-15 awaited" } else { "t 2026-01-15 published" };
        assert_eq!(output.results(), [result], "{query} with {present}\n{output}");
        assert_eq!(run_of_two(&query, present, &["--allow-empty"]).code, 0, "{query}");
    }
    let union = format!("SELECT * FROM {a} UNION ALL SELECT * FROM {b}");
    let output = run_of_two(&union, "a", &[]).stderr_has("the source `b` has no file");
    let missing = &output.report()["tables"][0]["missing"][0];
    assert_eq!(missing["folders"], "date=2026-01-15");
}
