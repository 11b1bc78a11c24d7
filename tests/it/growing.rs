//! Functions whose result may be far larger than their arguments: their size is known before there is a
//! result.

use crate::support::{CommandOutput, SECOND_DAY, Sandbox, TestDestination, gzip};

const SOURCE: &str = "CREATE EXTERNAL TABLE t (
  k BIGINT, text VARCHAR, time TIMESTAMP(6) WITH TIME ZONE
) STORED AS JSON LOCATION 't/'";

/// Texts that are no more than a function may give for a batch, and more than it may for all rows.
const MANY: &str = "concat(repeat(text, 200), n)";
const MANY_ROWS: &str = "t, (VALUES (1), (2), (3), (4)) AS v(n)";

/// Returns a sandbox with a table of 3,000 rows.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write("sql/sources/t.sql", SOURCE);
    sandbox.write("sql/grown.sql", "COPY (SELECT k FROM t) TO 'grown'");
    let lines: String = (0..3000)
        .map(|k| format!("{{\"k\":{k},\"text\":\"text {k}\",\"time\":\"2026-01-15T00:00:00Z\"}}\n"))
        .collect();
    sandbox.write("raw/t/t.json.gz", gzip(&lines));
    sandbox
}

fn export(sandbox: &Sandbox, expression: &str) -> CommandOutput {
    let definition = format!("COPY (\n  SELECT {expression} AS x FROM t\n) TO 'grown'");
    sandbox.write("sql/grown.sql", definition);
    sandbox.run(&["--date", SECOND_DAY, "--memory-limit", "64MiB", "--rerun"])
}

#[test]
fn constant_results_that_are_too_large_are_refused_with_the_definition() {
    let sandbox = sandbox();
    for call in [
        "repeat('a', 1000000000)",
        "repeat('a', 9000000000000)",
        "length(repeat('a', 1000000000))",
        "lpad('a', 1000000000)",
        "rpad('a', 1000000000, 'xy')",
        "array_repeat(1, 1000000000000)",
        "array_repeat(array_repeat(1, 100000), 100000)",
        "range(1000000000000)",
        "generate_series(1, 1000000000000)",
        "generate_series(TIMESTAMP '2020-01-01', TIMESTAMP '2026-01-01', INTERVAL '1 millisecond')",
        "array_resize([1], 1000000000, 0)",
        "replace(repeat('a', 1000000), 'a', repeat('b', 1000))",
        "regexp_replace(repeat('a', 1000000), 'a', repeat('b', 1000), 'g')",
        "array_to_string(range(1000000), repeat('-', 1000))",
        // Each row would have it.
        "repeat('a', 1000000)",
        "[repeat('a', 1000000)]",
    ] {
        let refused = export(&sandbox, call).exited_with(2);
        assert!(refused.stderr.contains("grown.sql"), "{call}: {refused}");
        assert!(
            refused.stderr.contains("--memory-limit"),
            "{call}: {refused}"
        );
    }
}

#[test]
fn results_of_rows_that_are_too_large_fail_the_table() {
    let sandbox = sandbox();
    for call in [
        "repeat('a', 1000000 + k)",
        "repeat(text, 100000)",
        "lpad(text, 1000000 + k)",
        "array_repeat(k, 1000000)",
        "range(k, k + 1000000)",
        "array_resize([k], 1000000, 0)",
        "replace(text, 'e', repeat('b', 1000000))",
        &format!("(SELECT string_agg({MANY}, ',') FROM {MANY_ROWS})"),
        &format!("(SELECT string_agg(DISTINCT {MANY}, ',') FROM {MANY_ROWS})"),
        &format!("(SELECT string_agg({MANY}, ',' ORDER BY k) FROM {MANY_ROWS})"),
        &format!("(SELECT array_agg({MANY}) FROM {MANY_ROWS})"),
        &format!(
            "(SELECT max(s) FROM (SELECT string_agg({MANY}, ',') AS s FROM {MANY_ROWS} GROUP BY k < 0))"
        ),
        &format!(
            "(SELECT max(cardinality(s)) FROM (SELECT array_agg({MANY}) AS s FROM {MANY_ROWS} GROUP BY k < 0))"
        ),
    ] {
        let failed = export(&sandbox, call).exited_with(1);
        let output = format!("{}{}", failed.stdout, failed.stderr);
        assert!(output.contains("grown"), "{call}: {failed}");
        assert!(output.contains("more than the 16 MiB"), "{call}: {failed}");
    }
}

#[test]
fn what_is_not_too_large_is_as_before() {
    let sandbox = sandbox();
    let rows = |query: &str| {
        let output = sandbox.query(&[query, "--output", "json", "--memory-limit", "64MiB"]);
        output.succeeded().stdout
    };
    assert_eq!(
        rows(
            "SELECT lpad('7', 3, '0') AS a, rpad('7', 3) AS b, repeat('ab', 2) AS c, repeat('x', -1) AS d"
        ),
        "{\"a\":\"007\",\"b\":\"7  \",\"c\":\"abab\",\"d\":\"\"}\n"
    );
    assert_eq!(
        rows(
            "SELECT range(1, 4) AS a, generate_series(3, 1, -1) AS b, array_repeat('x', 2) AS c, array_resize([1], 3, 0) AS d"
        ),
        "{\"a\":[1,2,3],\"b\":[3,2,1],\"c\":[\"x\",\"x\"],\"d\":[1,0,0]}\n"
    );
    assert_eq!(
        rows(
            "SELECT replace('aXa', 'a', 'bb') AS a, regexp_replace('a1b2', '[0-9]', '<\\0>', 'g') AS b, array_to_string([1, 2], '-') AS c, concat('a', NULL, 'b') AS d, concat_ws('-', 'a', NULL, 'b') AS e"
        ),
        "{\"a\":\"bbXbb\",\"b\":\"a<1>b<2>\",\"c\":\"1-2\",\"d\":\"ab\",\"e\":\"a-b\"}\n"
    );
    // The bound of what it may give is too large, and what it gives is not: it is computed in parts.
    assert_eq!(
        rows("SELECT sum(length(regexp_replace(text, 'nothing', repeat('b', 10000)))) AS n FROM t"),
        format!(
            "{{\"n\":{}}}\n",
            (0..3000).map(|k| format!("text {k}").len()).sum::<usize>()
        )
    );
    assert_eq!(
        rows("SELECT string_agg(DISTINCT text, ',' ORDER BY text) AS a FROM t WHERE k < 2"),
        "{\"a\":\"text 0,text 1\"}\n"
    );
    assert_eq!(
        rows("SELECT array_agg(k ORDER BY k DESC) AS a FROM t WHERE k < 3"),
        "{\"a\":[2,1,0]}\n"
    );
    assert_eq!(
        rows("SELECT count(*) AS n FROM t WHERE text <> repeat('a', 1000000)"),
        "{\"n\":3000}\n"
    );
}
