//! Audits by queries, of each way in which they run.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::audits::{audits_of, event, run, sandbox, set_events, shown};
use crate::support::{Sandbox, TestDestination, lines};

/// Runs queries over rows with three ids, of which `2` has two rows, and returns their results.
fn results(queries: &[&str]) -> String {
    let audits: String = queries.iter().fold(String::new(), |mut text, query| {
        let _ = writeln!(text, "{query};");
        text
    });
    let sandbox = sandbox(TestDestination::local(), &audits);
    set_events(
        &sandbox,
        [
            event("1", "a", 1),
            event("2", "a", 2),
            event("2", "b", 3),
            event("3", "b", 4),
        ],
    );
    shown(&audits_of(&run(&sandbox, &[])))
}

#[test]
fn queries_about_single_rows() {
    let queries = [
        "SELECT * FROM this WHERE amount > 2",
        "SELECT id AS a, amount * 2 AS b FROM this AS t WHERE t.amount * 2 > 4 AND t.kind = 'b'",
        "SELECT id FROM (SELECT id, amount + 1 AS more FROM this WHERE kind = 'b') WHERE more > 4",
        "SELECT * FROM this WHERE day <> 15 OR \"user\"['mail'] IS NULL",
        "SELECT * FROM this WHERE at < $window_start OR at >= $window_end",
        "SELECT 1 AS one FROM this",
        "SELECT * FROM this WHERE false",
        "SELECT * FROM this WHERE kind LIKE 'b%'",
    ];
    assert_eq!(
        results(&queries),
        "line 1 failed 2\nline 2 failed 2\nline 3 failed 1\nline 4 passed 0\nline 5 passed 0\nline 6 failed 4\n\
         line 7 passed 0\nline 8 failed 2\n"
    );
}

#[test]
fn queries_that_read_the_rows_once() {
    let queries = [
        "SELECT id, count(*) AS n FROM this GROUP BY id HAVING count(*) > 1",
        "SELECT count(*) AS n FROM this HAVING count(*) <> 4",
        "SELECT count(*) AS n FROM this HAVING count(*) = 4",
        "SELECT DISTINCT kind FROM this",
        "SELECT * FROM this ORDER BY amount DESC LIMIT 3",
        "SELECT * FROM this LIMIT 1",
        "SELECT sum(amount) AS s FROM this HAVING sum(amount) > 10",
        "SELECT * FROM this WHERE random() < 2",
    ];
    assert_eq!(
        results(&queries),
        "line 1 failed 1\nline 2 passed 0\nline 3 failed 1\nline 4 failed 2\nline 5 failed 3\nline 6 failed 1\n\
         line 7 passed 0\nline 8 failed 4\n"
    );
}

#[test]
fn queries_that_read_the_rows_again() {
    let queries = [
        "SELECT a.id FROM this a JOIN this b ON a.id = b.id AND a.amount < b.amount",
        "SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY id ORDER BY at, amount) AS n FROM this) WHERE n > 1",
        "SELECT id FROM this WHERE amount = (SELECT max(amount) FROM this)",
        "SELECT id FROM this t WHERE EXISTS (SELECT 1 FROM this o WHERE o.amount = t.amount + 1)",
        "SELECT id FROM this WHERE kind = 'a' UNION ALL SELECT id FROM this WHERE kind = 'b'",
        "SELECT x.id FROM this x LEFT JOIN this y ON x.id = y.id WHERE y.id IS NULL",
        "WITH days AS (SELECT day, count(*) AS n FROM this GROUP BY day) \
         SELECT a.day FROM days a JOIN days b ON a.day = b.day WHERE a.n <> b.n",
        "SELECT count(*) AS n FROM this a CROSS JOIN this b HAVING count(*) <> 16",
    ];
    assert_eq!(
        results(&queries),
        "line 1 failed 1\nline 2 failed 1\nline 3 failed 1\nline 4 failed 3\nline 5 failed 4\nline 6 passed 0\n\
         line 7 passed 0\nline 8 passed 0\n"
    );
}

/// Of 4,000 rows in 400 partitions, most go through the sort by partition.
#[test]
fn all_rows_of_many_partitions_are_seen() {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT, at TIMESTAMP(6)) STORED AS JSON LOCATION 'events/'",
    );
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, id % 400 AS part FROM events) TO 't' PARTITIONED BY (part)"
            .replace(
                "FROM events",
                "FROM events WHERE at >= $window_start AND at < $window_end",
            )
            .replace("SELECT id,", "SELECT id, at,"),
    );
    sandbox.write(
        "sql/audits/t.sql",
        "SELECT count(*) AS n FROM this HAVING count(*) <> 4000;
         SELECT part FROM this GROUP BY part HAVING count(*) <> 10;
         SELECT a.id FROM this a JOIN this b ON a.id = b.id + 4000;
         SELECT count(*) AS n FROM (SELECT id FROM this UNION SELECT id FROM this) HAVING count(*) <> 4000;
         CALL unique(id);",
    );
    let events = (0..4000).map(|n| json!({ "id": n, "at": "2026-01-15T10:00:00Z" }));
    sandbox.write("raw/events/a.json", lines(events));
    let output = sandbox
        .run(&[
            "--date",
            "2026-01-15",
            "--memory-limit",
            "64MiB",
            "--output",
            "json",
        ])
        .succeeded();
    let results: Vec<Value> = audits_of(&output);
    let passed = results.iter().filter(|audit| audit["result"] == "passed");
    assert_eq!(passed.count(), 5, "{results:?}");
}

#[test]
fn an_audit_that_cannot_be_evaluated_blocks_unless_it_warns() {
    let query = "SELECT * FROM this WHERE 10 / (amount - 3) > 100;";
    let sandbox = sandbox(TestDestination::local(), query);
    set_events(&sandbox, [event("1", "a", 3)]);
    let output = run(&sandbox, &[])
        .exited_with(1)
        .stderr_has("`line 1` (sql/audits/t.sql:1): it cannot be evaluated: ");
    assert_eq!(shown(&audits_of(&output)), "line 1 error 0\n");
    let sum = "SELECT sum(9223372036854775807 - amount) AS s FROM this HAVING sum(amount * 0) > 1";
    sandbox.write(
        "sql/audits/t.sql",
        format!("-- severity: warn\n{query}\n-- severity: warn\n{sum};"),
    );
    run(&sandbox, &[])
        .exited_with(0)
        .stderr_has("warning: t 2026-01-15: the cycle breaks the audit `line 2` (sql/audits/t.sql:2): it cannot");
}
