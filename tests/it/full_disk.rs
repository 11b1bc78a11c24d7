//! Output that cannot be written is an error of every command.

#![cfg(target_os = "linux")]

use std::fs::OpenOptions;
use std::process::{Output, Stdio};

use crate::support::{Sandbox, TestDestination};
use crate::world::world;

/// A device on which no byte has room.
const FULL: &str = "/dev/full";

const ROLE: &str = "arn:aws:iam::111122223333:role/export";

fn full() -> Stdio {
    let device = OpenOptions::new().write(true).open(FULL);
    device.expect("the device of Linux").into()
}

fn output(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut command = sandbox.command(args);
    command.stdout(full()).output().expect("start dayport")
}

#[test]
fn a_report_on_a_full_disk_is_an_error() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let to = sandbox.destination.url();
    let inputs = ["--from", "raw", "--to", &to];
    let commands = [
        [&["run", "--date", "2026-01-16"], &inputs[..]].concat(),
        [&["plan", "--date", "2026-01-16"], &inputs[..]].concat(),
        [&["check"], &inputs[..]].concat(),
        [&["check", "--output", "json"], &inputs[..]].concat(),
        vec!["status", "--to", &to],
        vec!["verify", "--to", &to],
        vec![
            "wait",
            "--to",
            &to,
            "--date",
            "2026-01-15",
            "--timeout",
            "0s",
        ],
        vec!["ddl", "--to", &to, "--dialect", "duckdb"],
        vec!["query", "--from", "raw", "SELECT 1"],
        vec!["policy", "--to", "s3://bucket/prefix/", "--principal", ROLE],
        vec!["completions", "bash"],
        vec!["man"],
    ];
    for args in commands {
        let output = output(&sandbox, &args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains("No space left"), "{args:?}: {stderr}");
    }
}

#[test]
fn messages_that_cannot_be_written_change_no_exit_code() {
    let sandbox = world(TestDestination::local());
    let to = sandbox.destination.url();
    let status = sandbox
        .command(&["status", "--to", &to])
        .stderr(full())
        .status();
    assert_eq!(status.expect("start dayport").code(), Some(2));
}
