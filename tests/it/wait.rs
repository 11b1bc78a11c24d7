//! `dayport wait`: exits when a cycle is published. The timing is tested beside the loop.

use std::io::Read;
use std::process::Stdio;

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{CommandOutput, Sandbox, TestDestination, for_each_destination};
use crate::world::world;

for_each_destination!(
    a_published_cycle_is_not_waited_for,
    a_timeout_names_the_missing_tables,
    a_later_snapshot_counts,
    the_wait_ends_when_the_cycle_is_published,
);

fn wait(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let to = sandbox.destination.url();
    sandbox.dayport(&[&["wait", "--to", &to], args].concat())
}

fn a_published_cycle_is_not_waited_for(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let output = wait(&sandbox, &["--date", "2026-01-15"]).succeeded();
    let both = "manifests/sites/2026-01-15.r0.json\nmanifests/views/2026-01-15.r0.json\n";
    assert_eq!(output.stdout, both);

    let rerun = ["--date", "2026-01-15", "--rerun", "views"];
    sandbox.run(&rerun).succeeded();
    let output = wait(&sandbox, &["--date", "2026-01-15", "views"]).succeeded();
    assert_eq!(output.stdout, "manifests/views/2026-01-15.r1.json\n");
}

fn a_timeout_names_the_missing_tables(destination: TestDestination) {
    let sandbox = world(destination);
    let nothing = wait(&sandbox, &["--date", "2026-01-15", "--timeout", "0s"]).exited_with(75);
    assert_eq!(nothing.stdout, "");
    nothing.stderr_has("2026-01-15 is not published after 0s: no table was ever published there");
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());

    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    let args = ["--date", "2026-01-15", "--timeout", "0s"];
    let output = wait(&sandbox, &args).exited_with(75).hint_has("--timeout");
    output
        .stderr_has("waiting up to 0s for 2026-01-15 in ")
        .stderr_has("not published after 0s: missing views\n");
    let named = [&args[..], &["sites", "users", "views"]].concat();
    wait(&sandbox, &named)
        .exited_with(75)
        .stderr_has(": missing users, views\n");
    let found = [&args[..], &["sites"]].concat();
    wait(&sandbox, &found).succeeded();

    for wrong in [
        ["--date", "2026-1-15", "--timeout", "0s"],
        ["--date", "2026-01-15", "--timeout", "soon"],
        ["--date", "2026-01-15", "--every", "0s"],
    ] {
        wait(&sandbox, &wrong).exited_with(2);
    }
}

fn a_later_snapshot_counts(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    let args = ["--date", "2026-01-15", "--timeout", "0s"];
    // `views` has a later cycle too, but with other rows.
    let output = wait(&sandbox, &args).exited_with(75);
    output.stderr_has(": missing views\n");
    let output = wait(&sandbox, &[&args[..], &["sites"]].concat()).succeeded();
    assert_eq!(output.stdout, "manifests/sites/2026-01-16.r0.json\n");
}

fn the_wait_ends_when_the_cycle_is_published(destination: TestDestination) {
    let sandbox = world(destination);
    let to = sandbox.destination.url();
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
    // The announcement follows the first poll, which finds nothing.
    let mut announced = [0];
    let stderr = waiting.stderr.as_mut().expect("a pipe");
    stderr.read_exact(&mut announced).expect("an announcement");
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    let output = waiting.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"manifests/views/2026-01-15.r0.json\n");
}

#[test]
fn polling_continues_while_the_store_is_down() {
    let sandbox = world(TestDestination::s3());
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let server = sandbox.destination.server();
    for failure in [Failure::SlowDown, Failure::Hangup, Failure::Reset] {
        let down = Fault::on(Operation::GetObject, Action::Before(failure));
        server.inject(down.clone());
        let args = ["--date", "2026-01-15", "--retry-timeout", "0"];
        let output = wait(&sandbox, &[&args[..], &["--timeout", "0s"]].concat()).exited_with(75);
        output
            .stderr_has("retrying")
            .stderr_has("the destination could not be read: cannot read");
        server.clear_faults();

        // Each poll asks for the marker once, until one succeeds and asks for the next revision.
        server.inject(down.first(5));
        let before = server.count(Operation::GetObject);
        let output = wait(&sandbox, &[&args[..], &["--every", "1ms"]].concat()).exited_with(0);
        let both = "manifests/sites/2026-01-15.r0.json\nmanifests/views/2026-01-15.r0.json\n";
        assert_eq!(output.stdout, both);
        assert_eq!(output.stderr.matches("retrying").count(), 1, "{output}");
        assert_eq!(server.count(Operation::GetObject), before + 5 + 2);
        server.clear_faults();
    }
}

/// A server that accepts requests and never responds must not delay the timeout.
#[test]
fn a_silent_store_does_not_delay_the_timeout() {
    let sandbox = world(TestDestination::s3());
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let silence = Action::Before(Failure::Silence);
    let server = sandbox.destination.server();
    server.inject(Fault::on(Operation::GetObject, silence));
    let args = [
        "--date",
        "2026-01-15",
        "--timeout",
        "0s",
        "--retry-timeout",
        "0",
    ];
    wait(&sandbox, &args)
        .exited_with(75)
        .stderr_has("the store does not respond");
}
