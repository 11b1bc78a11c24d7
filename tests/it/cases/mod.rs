//! `dayport test`: definitions over the cases of `sql/tests`.

mod cut;
mod mutations;
mod wrong;

use std::fs;

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination};

const EVENTS: &str = "CREATE EXTERNAL TABLE events (
    event_id VARCHAR NOT NULL, name VARCHAR, n BIGINT, price DECIMAL(10, 2), unread BIGINT,
    page STRUCT<url VARCHAR, tags VARCHAR[]>, \"viewId\" VARCHAR,
    time TIMESTAMP(6) WITH TIME ZONE NOT NULL, date DATE, hour INT
  ) STORED AS JSON PARTITIONED BY (date, hour) LOCATION 'events/' OPTIONS ('time_column' 'time')";

const CLICKS: &str = "COPY (
    SELECT event_id, n, price, page, date_part('day', time) AS day
    FROM clicks_only
    WHERE n > $least AND time >= $window_start AND time < $window_end
  ) TO 'clicks' PARTITIONED BY (day)";

const VIEW: &str = "CREATE VIEW clicks_only AS SELECT * FROM events WHERE name = 'click'";

/// One line of a case that is exported.
const CLICK: &str = r#"{"event_id":"a","name":"click","n":5,"price":"1.5","page":{"url":"u"}}"#;
const EXPORTED: &str =
    r#"{"event_id":"a","n":5,"price":1.50,"page":{"url":"u","tags":null},"day":15}"#;

/// A sandbox with one definition and no case.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox
        .write("sql/sources/events.sql", EVENTS)
        .write("sql/sources/clicks_only.sql", VIEW)
        .write("sql/clicks.sql", CLICKS);
    sandbox
}

/// A sandbox with the case `clicks/one`.
fn one_case() -> Sandbox {
    let sandbox = sandbox();
    case(&sandbox, CLICK, EXPORTED);
    sandbox
}

fn case(sandbox: &Sandbox, lines: &str, expected: &str) {
    sandbox
        .write("sql/tests/clicks/one/events.jsonl", lines.to_owned())
        .write("sql/tests/clicks/one/expected.jsonl", expected.to_owned())
        .write(
            "sql/tests/clicks/one/case.toml",
            "[parameters]\nleast = 1\n",
        );
}

fn test(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    sandbox.dayport(&[&["test"], args].concat())
}

fn read(sandbox: &Sandbox, path: &str) -> String {
    fs::read_to_string(sandbox.folder().join(path)).expect("a file")
}

#[test]
fn the_cases_of_the_shipped_definitions_pass() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    let output = test(&sandbox, &[]).succeeded();
    assert!(output.stdout.contains(" cases, none failed\n"), "{output}");
    assert!(!output.stdout.contains("not tested"), "{output}");
}

/// What a line leaves out is NULL or has a default, values have the types of the export, and the order of rows does
/// not matter.
#[test]
fn lines_may_be_partial_and_rows_may_have_any_order() {
    let sandbox = sandbox();
    case(
        &sandbox,
        &[
            CLICK,
            r#"{"name":"click","n":9007199254740993}"#,
            r#"{"name":"click","n":1}"#,
            r#"{"name":"click","n":2,"time":"2026-01-16T00:00:00Z"}"#,
            r#"{"name":"view","n":7}"#,
            CLICK,
        ]
        .join("\n"),
        &[
            r#"{"day":15,"event_id":"event_id-2","n":9007199254740993,"price":null,"page":null}"#,
            EXPORTED,
            EXPORTED,
        ]
        .join("\n"),
    );
    test(&sandbox, &[])
        .succeeded()
        .stdout_has("ok    clicks/one");
    // Each row as often as it is exported.
    case(&sandbox, CLICK, &[EXPORTED, EXPORTED].join("\n"));
    let output = test(&sandbox, &[]).exited_with(1);
    output.stdout_has("2 rows expected, 1 exported, 1 missing");
}

#[test]
fn a_failing_case_shows_the_values_that_differ() {
    let sandbox = one_case();
    let wrong = EXPORTED.replace("1.50", "1.51").replace("null", "[\"t\"]");
    case(&sandbox, CLICK, &wrong);
    let output = test(&sandbox, &[]).exited_with(1);
    let expected = "\
FAIL  clicks/one: 1 row expected, 1 exported, 1 changed
      expected.jsonl:1
        price      expected 1.51   exported 1.5
        page.tags  expected [\"t\"]  exported null
1 case, 1 failed
";
    assert_eq!(output.stdout, expected, "{output}");

    let report = test(&sandbox, &["--output", "json"])
        .exited_with(1)
        .report();
    let cells = &report["cases"][0]["rows"]["changed"][0]["cells"];
    assert_eq!(
        cells[1],
        json!({"path": "page.tags", "expected": "[\"t\"]", "exported": "null"})
    );
    let output = test(&sandbox, &["--output", "github"]).exited_with(1);
    output.stdout_has(
        "::error file=sql/tests/clicks/one/expected.jsonl,line=1,title=clicks/one::1 row",
    );
    let output = test(&sandbox, &["--output", "junit"]).exited_with(1);
    let xml = output.stdout.clone();
    assert!(
        xml.contains("<testsuite name=\"clicks\" tests=\"1\" failures=\"1\">"),
        "{xml}"
    );
    assert!(xml.contains("page.tags  expected [&quot;t&quot;]"), "{xml}");
}

/// The decoder is that of a run: a line is malformed only if the definition reads what is wrong in it.
#[test]
fn rejected_lines_are_expected_or_fail_the_case() {
    let sandbox = sandbox();
    let lines = [
        CLICK,
        r#"{"name":"click","n":"many"}"#,
        r#"{"name":"click","n":5"#,
        r#"{"event_id":"b","name":"view","unread":"x"}"#,
    ];
    case(&sandbox, &lines.join("\n"), EXPORTED);
    let output = test(&sandbox, &[]).exited_with(1);
    let output = output.stdout_has("rejected: events.jsonl:2: field `n`: ");
    let output = output.stdout_has("rejected: events.jsonl:3: ");
    assert!(!output.stdout.contains("events.jsonl:4"), "{output}");
    let rejects = "sql/tests/clicks/one/expected_rejects.jsonl";
    let expected = r#"{"source":"events","line":2,"field":"n"}
        {"source":"events","line":3}"#;
    sandbox.write(rejects, expected);
    test(&sandbox, &[]).succeeded();
    sandbox.write(rejects, r#"{"source":"events","line":2,"field":"price"}"#);
    let output = test(&sandbox, &[]).exited_with(1);
    output.stdout_has("1 lines not rejected, 2 lines rejected");
}

/// A run would fail: its checks are those of the case.
#[test]
fn an_error_of_the_run_fails_the_case() {
    let sandbox = one_case();
    for (column, other, error) in [
        ("n, price", "n / (n - 5) AS n, price", "Divide by zero"),
        (
            "date_part('day', time)",
            "nullif(date_part('day', time), 15)",
            "NULL",
        ),
    ] {
        sandbox.write("sql/clicks.sql", CLICKS.replace(column, other));
        for args in [&[][..], &["--update"]] {
            let output = test(&sandbox, args).exited_with(1);
            let first = output.stdout.lines().next().expect("a line");
            let is_told = first.starts_with("FAIL  clicks/one: ") && first.contains(error);
            assert!(is_told, "{output}");
        }
    }
}

#[test]
fn update_writes_what_is_exported_and_keeps_what_is_as_before() {
    let sandbox = sandbox();
    let lines = [
        CLICK,
        r#"{"name":"click","n":2}"#,
        r#"{"name":"click","n":"many"}"#,
    ];
    let spaced = EXPORTED.replace(':', ": ");
    let gone = EXPORTED.replace("\"a\"", "\"gone\"");
    case(
        &sandbox,
        &lines.join("\n"),
        &[gone, spaced.clone()].join("\n"),
    );
    let output = test(&sandbox, &["--update"]).succeeded();
    let folder = "sql/tests/clicks/one";
    output.stdout_has(&format!(
        "wrote {folder}/expected.jsonl, {folder}/expected_rejects.jsonl\n1 case, none failed"
    ));
    let expected = read(&sandbox, &format!("{folder}/expected.jsonl"));
    let second = r#"{"event_id":"event_id-2","n":2,"price":null,"page":null,"day":15}"#;
    assert_eq!(expected, format!("{spaced}\n{second}\n"));
    let rejects: Value =
        serde_json::from_str(&read(&sandbox, &format!("{folder}/expected_rejects.jsonl"))).unwrap();
    assert_eq!(
        (&rejects["line"], &rejects["field"]),
        (&json!(3), &json!("n"))
    );
    test(&sandbox, &[]).succeeded();
    test(&sandbox, &["--update"])
        .succeeded()
        .stdout_has("same  clicks/one");

    // Without a rejected line there is no such file any more. An expectation without a row is told.
    sandbox.write(&format!("{folder}/events.jsonl"), r#"{"name":"view"}"#);
    let output = test(&sandbox, &["--update"]).exited_with(0);
    output.stderr_has("warning: clicks/one: no row is exported");
    assert!(
        !sandbox
            .folder()
            .join(folder)
            .join("expected_rejects.jsonl")
            .exists()
    );
}

#[test]
fn columns_that_are_ignored_are_in_no_expectation() {
    let sandbox = one_case();
    let settings = "ignore = [\"price\", \"day\"]\n[parameters]\nleast = \"1\"\n";
    sandbox.write("sql/tests/clicks/one/case.toml", settings);
    test(&sandbox, &["--update"]).succeeded();
    let expected = read(&sandbox, "sql/tests/clicks/one/expected.jsonl");
    assert_eq!(
        expected,
        "{\"event_id\":\"a\",\"n\":5,\"page\":{\"url\":\"u\",\"tags\":null}}\n"
    );
    test(&sandbox, &[]).succeeded();
}

#[test]
fn parameters_of_the_call_are_those_that_a_case_does_not_give() {
    let sandbox = one_case();
    sandbox.write("sql/tests/clicks/one/case.toml", "");
    test(&sandbox, &[])
        .exited_with(2)
        .stderr_has("the case `clicks/one` has no value of the parameter `$least`");
    test(&sandbox, &["--param", "least=4"]).succeeded();
    test(&sandbox, &["--param", "least=5"]).exited_with(1);
}

/// A source of Parquet files is given as lines, too, and a source without a file has no rows.
#[test]
fn sources_of_every_format_are_lines() {
    let sandbox = sandbox();
    sandbox.write(
        "sql/sources/events.sql",
        EVENTS.replace("STORED AS JSON", "STORED AS PARQUET"),
    );
    sandbox.write(
        "sql/sources/names.sql",
        "CREATE EXTERNAL TABLE names (n BIGINT NOT NULL, label VARCHAR) STORED AS JSON LOCATION 'names/'",
    );
    sandbox.write(
        "sql/clicks.sql",
        CLICKS
            .replace(
                "FROM clicks_only",
                "FROM clicks_only LEFT JOIN names USING (n)",
            )
            .replace("n, price,", "clicks_only.n, label,")
            .replace("WHERE n >", "WHERE clicks_only.n >"),
    );
    let expected = |label: &str| EXPORTED.replace("\"price\":1.50", &format!("\"label\":{label}"));
    case(&sandbox, CLICK, &expected("null"));
    test(&sandbox, &[]).succeeded();
    sandbox.write(
        "sql/tests/clicks/one/names.jsonl",
        r#"{"n":5,"label":"five"}"#,
    );
    test(&sandbox, &[]).exited_with(1);
    case(&sandbox, CLICK, &expected("\"five\""));
    test(&sandbox, &[]).succeeded();
}

#[test]
fn cases_are_selected_by_table_and_name() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    let names = |args: &[&str]| -> Vec<String> {
        let output = test(&sandbox, args).succeeded();
        assert!(!output.stdout.contains("not tested"), "{output}");
        let lines = output.stdout.lines();
        lines
            .filter_map(|line| line.strip_prefix("ok    "))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(names(&["domains/newest_dump"]), ["domains/newest_dump"]);
    let two = names(&["domains/newest_dump", "aliases"]);
    assert_eq!(two[3], "domains/newest_dump", "{two:?}");
    assert!(
        two.iter().take(3).all(|name| name.starts_with("aliases/")),
        "{two:?}"
    );
    assert_eq!(two.len(), 4);
}
