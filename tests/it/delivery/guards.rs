//! What a run does not do unless it is told to.

use super::ids;
use crate::support::{Place, Sandbox, check_published, in_both_places, rows};
use crate::world::{set_sites, set_views, view, world};

in_both_places!(
    a_snapshot_that_shrinks_a_lot_needs_a_word,
    a_rerun_that_shrinks_a_lot_needs_a_word,
    a_catch_up_can_be_bounded,
);

/// Refused, and nothing has changed; done when it is allowed.
fn needs_a_word(sandbox: &Sandbox, args: &[&str], message: &str) {
    let before = sandbox.place.contents();
    let refused = sandbox.run(args).ended(1);
    refused.complains(message).hints("--allow-shrink");
    assert_eq!(sandbox.place.contents(), before);
    assert_eq!(sandbox.place.leftovers(), Vec::<String>::new());

    sandbox
        .run(&[args, &["--allow-shrink"]].concat())
        .succeeded();
    check_published(&sandbox.place);
}

fn a_snapshot_that_shrinks_a_lot_needs_a_word(place: Place) {
    let sandbox = world(place);
    set_sites(&sandbox, 10);
    sandbox.run(&["--date", "2026-01-14", "sites"]).succeeded();
    set_sites(&sandbox, 5);
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    set_sites(&sandbox, 1);
    let args = ["--date", "2026-01-16", "sites"];
    needs_a_word(
        &sandbox,
        &args,
        "1 rows would replace 5: more than 50 % would be gone",
    );
    assert_eq!(ids(&rows(&sandbox.place, "sites")), [0]);
}

fn a_rerun_that_shrinks_a_lot_needs_a_word(place: Place) {
    let sandbox = world(place);
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
    needs_a_word(
        &sandbox,
        &strict,
        "2 rows would replace 3: more than 0 % would be gone",
    );

    set_views(&sandbox, 15, &[]);
    let args = ["--date", "2026-01-15", "--rerun", "views"];
    needs_a_word(&sandbox, &args, "0 rows would replace 2");
    assert_eq!(sandbox.place.keys_below("data/"), Vec::<String>::new());
}

fn a_catch_up_can_be_bounded(place: Place) {
    let sandbox = world(place);
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
    check_published(&sandbox.place);
}
