//! Each `sql/*.sql` is tested without further code: it is planned, run on the fixtures, and compared
//! with a snapshot of its schema, its partitions and some of its rows.

use std::fmt::Write;
use std::fs;

use serde_json::Value;

use crate::support::{
    SECOND_DAY, Sandbox, TestDestination, check_published, repository, rows, sorted,
};

/// The number of first rows in a snapshot.
const ROWS: usize = 3;

/// Returns the file stems of the definitions, sorted.
fn tables() -> Vec<String> {
    let files = fs::read_dir(repository().join("sql")).expect("the definitions");
    let paths = files.map(|file| file.expect("an entry").path());
    let definitions = paths.filter(|path| path.extension().is_some_and(|ext| ext == "sql"));
    let mut tables: Vec<String> = definitions
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    tables.sort();
    tables
}

#[test]
fn every_definition_yields_its_snapshot() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    // Two days, because some event type is absent on one of them.
    let days = ["--since", SECOND_DAY, "--through", "2026-01-16"];
    sandbox.run(&days).succeeded();
    let published = check_published(&sandbox.destination);
    assert!(published.keys().eq(tables().iter()));

    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "definitions" }, {
        for (table, manifests) in &published {
            let text = described(manifests, sorted(rows(&sandbox.destination, table)));
            insta::assert_snapshot!(table.as_str(), text);
        }
    });
}

/// Formats the schema, the number of rows of each file, and some rows.
fn described(manifests: &[Value], rows: Vec<Value>) -> String {
    let mut text = String::new();
    let newest = manifests.last().expect("a manifest");
    let member = |name: &str| newest[name].as_str().expect("a text");
    let _ = writeln!(text, "{}\n{}\n", member("description"), member("sync_mode"));
    for column in newest["schema"].as_array().expect("a list of columns") {
        let _ = writeln!(text, "{}", column_text(column));
    }
    text.push('\n');
    for manifest in manifests {
        let (cycle, count) = (&manifest["cycle"]["id"], &manifest["rows"]);
        let _ = writeln!(text, "cycle {cycle}: {count} rows");
        for file in manifest["files"].as_array().expect("a list of files") {
            let _ = writeln!(text, "  {} {} rows", file["path"], file["rows"]);
        }
    }
    text.push('\n');
    // The last row too: random ids make the first rows arbitrary.
    let count = rows.len();
    let shown = rows
        .iter()
        .enumerate()
        .filter(|(at, _)| *at < ROWS || *at == count - 1);
    for (_, row) in shown {
        let _ = writeln!(text, "{row:#}");
    }
    text
}

/// Formats a column as `name type`, with the types of nested columns in brackets.
fn column_text(column: &Value) -> String {
    let name = column["name"].as_str().expect("a name");
    let required = if column["nullable"] == true {
        ""
    } else {
        " NOT NULL"
    };
    format!("{name} {}{required}", type_text(&column["type"]))
}

fn type_text(kind: &Value) -> String {
    if let Some(name) = kind.as_str() {
        return name.to_owned();
    }
    if kind["list"].is_object() {
        return format!("{}[]", type_text(&kind["list"]["type"]));
    }
    let fields: Vec<String> = kind["struct"]
        .as_array()
        .expect("a list of fields")
        .iter()
        .map(column_text)
        .collect();
    format!("struct<{}>", fields.join(", "))
}

/// Adds a table by adding a file.
#[test]
fn a_new_file_is_a_new_table() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    sandbox.write(
        "sql/linkclick_events.sql",
        "-- Links that were followed.
         COPY (
           SELECT time, event_id, properties['dest_url'] AS dest_url,
                  date_part('year', time) AS year, date_part('month', time) AS month,
                  date_part('day', time) AS day
           FROM events
           WHERE name = 'LinkClick' AND time >= $window_start AND time < $window_end
         ) TO 'linkclick_events' PARTITIONED BY (year, month, day)",
    );
    sandbox.run(&["--date", SECOND_DAY]).succeeded();
    let published = check_published(&sandbox.destination);
    assert_eq!(published.len(), tables().len() + 1);
    let manifest = &published["linkclick_events"][0];
    assert_eq!(manifest["rows"], 93);
    assert_eq!(manifest["description"], "Links that were followed.");
}
