//! Stores that do not respond: what is waited for is said, and a stop does not wait for them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use super::{one_day_published, without_effect};
use crate::s3::{Action, Failure, Fault, On, Operation};
use crate::support::{Sandbox, TestDestination, check_published};

/// A command whose messages are read line by line.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    text: String,
}

impl Running {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Running {
        let mut child = sandbox
            .command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start dayport");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        Running {
            child,
            stderr,
            text: String::new(),
        }
    }

    /// Reads the messages up to one with this text.
    fn wait_for(&mut self, text: &str) {
        loop {
            let start = self.text.len();
            let read = self.stderr.read_line(&mut self.text).expect("UTF-8");
            assert!(read > 0, "no `{text}` in\n{}", self.text);
            if self.text[start..].contains(text) {
                return;
            }
        }
    }

    /// Sends SIGTERM. Returns the exit code and all messages.
    fn stop(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("run kill").success());
        let status = self.child.wait().expect("an end");
        self.stderr.read_to_string(&mut self.text).expect("UTF-8");
        (status.code(), std::mem::take(&mut self.text))
    }
}

fn silence(sandbox: &Sandbox, on: impl Into<On>) {
    let silent = Action::Before(Failure::Silence);
    sandbox.destination.server().inject(Fault::on(on, silent));
}

/// The retry timeout is a day: only the stop ends the wait.
const PATIENT: [&str; 4] = ["--retry-timeout", "1d", "--date", "2026-01-15"];

/// Runs the next day against a store that is silent on an operation, and stops the run when it says that
/// it waits.
fn stopped_while_waiting(on: impl Into<On>) -> Sandbox {
    let sandbox = one_day_published(TestDestination::s3());
    silence(&sandbox, on);
    let to = sandbox.destination.url();
    let args = [&["run", "--from", "raw", "--to", &to], &PATIENT[..]].concat();
    let mut running = Running::start(&sandbox, &args);
    running.wait_for("waiting for `http://127.0.0.1:");
    assert!(
        running.text.contains(": no response for "),
        "{}",
        running.text
    );
    let (code, text) = running.stop();
    assert_eq!(code, Some(75), "{text}");
    let stopped = "error: stopped while waiting for `http://127.0.0.1:";
    assert!(text.contains(stopped), "{text}");
    sandbox.destination.server().clear_faults();
    sandbox
}

#[test]
fn a_stop_ends_the_wait_for_a_silent_store() {
    let sandbox = stopped_while_waiting(On::Any);
    check_published(&sandbox.destination);
}

/// The entry is in the log, the files are not complete: the next run finishes them.
#[test]
fn a_stop_ends_the_wait_of_a_commit_that_the_next_run_finishes() {
    let sandbox = stopped_while_waiting(Operation::CompleteMultipartUpload);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    check_published(&sandbox.destination);
    assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
}

#[test]
fn a_stop_of_serve_ends_the_wait_as_well() {
    let sandbox = one_day_published(TestDestination::s3());
    silence(&sandbox, On::Any);
    let to = sandbox.destination.url();
    let fixed = [
        "serve",
        "--from",
        "raw",
        "--listen",
        "127.0.0.1:0",
        "--to",
        &to,
    ];
    let mut running = Running::start(&sandbox, &[&fixed, &PATIENT[..2]].concat());
    running.wait_for("waiting for `http://127.0.0.1:");
    let (code, text) = running.stop();
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("stopped while waiting for"), "{text}");
}

/// The answer begins, and then no more bytes come.
#[test]
fn a_body_that_stalls_is_a_wait_as_well() {
    let sandbox = one_day_published(TestDestination::s3());
    let stall = Action::Stall { after_bytes: 1 };
    let server = sandbox.destination.server();
    server.inject(Fault::on(Operation::GetObject, stall).first(1));
    let to = sandbox.destination.url();
    let timeout = ["verify", "--to", &to, "--retry-timeout", "12s"];
    without_effect(&sandbox, || sandbox.dayport(&timeout))
        .exited_with(0)
        .stderr_has("no response for ");
    assert_eq!(server.faults_triggered(), 1);
}
