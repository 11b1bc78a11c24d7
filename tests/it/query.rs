//! `dayport query`: SQL over sources, definitions and published tables.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    CommandOutput, FIRST_DAY, SECOND_DAY, Sandbox, THIRD_DAY, TestDestination, check_published,
    for_each_destination,
};

for_each_destination!(published_tables_match_their_manifests);

/// Runs a query and parses the rows of `--output json`.
#[track_caller]
fn json_rows(output: CommandOutput) -> Vec<Value> {
    let output = output.succeeded();
    assert!(
        output.stdout.is_empty() || output.stdout.ends_with('\n'),
        "the last line of\n{output}"
    );
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

#[track_caller]
fn rows_of(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    json_rows(sandbox.query(&[args, &["--output", "json"]].concat()))
}

fn fixtures() -> Sandbox {
    Sandbox::fixtures(TestDestination::local())
}

/// A table may have files of both formats: one day is exported as JSON, the next as Parquet.
fn published_tables_match_their_manifests(destination: TestDestination) {
    let sandbox = Sandbox::fixtures(destination);
    for (day, format) in [(SECOND_DAY, "json"), (THIRD_DAY, "parquet")] {
        sandbox
            .run(&["--date", day, "--format", format, "--accept-change"])
            .exited_with(0);
    }
    let published = check_published(&sandbox.destination);
    let counts = published
        .keys()
        .map(|table| format!("SELECT '{table}' AS name, count(*) AS rows FROM exported.{table}"));
    let sql = counts.collect::<Vec<String>>().join(" UNION ALL ");
    let to = sandbox.destination.url();
    let mut counted = rows_of(&sandbox, &["--to", &to, &sql]);
    counted.sort_by_key(|row| row["name"].to_string());
    let rows = |manifests: &[Value]| -> u64 {
        manifests
            .iter()
            .map(|manifest| manifest["rows"].as_u64().expect("a count"))
            .sum()
    };
    let expected: Vec<Value> = published
        .iter()
        .map(|(table, manifests)| json!({ "name": table, "rows": rows(manifests) }))
        .collect();
    assert_eq!(counted, expected);

    let by_day = "SELECT year, month, day, count(*) AS rows, count(DISTINCT event_id) AS ids
                  FROM exported.videoview_events GROUP BY 1, 2, 3 ORDER BY 3";
    assert_eq!(
        rows_of(&sandbox, &["--to", &to, by_day]),
        [
            json!({ "year": 2026, "month": 1, "day": 15, "rows": 306, "ids": 306 }),
            json!({ "year": 2026, "month": 1, "day": 16, "rows": 312, "ids": 312 }),
        ]
    );

    // A receiver has neither definitions nor sources.
    let receiver = Sandbox::empty(sandbox.destination);
    let sql = "SELECT count(*) AS rows FROM exported.domains";
    let output = receiver.dayport(&["query", "--to", &to, "--output", "json", sql]);
    assert_eq!(json_rows(output), [json!({ "rows": 11 })]);
}

#[test]
fn a_source_is_a_table() {
    let sql = "SELECT date, count(*) AS rows FROM events GROUP BY date ORDER BY date";
    assert_eq!(
        rows_of(&fixtures(), &[sql]),
        [
            json!({ "date": FIRST_DAY, "rows": 6357 }),
            json!({ "date": SECOND_DAY, "rows": 6738 }),
            json!({ "date": THIRD_DAY, "rows": 6889 }),
        ]
    );
}

#[test]
fn a_definition_is_a_view_over_the_cycle_of_the_date() {
    let sandbox = fixtures();
    let by_name = rows_of(&sandbox, &["--date", SECOND_DAY, "slotclicked_events"]);
    assert_eq!(by_name.len(), 59);
    assert!(by_name.iter().all(|row| row["day"] == 15), "{by_name:?}");
    let sql = "SELECT count(*) AS rows FROM definition.slotclicked_events";
    assert_eq!(
        rows_of(&sandbox, &["--date", FIRST_DAY, sql]),
        [json!({ "rows": 63 })]
    );
    // Without a date, the cycle is that of a run: the last closed day.
    let bare = "SELECT count(*) AS rows FROM slotclicked_events";
    assert_eq!(rows_of(&sandbox, &[bare]), [json!({ "rows": 67 })]);
}

#[test]
fn a_source_and_a_definition_of_one_name_can_both_be_queried() {
    let sandbox = fixtures();
    let count = |table: &str| {
        let sql = format!("SELECT count(*) AS rows FROM {table}");
        rows_of(&sandbox, &[&sql])[0]["rows"].clone()
    };
    assert_eq!(
        (count("domains"), count("definition.domains")),
        (json!(34), json!(11))
    );
    // The bare name of a definition means the rows that a run would export.
    assert_eq!(rows_of(&sandbox, &["domains"]).len(), 11);
}

#[test]
fn a_parameter_is_bound() {
    let sandbox = fixtures();
    sandbox.write(
        "sql/of_domain.sql",
        "COPY (SELECT * FROM domains WHERE domain = $domain) TO 'of_domain'",
    );
    let partner = ["--param", "domain=partner.example", "of_domain"];
    let rows = rows_of(&sandbox, &partner);
    assert!(!rows.is_empty() && rows.iter().all(|row| row["domain"] == "partner.example"));
    let without = sandbox.query(&["of_domain"]).exited_with(2);
    without.stderr_has("sql/of_domain.sql:1: the parameter `$domain` has no value");
    // A definition that the query does not use is not checked.
    assert_eq!(
        rows_of(&sandbox, &["SELECT 1 AS one"]),
        [json!({ "one": 1 })]
    );
}

#[test]
fn rows_are_printed_in_three_forms() {
    let sandbox = fixtures();
    let sql = "SELECT code, name, NULL AS nothing, '' AS empty FROM cohorts
               WHERE code IN (1001, 1002) AND workspace_id LIKE '8d3c1f52%' ORDER BY code";
    let table = sandbox.query(&[sql]).exited_with(0);
    assert_eq!(
        table.stdout,
        "+------+------------------+---------+-------+\n\
         | code | name             | nothing | empty |\n\
         +------+------------------+---------+-------+\n\
         | 1001 | Football readers | NULL    |       |\n\
         | 1002 | Rugby readers    | NULL    |       |\n\
         +------+------------------+---------+-------+\n"
    );
    assert_eq!(table.stderr, "2 rows\n");
    let csv = sandbox.query(&[sql, "--output", "csv"]).succeeded();
    let expected =
        "code,name,nothing,empty\n1001,Football readers,,\"\"\n1002,Rugby readers,,\"\"\n";
    assert_eq!(csv.stdout, expected);
    let json = sandbox
        .query(&[sql, "--output", "json", "--limit", "1"])
        .succeeded();
    assert_eq!(
        json.stdout,
        "{\"code\":1001,\"name\":\"Football readers\",\"empty\":\"\"}\n"
    );

    let none = "SELECT code FROM cohorts WHERE code < 0";
    assert_eq!(
        sandbox
            .query(&[none, "--output", "json"])
            .succeeded()
            .stdout,
        ""
    );
    assert_eq!(
        sandbox.query(&[none, "--output", "csv"]).succeeded().stdout,
        "code\n"
    );
    let table = sandbox.query(&[none]).exited_with(0);
    assert!(table.stdout.contains("| code |"), "{table}");
    assert_eq!(table.stderr, "0 rows\n");

    let nested = "SELECT tags FROM cohorts LIMIT 1";
    let csv = sandbox.query(&[nested, "--output", "csv"]).exited_with(1);
    csv.stderr_has("the column `tags` is nested, which CSV cannot hold")
        .hint_has("--output json");
}

/// Returns the paths of all files and folders below a folder.
fn tree(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name();
    let paths = entries.into_iter().map(|entry| {
        let path = entry.expect("an entry").into_path();
        path.display().to_string()
    });
    paths.collect()
}

#[test]
fn a_query_works_without_definitions_and_creates_nothing() {
    let mut sandbox = Sandbox::empty(TestDestination::local());
    let temporary = sandbox.folder().join("tmp");
    std::fs::create_dir(&temporary).expect("a folder");
    sandbox.set_env("TMPDIR", &temporary.display().to_string());
    let one = |sandbox: &Sandbox, args: &[&str]| {
        let before = tree(sandbox.folder());
        let fixed = ["query", "SELECT 1 AS one", "--output", "json"];
        let output = sandbox.dayport(&[&fixed, args].concat());
        assert_eq!(json_rows(output), [json!({ "one": 1 })]);
        assert_eq!(tree(sandbox.folder()), before);
    };
    // With empty folders, with or without sources, and without any folder.
    one(&sandbox, &[]);
    one(&sandbox, &["--from", "raw"]);
    for folder in ["sql/sources", "sql"] {
        std::fs::remove_dir(sandbox.folder().join(folder)).expect("an empty folder");
        one(&sandbox, &[]);
        one(&sandbox, &["--from", "raw"]);
        one(&sandbox, &["--from", "nowhere"]);
    }
    let unknown = sandbox.query(&["SELECT * FROM events"]).exited_with(2);
    unknown.hint_has("sources: none; definitions: none; published tables need --to");

    // A source is enough, and sources are not needed for definitions.
    sandbox.write(
        "sql/sources/sites.sql",
        "CREATE EXTERNAL TABLE sites (id BIGINT) STORED AS JSON LOCATION 'sites/'",
    );
    sandbox.write("raw/sites/sites.json", "{\"id\":7}\n");
    assert_eq!(rows_of(&sandbox, &["sites"]), [json!({ "id": 7 })]);
    one(&sandbox, &[]);
    let relative = sandbox.dayport(&["query", "sites"]).exited_with(2);
    relative
        .stderr_has("sql/sources/sites.sql:1: LOCATION")
        .hint_has("--from");
    sandbox.remove("sql/sources/sites.sql");
    sandbox.write("sql/two.sql", "COPY (SELECT 2 AS two) TO 'two'");
    assert_eq!(rows_of(&sandbox, &["two"]), [json!({ "two": 2 })]);

    // What the caller names must be there.
    let before = tree(sandbox.folder());
    for args in [["--to", "TYPO"], ["--sql", "TYPO"], ["--spill-dir", "TYPO"]] {
        let refused = sandbox.dayport(&[&["query", "SELECT 1"][..], &args].concat());
        refused.exited_with(2).stderr_has("TYPO");
    }
    sandbox
        .query(&["--to", "TYPO", "SELECT * FROM exported.t"])
        .exited_with(2);
    assert_eq!(tree(sandbox.folder()), before);
}

#[test]
fn columns_are_described_with_the_types_of_sql() {
    let sandbox = fixtures();
    let sql = "DESCRIBE cohorts";
    let rows = rows_of(&sandbox, &[sql]);
    let of = |name: &str| {
        let mut rows = rows.iter();
        let row = rows
            .find(|row| row["column_name"] == name)
            .expect("a column");
        (row["data_type"].clone(), row["is_nullable"].clone())
    };
    assert_eq!(of("code"), (json!("BIGINT"), json!("NO")));
    assert_eq!(of("tags"), (json!("VARCHAR[]"), json!("YES")));
    assert_eq!(of("date"), (json!("DATE"), json!("YES")));
}

#[test]
fn a_limit_is_a_limit() {
    let sandbox = fixtures();
    for limit in [0, 1, 7] {
        let rows = rows_of(&sandbox, &["aliases", "--limit", &limit.to_string()]);
        assert_eq!(rows.len(), limit);
    }
}

#[test]
fn a_plan_is_explained_and_not_run() {
    let sandbox = fixtures();
    let sql = "SELECT count(*) FROM events WHERE name = 'Pageview'";
    sandbox
        .query(&["--explain", sql])
        .exited_with(0)
        .stdout_has("logical_plan")
        .stdout_has("physical_plan")
        .stdout_has("TableScan: events");
}

#[test]
fn nothing_is_written_by_a_query() {
    let sandbox = fixtures();
    sandbox.run(&["--date", SECOND_DAY, "domains"]).succeeded();
    let before = sandbox.destination.contents();
    let to = sandbox.destination.url();
    for sql in [
        "DROP TABLE domains",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "INSERT INTO exported.domains SELECT * FROM exported.domains",
        "DELETE FROM exported.domains",
        "COPY (SELECT 1 AS a) TO 'copied.parquet'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; SELECT 2",
    ] {
        let refused = sandbox.query(&["--to", &to, sql]).exited_with(2);
        assert_eq!(refused.stdout, "", "{refused}");
    }
    assert_eq!(sandbox.destination.contents(), before);
    assert!(!sandbox.folder().join("copied.parquet").exists());
}

#[test]
fn wrong_queries_get_suggestions() {
    let sandbox = fixtures();
    let unknown = sandbox.query(&["SELECT * FROM pageviews"]).exited_with(2);
    unknown
        .stderr_has("pageviews")
        .hint_has("sources: aliases, cohorts, domains, events; definitions: aliases, domains,");
    let unpublished = sandbox
        .query(&["SELECT * FROM exported.domains"])
        .exited_with(2);
    unpublished
        .stderr_has("domains")
        .hint_has("published tables need --to");
    let typo = sandbox.query(&["SELECT nme FROM cohorts"]).exited_with(2);
    typo.stderr_has("No field named nme");
    sandbox
        .query(&["SELEC 1"])
        .exited_with(2)
        .stderr_has("SELEC");
    sandbox
        .query(&["--date", "tomorrow", "domains"])
        .exited_with(2)
        .stderr_has("--date: `tomorrow`");
    sandbox
        .query(&["--output", "xml", "domains"])
        .exited_with(2)
        .stderr_has("'xml'");
    let failing = sandbox
        .query(&["SELECT 1 / (code - code) FROM cohorts"])
        .exited_with(1);
    failing.stderr_has("ivide by zero");
}
