//! Files of definitions and sources: their bytes and names, and the names of the columns that they export.

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination, rows};

const EVENTS: &str = "CREATE EXTERNAL TABLE events (
  id BIGINT, v VARCHAR, l BIGINT[], r STRUCT<a BIGINT, items STRUCT<sku VARCHAR, \"Of\" STRUCT<n INT>>[]>
) STORED AS JSON LOCATION 'events/'";

const ROW: &str = r#"{"id":1,"v":"x","l":[1,2],"r":{"a":5,"items":[{"sku":"k","Of":{"n":7}}]}}"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox
        .write("sql/sources/events.sql", EVENTS)
        .write("sql/t.sql", "COPY (SELECT id FROM events) TO 't'")
        .write("raw/events/a.json", ROW);
    sandbox
}

fn run(sandbox: &Sandbox) -> CommandOutput {
    sandbox.run(&["--date", "2026-01-15", "--format", "json"])
}

fn export(query: &str) -> (Sandbox, CommandOutput) {
    let sandbox = sandbox();
    sandbox.write("sql/t.sql", format!("COPY (\n{query}\n) TO 't'"));
    let output = run(&sandbox);
    (sandbox, output)
}

#[track_caller]
fn exports(query: &str, expected: &[Value]) {
    let (sandbox, output) = export(query);
    output.succeeded();
    assert_eq!(rows(&sandbox.destination, "t"), expected, "{query}");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let sandbox = sandbox();
    sandbox
        .write("sql/t.sql", "\u{feff}COPY (SELECT id FROM events) TO 't'")
        .write("sql/sources/events.sql", format!("\u{feff}{EVENTS}"));
    run(&sandbox).succeeded();
    assert_eq!(rows(&sandbox.destination, "t"), [json!({"id": 1})]);
}

#[test]
fn a_file_that_is_not_utf8_is_named() {
    for file in ["sql/t.sql", "sql/sources/events.sql"] {
        let sandbox = sandbox();
        sandbox.write(file, b"-- ok\n-- caf\xe9".as_slice());
        run(&sandbox)
            .exited_with(2)
            .stderr_has(&format!(
                "{file}:2: the byte 0xe9 at position 7 of the line"
            ))
            .hint_has("save the file as UTF-8");
    }
}

#[test]
fn sql_files_that_are_not_read_are_told() {
    for file in [
        "sql/U.SQL",
        "sql/old/u.sql",
        "sql/sources/u.Sql",
        "sql/sources/old/u.sql",
    ] {
        let sandbox = sandbox();
        sandbox.write(file, "COPY (SELECT id FROM events) TO 'u'");
        run(&sandbox)
            .exited_with(2)
            .stderr_has(&format!("{file}` is not read"));
    }
    let sandbox = sandbox();
    for file in ["sql/.old/u.sql", "sql/.U.SQL", "sql/notes/readme.md"] {
        sandbox.write(file, "nothing");
    }
    run(&sandbox).succeeded();
}

#[test]
fn nested_types_are_read_as_they_are_written() {
    let sandbox = sandbox();
    sandbox
        .write(
            "sql/sources/events.sql",
            "CREATE EXTERNAL TABLE events (
               id BIGINT, r STRUCT<u STRUCT<n VARCHAR>>[], -- STRUCT<u STRUCT<n VARCHAR>>[]
               q STRUCT<a STRUCT<b STRUCT<c INT>>[]>)
             STORED AS JSON LOCATION 'events/'",
        )
        .write(
            "raw/events/a.json",
            r#"{"id":40,"r":[{"u":{"n":"x"}}],"q":{"a":[{"b":{"c":7}}]}}"#,
        )
        .write(
            "sql/t.sql",
            "COPY (SELECT id >> 3 AS shifted, r, r[1].u.n AS n, q.a[1].b.c AS c,
               CAST(NULL AS STRUCT<a STRUCT<b STRUCT<c INT>>>[]) AS z, '>>' AS arrows
             FROM events) TO 't'",
        );
    run(&sandbox).succeeded();
    let expected =
        json!({"shifted": 5, "r": [{"u": {"n": "x"}}], "n": "x", "c": 7, "arrows": ">>"});
    assert_eq!(rows(&sandbox.destination, "t"), [expected]);
}

#[test]
fn fields_follow_an_index() {
    exports(
        "SELECT r.items[1].sku AS x FROM events",
        &[json!({"x": "k"})],
    );
    exports(
        "SELECT e.r.items[1].\"Of\".n AS x FROM events e",
        &[json!({"x": 7})],
    );
    exports(
        "SELECT (r.items)[1].SKU AS x FROM events",
        &[json!({"x": "k"})],
    );
    exports(
        "SELECT id FROM events WHERE r['items'][1].\"Of\".n = 7",
        &[json!({"id": 1})],
    );
}

#[test]
fn exported_expressions_need_a_name() {
    for (query, hint) in [
        ("SELECT v,\nid + 1 FROM events", "AS name"),
        ("SELECT v,\ncount(id) FROM events GROUP BY v", "AS name"),
        ("SELECT\ncount(*) FROM events", "AS name"),
        (
            "SELECT v,\ncount(*) OVER (ORDER BY id) FROM events",
            "AS name",
        ),
        ("SELECT v,\nCAST(id AS INT) FROM events", "AS name"),
        ("SELECT v,\nunnest(l) FROM events", "AS name"),
        ("SELECT v,\nl[1] FROM events", "AS name"),
        ("SELECT v,\nr['a'] FROM events", "AS a"),
        ("SELECT v,\nr.a FROM events", "AS a"),
        ("SELECT * FROM (SELECT\nid + 1 FROM events)", "AS name"),
        (
            "SELECT v,\nrow_number() OVER (ORDER BY id) FROM events",
            "AS name",
        ),
        (
            "SELECT v,\nid + 1 FROM events UNION ALL SELECT 'b', 2",
            "AS name",
        ),
        (
            "SELECT v,\nCASE WHEN id > 1 THEN 1 END FROM events ORDER BY id LIMIT 3",
            "AS name",
        ),
        ("SELECT DISTINCT v,\nid + 1 FROM events", "AS name"),
    ] {
        let (_, output) = export(query);
        output
            .exited_with(2)
            .stderr_has("sql/t.sql:")
            .stderr_has(" of the query has no name")
            .hint_has(hint);
    }
    export("SELECT id AS \"\" FROM events")
        .1
        .exited_with(2)
        .stderr_has("has an empty name");
    for query in [
        "SELECT struct(id + 1, v) AS s FROM events",
        "SELECT [struct(id + 1)] AS s FROM events",
    ] {
        export(query)
            .1
            .exited_with(2)
            .stderr_has("has fields without a name")
            .hint_has("named_struct");
    }
}

#[test]
fn columns_and_named_expressions_are_exported() {
    exports(
        "SELECT e.id FROM events e ORDER BY e.v",
        &[json!({"id": 1})],
    );
    exports(
        "SELECT id, count(*) AS n FROM events GROUP BY id",
        &[json!({"id": 1, "n": 1})],
    );
    exports(
        "SELECT * FROM (SELECT id + 1 AS a, v FROM events) WHERE length(v) = 1",
        &[json!({"a": 2, "v": "x"})],
    );
    exports(
        "SELECT r.a AS a, id FROM events",
        &[json!({"a": 5, "id": 1})],
    );
    exports(
        "SELECT named_struct('a', id + 1) AS s FROM events",
        &[json!({"s": {"a": 2}})],
    );
    exports(
        "WITH x(a) AS (SELECT id + 1 FROM events) SELECT a FROM x",
        &[json!({"a": 2})],
    );
    exports(
        "SELECT id, unnest(l) AS item FROM events",
        &[json!({"id": 1, "item": 1}), json!({"id": 1, "item": 2})],
    );
}

#[test]
fn columns_of_the_same_name_are_told() {
    export("SELECT e.*, u.* FROM events e JOIN events u ON e.id = u.id")
        .1
        .exited_with(2)
        .stderr_has("sql/t.sql:2: columns with the same name: `e.id` and `u.id`, ")
        .stderr_has("`e.v` and `u.v`")
        .hint_has("rename them");
}

/// Syntax trees and plans are for the developers of DataFusion.
#[test]
fn errors_of_the_planner_are_short() {
    for (query, exit_code) in [
        (
            "SELECT e.id, x FROM events e CROSS JOIN LATERAL UNNEST(e.l) AS u(x)",
            2,
        ),
        ("SELECT e.id, u.x FROM events e, UNNEST(e.l) AS u(x)", 1),
        (
            "SELECT id, (SELECT max(x) FROM UNNEST(l) AS u(x)) AS m FROM events",
            1,
        ),
        ("SELECT r.items[1].sku(1) AS x FROM events", 2),
        (
            "SELECT id FROM events MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS true)",
            2,
        ),
        ("SELECT id FROM events FETCH FIRST 1 ROWS WITH TIES", 2),
        ("SELECT id, sum(id) OVER w AS s FROM events", 2),
        ("SELECT id FROM events PIVOT (sum(id) FOR v IN ('a'))", 2),
    ] {
        let output = export(query).1.exited_with(exit_code);
        for dump in [" { ", "Ident", "span:", "OuterReference", "Projection:"] {
            assert!(!output.stderr.contains(dump), "{dump} in\n{output}");
        }
    }
}
