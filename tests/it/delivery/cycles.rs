//! The cycles that a run publishes.

use super::ids;
use crate::support::{TestDestination, check_published, for_each_destination, manifest, rows};
use crate::world::{set_views, world};

for_each_destination!(
    a_published_cycle_is_skipped,
    the_first_run_publishes_the_last_closed_day,
    later_runs_catch_up_oldest_first,
    a_backfill_publishes_each_day_once,
    a_day_can_be_exported_once_it_is_over,
    an_open_day_is_refused,
);

fn a_published_cycle_is_skipped(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let before = sandbox.destination.contents();

    let again = sandbox
        .run(&["--date", "2026-01-15"])
        .succeeded()
        .stdout_has("0 published, 2 skipped, 0 failed");
    for table in ["sites", "views"] {
        let manifest = manifest(&sandbox.destination, table, "2026-01-15", 0);
        let run_id = manifest["run_id"].as_str().expect("a run id");
        let mut lines = again.stdout.lines();
        let line = lines
            .find(|line| line.starts_with(table))
            .expect("a line for each table");
        assert!(
            line.ends_with(&format!("already published by run {run_id}")),
            "{line}"
        );
    }
    assert_eq!(sandbox.destination.contents(), before);
    check_published(&sandbox.destination);
}

fn the_first_run_publishes_the_last_closed_day(destination: TestDestination) {
    let sandbox = world(destination);
    let first = sandbox.run(&["--output", "json"]).succeeded();
    assert_eq!(
        first.results(),
        ["sites 2026-01-16 published", "views 2026-01-16 published"]
    );
    let second = sandbox.run(&["--output", "json"]).succeeded();
    assert_eq!(second.results(), Vec::<String>::new());
    sandbox.run(&[]).succeeded().stdout_has("nothing is due");
    check_published(&sandbox.destination);
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [16]);
}

fn later_runs_catch_up_oldest_first(destination: TestDestination) {
    let mut sandbox = world(destination);
    for day in ["2026-01-12", "2026-01-14"] {
        sandbox.run(&["--date", day]).succeeded();
    }
    let third = sandbox.run(&["--output", "json"]).succeeded();
    assert_eq!(
        third.results(),
        [
            "sites 2026-01-16 published",
            "views 2026-01-13 published",
            "views 2026-01-15 published",
            "views 2026-01-16 published",
        ]
    );
    check_published(&sandbox.destination);
    assert_eq!(
        ids(&rows(&sandbox.destination, "views")),
        [12, 13, 14, 15, 16]
    );

    sandbox.set_clock("2026-01-18T03:00:00Z");
    set_views(&sandbox, 17, &[]);
    let next_day = sandbox.run(&["--output", "json"]).succeeded();
    assert_eq!(
        next_day.results(),
        ["sites 2026-01-17 published", "views 2026-01-17 published"]
    );
    // The file of the 17th has no rows: a manifest without files says so.
    let empty = manifest(&sandbox.destination, "views", "2026-01-17", 0);
    assert_eq!(
        (&empty["rows"], empty["files"].as_array().map(Vec::len)),
        (&0.into(), Some(0))
    );
    check_published(&sandbox.destination);
}

fn a_backfill_publishes_each_day_once(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-14", "views"]).succeeded();
    let range = ["--since", "2026-01-13", "--through", "2026-01-15"];
    let backfill = sandbox.run(&[&range[..], &["--output", "json"]].concat());
    assert_eq!(
        backfill.succeeded().results(),
        [
            // A snapshot shows one state: it would be the same for every day.
            "sites 2026-01-15 published",
            "views 2026-01-13 published",
            "views 2026-01-14 already_published",
            "views 2026-01-15 published",
        ]
    );
    check_published(&sandbox.destination);
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [13, 14, 15]);

    let backwards = ["--since", "2026-01-15", "--through", "2026-01-13"];
    let refused = sandbox.run(&backwards).exited_with(2);
    refused.stderr_has("--since 2026-01-15 is later than --through 2026-01-13");
    sandbox
        .run(&["--through", "2026-01-15"])
        .exited_with(2)
        .stderr_has("--since");
}

fn a_day_can_be_exported_once_it_is_over(destination: TestDestination) {
    let mut sandbox = world(destination);
    sandbox.set_clock("2026-01-17T00:00:00Z");
    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    sandbox.set_clock("2026-01-17T23:59:59.999999Z");
    sandbox.run(&[]).succeeded().stdout_has("nothing is due");
    check_published(&sandbox.destination);
}

fn an_open_day_is_refused(destination: TestDestination) {
    let mut sandbox = world(destination);
    sandbox.set_clock("2026-01-16T23:59:59.999999Z");
    sandbox
        .run(&["--date", "2026-01-16"])
        .exited_with(2)
        .stderr_has("the cycle 2026-01-16 is not over: it ends 2026-01-17 00:00 UTC")
        .hint_has("the last closed cycle is 2026-01-15");
    let range = ["--since", "2026-01-15", "--through", "2026-01-16"];
    sandbox
        .run(&range)
        .exited_with(2)
        .stderr_has("the cycle 2026-01-16 is not over");
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
}
