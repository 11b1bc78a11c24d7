//! Exports are read by the tools of receivers, and loaded by `docs/receiver.py`.
//!
//! Python does the reading. `DAYPORT_READERS_PYTHON` names an interpreter with the packages of
//! `readers/requirements.txt`, as `.ci/run` makes it. Without the variable, these tests are skipped if
//! `python3` lacks the packages.

mod snowflake;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{
    FIRST_DAY, SECOND_DAY, Sandbox, THIRD_DAY, TestDestination, decode, repository, rows, sorted,
};
use crate::world::{set_sites, set_views, view, world};

/// Types that the fixtures lack (decimals of at most 15 digits, because DuckDB and Polars read decimals
/// in JSON as floats), names that are SQL keywords, and a description that needs escaping.
const EDGES: &str = r"-- It's what the fixtures lack: a \ and a 'quote'.
COPY (
  SELECT
    id,
    CAST(price AS DECIMAL(18, 4)) AS price,
    CAST(day AS DATE) AS date,
    decode(digest, 'hex') AS digest,
    id = 1 AS order,
    CAST(id AS INT) AS select,
    note AS publishedAt_note,
    CASE WHEN id = 1 THEN [9223372036854775807, NULL] WHEN id = 2 THEN [] END AS numbers,
    CASE WHEN id < 3 THEN named_struct(
      'publishedAt', CAST(day || 'T23:59:59.000001Z' AS TIMESTAMP),
      'Group', named_struct('end', id, 'list', CASE WHEN id = 2 THEN [named_struct('table', note)] END)
    ) END AS nested,
    1.5e300 * id AS large
  FROM (VALUES
    (1, '1234567890.5678', '2026-02-28', '00ff7f', E'\uFEFFtwo\nlines \U0001F600 \\ end'),
    (2, '-0.0001', '1969-12-31', '', ''),
    (3, NULL, NULL, NULL, NULL)
  ) AS t (id, price, day, digest, note)
) TO 'edges'";

/// What a description must not do: a reader that executes one of the statements lacks a table.
const HOSTILE: &str = "\rDROP VIEW IF EXISTS \"domains\";\rDROP TABLE IF EXISTS `domains`;\u{2028}\
    DROP VIEW \"domains\";\u{85}*/ \\'; DROP TABLE domains; -- ${env:HOME} \\";

/// Partitions by a date, and by a text that is escaped in keys.
const LABELS: &str = "COPY (
  SELECT time, user_id, CAST(time AS DATE) AS date, tag || ' + & %/' AS label
  FROM aliases WHERE time >= $window_start AND time < $window_end
) TO 'labels' PARTITIONED BY (date, label)";

/// A table before every change of its columns that a run accepts without a flag.
const GROWN_BEFORE: &str = "COPY (
  SELECT
    time, user_id,
    named_struct('a', tag) AS info,
    CASE WHEN tag IS NOT NULL THEN [named_struct('a', tag)] END AS items,
    nullif(1, 2) AS one
  FROM aliases WHERE time >= $window_start AND time < $window_end
) TO 'grown'";

/// The table after the changes: another order, also inside of structs; new columns of every kind, also
/// inside of structs and lists; a column that is required from now on.
const GROWN_AFTER: &str = "COPY (
  SELECT
    nullif(tag, '') AS fresh,
    CAST(nullif(1, 2) AS DECIMAL(10, 2)) AS price,
    nullif(CAST(time AS DATE), DATE '2026-01-15') AS date,
    nullif(time, time) AS instant,
    nullif(arrow_cast(tag, 'Binary'), arrow_cast('', 'Binary')) AS digest,
    CASE WHEN tag IS NOT NULL THEN [9223372036854775807, NULL] END AS numbers,
    nullif(user_id = '', true) AS is_empty,
    CASE WHEN tag IS NOT NULL THEN
      [named_struct('b', nullif(1, 2), 'a', tag, 'c', named_struct('d', nullif(tag, '')))] END AS items,
    user_id,
    named_struct('new', CASE WHEN tag IS NOT NULL THEN [nullif(1.5, 2.5)] END, 'a', tag,
      'deep', named_struct('e', nullif(time, time))) AS info,
    1 AS one,
    time
  FROM aliases WHERE time >= $window_start AND time < $window_end
) TO 'grown'";

/// Returns a Python with these packages; prints the reason if there is none.
fn python(packages: &[&str]) -> Option<String> {
    let given = dayport::env::var("DAYPORT_READERS_PYTHON");
    let python = given.clone().unwrap_or_else(|| "python3".to_owned());
    let imports = format!("import {}", packages.join(", "));
    if succeeds(Command::new(&python).args(["-c", &imports])) {
        return Some(python);
    }
    assert_eq!(given, None, "DAYPORT_READERS_PYTHON lacks packages");
    eprintln!(
        "skipped: `python3` has no {}: name one that has tests/it/readers/requirements.txt with \
         DAYPORT_READERS_PYTHON",
        packages.join(", ")
    );
    None
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[track_caller]
fn stdout_of(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    stdout
}

#[test]
fn every_reader_reads_the_same_rows() {
    let Some(python) = python(&["duckdb", "polars", "pyarrow", "pyspark", "sqlglot"]) else {
        return;
    };
    if !succeeds(Command::new("java").arg("-version")) {
        eprintln!("skipped: Spark needs a `java`");
        return;
    }
    let sandbox = Sandbox::fixtures(TestDestination::s3());
    let hostile = format!("'quote'.{HOSTILE}\n");
    sandbox.write("sql/edges.sql", EDGES.replacen("'quote'.\n", &hostile, 1));
    sandbox.write("sql/labels.sql", LABELS);
    fs::create_dir(sandbox.folder().join("ddl")).expect("make a folder");
    let days = ["--since", SECOND_DAY, "--through", THIRD_DAY];
    for format in ["parquet", "json"] {
        let run = ["run", "--from", "raw", "--format", format, "--to"];
        sandbox
            .dayport(&[&run[..], &[format], &days].concat())
            .succeeded();
        // A cycle with two revisions.
        let again = ["--date", SECOND_DAY, "--rerun", "pageview_events"];
        sandbox
            .dayport(&[&run[..], &[format], &again].concat())
            .succeeded();
        // Old and new files of a table whose columns have changed.
        for (day, sql) in [(SECOND_DAY, GROWN_BEFORE), (THIRD_DAY, GROWN_AFTER)] {
            sandbox.write("sql/grown.sql", sql);
            let grown = ["--date", day, "grown"];
            let output = sandbox.dayport(&[&run[..], &[format], &grown].concat());
            output.exited_with(0).stdout_has("1 published");
        }
        sandbox.remove("sql/grown.sql");
        for dialect in ["duckdb", "spark"] {
            print_ddl(&sandbox, dialect, format, format);
        }

        let bucket = format!("{}{format}/", sandbox.destination.url());
        let one_day = [
            "--date",
            SECOND_DAY,
            "pageview_events",
            "domains",
            "edges",
            "labels",
        ];
        sandbox
            .dayport(&[&run[..], &[&bucket], &one_day].concat())
            .succeeded();
        // The other tables are not published there: their DDL follows their definitions.
        for dialect in ["athena", "bigquery", "snowflake"] {
            print_ddl(&sandbox, dialect, format, &bucket);
        }
    }

    let script = repository().join("tests/it/readers/readers.py");
    let output = Command::new(python)
        .arg(script)
        .arg(sandbox.folder())
        .output();
    print!("{}", stdout_of(&output.expect("start Python")));
}

fn print_ddl(sandbox: &Sandbox, dialect: &str, format: &str, to: &str) {
    let args = ["ddl", "--dialect", dialect, "--to", to, "--format", format];
    let output = sandbox.dayport(&args).succeeded();
    sandbox.write(&format!("ddl/{dialect}.{format}.sql"), output.stdout);
}

#[test]
fn tables_have_ddl_before_they_are_published() {
    let sandbox = Sandbox::fixtures(TestDestination::s3());
    let to = sandbox.destination.url();
    let ddl = ["ddl", "--to", &to, "--dialect"];
    let output = sandbox
        .dayport(&[&ddl[..], &["athena", "pageview_events", "domains"]].concat())
        .succeeded()
        .stdout_has("-- pageview_events (incremental, parquet): not published yet");
    assert!(!output.stdout.contains("aliases"), "{output}");
    let output = sandbox.dayport(&[&ddl[..], &["snowflake", "pageviews"]].concat());
    output
        .exited_with(2)
        .stderr_has("the table `pageviews` is neither published at");
    let output = sandbox.dayport(&["ddl", "--dialect", "bigquery", "--to", "out"]);
    output
        .exited_with(2)
        .stderr_has("BigQuery cannot read the folder")
        .hint_has("s3://");

    // A receiver has no definitions.
    sandbox.run(&["--date", SECOND_DAY, "domains"]).succeeded();
    let empty = sandbox.folder().join("none").display().to_string();
    let output = sandbox
        .dayport(&[&ddl[..], &["snowflake", "--sql", &empty]].concat())
        .succeeded();
    output.stdout_has("FILES = (\n  'data/domains/data-000000000000.parquet'\n)");
}

/// Runs the receiver, and returns table, cycle and revision of each manifest that it loaded.
#[track_caller]
fn receive(python: &str, sandbox: &Sandbox) -> Vec<String> {
    let output = Command::new(python)
        .arg(repository().join("docs/receiver.py"))
        .arg(sandbox.destination.url())
        .arg(warehouse(sandbox))
        .envs(sandbox.destination.env())
        .output();
    let loaded = stdout_of(&output.expect("start Python"));
    let key = |line: &str| {
        line.strip_prefix("manifests/")?
            .split_once(".json")
            .map(|(key, _)| key.to_owned())
    };
    loaded
        .lines()
        .map(|line| key(line).expect("a manifest"))
        .collect()
}

fn warehouse(sandbox: &Sandbox) -> PathBuf {
    sandbox.folder().join("warehouse")
}

/// Returns the rows of a table that the receiver has loaded, without partition columns.
fn received(sandbox: &Sandbox, table: &str) -> Vec<Value> {
    let folder = warehouse(sandbox).join(table);
    let files = fs::read_dir(folder).expect("a folder");
    let paths = files.map(|file| file.expect("an entry").path());
    let rows = paths.flat_map(|path| {
        let bytes = fs::read(&path).expect("a file");
        decode(&path.to_string_lossy(), &bytes.into())
    });
    let without_partition = |mut row: Value| {
        let members = row.as_object_mut().expect("a row");
        for column in ["year", "month", "day"] {
            members.remove(column);
        }
        row
    };
    sorted(rows.map(without_partition).collect())
}

#[track_caller]
fn check_received(sandbox: &Sandbox) {
    let expected: BTreeMap<&str, Vec<Value>> = ["views", "sites"]
        .map(|table| (table, sorted(rows(&sandbox.destination, table))))
        .into();
    for (table, rows) in expected {
        assert_eq!(received(sandbox, table), rows, "{table}");
    }
}

#[test]
fn the_receiver_loads_each_cycle_once() {
    let Some(python) = python(&["boto3", "pyarrow"]) else {
        return;
    };
    let sandbox = world(TestDestination::s3());
    sandbox.run(&["--date", FIRST_DAY]).succeeded();
    let first = ["sites/2026-01-14.r0", "views/2026-01-14.r0"];
    assert_eq!(receive(&python, &sandbox), first);
    check_received(&sandbox);
    assert_eq!(receive(&python, &sandbox), [""; 0]);

    // New cycles, and a rerun of a cycle that was loaded.
    set_sites(&sandbox, 3);
    let new = ["--since", SECOND_DAY, "--through", THIRD_DAY];
    sandbox.run(&new).succeeded();
    set_views(&sandbox, 14, &[view(14, 14), view(140, 14)]);
    let rerun = ["--date", FIRST_DAY, "--rerun", "views"];
    sandbox.run(&rerun).succeeded();
    let second = [
        "sites/2026-01-16.r0",
        "views/2026-01-14.r1",
        "views/2026-01-15.r0",
        "views/2026-01-16.r0",
    ];
    assert_eq!(receive(&python, &sandbox), second);
    check_received(&sandbox);

    // The receiver crashed before it recorded what it had loaded; meanwhile a cycle has lost its rows.
    fs::remove_file(warehouse(&sandbox).join("loaded.json")).expect("delete a file");
    set_views(&sandbox, 14, &[]);
    let emptied = [&rerun[..], &["--allow-shrink"]].concat();
    sandbox.run(&emptied).succeeded();
    let third = second.map(|name| name.replace("r1", "r2"));
    assert_eq!(receive(&python, &sandbox), third);
    check_received(&sandbox);
    assert_eq!(receive(&python, &sandbox), [""; 0]);
}
