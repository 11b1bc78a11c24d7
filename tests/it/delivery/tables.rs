//! Tables do not block each other; the cycles of one table are published in order.

use super::ids;
use crate::support::{TestDestination, check_published, for_each_destination, rows};
use crate::world::{set_views, view, world};

for_each_destination!(
    one_table_fails_and_the_others_are_published,
    a_failed_cycle_blocks_the_later_ones_of_its_table,
    tables_can_be_selected,
);

fn one_table_fails_and_the_others_are_published(destination: TestDestination) {
    let sandbox = world(destination);
    let divided = |by: &str| format!("COPY (SELECT 1 / ({by}) AS x FROM sites) TO 'ratios'");
    sandbox.write("sql/ratios.sql", divided("id - 1"));
    let args = ["--date", "2026-01-15", "--output", "json"];
    let output = sandbox.run(&args).exited_with(1);
    assert_eq!(
        output.results(),
        [
            "ratios 2026-01-15 failed",
            "sites 2026-01-15 published",
            "views 2026-01-15 published",
        ]
    );
    output.stderr_has("error: ratios 2026-01-15: ");
    let published = check_published(&sandbox.destination);
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
    check_published(&sandbox.destination);
}

fn a_failed_cycle_blocks_the_later_ones_of_its_table(destination: TestDestination) {
    let sandbox = world(destination);
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
    let output = sandbox.run(&range).exited_with(1);
    assert_eq!(
        output.results(),
        [
            "sites 2026-01-15 published",
            "strict 2026-01-13 published",
            "strict 2026-01-14 failed",
            "views 2026-01-13 published",
            "views 2026-01-14 published",
            "views 2026-01-15 published",
        ]
    );
    check_published(&sandbox.destination);

    // A later run continues where this one stopped.
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
    check_published(&sandbox.destination);
    assert_eq!(ids(&rows(&sandbox.destination, "strict")), [13, 14, 15, 16]);
}

/// A definition that fails on a row whose id is 0.
const STRICT: &str = "COPY (
  SELECT id, 1 / id AS inverse FROM views
  WHERE received >= $window_start AND received < $window_end
) TO 'strict'";

fn tables_can_be_selected(destination: TestDestination) {
    let sandbox = world(destination);
    let output = sandbox
        .run(&["views", "--date", "2026-01-15", "--output", "json"])
        .succeeded();
    assert_eq!(output.results(), ["views 2026-01-15 published"]);
    let published = check_published(&sandbox.destination);
    assert!(published.keys().eq(["views"]));
    assert_eq!(
        sandbox.destination.keys().len(),
        5,
        "data, manifest, schema file, log entry, list of source files"
    );
}
