//! What an interrupted run, or an older version, left unmarked is marked by the next run.

use super::{assert_complete, latest, marker, markers};
use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{TestDestination, damage, for_each_destination};
use crate::world::world;

for_each_destination!(
    a_run_with_nothing_due_marks_what_an_earlier_one_left,
    a_revision_that_an_earlier_run_left_is_written,
    an_export_of_an_older_version_gets_markers_of_the_last_week,
    a_damaged_marker_is_told_and_holds_up_nothing_else,
);

fn a_run_with_nothing_due_marks_what_an_earlier_one_left(destination: TestDestination) {
    let sandbox = world(destination);
    let range = ["--since", "2026-01-11", "--through", "2026-01-16"];
    sandbox.run(&range).succeeded();
    let whole = sandbox.destination.keys();
    for lost in [
        "cycles/2026-01-13.r0.json",
        "cycles/2026-01-16.r0.json",
        "latest.json",
    ] {
        sandbox.destination.delete(lost);
    }
    let output = sandbox.run(&[]).succeeded();
    output
        .stdout_has("nothing is due\n")
        .stdout_has("2 cycles 2026-01-13 to 2026-01-16: complete\n");
    assert_eq!(sandbox.destination.keys(), whole);
    let both = ["sites 2026-01-16 r0", "views 2026-01-13 r0"];
    assert_complete(&sandbox, "2026-01-13", 0, &both);
    assert_eq!(latest(&sandbox), "cycles/2026-01-16.r0.json");
    let before = sandbox.destination.contents();
    sandbox.run(&[]).succeeded();
    assert_eq!(sandbox.destination.contents(), before);
}

fn a_revision_that_an_earlier_run_left_is_written(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    sandbox
        .run(&["--date", "2026-01-16", "--rerun", "views"])
        .succeeded();
    sandbox.destination.delete("cycles/2026-01-16.r1.json");
    sandbox.destination.delete("latest.json");
    sandbox.run(&[]).succeeded();
    let both = ["sites 2026-01-16 r0", "views 2026-01-16 r1"];
    assert_complete(&sandbox, "2026-01-16", 1, &both);
    assert_eq!(latest(&sandbox), "cycles/2026-01-16.r1.json");
}

fn an_export_of_an_older_version_gets_markers_of_the_last_week(destination: TestDestination) {
    let mut sandbox = world(destination);
    let range = ["--since", "2026-01-11", "--through", "2026-01-16"];
    sandbox.run(&range).succeeded();
    for key in markers(&sandbox.destination) {
        sandbox.destination.delete(&key);
    }
    sandbox.destination.delete("latest.json");
    sandbox.set_clock("2026-01-19T03:00:00Z");
    // A run of other cycles: the week ends with the last closed one.
    sandbox
        .run(&["--date", "2026-01-16", "sites"])
        .exited_with(0);
    let all = ["12", "13", "14", "15", "16"].map(|day| format!("cycles/2026-01-{day}.r0.json"));
    assert_eq!(markers(&sandbox.destination), all);
    // What a run delivers is marked, however old it is.
    sandbox
        .run(&["--date", "2026-01-11", "views"])
        .exited_with(0);
    assert_eq!(markers(&sandbox.destination).len(), 6);
}

fn a_damaged_marker_is_told_and_holds_up_nothing_else(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    damage(
        &sandbox.destination,
        "cycles/2026-01-15.r0.json",
        "complete",
        "complEte",
    );
    sandbox
        .run(&["--date", "2026-01-15"])
        .exited_with(1)
        .stderr_has(
            "error: complete cycles may lack their markers: `cycles/2026-01-15.r0.json` is damaged",
        )
        .hint_has("restore the object");
    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    marker(&sandbox, "2026-01-16", 0);
}

/// The response to the put of a marker is lost: it is found, and not written twice.
#[test]
fn a_lost_response_is_resolved_by_reading() {
    for failure in [Failure::Hangup, Failure::Reset] {
        let sandbox = world(TestDestination::s3());
        let server = sandbox.destination.server();
        let lost = Fault::on(Operation::PutObject, Action::After(failure));
        server.inject(lost.key("/cycles/").nth(1));
        sandbox.run(&["--date", "2026-01-15"]).succeeded();
        assert_eq!(markers(&sandbox.destination), ["cycles/2026-01-15.r0.json"]);
        marker(&sandbox, "2026-01-15", 0);
    }
}

/// The store is out of reach for the marker alone: the tables are published, and the next run marks them.
#[test]
fn an_outage_ends_with_75_and_the_next_run_goes_on() {
    let sandbox = world(TestDestination::s3());
    let server = sandbox.destination.server();
    for part in ["/cycles/", "latest.json"] {
        let down = Fault::on(Operation::PutObject, Action::Before(Failure::SlowDown));
        server.inject(down.key(part));
    }
    let short = ["--date", "2026-01-15", "--retry-timeout", "0"];
    sandbox
        .run(&short)
        .exited_with(75)
        .stdout_has("2 published")
        .stderr_has("error: complete cycles may lack their markers: cannot create");
    server.clear_faults();
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    marker(&sandbox, "2026-01-15", 0);
    assert_eq!(latest(&sandbox), "cycles/2026-01-15.r0.json");
}
