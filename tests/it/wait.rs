//! `dayport wait`: published or not. How it passes the time is tested beside the loop.

use std::io::Read;
use std::process::Stdio;

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Place, Ran, Sandbox, in_both_places};
use crate::world::world;

in_both_places!(
    a_published_cycle_is_not_waited_for,
    the_time_ends_and_names_the_missing_tables,
    a_later_snapshot_is_as_good,
    it_ends_as_soon_as_the_cycle_is_there,
);

fn wait(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let to = sandbox.place.url();
    sandbox.dayport(&[&["wait", "--to", &to], args].concat())
}

fn a_published_cycle_is_not_waited_for(place: Place) {
    let sandbox = world(place);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let ran = wait(&sandbox, &["--date", "2026-01-15"]).succeeded();
    let both = "manifests/sites/2026-01-15.r0.json\nmanifests/views/2026-01-15.r0.json\n";
    assert_eq!(ran.stdout, both);

    let rerun = ["--date", "2026-01-15", "--rerun", "views"];
    sandbox.run(&rerun).succeeded();
    let ran = wait(&sandbox, &["--date", "2026-01-15", "views"]).succeeded();
    assert_eq!(ran.stdout, "manifests/views/2026-01-15.r1.json\n");
}

fn the_time_ends_and_names_the_missing_tables(place: Place) {
    let sandbox = world(place);
    let nothing = wait(&sandbox, &["--date", "2026-01-15", "--timeout", "0s"]).ended(75);
    assert_eq!(nothing.stdout, "");
    nothing.complains("2026-01-15 is not published after 0s: no table was ever published there");
    assert_eq!(sandbox.place.keys(), Vec::<String>::new());

    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    let args = ["--date", "2026-01-15", "--timeout", "0s"];
    let ran = wait(&sandbox, &args).ended(75).hints("--timeout");
    ran.complains("waiting up to 0s for 2026-01-15 in ")
        .complains("not published after 0s: missing views\n");
    let named = [&args[..], &["sites", "users", "views"]].concat();
    wait(&sandbox, &named)
        .ended(75)
        .complains(": missing users, views\n");
    let found = [&args[..], &["sites"]].concat();
    wait(&sandbox, &found).succeeded();

    for wrong in [
        ["--date", "2026-1-15", "--timeout", "0s"],
        ["--date", "2026-01-15", "--timeout", "soon"],
        ["--date", "2026-01-15", "--every", "0s"],
    ] {
        wait(&sandbox, &wrong).ended(2);
    }
}

fn a_later_snapshot_is_as_good(place: Place) {
    let sandbox = world(place);
    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    let args = ["--date", "2026-01-15", "--timeout", "0s"];
    // `views` has a later cycle too, but that holds other rows.
    let ran = wait(&sandbox, &args).ended(75);
    ran.complains(": missing views\n");
    let ran = wait(&sandbox, &[&args[..], &["sites"]].concat()).succeeded();
    assert_eq!(ran.stdout, "manifests/sites/2026-01-16.r0.json\n");
}

fn it_ends_as_soon_as_the_cycle_is_there(place: Place) {
    let sandbox = world(place);
    let to = sandbox.place.url();
    let args = [
        "wait",
        "--to",
        &to,
        "--date",
        "2026-01-15",
        "--every",
        "50ms",
    ];
    let mut waiting = sandbox
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start dayport");
    // Until it has looked, and found nothing.
    let mut announced = [0];
    let stderr = waiting.stderr.as_mut().expect("a pipe");
    stderr.read_exact(&mut announced).expect("an announcement");
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    let output = waiting.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"manifests/views/2026-01-15.r0.json\n");
}

#[test]
fn a_store_that_is_down_is_sat_out() {
    let sandbox = world(Place::s3());
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let server = sandbox.place.server();
    for failure in [Failure::SlowDown, Failure::Hangup, Failure::Reset] {
        let down = Fault::on(Operation::ListObjects, Action::Before(failure));
        server.inject(down.clone());
        let args = ["--date", "2026-01-15", "--retry-timeout", "0"];
        let ran = wait(&sandbox, &[&args[..], &["--timeout", "0s"]].concat()).ended(75);
        ran.complains("looking again")
            .complains("the destination could not be read: cannot list");
        server.clear_faults();

        // Each look lists once; they go on until one is answered.
        server.inject(down.first(5));
        let before = server.count(Operation::ListObjects);
        let ran = wait(&sandbox, &[&args[..], &["--every", "1ms"]].concat()).ended(0);
        let both = "manifests/sites/2026-01-15.r0.json\nmanifests/views/2026-01-15.r0.json\n";
        assert_eq!(ran.stdout, both);
        assert_eq!(ran.stderr.matches("looking again").count(), 1, "{ran}");
        assert_eq!(server.count(Operation::ListObjects), before + 5 + 3);
        server.clear_faults();
    }
}

/// A server that takes calls and never answers must not outlast the time.
#[test]
fn a_silent_store_does_not_outlast_the_time() {
    let sandbox = world(Place::s3());
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let silence = Action::Before(Failure::Silence);
    let server = sandbox.place.server();
    server.inject(Fault::on(Operation::ListObjects, silence));
    let args = [
        "--date",
        "2026-01-15",
        "--timeout",
        "0s",
        "--retry-timeout",
        "0",
    ];
    wait(&sandbox, &args)
        .ended(75)
        .complains("the store does not answer");
}
