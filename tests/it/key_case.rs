//! Declared keys that lines spell in another case.

use serde_json::json;

use crate::support::{CommandOutput, Sandbox, TestDestination, rows};

fn run(columns: &str, query: &str, lines: &str) -> (Sandbox, CommandOutput) {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox
        .write(
            "sql/sources/events.sql",
            format!("CREATE EXTERNAL TABLE events ({columns}) STORED AS JSON LOCATION 'events/'"),
        )
        .write("sql/t.sql", format!("COPY ({query}) TO 't'"))
        .write("raw/events/a.json", lines.to_owned());
    let output = sandbox.run(&["--date", "2026-01-15", "--format", "json"]);
    (sandbox, output)
}

#[test]
fn a_key_in_another_case_fails_the_table() {
    for (columns, lines, declared, written) in [
        (
            "eventId BIGINT, v INT",
            r#"{"eventId":1,"v":1}"#,
            "eventid",
            "eventId",
        ),
        (
            "id INT, \"Name\" VARCHAR",
            "{\"id\":1}\n{\"id\":2,\"name\":\"x\"}",
            "Name",
            "name",
        ),
        (
            "id INT, r STRUCT<userId INT, b INT>",
            r#"{"id":1,"r":{"userId":1,"b":2}}"#,
            "r.userid",
            "userId",
        ),
        (
            "id INT, l STRUCT<itemId INT, b INT>[]",
            r#"{"id":1,"l":[{"b":1},{"itemId":1}]}"#,
            "l.itemid",
            "itemId",
        ),
        (
            "id INT, userInfo STRUCT<a INT>",
            r#"{"id":1,"userInfo":{"a":1}}"#,
            "userinfo",
            "userInfo",
        ),
    ] {
        let (sandbox, output) = run(columns, "SELECT * FROM events", lines);
        output
            .exited_with(1)
            .stderr_has(&format!(
                "no line of the source `events` has the key `{declared}`, but `{written}` occurs"
            ))
            .hint_has(&format!("declare it as \"{written}\""));
        assert!(rows(&sandbox.destination, "t").is_empty());
        sandbox
            .dayport(&["check", "--from", "raw", "--to", "checked"])
            .exited_with(1)
            .stdout_has(&format!("has the key `{declared}`, but `{written}` occurs"));
    }
}

#[test]
fn keys_that_occur_or_are_absent_are_no_fault() {
    for (columns, query, lines) in [
        ("id INT, v INT", "SELECT id, v", r#"{"id":1}"#),
        (
            "id INT, v INT",
            "SELECT id, v",
            r#"{"id":1,"v":null,"V":2}"#,
        ),
        (
            "id INT, v INT",
            "SELECT id, v",
            "{\"id\":1,\"V\":2}\n{\"id\":2,\"v\":3}",
        ),
        (
            "id INT, v INT, \"V\" INT",
            "SELECT id, v",
            r#"{"id":1,"V":2}"#,
        ),
        (
            "id INT, r STRUCT<v INT, \"V\" INT>",
            "SELECT id, r.v AS v",
            r#"{"id":1,"r":{"V":2}}"#,
        ),
        (
            "id INT, r STRUCT<v INT>, \"V\" INT",
            "SELECT id, r",
            r#"{"id":1,"V":2,"r":{}}"#,
        ),
        ("id INT, v INT", "SELECT id", r#"{"id":1,"V":2}"#),
    ] {
        run(columns, &format!("{query} FROM events"), lines)
            .1
            .exited_with(0);
    }
    // The other file of the cycle has the key.
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox
        .write(
            "sql/sources/events.sql",
            "CREATE EXTERNAL TABLE events (v INT) STORED AS JSON LOCATION 'events/'",
        )
        .write("sql/t.sql", "COPY (SELECT v FROM events) TO 't'")
        .write("raw/events/a.json", "{\"V\":1}\n")
        .write("raw/events/b.json", "{\"v\":1}\n");
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    assert!(rows(&sandbox.destination, "t").contains(&json!({"v": 1})));
}
