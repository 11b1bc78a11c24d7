//! The statements for Snowflake are executed, and load what the manifests name.
//!
//! fakesnow, which is Snowflake's SQL on DuckDB, needs other versions of packages than the readers:
//! `DAYPORT_FAKESNOW_PYTHON` names an interpreter with those of `snowflake.txt`. Without it, the test is
//! skipped.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{HOSTILE, stdout_of};
use crate::support::{FIRST_DAY, SECOND_DAY, Sandbox, TestDestination, repository, rows};

/// fakesnow loads no JSON with a transformation, so the export is Parquet.
#[test]
fn snowflake_loads_the_files_of_the_manifests() {
    let Some(python) = dayport::env::var("DAYPORT_FAKESNOW_PYTHON") else {
        eprintln!(
            "skipped: name a Python that has tests/it/readers/snowflake.txt with DAYPORT_FAKESNOW_PYTHON"
        );
        return;
    };
    let sandbox = Sandbox::fixtures(TestDestination::s3());
    let description = format!("It's a 'quote' and a \\ backslash.{HOSTILE}");
    let query = "COPY (SELECT 1 AS one, 'x' AS \"select\", \
        CAST('2026-01-15T23:59:59.000001Z' AS TIMESTAMP) AS instant) TO 'hostile'";
    sandbox.write("sql/hostile.sql", format!("-- {description}\n{query}"));
    let days = ["--since", FIRST_DAY, "--through", SECOND_DAY];
    let to = sandbox.destination.url();
    let run = ["run", "--from", "raw", "--to", &to];
    sandbox.dayport(&[&run[..], &days].concat()).exited_with(0);
    // Published again: the statements name the files of the newest revision.
    let again = ["--date", SECOND_DAY, "--rerun", "pageview_events"];
    sandbox.dayport(&[&run[..], &again].concat()).exited_with(0);
    let ddl = sandbox.dayport(&["ddl", "--to", &to, "--dialect", "snowflake"]);
    sandbox.write("snowflake.sql", ddl.succeeded().stdout);
    let copy = sandbox.folder().join("copy");
    for (key, bytes) in sandbox.destination.contents() {
        let path = copy.join(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
        fs::write(path, bytes).expect("write a file");
    }

    let script = repository().join("tests/it/readers/load_snowflake.py");
    let output = Command::new(python)
        .arg(script)
        .arg(sandbox.folder().join("snowflake.sql"))
        .args([&to, copy.to_str().expect("a UTF-8 path")])
        .output();
    let loaded: Value =
        serde_json::from_str(&stdout_of(&output.expect("start Python"))).expect("JSON");
    let tables = loaded["tables"].as_object().expect("tables");
    assert_eq!(tables.len(), 11);
    for (name, table) in tables {
        let loaded = table["rows"].as_array().expect("rows");
        let published = rows(&sandbox.destination, &name.to_lowercase());
        assert_eq!(loaded.len(), published.len(), "{name}");
        let ids = |rows: &[Value], column: &str| -> BTreeSet<String> {
            let ids = rows.iter().filter_map(|row| row[column].as_str());
            ids.map(str::to_owned).collect()
        };
        assert_eq!(
            ids(loaded, "EVENT_ID"),
            ids(&published, "event_id"),
            "{name}"
        );
    }
    let hostile = &tables["HOSTILE"];
    assert_eq!(
        hostile["rows"][0]["INSTANT"],
        "2026-01-15 23:59:59.000001+00:00"
    );
    assert_eq!(hostile["rows"][0]["SELECT"], "x");
    let comment = hostile["comment"].as_str().expect("a comment");
    assert!(
        comment.starts_with("It's a 'quote' and a \\ backslash."),
        "{comment}"
    );
}
