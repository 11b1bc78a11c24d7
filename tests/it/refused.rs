//! The constructs that DataFusion computes wrongly: refused before anything is read, an error, or corrected.

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination};

const EVENTS: &str = "CREATE EXTERNAL TABLE events (
  id BIGINT, k BIGINT, n INT, small SMALLINT, d DECIMAL(10, 2), big DECIMAL(38, 2), f DOUBLE, s VARCHAR,
  ts TIMESTAMP(6), time TIMESTAMP(6) WITH TIME ZONE
) STORED AS JSON LOCATION 'events/'";

const OTHERS: &str = "CREATE EXTERNAL TABLE others (id BIGINT, k BIGINT)
STORED AS JSON LOCATION 'others/'";

const ROWS: &str = r#"{"id":1,"k":1,"n":2147483647,"small":32767,"d":"12345678.95","big":"999999999999999999999999999999999999.99","f":1.5,"s":"Purchase","ts":"2026-01-15T03:00:00.5Z","time":"2026-01-15T03:00:00.5Z"}
{"id":9223372036854775807,"k":2,"n":-2147483648,"small":-32768,"d":"-0.05","big":"1.00","f":2.5,"s":"a","ts":"2026-01-15T02:00:00Z","time":"2026-01-15T02:00:00Z"}
{"id":-9223372036854775808,"k":3,"n":1,"small":1,"d":"1.00","big":"2.00","f":-0.05,"s":null,"ts":null,"time":null}
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox
        .write("sql/sources/events.sql", EVENTS)
        .write("sql/sources/others.sql", OTHERS)
        .write("sql/t.sql", "COPY (SELECT id FROM events) TO 't'")
        .write("raw/events/a.json", ROWS)
        .write(
            "raw/others/a.json",
            "{\"id\":null,\"k\":2}\n{\"id\":9,\"k\":1}\n",
        );
    sandbox
}

/// Runs the definition `COPY (query) TO 't'` for a day.
fn export(sandbox: &Sandbox, query: &str, date: &str) -> CommandOutput {
    sandbox.write("sql/t.sql", format!("COPY (\n{query}\n) TO 't'"));
    sandbox.run(&["--date", date, "--format", "json"])
}

#[track_caller]
fn rows(sandbox: &Sandbox, query: &str) -> Vec<Value> {
    let output = sandbox.query(&[query, "--output", "json"]).succeeded();
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

#[test]
fn arithmetic_fails_on_overflow() {
    let sandbox = sandbox();
    for query in [
        "SELECT id + 1 AS x FROM events",
        "SELECT id - 1 AS x FROM events",
        "SELECT id * 100 AS x FROM events",
        "SELECT -id AS x FROM events",
        "SELECT n + n AS x FROM events",
        "SELECT small * small AS x FROM events",
        "SELECT -small AS x FROM events",
        "SELECT big + 1 AS x FROM events",
        "SELECT big * 2 AS x FROM events",
        "SELECT id FROM events WHERE id + 1 > 5",
        "SELECT k, id + 1 AS x FROM events ORDER BY id + 1",
        "SELECT id + 1 AS x, count(*) AS n FROM events GROUP BY id + 1",
        "SELECT max(id * 2) AS x FROM events",
        "SELECT e.k FROM events e JOIN others o ON e.id + 1 = o.id",
        "SELECT lag(id * 2) OVER (ORDER BY k) AS x FROM events",
        "SELECT k FROM events WHERE EXISTS (SELECT 1 FROM others o WHERE o.k = events.id + 1)",
        "SELECT CASE WHEN k > 0 THEN id * 2 END AS x FROM events",
        "SELECT [id + 1] AS x FROM events",
    ] {
        export(&sandbox, query, "2026-01-15")
            .exited_with(1)
            .stderr_has("arithmetic overflow: ")
            .hint_has("DECIMAL(38, 0)");
    }
}

#[test]
fn sums_fail_on_overflow() {
    let sandbox = sandbox();
    for query in [
        "SELECT sum(id) AS x FROM events WHERE k < 3",
        "SELECT k > 0 AS p, sum(id) AS x FROM events WHERE k < 3 GROUP BY k > 0",
        "SELECT sum(DISTINCT id) AS x FROM events WHERE k < 3",
        "SELECT sum(id) OVER (ORDER BY k) AS x FROM events",
        "SELECT sum(id) OVER (ORDER BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM events",
        "SELECT sum(big) AS x FROM events",
        "SELECT sum(id) FILTER (WHERE k < 3) AS x FROM events",
    ] {
        export(&sandbox, query, "2026-01-15")
            .exited_with(1)
            .stderr_has("arithmetic overflow: a `sum` is beyond the range of ")
            .hint_has("sum(CAST(x AS DECIMAL(38, 0)))");
    }
}

#[test]
fn overflow_of_constants_is_an_error() {
    let sandbox = sandbox();
    export(
        &sandbox,
        "SELECT 9223372036854775807 + 1 AS x",
        "2026-01-15",
    )
    .exited_with(1)
    .stderr_has(
        "t 2026-01-15: arithmetic overflow: the result of `+` is beyond the range of BIGINT",
    );
}

#[test]
fn results_within_the_range_stay_as_they_were() {
    let sandbox = sandbox();
    // Any two of the values overflow in one order or another; all three do not.
    sandbox.write(
        "raw/events/b.json",
        "{\"id\":9223372036854775807,\"k\":4}\n{\"id\":1,\"k\":5}\n",
    );
    let query =
        "SELECT sum(id) AS total, sum(DISTINCT k) AS k, count(*) AS n FROM events WHERE k > 1";
    assert_eq!(
        rows(&sandbox, query),
        [json!({"total": 9_223_372_036_854_775_807_i64, "k": 14, "n": 4})]
    );
    let query = "SELECT k + 1 - 2 * k, -k, k + 0.5 AS f, d * 2 AS d, sum(k) OVER (ORDER BY k) AS running \
                 FROM events WHERE k < 3 ORDER BY k";
    assert_eq!(
        rows(&sandbox, query),
        [
            json!({
                "events.k + Int64(1) - Int64(2) * events.k": 0, "(- events.k)": -1, "f": 1.5,
                "d": 24_691_357.90, "running": 1
            }),
            json!({
                "events.k + Int64(1) - Int64(2) * events.k": -1, "(- events.k)": -2, "f": 2.5,
                "d": -0.10, "running": 3
            }),
        ]
    );
    let interval =
        "SELECT ts + INTERVAL '1 hour' - INTERVAL '1 hour' = ts AS same FROM events WHERE k = 1";
    assert_eq!(rows(&sandbox, interval), [json!({"same": true})]);
}

#[test]
fn decimals_are_compared_with_the_number_that_is_written() {
    let sandbox = sandbox();
    for condition in [
        "d = 12345678.95",
        "12345678.95 = d",
        "d IN (12345678.95, 7.5)",
        "d BETWEEN 12345678.95 AND 12345678.95",
        "NOT (d <> 12345678.95) AND d > 1e3",
        "coalesce(d, 0.5) = 12345678.95",
        "CASE WHEN k > 1 THEN d ELSE 12345678.95 END = 12345678.95",
    ] {
        let query = format!("SELECT k FROM events WHERE {condition}");
        assert_eq!(rows(&sandbox, &query), [json!({"k": 1})], "{condition}");
    }
    let joined = "SELECT a.k AS a, b.k AS b FROM events a JOIN events b ON a.d = b.f";
    assert_eq!(rows(&sandbox, joined), [json!({"a": 2, "b": 3})]);
}

/// Each query, the line and a part of the complaint, and a part of the hint.
const REFUSED: [(&str, &str, &str); 23] = [
    (
        "SELECT id FROM events\nWHERE id NOT IN (SELECT o.id FROM others o WHERE o.k > events.k)",
        "sql/t.sql:3: `NOT IN` with a subquery that refers to the outer query",
        "NOT EXISTS",
    ),
    (
        "SELECT id FROM events\nWHERE k = 1\nAND NOT (id IN (SELECT o.id FROM others o WHERE o.k = events.k))",
        "sql/t.sql:4: `NOT IN` with a subquery that refers to the outer query",
        "NOT EXISTS",
    ),
    (
        "SELECT id FROM events\nWHERE 3 NOT IN (SELECT o.id FROM others o)",
        "sql/t.sql:3: `NOT IN` of a constant",
        "NOT EXISTS",
    ),
    (
        "SELECT id FROM events\nWHERE id NOT IN (SELECT o.id FROM others o) OR k = 3",
        "sql/t.sql:3: a subquery with `IN` that is negated or tested",
        "NOT EXISTS",
    ),
    (
        "SELECT id FROM events\nWHERE (id IN (SELECT o.id FROM others o)) IS NULL",
        "sql/t.sql:3: a subquery with `IN` that is negated or tested",
        "NOT EXISTS",
    ),
    (
        "SELECT id FROM events\nWHERE NOT (k = 2 AND id IN (SELECT o.id FROM others o))",
        "sql/t.sql:3: a subquery with `IN` that is negated or tested",
        "NOT EXISTS",
    ),
    (
        "SELECT k, count(*) AS n FROM events GROUP BY k\nHAVING k NOT IN (SELECT o.id FROM others o WHERE o.k < events.k)",
        "sql/t.sql:3: `NOT IN` with a subquery that refers to the outer query",
        "NOT EXISTS",
    ),
    (
        "SELECT id,\nid IN (SELECT o.id FROM others o) AS x FROM events",
        "sql/t.sql:3: DataFusion cannot plan this subquery",
        "LEFT JOIN",
    ),
    (
        "SELECT id,\nEXISTS (SELECT 1 FROM others o WHERE o.id = events.id) AS x FROM events",
        "sql/t.sql:3: DataFusion cannot plan this subquery",
        "LEFT JOIN",
    ),
    (
        "SELECT e.id FROM events e\nWHERE EXISTS (SELECT 1 FROM others o WHERE o.k = e.k HAVING count(*) > 1)",
        "sql/t.sql:3: EXISTS of an aggregate without GROUP BY",
        "count(*)",
    ),
    (
        "SELECT k FROM events\nFULL JOIN others USING (k)",
        "sql/t.sql:3: a RIGHT or FULL JOIN with USING",
        "coalesce(a.k, b.k)",
    ),
    (
        "SELECT k FROM events\nNATURAL RIGHT JOIN others",
        "sql/t.sql:3: a RIGHT or FULL JOIN with USING",
        "coalesce(a.k, b.k)",
    ),
    (
        "SELECT id,\nk ^ 2 AS squared FROM events",
        "sql/t.sql:3: `^` is not the power",
        "power(x, y)",
    ),
    (
        "SELECT id FROM events\nWHERE s SIMILAR TO 'Pur%'",
        "sql/t.sql:3: SIMILAR TO takes its pattern for a regular expression",
        "LIKE",
    ),
    (
        "SELECT id,\nCAST(time AT TIME ZONE 'America/New_York' AS TIMESTAMP(6)) AS t FROM events",
        "sql/t.sql:3: a cast of AT TIME ZONE to TIMESTAMP gives the time in UTC",
        "to_local_time(x AT TIME ZONE 'America/New_York')",
    ),
    (
        "SELECT id,\n(time AT TIME ZONE 'Asia/Tokyo')::TIMESTAMP::DATE AS t FROM events",
        "sql/t.sql:3: a cast of AT TIME ZONE to TIMESTAMP gives the time in UTC",
        "to_local_time",
    ),
    (
        "SELECT id,\ndate_part('epoch', ts - TIMESTAMP '2026-01-01 00:00:00') AS t FROM events",
        "sql/t.sql:3: `date_part` of a difference of timestamps",
        "date_part('epoch', a) - date_part('epoch', b)",
    ),
    (
        "SELECT id,\nEXTRACT(HOUR FROM ts - TIMESTAMP '2026-01-01 00:00:00') AS t FROM events",
        "sql/t.sql:3: `date_part` of a difference of timestamps",
        "date_part('epoch', a) - date_part('epoch', b)",
    ),
    (
        "SELECT id,\nEXTRACT(EPOCH FROM INTERVAL '1 year') AS t FROM events",
        "sql/t.sql:3: `date_part('epoch', …)` of an interval",
        "date_part('epoch', a) - date_part('epoch', b)",
    ),
    (
        "SELECT id,\ncoalesce(d, f) AS x FROM events",
        "sql/t.sql:3: a DOUBLE and a DECIMAL become one column",
        "CAST(… AS DOUBLE)",
    ),
    (
        "SELECT d AS x FROM events\nUNION ALL SELECT f FROM events",
        "a DOUBLE and a DECIMAL become one column",
        "CAST(… AS DOUBLE)",
    ),
    (
        "SELECT id FROM events\nWHERE big = 999999999999999999999999999999999999.99",
        "sql/t.sql:3: `999999999999999999999999999999999999.99` has more digits than a DOUBLE",
        "CAST('999999999999999999999999999999999999.99' AS DECIMAL(38, …))",
    ),
    (
        "SELECT id,\ntime AT TIME ZONE 'Europe/Berln' AS t FROM events",
        "sql/t.sql:3: there is no time zone `Europe/Berln`",
        "Europe/Berlin",
    ),
];

#[test]
fn wrong_results_are_refused_with_file_and_line() {
    let sandbox = sandbox();
    for (query, complaint, hint) in REFUSED {
        let output = export(&sandbox, query, "2026-01-15")
            .exited_with(2)
            .stderr_has(complaint)
            .hint_has(hint);
        assert_eq!(output.stdout, "", "stdout of\n{output}");
    }
}

#[test]
fn queries_and_views_are_refused_too() {
    let sandbox = sandbox();
    sandbox
        .query(&["SELECT s SIMILAR TO 'a' AS x FROM events"])
        .exited_with(2)
        .stderr_has("the query:1: SIMILAR TO");
    sandbox.write(
        "sql/sources/purchases.sql",
        "CREATE VIEW purchases AS\nSELECT id FROM events\nWHERE s SIMILAR TO 'Pur%'",
    );
    export(&sandbox, "SELECT id FROM purchases", "2026-01-15")
        .exited_with(2)
        .stderr_has("sql/sources/purchases.sql:3: SIMILAR TO");
}

#[test]
fn what_is_right_is_not_refused() {
    let sandbox = sandbox();
    for query in [
        "SELECT k FROM events WHERE k NOT IN (SELECT o.k FROM others o)",
        "SELECT k FROM events WHERE k IN (SELECT o.k FROM others o WHERE o.k <> events.n) OR k = 7",
        "SELECT k FROM events WHERE NOT EXISTS (SELECT 1 FROM others o WHERE o.k > events.k)",
        "SELECT k, (SELECT max(o.k) FROM others o WHERE o.k = events.k) AS m FROM events",
        "SELECT to_local_time(time AT TIME ZONE 'America/New_York') AS t FROM events",
        "SELECT CAST(time AT TIME ZONE 'Europe/Berlin' AS DATE) AS t FROM events",
        "SELECT CAST(time AS TIMESTAMP(6)) AS t FROM events",
        "SELECT date_part('epoch', ts) AS t, date_part('hour', time) AS h FROM events",
        "SELECT CAST(f AS DECIMAL(10, 2)) AS x, coalesce(CAST(d AS DOUBLE), f) AS y FROM events",
        "SELECT coalesce(d, 0.5) AS x, CASE WHEN k = 1 THEN d ELSE 1.5 END AS y FROM events",
    ] {
        sandbox.query(&[query]).exited_with(0);
    }
}

#[test]
fn zones_with_newer_rules_are_refused_from_the_change_on() {
    let (mut sandbox, of_window) = (sandbox(), sandbox());
    sandbox.set_clock("2026-11-26T03:00:00Z");
    for zone in ["America/Vancouver", "Africa/Casablanca"] {
        let query = format!("SELECT id,\ntime AT TIME ZONE '{zone}' AS t FROM events");
        export(&sandbox, &query, "2026-11-25")
            .exited_with(2)
            .stderr_has(&format!(
                "sql/t.sql:3: the rules of the time zone `{zone}` are outdated"
            ))
            .hint_has("UTC");
    }
    let stable = "SELECT id, time AT TIME ZONE 'Europe/Berlin' AS t FROM events";
    export(&sandbox, stable, "2026-11-25").succeeded();
    // The rows of a snapshot may be newer than its cycle, those of a window are not.
    let snapshot = "SELECT id, time AT TIME ZONE 'America/Vancouver' AS t FROM events";
    export(&sandbox, snapshot, "2026-01-15").exited_with(2);
    let before = "SELECT id, time, time AT TIME ZONE 'America/Vancouver' AS t FROM events \
                  WHERE time >= $window_start AND time < $window_end";
    export(&of_window, before, "2026-01-15").succeeded();
}

#[test]
fn check_notes_functions_that_give_a_rerun_other_rows() {
    let sandbox = sandbox();
    let query = "SELECT id, uuid() AS u, now() AS at, random() AS r FROM events";
    sandbox.write("sql/t.sql", format!("COPY (\n{query}\n) TO 't'"));
    let to = sandbox.destination.url();
    let arguments = ["check", "--from", "raw", "--to", &to];
    sandbox
        .dayport(&arguments)
        .stdout_has("note     t ")
        .stdout_has(
            "sql/t.sql: `now`, `random`, `uuid` gives another value when a cycle is run again",
        )
        .stdout_has("hint: write `$window_start`");
    sandbox.write("sql/t.sql", "COPY (SELECT id FROM events) TO 't'");
    let output = sandbox.dayport(&arguments);
    assert!(!output.stdout.contains("note "), "{output}");
}
