//! Completions, the manual, and an interrupted run.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{BUCKET, Place, Sandbox};
use crate::world::world;

#[test]
fn shells_complete_every_command() {
    let sandbox = Sandbox::empty(Place::local());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = sandbox.dayport(&["completions", shell]).succeeded();
        ran.says("rerun").says("max-shrink").says("external-id");
    }
    sandbox.dayport(&["completions", "tcsh"]).ended(2);
    // Bash itself takes it.
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
    let sandbox = Sandbox::empty(Place::local());
    sandbox.dayport(&["man"]).succeeded().says(".TH dayport 1");
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
    sandbox.dayport(&["man", "--dir", "not/there"]).ended(2);
}

/// A reader that has seen enough is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let sandbox = world(Place::local());
    let day = ["--date", "2026-01-15"];
    sandbox.run(&day).succeeded();
    let to = sandbox.place.url();
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
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        assert!(!said.contains("error"), "{args:?}: {said}");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    }
}

/// Ctrl-C while one table is staged and the other is published: the uploads are given up, and the
/// report says what is there.
#[test]
fn an_interrupted_run_says_what_was_published() {
    let sandbox = world(Place::s3());
    let server = sandbox.place.server();
    let silent = Fault::on(Operation::UploadPart, Action::Before(Failure::Silence));
    server.inject(silent.key("views"));
    let to = sandbox.place.url();
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
    assert_eq!(sandbox.place.keys_below("data/views"), Vec::<String>::new());
    assert_eq!(
        sandbox.place.keys_below("manifests"),
        ["manifests/sites/2026-01-15.r0.json"]
    );
}
