//! Which cycles a run takes up.

use super::ids;
use crate::support::{Place, check_published, in_both_places, manifest, rows};
use crate::world::world;

in_both_places!(
    a_published_cycle_is_skipped,
    the_first_run_takes_the_last_closed_day,
    later_runs_catch_up_oldest_first,
    a_backfill_takes_each_day_once,
    a_day_can_be_exported_once_it_is_over,
    an_open_day_is_refused,
);

fn a_published_cycle_is_skipped(place: Place) {
    let sandbox = world(place);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let before = sandbox.place.contents();
    let run_id = |table| manifest(&sandbox.place, table, "2026-01-15", 0)["run_id"].clone();

    let again = sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let again = again.says("0 published, 2 skipped, 0 failed");
    for table in ["sites", "views"] {
        let run_id = run_id(table);
        let run_id = run_id.as_str().expect("a run id");
        let line = again.stdout.lines().find(|line| line.starts_with(table));
        let line = line.expect("a line for each table");
        assert!(
            line.ends_with(&format!("already published by run {run_id}")),
            "{line}"
        );
    }
    assert_eq!(sandbox.place.contents(), before);
    check_published(&sandbox.place);
}

fn the_first_run_takes_the_last_closed_day(place: Place) {
    let sandbox = world(place);
    let first = sandbox.run(&["--output", "json"]).succeeded();
    assert_eq!(
        first.results(),
        ["sites 2026-01-16 published", "views 2026-01-16 published"]
    );
    let second = sandbox.run(&["--output", "json"]).succeeded();
    assert_eq!(second.results(), Vec::<String>::new());
    sandbox.run(&[]).succeeded().says("nothing is due");
    check_published(&sandbox.place);
    assert_eq!(ids(&rows(&sandbox.place, "views")), [16]);
}

fn later_runs_catch_up_oldest_first(place: Place) {
    let mut sandbox = world(place);
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
    check_published(&sandbox.place);
    assert_eq!(ids(&rows(&sandbox.place, "views")), [12, 13, 14, 15, 16]);

    sandbox.set_clock("2026-01-18T03:00:00Z");
    let next_day = sandbox.run(&["--output", "json"]).succeeded();
    assert_eq!(
        next_day.results(),
        ["sites 2026-01-17 published", "views 2026-01-17 published"]
    );
    // Nothing was received on the 17th: a manifest without files says so.
    let empty = manifest(&sandbox.place, "views", "2026-01-17", 0);
    assert_eq!(
        (&empty["rows"], empty["files"].as_array().map(Vec::len)),
        (&0.into(), Some(0))
    );
    check_published(&sandbox.place);
}

fn a_backfill_takes_each_day_once(place: Place) {
    let sandbox = world(place);
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
    check_published(&sandbox.place);
    assert_eq!(ids(&rows(&sandbox.place, "views")), [13, 14, 15]);

    let backwards = ["--since", "2026-01-15", "--through", "2026-01-13"];
    let refused = sandbox.run(&backwards).ended(2);
    refused.complains("--since 2026-01-15 is later than --through 2026-01-13");
    sandbox
        .run(&["--since", "2026-01-15"])
        .ended(2)
        .complains("--through");
}

fn a_day_can_be_exported_once_it_is_over(place: Place) {
    let mut sandbox = world(place);
    sandbox.set_clock("2026-01-17T00:00:00Z");
    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    sandbox.set_clock("2026-01-17T23:59:59.999999Z");
    sandbox.run(&[]).succeeded().says("nothing is due");
    check_published(&sandbox.place);
}

fn an_open_day_is_refused(place: Place) {
    let mut sandbox = world(place);
    sandbox.set_clock("2026-01-16T23:59:59.999999Z");
    let refused = sandbox.run(&["--date", "2026-01-16"]).ended(2);
    let refused =
        refused.complains("the cycle 2026-01-16 is not over: it ends 2026-01-17 00:00 UTC");
    refused.hints("the last closed cycle is 2026-01-15");
    let range = ["--since", "2026-01-15", "--through", "2026-01-16"];
    sandbox
        .run(&range)
        .ended(2)
        .complains("the cycle 2026-01-16 is not over");
    assert_eq!(sandbox.place.keys(), Vec::<String>::new());
}
