//! Logs have milestones with table, cycle and run id, and never a secret.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::s3::{ACCESS_KEY_ID, Action, Failure, Fault, Operation, SECRET_ACCESS_KEY};
use crate::support::TestDestination;
use crate::world::world;

#[test]
fn each_milestone_is_a_line_of_json() {
    let sandbox = world(TestDestination::s3());
    let args = [
        "--date",
        "2026-01-15",
        "-v",
        "--log-format",
        "json",
        "--output",
        "json",
    ];
    let output = sandbox.run(&args).exited_with(0);
    let run_id = output.report()["run_id"].clone();
    let mut milestones: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in output.stderr.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let text = |key: &str| {
            event[key]
                .as_str()
                .unwrap_or_else(|| panic!("{key}: {line}"))
                .to_owned()
        };
        assert_eq!(
            (text("level").as_str(), text("cycle").as_str()),
            ("INFO", "2026-01-15")
        );
        assert_eq!(event["run_id"], run_id);
        // The marker is that of the cycle, and of no table.
        let table = event["table"].as_str().unwrap_or_default();
        milestones
            .entry(table.to_owned())
            .or_default()
            .push(text("message"));
    }
    let each = ["staged", "accounted", "committed", "published"]
        .map(str::to_owned)
        .to_vec();
    let both = ["sites", "views"].map(|table| (table.to_owned(), each.clone()));
    let mut all = BTreeMap::from(both);
    all.insert(String::new(), vec!["complete".to_owned()]);
    assert_eq!(milestones, all);

    let text = sandbox
        .run(&["--date", "2026-01-14", "views", "-v"])
        .exited_with(0);
    text.stderr_has("INFO published table=views cycle=2026-01-14 run_id=");
    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    let wrong = ["--log-format", "xml"];
    sandbox.run(&wrong).exited_with(2);
}

/// Logs everything, retries and a denied request included.
#[test]
fn no_log_contains_a_secret_or_a_signature() {
    let sandbox = world(TestDestination::s3());
    let server = sandbox.destination.server();
    let slow = Fault::on(Operation::UploadPart, Action::Before(Failure::SlowDown));
    server.inject(slow.first(1));
    let lost = Fault::on(Operation::PutObject, Action::After(Failure::Hangup));
    server.inject(lost.key("_dayport/log/").first(1));
    let mut logs = Vec::new();
    for form in ["text", "json"] {
        let day = if form == "text" {
            "2026-01-14"
        } else {
            "2026-01-15"
        };
        logs.push(
            sandbox
                .run(&["--date", day, "-vvv", "--log-format", form])
                .exited_with(0),
        );
    }
    let denied = Fault::on(Operation::UploadPart, Action::Before(Failure::AccessDenied));
    server.inject(denied);
    logs.push(
        sandbox
            .run(&["--date", "2026-01-16", "-vvv"])
            .exited_with(1),
    );
    let to = sandbox.destination.url();
    logs.push(
        sandbox
            .dayport(&["check", "--from", "raw", "--to", &to, "-vvv"])
            .exited_with(1),
    );
    assert!(logs[0].stderr.contains("DEBUG begun"), "{}", logs[0]);
    for log in logs {
        for secret in [
            SECRET_ACCESS_KEY,
            ACCESS_KEY_ID,
            "Signature",
            "Authorization",
            "authorization",
            "X-Amz-",
            "x-amz-",
        ] {
            let is_logged = log.stderr.contains(secret) || log.stdout.contains(secret);
            assert!(!is_logged, "`{secret}` in\n{log}");
        }
    }
}
