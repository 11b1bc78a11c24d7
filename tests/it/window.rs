//! The window of a cycle: what it may be compared with, and what is published of it.

use serde_json::Value;

use crate::support::{CommandOutput, Sandbox, TestDestination, rows};

const EVENTS: &str = "CREATE EXTERNAL TABLE events (
  id BIGINT, ts TIMESTAMP(6), at TIMESTAMP(6) WITH TIME ZONE, day DATE, s VARCHAR, ms BIGINT, f DOUBLE
) STORED AS JSON LOCATION 'events/'";

/// Row 1 is the first instant of the cycle, rows 0 and 4 are outside of it, row 5 has no time.
const ROWS: &str = r#"{"id":0,"ts":"2026-01-14T23:30:00Z","at":"2026-01-14T23:30:00Z","day":"2026-01-14","s":"2026-01-14 23:30:00","ms":1768433400000}
{"id":1,"ts":"2026-01-15T00:00:00Z","at":"2026-01-15T00:00:00Z","day":"2026-01-15","s":"2026-01-15 00:00:00","ms":1768435200000}
{"id":2,"ts":"2026-01-15T12:00:00Z","at":"2026-01-15T12:00:00Z","day":"2026-01-15","s":"2026-01-15 12:00:00","ms":1768478400000}
{"id":3,"ts":"2026-01-15T23:59:59.999999Z","at":"2026-01-15T23:59:59.999999Z","day":"2026-01-15","s":"2026-01-15 23:59:59","ms":1768521599999}
{"id":4,"ts":"2026-01-16T00:00:00Z","at":"2026-01-16T00:00:00Z","day":"2026-01-16","s":"2026-01-16 00:00:00","ms":1768521600000}
{"id":5,"ts":null}
"#;

fn export(query: &str) -> (Sandbox, CommandOutput) {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox
        .write("sql/sources/events.sql", EVENTS)
        .write("sql/t.sql", format!("COPY (\n{query}\n) TO 't'"))
        .write("raw/events/a.json", ROWS);
    let output = sandbox.run(&["--date", "2026-01-15", "--format", "json"]);
    (sandbox, output)
}

fn exported_ids(query: &str) -> Vec<i64> {
    let (sandbox, output) = export(query);
    output.succeeded();
    let rows = rows(&sandbox.destination, "t");
    let mut ids: Vec<i64> = rows.iter().filter_map(|row| row["id"].as_i64()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn the_window_is_compared_with_times_only() {
    for (compared, message) in [
        ("s", "compared with text"),
        ("CAST(ts AS VARCHAR)", "compared with text"),
        ("coalesce(s, '')", "compared with text"),
        ("ms", "compared with a number"),
        ("ms / 1000", "compared with a number"),
        ("f", "compared with a number"),
        ("id IS NULL", "compared with what is not a timestamp"),
    ] {
        let (_, output) = export(&format!(
            "SELECT id, ts FROM events\nWHERE {compared} >= $window_start AND ts < $window_end"
        ));
        output
            .exited_with(2)
            .stderr_has("sql/t.sql:3: the window is ")
            .stderr_has(message);
    }
    for condition in [
        "s >= CAST($window_start AS VARCHAR) AND s < CAST($window_end AS VARCHAR)",
        "ms >= CAST($window_start AS BIGINT) AND ms < CAST($window_end AS BIGINT)",
        "$window_start <= s AND $window_end > s",
        "id IN (SELECT id FROM events WHERE s >= $window_start AND s < $window_end)",
    ] {
        let (_, output) = export(&format!("SELECT id, ts FROM events\nWHERE {condition}"));
        output
            .exited_with(2)
            .stderr_has("sql/t.sql:3: the window is compared with ");
    }
}

#[test]
fn the_window_is_half_open() {
    for (condition, message) in [
        (
            "ts BETWEEN $window_start AND $window_end",
            "BETWEEN includes `$window_end`",
        ),
        (
            "NOT ts NOT BETWEEN $window_start AND $window_end",
            "BETWEEN includes `$window_end`",
        ),
        (
            "ts >= $window_start AND ts <= $window_end",
            "`<= $window_end` includes",
        ),
        (
            "$window_start <= ts AND $window_end >= ts",
            "`<= $window_end` includes",
        ),
        (
            "ts > $window_start AND ts < $window_end",
            "`> $window_start` leaves out",
        ),
    ] {
        let (_, output) = export(&format!("SELECT id, ts FROM events\nWHERE {condition}"));
        output
            .exited_with(2)
            .stderr_has(&format!("sql/t.sql:3: {message}"))
            .hint_has("`time >= $window_start AND time < $window_end`");
    }
}

#[test]
fn a_scan_may_read_more_than_the_cycle() {
    let exact = "ts >= $window_start AND ts < $window_end";
    for query in [
        format!("SELECT id, ts FROM events WHERE {exact}"),
        format!("SELECT id FROM events WHERE {exact}"),
        "WITH bounds AS (SELECT $window_start AS a, $window_end AS b)
         SELECT id FROM events, bounds WHERE ts >= a AND ts < b"
            .to_owned(),
        "SELECT id, ts FROM events WHERE date_trunc('day', ts) >= $window_start AND ts < $window_end"
            .to_owned(),
        "SELECT id, ts FROM events WHERE CAST(ts AS DATE) = $window_start AND ts < $window_end"
            .to_owned(),
        "SELECT id, ts FROM events WHERE ts >= $window_start - INTERVAL '1 hour'
         AND ts < $window_end + INTERVAL '1 hour' AND ts >= $window_start AND ts < $window_end"
            .to_owned(),
        "SELECT id, t FROM (SELECT id, ts AS t FROM events WHERE ts >= $window_start - INTERVAL '1 hour')
         WHERE t >= $window_start AND t < $window_end"
            .to_owned(),
        format!(
            "SELECT e.id, e.ts FROM events e LEFT JOIN events p ON p.id = e.id - 1
             AND p.ts >= $window_start - INTERVAL '1 hour' AND p.ts < $window_end WHERE e.{}",
            exact.replace("AND ts", "AND e.ts")
        ),
        "SELECT id, at FROM events WHERE at >= $window_start AND at < $window_end".to_owned(),
        "SELECT id FROM events WHERE day >= $window_start AND day < $window_end".to_owned(),
        "SELECT id FROM events WHERE day >= CAST($window_start AS DATE) AND day < CAST($window_end AS DATE)"
            .to_owned(),
        "SELECT id, ts FROM events WHERE ts >= date_trunc('day', $window_start) AND ts < $window_end"
            .to_owned(),
        format!("SELECT id FROM events WHERE {exact} AND left(s, 10) = to_char($window_start, '%Y-%m-%d')"),
        "SELECT id FROM events WHERE to_timestamp_millis(ms) >= $window_start
         AND to_timestamp_millis(ms) < $window_end"
            .to_owned(),
        "SELECT id, ts FROM events WHERE ts BETWEEN $window_start AND $window_end - INTERVAL '1 microsecond'"
            .to_owned(),
        format!("SELECT id, ts FROM events WHERE {exact} UNION ALL SELECT id, ts FROM events WHERE false"),
    ] {
        assert_eq!(exported_ids(&query), [1, 2, 3], "{query}");
    }
}

#[test]
fn rows_outside_of_the_cycle_stop_the_table() {
    for (query, message) in [
        (
            "SELECT id, ts FROM events WHERE ts >= $window_start AND ts < $window_end OR id = 0",
            "1 row of the query lies outside of the cycle by the column `ts`",
        ),
        (
            "SELECT id, ts FROM events WHERE ts >= $window_start AND ts < $window_end OR ts IS NULL",
            "1 row of the query lies outside of the cycle by the column `ts`",
        ),
        (
            "SELECT id, ts AS received FROM events WHERE ts >= $window_start OR ts < $window_end",
            "2 rows of the query lie outside of the cycle by the column `received`",
        ),
        (
            "SELECT id, t FROM (SELECT id, CAST(ts AS TIMESTAMP(3)) AS t, ts FROM events)
             WHERE ts >= $window_start - INTERVAL '1 hour' AND ts < $window_end",
            "1 row of the query lies outside of the cycle by the column `t`",
        ),
        (
            "SELECT id, at FROM events WHERE at >= $window_start AND at < $window_end + INTERVAL '1 hour'",
            "1 row of the query lies outside of the cycle by the column `at`",
        ),
        (
            "SELECT id, ts FROM events WHERE ts >= $window_start AND ts < $window_end
             UNION ALL SELECT id, ts FROM events WHERE id >= 4",
            "2 rows of the query lie outside of the cycle by the column `ts`",
        ),
        (
            "SELECT id, ts FROM events WHERE ts + INTERVAL '1 hour' >= $window_start AND ts < $window_end",
            "1 row of the query lies outside of the cycle by the column `ts`",
        ),
        (
            "SELECT max(id) AS id, min(ts) AS first FROM events
             WHERE ts >= $window_start - INTERVAL '1 hour' AND ts < $window_end",
            "1 row of the query lies outside of the cycle by the column `first`",
        ),
    ] {
        let (sandbox, output) = export(query);
        output
            .exited_with(1)
            .stderr_has(message)
            .hint_has("`$window_start`".trim_matches('`'));
        assert_eq!(rows_published(&sandbox), 0, "{query}");
    }
}

fn rows_published(sandbox: &Sandbox) -> usize {
    let published: Vec<Value> = rows(&sandbox.destination, "t");
    published.len()
}

#[test]
fn a_query_without_the_time_needs_both_bounds() {
    for query in [
        "SELECT id\nFROM events WHERE ts >= $window_start OR ts < $window_end",
        "SELECT id\nFROM events WHERE ts >= $window_start - INTERVAL '1 hour' AND ts < $window_end",
        "SELECT id\nFROM events WHERE (ts >= $window_start AND ts < $window_end) OR id = 7",
        "SELECT id\nFROM events WHERE NOT (ts >= $window_start AND ts < $window_end)",
        "SELECT id, at AS ts\nFROM events WHERE ts >= $window_start OR ts < $window_end",
        "SELECT id,\n$window_start AS a, $window_end AS b FROM events",
    ] {
        let (_, output) = export(query);
        output
            .exited_with(2)
            .stderr_has("sql/t.sql:3: the query is not bound to the cycle")
            .hint_has("`time >= $window_start AND time < $window_end`");
    }
}
