//! Guards: what a run does only with an explicit flag.

use super::ids;
use crate::support::{Sandbox, TestDestination, check_published, for_each_destination, rows};
use crate::world::{set_sites, set_views, view, world};

for_each_destination!(
    a_snapshot_that_shrinks_a_lot_needs_a_flag,
    a_rerun_that_shrinks_a_lot_needs_a_flag,
    a_catch_up_can_be_bounded,
    a_long_catch_up_needs_a_range,
);

/// Checks that a run is refused without effect, and succeeds with `--allow-shrink`.
fn assert_needs_allow_shrink(sandbox: &Sandbox, args: &[&str], message: &str) {
    let before = sandbox.destination.contents();
    let refused = sandbox.run(args).exited_with(1);
    refused.stderr_has(message).hint_has("--allow-shrink");
    assert_eq!(sandbox.destination.contents(), before);
    assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());

    sandbox
        .run(&[args, &["--allow-shrink"]].concat())
        .succeeded();
    check_published(&sandbox.destination);
}

fn a_snapshot_that_shrinks_a_lot_needs_a_flag(destination: TestDestination) {
    let sandbox = world(destination);
    set_sites(&sandbox, 10);
    sandbox.run(&["--date", "2026-01-14", "sites"]).succeeded();
    set_sites(&sandbox, 5);
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    set_sites(&sandbox, 1);
    let args = ["--date", "2026-01-16", "sites"];
    assert_needs_allow_shrink(
        &sandbox,
        &args,
        "1 row would replace 5: more than 50 % would be gone",
    );
    assert_eq!(ids(&rows(&sandbox.destination, "sites")), [0]);
}

fn a_rerun_that_shrinks_a_lot_needs_a_flag(destination: TestDestination) {
    let sandbox = world(destination);
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15), view(3, 15)]);
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15)]);
    let strict = [
        "--date",
        "2026-01-15",
        "--rerun",
        "views",
        "--max-shrink",
        "0",
    ];
    assert_needs_allow_shrink(
        &sandbox,
        &strict,
        "2 rows would replace 3: more than 0 % would be gone",
    );

    set_views(&sandbox, 15, &[]);
    let args = ["--date", "2026-01-15", "--rerun", "views"];
    assert_needs_allow_shrink(&sandbox, &args, "0 rows would replace 2");
    assert_eq!(
        sandbox.destination.keys_below("data/"),
        Vec::<String>::new()
    );
}

fn a_catch_up_can_be_bounded(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-12", "views"]).succeeded();
    let args = ["--max-cycles", "2", "views", "--output", "json"];
    let first = sandbox.run(&args).succeeded();
    assert_eq!(
        first.results(),
        ["views 2026-01-13 published", "views 2026-01-14 published"]
    );
    let second = sandbox.run(&args).succeeded();
    assert_eq!(
        second.results(),
        ["views 2026-01-15 published", "views 2026-01-16 published"]
    );
    check_published(&sandbox.destination);
}

fn a_long_catch_up_needs_a_range(destination: TestDestination) {
    let mut sandbox = world(destination);
    for day in 11..=17 {
        set_views(&sandbox, day, &[view(day, day)]);
    }
    sandbox.run(&["--date", "2026-01-11"]).succeeded();
    sandbox.set_clock("2026-02-13T03:00:00Z");
    let before = sandbox.destination.contents();
    let refused =
        "`views`: 32 cycles are due, 2026-01-12 to 2026-02-12, more than --max-catch-up 31";
    sandbox
        .run(&[])
        .exited_with(2)
        .stderr_has(refused)
        .hint_has("--since 2026-01-12 --through 2026-02-12");
    let to = sandbox.destination.url();
    sandbox
        .dayport(&["plan", "--from", "raw", "--to", &to])
        .exited_with(2)
        .stderr_has(refused);
    assert_eq!(sandbox.destination.contents(), before);

    let range = ["--since", "2026-01-12", "--through", "2026-02-12", "views"];
    let output = sandbox.run(&[&range[..], &["--output", "json"]].concat());
    assert_eq!(output.results().len(), 32);
    // The days after the 17th wait for their files, and do not keep others from being published.
    set_views(&sandbox, 25, &[view(25, 25)]);
    let some = ["--max-cycles", "1", "views", "--output", "json"];
    let results = sandbox.run(&some).exited_with(75).results();
    assert_eq!(
        results.last().map(String::as_str),
        Some("views 2026-01-25 published")
    );
    check_published(&sandbox.destination);
}
