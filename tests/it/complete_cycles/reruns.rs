//! A marker follows the revisions of its tables, and does not outlive a rerun that failed halfway.

use serde_json::json;

use super::{assert_complete, latest, marker, markers, tables};
use crate::support::{Sandbox, TestDestination, for_each_destination};
use crate::world::{VIEWS, set_views, view, world};

for_each_destination!(
    a_new_revision_of_a_table_is_one_of_the_marker,
    no_marker_precedes_a_failed_or_awaited_table,
    a_rerun_that_fails_halfway_withdraws_the_marker,
    reruns_that_fail_for_one_table_each_keep_the_marker_withdrawn,
    a_rerun_that_fails_wholly_leaves_the_marker,
    a_table_that_a_complete_cycle_is_without_does_not_withdraw_it,
);

const DAY: [&str; 2] = ["--date", "2026-01-15"];

fn a_new_revision_of_a_table_is_one_of_the_marker(destination: TestDestination) {
    let sandbox = world(destination);
    for day in ["2026-01-15", "2026-01-16"] {
        sandbox.run(&["--date", day]).succeeded();
    }
    let rerun = [&DAY[..], &["--rerun", "views"]].concat();
    sandbox.run(&rerun).succeeded();
    let tables = ["sites 2026-01-15 r0", "views 2026-01-15 r1"];
    assert_complete(&sandbox, "2026-01-15", 1, &tables);
    assert_eq!(
        latest(&sandbox),
        "cycles/2026-01-16.r0.json",
        "it does not go back"
    );
    let rerun = ["--date", "2026-01-16", "--rerun"];
    sandbox.run(&rerun).succeeded();
    let tables = ["sites 2026-01-16 r1", "views 2026-01-16 r1"];
    assert_complete(&sandbox, "2026-01-16", 1, &tables);
    assert_eq!(latest(&sandbox), "cycles/2026-01-16.r1.json");
}

fn no_marker_precedes_a_failed_or_awaited_table(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    sandbox.remove("raw/views/date=2026-01-15/views.json");
    sandbox.run(&DAY).exited_with(75);
    assert_eq!(markers(&sandbox.destination), ["cycles/2026-01-14.r0.json"]);
    sandbox.write("raw/views/date=2026-01-15/views.json", "{\n");
    sandbox
        .run(&DAY)
        .exited_with(1)
        .stdout_has("2026-01-15 is not complete: missing views\n");
    assert_eq!(markers(&sandbox.destination), ["cycles/2026-01-14.r0.json"]);
    set_views(&sandbox, 15, &[view(15, 15)]);
    sandbox.run(&DAY).succeeded();
    let both = ["sites 2026-01-15 r0", "views 2026-01-15 r0"];
    assert_complete(&sandbox, "2026-01-15", 0, &both);
}

/// Adds a second incremental table, `clicks`, which reads the same source.
fn with_clicks(sandbox: &Sandbox) {
    sandbox.write("sql/clicks.sql", VIEWS.replace("TO 'views'", "TO 'clicks'"));
}

fn fail_clicks(sandbox: &Sandbox) {
    let failing = VIEWS.replace("TO 'views'", "TO 'clicks'").replace(
        "date_part('day', time)",
        "nullif(date_part('day', time), 15)",
    );
    sandbox.write("sql/clicks.sql", failing);
}

fn a_rerun_that_fails_halfway_withdraws_the_marker(destination: TestDestination) {
    let sandbox = world(destination);
    with_clicks(&sandbox);
    sandbox.run(&DAY).succeeded();
    fail_clicks(&sandbox);
    let rerun = [&DAY[..], &["--rerun"]].concat();
    sandbox.run(&rerun).exited_with(1).stdout_has(
        "2026-01-15 is no longer complete: missing clicks (cycles/2026-01-15.r1.json)\n",
    );
    let withdrawn = marker(&sandbox, "2026-01-15", 1);
    assert_eq!(withdrawn["state"], "withdrawn");
    assert_eq!(withdrawn["missing"], json!(["clicks"]));
    let failed = json!([{ "table": "clicks", "revision": 0 }]);
    assert_eq!(withdrawn["failed_reruns"], failed);
    assert_eq!(tables(&withdrawn), Vec::<String>::new());
    // The same again changes nothing but the revisions of tables.
    sandbox.run(&rerun).exited_with(1);
    assert_eq!(markers(&sandbox.destination).len(), 2);
    let wait = [
        "wait",
        "--to",
        &sandbox.destination.url(),
        "--date",
        "2026-01-15",
    ];
    sandbox
        .dayport(&[&wait[..], &["--timeout", "0s"]].concat())
        .exited_with(75)
        .stderr_has("missing clicks");

    // A plain run, also one that succeeds, has nothing to publish of the cycle: it stays withdrawn.
    with_clicks(&sandbox);
    let waits = "2026-01-15 is no longer complete: missing clicks";
    sandbox.run(&DAY).exited_with(0).stdout_has(waits);
    assert_eq!(markers(&sandbox.destination).len(), 2);
    sandbox.run(&[&rerun[..], &["clicks"]].concat()).succeeded();
    let all = [
        "clicks 2026-01-15 r1",
        "sites 2026-01-15 r2",
        "views 2026-01-15 r2",
    ];
    assert_complete(&sandbox, "2026-01-15", 2, &all);
}

/// Each table whose rerun failed is waited for, whichever rerun it was.
fn reruns_that_fail_for_one_table_each_keep_the_marker_withdrawn(destination: TestDestination) {
    let sandbox = world(destination);
    with_clicks(&sandbox);
    sandbox.run(&DAY).succeeded();
    let rerun = [&DAY[..], &["--rerun"]].concat();
    fail_clicks(&sandbox);
    sandbox.run(&rerun).exited_with(1);
    with_clicks(&sandbox);
    let views = VIEWS.replace(
        "date_part('day', time)",
        "nullif(date_part('day', time), 15)",
    );
    sandbox.write("sql/views.sql", views);
    sandbox.run(&rerun).exited_with(1);
    let withdrawn = marker(&sandbox, "2026-01-15", 2);
    assert_eq!(withdrawn["state"], "withdrawn");
    let failed = json!([{ "table": "views", "revision": 1 }]);
    assert_eq!(withdrawn["failed_reruns"], failed);
    sandbox.write("sql/views.sql", VIEWS);
    sandbox.run(&DAY).exited_with(0).stdout_has("missing views");
    sandbox.run(&[&rerun[..], &["views"]].concat()).succeeded();
    let all = [
        "clicks 2026-01-15 r1",
        "sites 2026-01-15 r2",
        "views 2026-01-15 r2",
    ];
    assert_complete(&sandbox, "2026-01-15", 3, &all);
}

fn a_rerun_that_fails_wholly_leaves_the_marker(destination: TestDestination) {
    let sandbox = world(destination);
    with_clicks(&sandbox);
    sandbox.run(&DAY).succeeded();
    fail_clicks(&sandbox);
    sandbox
        .run(&[&DAY[..], &["--rerun", "clicks"]].concat())
        .exited_with(1);
    let all = [
        "clicks 2026-01-15 r0",
        "sites 2026-01-15 r0",
        "views 2026-01-15 r0",
    ];
    assert_complete(&sandbox, "2026-01-15", 0, &all);
}

fn a_table_that_a_complete_cycle_is_without_does_not_withdraw_it(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&DAY).succeeded();
    with_clicks(&sandbox);
    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    let both = ["sites 2026-01-15 r0", "views 2026-01-15 r0"];
    assert_complete(&sandbox, "2026-01-15", 0, &both);
    fail_clicks(&sandbox);
    let rerun = [&DAY[..], &["--rerun"]].concat();
    sandbox.run(&rerun).exited_with(1);
    let both = ["sites 2026-01-15 r0", "views 2026-01-15 r1"];
    assert_complete(&sandbox, "2026-01-15", 1, &both);
}
