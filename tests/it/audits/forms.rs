//! The built-in forms.

use serde_json::{Value, json};

use crate::audits::{audits_of, event, run, sandbox, set_events, shown};
use crate::support::{Sandbox, TestDestination, check_published, lines};

/// Runs audits over events, and returns their results.
fn results(audits: &str, events: Vec<Value>) -> String {
    let sandbox = sandbox(TestDestination::local(), audits);
    set_events(&sandbox, events);
    shown(&audits_of(&run(&sandbox, &[])))
}

fn with(name: &str, value: Value) -> Value {
    let mut event = event("x", "a", 1);
    event[name] = value;
    event
}

#[test]
fn not_null_counts_rows_without_one_of_the_values() {
    let events = vec![
        event("1", "a", 1),
        with("id", Value::Null),
        with("user", json!({ "mail": null })),
        json!({ "at": "2026-01-15T10:00:00Z" }),
    ];
    let audits = "CALL not_null(id);\nCALL not_null(kind, id);\nCALL not_null(\"user\"['mail']);\nCALL not_null(day);";
    assert_eq!(
        results(audits, events),
        "not_null(id) failed 2\nnot_null(kind, id) failed 2\nnot_null(\"user\"['mail']) failed 2\n\
         not_null(day) passed 0\n"
    );
}

#[test]
fn unique_leaves_nulls_alone() {
    let events = vec![
        event("1", "a", 1),
        event("1", "b", 1),
        event("1", "a", 2),
        with("id", Value::Null),
        with("id", Value::Null),
    ];
    let audits = "CALL unique(id);\nCALL unique(id, kind);\nCALL unique(id, kind, amount);\nCALL unique(\"user\");\n\
                  CALL unique(lower(kind));";
    assert_eq!(
        results(audits, events),
        "unique(id) failed 2\nunique(id, kind) failed 1\nunique(id, kind, amount) passed 0\n\
         unique(\"user\") failed 4\nunique(lower(kind)) failed 3\n"
    );
}

#[test]
fn accepted_values_and_ranges_leave_nulls_alone() {
    let events = vec![
        event("1", "a", 0),
        event("2", "b", 10),
        event("3", "A", 11),
        with("kind", Value::Null),
        with("amount", Value::Null),
        with("at", json!("2026-01-15T23:59:59.999999Z")),
    ];
    let audits = "CALL accepted_values(kind, 'a', 'b');\nCALL accepted_values(amount, 0, 1, 10, 11);\n\
                  CALL range(amount, 1, 10);\n-- name: low\nCALL range(amount, NULL, 10);\n\
                  CALL range(at, $window_start, $window_end - INTERVAL '1 second');\nCALL range(kind, 'a', 'b');";
    assert_eq!(
        results(audits, events),
        "accepted_values(kind) failed 1\naccepted_values(amount) passed 0\nrange(amount) failed 2\nlow failed 1\n\
         range(at) failed 1\nrange(kind) failed 1\n"
    );
}

#[test]
fn freshness_looks_at_the_newest_time() {
    let audits = "CALL freshness(at, INTERVAL '14 hours');\n-- name: strict\nCALL freshness(at, INTERVAL '13' HOUR);";
    let sandbox = sandbox(TestDestination::local(), audits);
    let mut old = event("1", "a", 1);
    old["at"] = json!("2026-01-15T01:00:00Z");
    set_events(&sandbox, [old.clone(), event("2", "a", 1), old]);
    let output = run(&sandbox, &[]).exited_with(1).stderr_has(
        "the cycle breaks the audit `strict` (sql/audits/t.sql:3): the newest time is 2026-01-15 10:00:00 UTC, 14 \
         hours before the end of the cycle, and may be 13 hours before it; nothing of it is published",
    );
    assert_eq!(
        shown(&audits_of(&output)),
        "freshness(at) passed 0\nstrict failed 0\n"
    );
    set_events(
        &sandbox,
        [json!({ "id": "1", "at": "2026-01-14T10:00:00Z" })],
    );
    run(&sandbox, &[])
        .exited_with(1)
        .stderr_has("there is no time at all");
}

fn publish(sandbox: &Sandbox, day: &str, count: usize) -> (String, Vec<Value>) {
    let event = json!({ "id": "1", "at": format!("{day}T10:00:00Z") });
    sandbox.write("raw/events/a.json", lines(vec![event; count]));
    let output = sandbox.run(&["--date", day, "--output", "json"]);
    let audits = audits_of(&output);
    (output.stderr, audits)
}

#[test]
fn row_count_compares_with_the_median_of_published_days() {
    let audits = "CALL row_count(0.5, 2, cycles => 3);";
    let sandbox = sandbox(TestDestination::local(), audits);
    for (day, count) in [
        ("2026-01-10", 1000),
        ("2026-01-11", 100),
        ("2026-01-12", 200),
    ] {
        let (stderr, audits) = publish(&sandbox, day, count);
        assert_eq!(shown(&audits), "row_count skipped 0\n");
        assert!(
            stderr.contains("3 cycles have to be published before"),
            "{stderr}"
        );
    }
    assert_eq!(
        shown(&publish(&sandbox, "2026-01-13", 300).1),
        "row_count passed 0\n"
    );
    // The median of 100, 200 and 300: the first day is too long ago.
    let (stderr, audits) = publish(&sandbox, "2026-01-14", 99);
    assert_eq!(shown(&audits), "row_count failed 0\n");
    assert!(
        stderr.contains(
            "99 rows are 0.49 times the median of the 3 cycles before, 200, and may be at least 0.5 times it"
        ),
        "{stderr}"
    );
    let (stderr, _) = publish(&sandbox, "2026-01-14", 401);
    assert!(stderr.contains("may be at most 2 times it"), "{stderr}");
    publish(&sandbox, "2026-01-14", 400);
    let published = check_published(&sandbox.destination);
    assert_eq!(published["t"].len(), 5);
}
