//! Tables do not stand in each other's way; cycles of one table are in order.

use super::ids;
use crate::support::{Place, check_published, in_both_places, rows};
use crate::world::{set_views, view, world};

in_both_places!(
    one_table_fails_and_the_others_are_published,
    a_cycle_that_fails_holds_up_the_later_ones_of_its_table,
    tables_can_be_picked,
);

fn one_table_fails_and_the_others_are_published(place: Place) {
    let sandbox = world(place);
    let divided = |by: &str| format!("COPY (SELECT 1 / ({by}) AS x FROM sites) TO 'ratios'");
    sandbox.write("sql/ratios.sql", divided("id - 1"));
    let args = ["--date", "2026-01-15", "--output", "json"];
    let ran = sandbox.run(&args).ended(1);
    assert_eq!(
        ran.results(),
        [
            "ratios 2026-01-15 failed",
            "sites 2026-01-15 published",
            "views 2026-01-15 published",
        ]
    );
    ran.complains("error: ratios 2026-01-15: ");
    let published = check_published(&sandbox.place);
    assert!(published.keys().eq(["sites", "views"]));

    sandbox.write("sql/ratios.sql", divided("id - 9"));
    let mended = sandbox.run(&args).succeeded();
    assert_eq!(
        mended.results(),
        [
            "ratios 2026-01-15 published",
            "sites 2026-01-15 already_published",
            "views 2026-01-15 already_published",
        ]
    );
    check_published(&sandbox.place);
}

fn a_cycle_that_fails_holds_up_the_later_ones_of_its_table(place: Place) {
    let sandbox = world(place);
    sandbox.write("sql/strict.sql", STRICT);
    let range = [
        "--since",
        "2026-01-13",
        "--through",
        "2026-01-15",
        "--output",
        "json",
    ];
    set_views(&sandbox, 14, &[view(14, 14), view(0, 14)]);
    let ran = sandbox.run(&range).ended(1);
    assert_eq!(
        ran.results(),
        [
            "sites 2026-01-15 published",
            "strict 2026-01-13 published",
            "strict 2026-01-14 failed",
            "views 2026-01-13 published",
            "views 2026-01-14 published",
            "views 2026-01-15 published",
        ]
    );
    check_published(&sandbox.place);

    // A later run takes up where it stopped.
    set_views(&sandbox, 14, &[view(14, 14)]);
    let due = sandbox.run(&["strict", "--output", "json"]).succeeded();
    assert_eq!(
        due.results(),
        [
            "strict 2026-01-14 published",
            "strict 2026-01-15 published",
            "strict 2026-01-16 published",
        ]
    );
    check_published(&sandbox.place);
    assert_eq!(ids(&rows(&sandbox.place, "strict")), [13, 14, 15, 16]);
}

/// Fails on a row whose id is 0.
const STRICT: &str = "COPY (
  SELECT id, 1 / id AS inverse FROM views
  WHERE received >= $window_start AND received < $window_end
) TO 'strict'";

fn tables_can_be_picked(place: Place) {
    let sandbox = world(place);
    let ran = sandbox
        .run(&["views", "--date", "2026-01-15", "--output", "json"])
        .succeeded();
    assert_eq!(ran.results(), ["views 2026-01-15 published"]);
    let published = check_published(&sandbox.place);
    assert!(published.keys().eq(["views"]));
    assert_eq!(sandbox.place.keys().len(), 3, "data, manifest, log entry");
}
