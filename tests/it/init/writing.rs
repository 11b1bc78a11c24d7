//! Files that exist are never changed.

use serde_json::json;

use super::sql;
use crate::support::{Sandbox, TestDestination, lines};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    let hit = json!({"id": 1, "type": "a", "time": "2026-01-15T01:00:00Z"});
    let other = json!({"id": 2, "type": "b", "time": "2026-01-15T01:00:00Z"});
    sandbox.write("raw/hits/a.json", lines([hit, other]));
    sandbox
}

#[test]
fn a_file_that_exists_is_patched_by_hand() {
    let sandbox = sandbox();
    let init = ["init", "--from", "raw"];
    sandbox
        .dayport(&init)
        .succeeded()
        .stdout_has("written    sql/a_events.sql");
    let written = sql(&sandbox, "a_events.sql");
    sandbox
        .dayport(&init)
        .succeeded()
        .stdout_has("unchanged  sql/a_events.sql");

    let edited = written.replace("    id,\n", "");
    sandbox.write("sql/a_events.sql", edited.clone());
    sandbox.remove("sql/b_events.sql");
    sandbox
        .dayport(&init)
        .exited_with(1)
        .stdout_has("differs    sql/a_events.sql")
        .stdout_has("--- sql/a_events.sql\n+++ sql/a_events.sql\n@@")
        .stdout_has("\n+    id,\n")
        .stdout_has("written    sql/b_events.sql")
        .stderr_has("nothing of them was written");
    assert_eq!(sql(&sandbox, "a_events.sql"), edited);
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = sandbox();
    sandbox
        .dayport(&["init", "--from", "raw", "--dry-run", "--sql", "new"])
        .succeeded()
        .stdout_has("--- /dev/null\n+++ new/sources/hits.sql\n")
        .stdout_has("+COPY (\n");
    assert!(!sandbox.folder().join("new").exists());
}

#[test]
fn each_table_has_a_test_case_and_the_readme_says_what_comes_next() {
    let sandbox = sandbox();
    sandbox.dayport(&["init", "--from", "raw"]).succeeded();
    let lines = sql(&sandbox, "tests/b_events/sample/hits.jsonl");
    assert_eq!(
        lines,
        "{\"id\":2,\"time\":\"2026-01-15T01:00:00Z\",\"type\":\"b\"}\n"
    );
    assert!(sql(&sandbox, "tests/b_events/sample/case.toml").ends_with("date = \"2026-01-15\"\n"));
    sandbox.dayport(&["test", "--update"]).exited_with(0);
    let expected = sql(&sandbox, "tests/b_events/sample/expected.jsonl");
    assert!(expected.starts_with("{\"id\":2,"), "{expected}");
    sandbox
        .dayport(&["test"])
        .exited_with(0)
        .stdout_has("2 cases, none failed");
    let readme = sql(&sandbox, "README.md");
    for part in [
        "`sources/hits.sql`: 2 rows in 1 file of `hits/`, time `time`, 2 events by `type`.",
        "| `a_events` | `hits` | 1 | 2026-01-15 |",
        "dayport test --update\ndayport plan --from raw --to out --date 2026-01-15\n",
        "They may hold personal data",
    ] {
        assert!(readme.contains(part), "{readme}");
    }
}

/// The choices of the caller go before those that are found.
#[test]
fn columns_and_names_may_be_given() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let hit = |kind: &str| {
        json!({"id": 1, "type": "a", "meta": {"kind": kind, "at": "2026-01-15T01:00:00Z"},
               "time": "2026-01-14T01:00:00Z"})
    };
    sandbox.write("raw/hits/a.json", lines([hit("open"), hit("close")]));
    let args = [
        "--event-column",
        "meta.kind",
        "--time-column",
        "meta.at",
        "--source",
        "visits",
    ];
    sandbox
        .dayport(&[&["init", "--from", "raw"], &args[..]].concat())
        .succeeded();
    let definition = sql(&sandbox, "open_events.sql");
    assert!(
        definition.contains("FROM visits\n  WHERE meta['kind'] = 'open'"),
        "{definition}"
    );
    assert!(
        definition.contains("meta['at'] AS event_time"),
        "{definition}"
    );
    assert_eq!(
        super::counts(&super::export(&sandbox)),
        "close_events 1, open_events 1"
    );

    let wrong = |args: &[&str]| {
        sandbox
            .dayport(&[&["init", "--from", "raw"], args].concat())
            .exited_with(2)
    };
    wrong(&["--time-column", "meta.kind"]).hint_has("meta.at");
    wrong(&["--event-column", "nothing"]).hint_has("type");
    wrong(&["--source", "Not a name"]).stderr_has("`Not a name`");
    wrong(&["--one-table", "x", "--event-column", "type"]);
    sandbox.write("raw/other/a.json", lines([hit("open")]));
    for flag in ["--source", "--event-column", "--time-column", "--one-table"] {
        wrong(&[flag, "visits"])
            .stderr_has("is about one source, and there are 2")
            .hint_has("hits/, other/");
    }
}
