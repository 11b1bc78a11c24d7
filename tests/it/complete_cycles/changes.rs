//! `dayport changes`: lists what a receiver has to load again.

use serde_json::Value;

use crate::support::{CommandOutput, Sandbox, TestDestination, for_each_destination};
use crate::world::{set_sites, set_views, view, world};

for_each_destination!(
    a_revision_is_listed_with_the_files_that_it_changes,
    a_snapshot_is_listed_once_and_replaces_the_one_before,
);

fn changes(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let to = sandbox.destination.url();
    sandbox.dayport(&[&["changes", "--to", &to], args].concat())
}

/// Returns the instant after everything that is published, by the clock of the store.
fn next(sandbox: &Sandbox) -> String {
    let report = changes(sandbox, &["--since", "2020-01-01", "--output", "json"]);
    let through = report.succeeded().report()["through"].clone();
    let through: chrono::DateTime<chrono::Utc> = through.as_str().unwrap().parse().unwrap();
    let next = through + chrono::TimeDelta::milliseconds(1);
    next.to_rfc3339()
}

fn since(sandbox: &Sandbox, instant: &str) -> Vec<Value> {
    let report = changes(sandbox, &["--since", instant, "--output", "json"]);
    let changes = report.succeeded().report()["changes"].clone();
    changes.as_array().expect("a list").clone()
}

fn paths(files: &Value) -> Vec<&str> {
    let files = files.as_array().expect("a list").iter();
    files
        .map(|file| file["path"].as_str().or(file.as_str()).expect("a key"))
        .collect()
}

fn a_revision_is_listed_with_the_files_that_it_changes(destination: TestDestination) {
    let sandbox = world(destination);
    set_views(&sandbox, 15, &[view(1, 14), view(2, 15)]);
    let range = ["--since", "2026-01-14", "--through", "2026-01-15", "views"];
    sandbox.run(&range).succeeded();
    let all = since(&sandbox, "2020-01-01");
    assert_eq!(all.len(), 2);
    assert_eq!(all[1]["cycle"], "2026-01-15");
    assert_eq!(paths(&all[1]["added"]).len(), 2);
    assert_eq!(all[1]["replaces"], Value::Null);

    let after = next(&sandbox);
    assert_eq!(since(&sandbox, &after), Vec::<Value>::new());
    changes(&sandbox, &["--since", &after])
        .succeeded()
        .stdout_has("nothing was published since ");

    // One file has other rows, one is new, one is gone.
    set_views(&sandbox, 15, &[view(3, 15), view(4, 16)]);
    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "views"])
        .succeeded();
    let changed = since(&sandbox, &after);
    assert_eq!(changed.len(), 1, "{changed:#?}");
    let change = &changed[0];
    assert_eq!(change["table"], "views");
    assert_eq!(
        (&change["cycle"], &change["revision"]),
        (&"2026-01-15".into(), &1.into())
    );
    assert_eq!(change["replaces"], "manifests/views/2026-01-15.r0.json");
    let file =
        |day: u64| format!("data/views/year=2026/month=1/day={day}/data-000000000000.parquet");
    assert_eq!(paths(&change["added"]), [file(16)]);
    assert_eq!(paths(&change["replaced"]), [file(15)]);
    assert_eq!(paths(&change["removed"]).len(), 1);
    changes(&sandbox, &["--since", &after])
        .succeeded()
        .stdout_has("1 cycle of a table to load since ")
        .stdout_has("manifests/views/2026-01-15.r1.json");
    assert_eq!(since(&sandbox, &after), changed, "nothing was written");
    changes(&sandbox, &["--since", "soon"])
        .exited_with(2)
        .hint_has("2026-01-15T03:00Z");
}

fn a_snapshot_is_listed_once_and_replaces_the_one_before(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-14", "sites"]).succeeded();
    let after = next(&sandbox);
    for day in ["2026-01-15", "2026-01-16"] {
        set_sites(&sandbox, 3);
        sandbox.run(&["--date", day, "sites"]).succeeded();
    }
    let changed = since(&sandbox, &after);
    assert_eq!(changed.len(), 1, "{changed:#?}");
    assert_eq!(changed[0]["cycle"], "2026-01-16");
    assert_eq!(changed[0]["replaces"], "manifests/sites/2026-01-14.r0.json");
    assert_eq!(
        paths(&changed[0]["replaced"]),
        ["data/sites/data-000000000000.parquet"]
    );
}
