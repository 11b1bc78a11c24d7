//! Audits: rows that break a rule are not published.

mod bounded;
mod cases;
mod docs;
mod forms;
mod from_a_sample;
mod queries;
mod wrong;

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::{
    CommandOutput, Sandbox, TestDestination, check_published, decode, files_below,
    for_each_destination, lines, rows,
};

for_each_destination!(
    an_audit_that_does_not_hold_publishes_nothing,
    a_warning_and_an_accepted_audit_publish,
    failing_rows_reach_the_operator_alone,
    an_edited_audit_is_told,
);

const DAY: &str = "2026-01-15";

/// A table of events, partitioned by day and kind, with audits.
fn sandbox(destination: TestDestination, audits: &str) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (
           id VARCHAR, at TIMESTAMP(6), kind VARCHAR, amount BIGINT, \"user\" STRUCT<mail VARCHAR>
         ) STORED AS JSON LOCATION 'events/'",
    );
    sandbox.write(
        "sql/t.sql",
        "COPY (
           SELECT id, at, kind, amount, \"user\" AS \"user\", date_part('day', at) AS day FROM events
           WHERE at >= $window_start AND at < $window_end
         ) TO 't' PARTITIONED BY (day) OPTIONS ('empty' 'allowed')",
    );
    sandbox.write("sql/audits/t.sql", audits.to_owned());
    sandbox
}

/// An event of the day.
fn event(id: &str, kind: &str, amount: i64) -> Value {
    json!({ "id": id, "at": "2026-01-15T10:00:00Z", "kind": kind, "amount": amount, "user": { "mail": "m@x" } })
}

fn set_events(sandbox: &Sandbox, events: impl IntoIterator<Item = Value>) {
    sandbox.write("raw/events/a.json", lines(events));
}

fn run(sandbox: &Sandbox, more: &[&str]) -> CommandOutput {
    sandbox.run(&[&["--date", DAY, "--output", "json"], more].concat())
}

/// Returns the results of the audits in the only report of a table.
fn audits_of(output: &CommandOutput) -> Vec<Value> {
    let report = output.report();
    let audits = report["tables"][0]["audits"].as_array();
    audits.cloned().unwrap_or_default()
}

/// Returns `name result rows` of each audit.
fn shown(audits: &[Value]) -> String {
    let mut text = String::new();
    for audit in audits {
        let (name, result) = (audit["name"].as_str(), audit["result"].as_str());
        let _ = writeln!(
            text,
            "{} {} {}",
            name.expect("a name"),
            result.expect("a result"),
            audit["rows"]
        );
    }
    text
}

fn an_audit_that_does_not_hold_publishes_nothing(destination: TestDestination) {
    let sandbox = sandbox(
        destination,
        "CALL unique(id);\n-- name: kinds\nCALL accepted_values(kind, 'a', 'b');\n",
    );
    set_events(
        &sandbox,
        [event("1", "a", 1), event("2", "c", 2), event("1", "b", 3)],
    );
    let output = run(&sandbox, &[])
        .exited_with(1)
        .stderr_has(
            "error: t 2026-01-15: the cycle breaks 2 audits: `unique(id)` (sql/audits/t.sql:1): 1 row, first \
             id = \"1\"; `kinds` (sql/audits/t.sql:3): 1 row, first id = \"2\"; nothing of it is published",
        )
        .hint_has("--accept-audit NAME");
    assert_eq!(
        shown(&audits_of(&output)),
        "unique(id) failed 1\nkinds failed 1\n"
    );
    assert_eq!(audits_of(&output)[0]["keys"], json!([{ "id": "1" }]));
    assert_eq!(audits_of(&output)[1]["keys"], json!([{ "id": "2" }]));
    let keys = sandbox.destination.keys();
    assert!(
        keys.iter().all(|key| key.starts_with("_dayport/")),
        "{keys:?}"
    );
    assert!(sandbox.destination.leftovers().is_empty());

    set_events(
        &sandbox,
        [event("1", "a", 1), event("2", "b", 2), event("3", "b", 3)],
    );
    let output = run(&sandbox, &[]).succeeded();
    let expected = "unique(id) passed 0\nkinds passed 0\n";
    assert_eq!(shown(&audits_of(&output)), expected);
    let manifest = &check_published(&sandbox.destination)["t"][0];
    let audits = manifest["audits"].as_array().expect("the audits");
    assert_eq!(shown(audits), expected);
    assert_eq!(
        audits[0],
        json!({ "name": "unique(id)", "severity": "fail", "result": "passed", "rows": 0 })
    );
    let sha256 = manifest["definition"]["audits_sha256"].as_str();
    assert_eq!(sha256.map(str::len), Some(64));
}

fn a_warning_and_an_accepted_audit_publish(destination: TestDestination) {
    let sandbox = sandbox(
        destination,
        "-- severity: warn\nCALL unique(id);\nCALL range(amount, 0, 10);\n",
    );
    set_events(
        &sandbox,
        [event("1", "a", 1), event("1", "c", 11), event("1", "b", -1)],
    );
    run(&sandbox, &[]).exited_with(1).stderr_has(
        "warning: t 2026-01-15: the cycle breaks the audit `unique(id)` (sql/audits/t.sql:2): 2 rows, first id = \
         \"1\"\n",
    );
    run(&sandbox, &["--accept-audit", "range"])
        .exited_with(2)
        .stderr_has("--accept-audit: no definition has an audit `range`");
    for (accepted, rerun) in [
        ("range(amount)", None),
        ("t.range(amount)", Some("--rerun")),
    ] {
        let args: Vec<&str> = ["--accept-audit", accepted]
            .into_iter()
            .chain(rerun)
            .collect();
        let output = run(&sandbox, &args).exited_with(0).stderr_has(
            "warning: t 2026-01-15: the cycle breaks the audit `range(amount)` (sql/audits/t.sql:3): 2 rows, first \
             id = \"1\"; it is accepted by --accept-audit\n",
        );
        assert_eq!(audits_of(&output)[1]["accepted"], true);
    }
    let manifests = &check_published(&sandbox.destination)["t"];
    let audits = &manifests[0]["audits"];
    assert_eq!(
        audits[0],
        json!({ "name": "unique(id)", "severity": "warn", "result": "failed", "rows": 2 })
    );
    assert_eq!(audits[1]["accepted"], true);
    assert!(audits[0]["keys"].is_null(), "the receiver gets no keys");
    assert_eq!(rows(&sandbox.destination, "t").len(), 3);
}

fn failing_rows_reach_the_operator_alone(destination: TestDestination) {
    let sandbox = sandbox(
        destination,
        "CALL range(amount, NULL, 500);\nCALL unique(kind);\n\
         -- name: kinds\n-- key: kind\nSELECT kind, count(*) AS n FROM this GROUP BY kind HAVING count(*) > 1;\n",
    );
    let events = (0..700).map(|n| event(&format!("s3cr3t-{n}"), "a", n));
    set_events(&sandbox, events);
    let place = sandbox.folder().join("mine");
    let args = ["--rejects-to", &place.display().to_string()];
    let output = run(&sandbox, &args)
        .exited_with(1)
        .stderr_has("note: t 2026-01-15: the 201 first rows that break audits are in `");
    let printed = format!("{}{}", output.stdout, output.stderr);
    assert!(!printed.contains("s3cr3t"), "no key names it: {printed}");
    assert_eq!(
        shown(&audits_of(&output)),
        "range(amount) failed 199\nunique(kind) failed 699\nkinds failed 1\n"
    );
    assert_eq!(audits_of(&output)[2]["keys"], json!([{ "kind": "a" }]));
    let files = files_below(&place);
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].starts_with("_audits/2026-01-15/t."), "{files:?}");
    let bytes = std::fs::read(place.join(&files[0])).expect("the file");
    let kept = decode(&files[0], &bytes.into());
    let of = |name: &str| kept.iter().filter(|row| row["audit"] == name).count();
    assert_eq!(
        (of("range(amount)"), of("unique(kind)"), of("kinds")),
        (100, 100, 1)
    );
    let first = &kept[0]["row"];
    assert_eq!(first["amount"], 501, "{first}");
    assert_eq!(first["user"], json!({ "mail": "m@x" }));
    assert_eq!(first["day"], 15);
    assert_eq!(kept[200]["row"], json!({ "kind": "a", "n": 700 }));
    for (key, bytes) in sandbox.destination.contents() {
        assert!(!String::from_utf8_lossy(&bytes).contains("s3cr3t"), "{key}");
    }
    let report = output.report();
    let file = &report["tables"][0]["failing_rows"]["file"];
    assert_eq!(file["rows"], 201);
}

fn an_edited_audit_is_told(destination: TestDestination) {
    let sandbox = sandbox(destination, "CALL unique(id);\n");
    set_events(&sandbox, [event("1", "a", 1)]);
    run(&sandbox, &[]).succeeded();
    let to = sandbox.destination.url();
    let trace = [
        "trace", "1", "--column", "id", "--to", &to, "--from", "raw", "--date", DAY,
    ];
    let told = "the audits of the table have changed since";
    let output = sandbox.dayport(&trace);
    assert!(!output.stdout.contains(told), "{}", output.stdout);
    sandbox.write("sql/audits/t.sql", "CALL unique(id, kind);\n");
    sandbox.dayport(&trace).stdout_has(told);
}
