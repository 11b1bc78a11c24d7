//! The whole way of an author: a sample, its definitions and cases, an edit, what it changes, and an audit that
//! stops a run and then passes.

use serde_json::json;

use crate::audits::audits_of;
use crate::support::{Sandbox, TestDestination, check_published, lines};

fn day(sandbox: &Sandbox, day: &str, ids: impl Iterator<Item = u32>) {
    let events = ids.map(|id| {
        json!({ "event_id": format!("{day}-{id}"), "name": "click", "time": format!("{day}T10:00:00Z"), "amount": 0.4 })
    });
    sandbox.write(&format!("raw/date={day}/a.json"), lines(events));
}

#[test]
fn from_a_sample_to_an_audit_that_blocks() {
    let sandbox = Sandbox::empty(TestDestination::local());
    day(&sandbox, "2026-01-15", 0..30);
    sandbox.dayport(&["init", "--from", "raw"]).succeeded();
    sandbox.dayport(&["test", "--update"]).succeeded();
    sandbox.dayport(&["test"]).succeeded();
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let published = check_published(&sandbox.destination);
    let table = published.keys().next().expect("a table").clone();

    let file = format!("sql/{table}.sql");
    let text = std::fs::read_to_string(sandbox.folder().join(&file)).expect("the definition");
    sandbox.write(
        &file,
        text.replace("    amount,\n", "    amount + 1 AS amount,\n"),
    );
    let to = sandbox.destination.url();
    let diff = [
        "diff",
        "--from",
        "raw",
        "--to",
        &to,
        "--date",
        "2026-01-15",
        "--key",
        "event_id",
    ];
    sandbox
        .dayport(&diff)
        .exited_with(1)
        .stdout_has("0.4 -> 1.4");
    sandbox
        .dayport(&["test"])
        .exited_with(1)
        .stdout_has("expected 0.4  exported 1.4");
    sandbox.dayport(&["test", "--update"]).succeeded();

    sandbox.write(
        &format!("sql/audits/{table}.sql"),
        "CALL unique(event_id);\n",
    );
    sandbox.dayport(&["check"]).succeeded();
    day(&sandbox, "2026-01-16", (0..30).chain(0..2));
    let run = ["--date", "2026-01-16", "--output", "json"];
    let output = sandbox
        .run(&run)
        .exited_with(1)
        .stderr_has("breaks the audit `unique(event_id)`");
    assert_eq!(audits_of(&output)[0]["rows"], 2);
    assert_eq!(check_published(&sandbox.destination)[&table].len(), 1);
    day(&sandbox, "2026-01-16", 0..30);
    sandbox.run(&run).succeeded();
    assert_eq!(check_published(&sandbox.destination)[&table].len(), 2);
    sandbox.dayport(&["verify", "--to", &to]).succeeded();
}
