//! Shell completions, manual pages, closed pipes, and an interrupted run.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{BUCKET, Sandbox, TestDestination};
use crate::world::world;

#[test]
fn shells_complete_every_command() {
    let sandbox = Sandbox::empty(TestDestination::local());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = sandbox.dayport(&["completions", shell]).succeeded();
        output
            .stdout_has("rerun")
            .stdout_has("max-shrink")
            .stdout_has("external-id");
    }
    sandbox.dayport(&["completions", "tcsh"]).exited_with(2);
    // Bash itself parses the script.
    let script = sandbox.dayport(&["completions", "bash"]).stdout;
    sandbox.write("completions", script);
    let checked = Command::new("bash")
        .args(["-n", "completions"])
        .current_dir(sandbox.folder())
        .status();
    assert!(checked.expect("run bash").success());
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox
        .dayport(&["man"])
        .succeeded()
        .stdout_has(".TH dayport 1");
    sandbox.dayport(&["man", "--dir", "."]).succeeded();
    for (page, text) in [
        ("dayport", "dayport\\-serve(1)"),
        ("dayport-run", "max\\-shrink"),
        ("dayport-policy", "external\\-id"),
        ("dayport-wait", "dayport wait \\-\\-to"),
    ] {
        let file = sandbox.folder().join(format!("{page}.1"));
        let page = std::fs::read_to_string(file).expect("a page");
        assert!(page.contains(text), "no `{text}` in\n{page}");
    }
    sandbox
        .dayport(&["man", "--dir", "not/there"])
        .exited_with(2);
}

/// A reader that closes its end of the pipe early is no failure.
#[test]
fn a_closed_pipe_is_not_a_failure() {
    let sandbox = world(TestDestination::local());
    let day = ["--date", "2026-01-15"];
    sandbox.run(&day).succeeded();
    let to = sandbox.destination.url();
    let many = "SELECT * FROM range(1000000)";
    let query = |rest: &[&'static str]| [&["query", "--from", "raw"], rest].concat();
    for args in [
        vec!["completions", "bash"],
        query(&["views"]),
        query(&["--output", "csv", many]),
        query(&["--output", "json", many]),
        vec!["wait", "--to", &to, "--date", "2026-01-15"],
        vec!["ddl", "--to", &to, "--dialect", "duckdb"],
        vec!["plan", "--from", "raw", "--to", &to],
        vec!["status", "--to", &to],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = sandbox
            .command(&args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(Child::wait_with_output)
            .expect("an end");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        assert!(!stderr.contains("error"), "{args:?}: {stderr}");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    }
}

/// Interrupts a run while one table is staged and the other is published: the uploads are aborted,
/// and the report names what was published.
#[test]
fn an_interrupted_run_reports_what_was_published() {
    let sandbox = world(TestDestination::s3());
    let server = sandbox.destination.server();
    let silent = Fault::on(Operation::UploadPart, Action::Before(Failure::Silence));
    server.inject(silent.key("views"));
    let to = sandbox.destination.url();
    let args = [
        "run",
        "--from",
        "raw",
        "--to",
        &to,
        "--date",
        "2026-01-15",
        "--jobs",
        "1",
    ];
    let child = sandbox
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start dayport");
    // `sites` comes first.
    assert!(
        server.wait_for_faults(1, Duration::from_secs(120)),
        "no upload"
    );
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status();
    assert!(killed.expect("run kill").success());
    let output = child.wait_with_output().expect("an end");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{stdout}{stderr}");
    assert!(
        stdout.contains("1 published, 0 skipped, 1 failed"),
        "{stdout}"
    );
    assert!(
        stderr.contains("views 2026-01-15: interrupted before the commit"),
        "{stderr}"
    );
    assert_eq!(server.uploads(BUCKET), []);
    assert_eq!(
        sandbox.destination.keys_below("data/views"),
        Vec::<String>::new()
    );
    assert_eq!(
        sandbox.destination.keys_below("manifests"),
        ["manifests/sites/2026-01-15.r0.json"]
    );
}
