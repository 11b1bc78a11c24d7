//! A wrong definition or source: exit code 2, with file and line, before any table is touched.

use super::{one_day_published, run_without_effect};
use crate::support::{TestDestination, for_each_destination};
use crate::world::VIEWS;

for_each_destination!(
    broken_definitions_name_file_and_line,
    broken_sources_name_file_and_line
);

fn broken_definitions_name_file_and_line(destination: TestDestination) {
    let sandbox = one_day_published(destination);
    for (text, location_and_message, hint) in [
        (
            "COPY (\n  SELEC id FROM sites\n) TO 'extra'",
            "sql/extra.sql:2: ",
            "COPY (SELECT",
        ),
        (
            "COPY (SELECT id FROM sites)\nTO 'other'",
            "sql/extra.sql:2: COPY goes TO 'other'",
            "TO 'extra'",
        ),
        (
            "COPY (SELECT id FROM sites) TO 'extra';\nDROP TABLE sites",
            "sql/extra.sql:2: a second statement",
            "",
        ),
        (
            "COPY (\n  SELECT id,\n    nme\n  FROM sites\n) TO 'extra'",
            "sql/extra.sql:3: ",
            "",
        ),
        (
            "COPY (\n  SELECT id\n  FROM sights\n) TO 'extra'",
            "sql/extra.sql:3: ",
            "",
        ),
        (
            "COPY (\n  SELECT id + 'a'\n  FROM sites) TO 'extra'",
            "sql/extra.sql",
            "",
        ),
        (
            "COPY (\n  SELECT id FROM sites WHERE name = $name\n) TO 'extra'",
            "sql/extra.sql:2: the parameter `$name` has no value",
            "--param name=VALUE",
        ),
        (
            "COPY (SELECT id FROM views\nWHERE time < $window_end) TO 'extra'",
            "sql/extra.sql:2: the query uses `$window_end` but not `$window_start`",
            "both",
        ),
        (
            "COPY (SELECT id FROM sites) TO 'extra' PARTITIONED BY (id)",
            "sql/extra.sql:1: a query without window is a snapshot",
            "window",
        ),
        (
            "COPY (SELECT id FROM sites) TO 'extra'\nSTORED AS CSV",
            "sql/extra.sql:2: STORED AS CSV",
            "STORED AS PARQUET",
        ),
    ] {
        sandbox.write("sql/extra.sql", text);
        let output = run_without_effect(&sandbox, &[])
            .exited_with(2)
            .stderr_has(location_and_message);
        assert_eq!(output.stdout, "", "stdout of\n{output}");
        if !hint.is_empty() {
            output.hint_has(hint);
        }
    }
}

fn broken_sources_name_file_and_line(destination: TestDestination) {
    let sandbox = one_day_published(destination);
    for (text, location_and_message) in [
        (
            "CREATE EXTERNAL TABLE extra (\n  id BIGNT)\nSTORED AS JSON LOCATION 'x/'",
            "sql/sources/extra.sql:2: Unsupported SQL type BIGNT",
        ),
        (
            "CREATE EXTERNAL TABLE extra (id BIGINT)\nSTORED AS AVRO LOCATION 'x/'",
            "sql/sources/extra.sql:2: ",
        ),
        (
            "CREATE EXTERNAL TABLE extra (id BIGINT) STORED AS JSON LOCATION 'x/'\nOPTIONS ('tme_column' 'id')",
            "sql/sources/extra.sql:2: unknown option",
        ),
        ("SELECT 1", "sql/sources/extra.sql:1: "),
    ] {
        sandbox.write("sql/sources/extra.sql", text);
        run_without_effect(&sandbox, &[])
            .exited_with(2)
            .stderr_has(location_and_message);
    }
}

/// All errors are reported at once, so that they can be fixed together.
#[test]
fn every_wrong_definition_is_named() {
    let sandbox = one_day_published(TestDestination::local());
    sandbox.write("sql/first.sql", "COPY (SELECT nme FROM sites) TO 'first'");
    sandbox.write(
        "sql/second.sql",
        VIEWS.replace("note", "nte").replace("'views'", "'second'"),
    );
    let output = run_without_effect(&sandbox, &[])
        .exited_with(2)
        .stderr_has("sql/first.sql:1: ")
        .stderr_has("sql/second.sql:2: ");
    let errors = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 2, "{output}");
    // A definition that is not selected is not checked.
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
}
