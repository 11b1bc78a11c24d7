//! Files in which no line is a row, and long malformed lines.

use serde_json::json;

use super::ids;
use crate::support::{Sandbox, TestDestination, check_published, gzip, lines, rows};

const RUN: [&str; 3] = ["--date", "2026-01-15", "t"];

/// Creates a table over `events`, with a good file of 2,000 lines.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL, note VARCHAR)
         STORED AS JSON LOCATION 'events/'",
    );
    sandbox.write("sql/t.sql", "COPY (SELECT id, note FROM events) TO 't'");
    let good = (0..2000).map(|id| json!({"id": id, "note": "a note of some length"}));
    sandbox.write("raw/events/a.json", lines(good));
    sandbox
}

fn objects(count: usize) -> Vec<String> {
    let object = |id| json!({"id": id, "note": "another note"}).to_string();
    (0..count).map(object).collect()
}

#[test]
fn a_large_file_without_a_good_line_fails_the_table_and_is_described() {
    let sandbox = sandbox();
    let objects = objects(3000);
    let list = objects.join(",");
    for (text, looks_like, hint) in [
        (
            objects.concat(),
            "objects joined without line ends",
            "OPTIONS ('records' '$')",
        ),
        (
            "[[1],\n[2],\n[3]]\n".to_owned(),
            "one JSON array",
            "OPTIONS ('records' '$[*]')",
        ),
        (
            format!("{{\"Records\":[{list}]}}"),
            "objects in a \"Records\" list",
            "OPTIONS ('records' '$.Records[*]')",
        ),
        (
            objects.join("\r"),
            "lines that end in CR only",
            "tr '\\r' '\\n'`",
        ),
        (
            "{  \"id\": 1,\n   \"note\": \"a\"\n}\n".repeat(2),
            "pretty-printed JSON",
            "OPTIONS ('records' '$')",
        ),
        ("id,note\n1,a\n2,b\n".to_owned(), "CSV", "convert it"),
    ] {
        sandbox.write("raw/events/b.json.gz", gzip(&text));
        let output = sandbox.run(&RUN).exited_with(1);
        output
            .stderr_has("b.json.gz`")
            .stderr_has(&format!("looks like {looks_like}"))
            .hint_has(hint)
            .hint_has("--max-rejects");
        // A number of lines does not allow it, nor does `query`, with a limit or without.
        sandbox
            .run(&[&RUN[..], &["--max-rejects", "9999"]].concat())
            .exited_with(1)
            .stderr_has("has no good line");
        let count = "SELECT count(id) FROM events";
        sandbox
            .query(&[count])
            .exited_with(1)
            .stderr_has(&format!("looks like {looks_like}"))
            .hint_has("--max-rejects");
        sandbox
            .query(&[count, "--max-rejects", "0"])
            .exited_with(1)
            .hint_has(looks_like);
    }
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
    sandbox
        .run(&[&RUN[..], &["--max-rejects", "100%"]].concat())
        .exited_with(0);
    check_published(&sandbox.destination);
    assert_eq!(rows(&sandbox.destination, "t").len(), 2000);
}

#[test]
fn the_first_of_several_files_is_named_with_their_number() {
    let sandbox = sandbox();
    for name in ["d", "c", "b"] {
        sandbox.write(&format!("raw/events/{name}.json"), "x\ny\n");
    }
    sandbox
        .run(&RUN)
        .exited_with(1)
        .stderr_has("events/b.json` of the source `events` has no good line (2 malformed lines)")
        .stderr_has("; nor have 2 other files");
}

#[test]
fn empty_files_and_a_single_short_line_are_counted_as_before() {
    let sandbox = sandbox();
    for (name, text) in [("b", ""), ("c", "\n\n  \n"), ("d", "[1]\n")] {
        sandbox.write(&format!("raw/events/{name}.json"), text);
    }
    sandbox.run(&RUN).exited_with(0);
    let published = check_published(&sandbox.destination);
    assert_eq!(published["t"][0]["sources"][0]["rows_rejected"], 1);
}

#[test]
fn the_limit_is_a_share_of_bytes_too() {
    let sandbox = sandbox();
    // One line of 2,001, and most of the bytes.
    let long = format!("{{\"id\":1}}\n{}\n", objects(3000).concat());
    sandbox.write("raw/events/b.json", long);
    sandbox
        .run(&RUN)
        .exited_with(1)
        .stderr_has(" bytes (1 of 2002 lines) of the source `events` are malformed")
        .stderr_has("more than --max-rejects 0.1%")
        .stderr_has("b.json` line 2: more than one record on the line");
    sandbox
        .run(&[&RUN[..], &["--max-rejects", "1"]].concat())
        .exited_with(0);
    sandbox
        .run(&[&RUN[..], &["--rerun", "--max-rejects", "80%"]].concat())
        .exited_with(0);
    check_published(&sandbox.destination);
}

/// Without a required column, the frame around the objects is a row without any value.
#[test]
fn a_frame_around_the_objects_is_no_good_line() {
    let sandbox = sandbox();
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT, note VARCHAR) STORED AS JSON LOCATION 'events/'",
    );
    let frame = format!("{{\"Records\":[{}]}}", objects(3000).join(","));
    sandbox.write("raw/events/b.json", frame.clone());
    sandbox
        .run(&RUN)
        .exited_with(1)
        .stderr_has("b.json` of the source `events` has no good line: it looks like objects in a \"Records\" list");
    sandbox
        .query(&["SELECT max(id) FROM events"])
        .exited_with(1)
        .stderr_has("it looks like objects in a \"Records\" list");
    // However small it is.
    sandbox.write("raw/events/b.json", "{\"Records\":[{\"id\":1}]}\n");
    sandbox
        .run(&RUN)
        .exited_with(1)
        .stderr_has("b.json` of the source `events` has no good line: it looks like objects in a \"Records\" list")
        .hint_has("OPTIONS ('records' '$.Records[*]')");
    // With a declared key it is a line as any other.
    let line = frame.replacen('{', "{\"note\":null,", 1);
    sandbox.write("raw/events/b.json", line);
    sandbox.run(&RUN).exited_with(0);
    assert_eq!(rows(&sandbox.destination, "t").len(), 2001);
}

/// A file may be wrong for the columns of one table only.
#[test]
fn a_file_needs_a_good_line_for_the_columns_of_the_table() {
    let sandbox = sandbox();
    sandbox.write("sql/ids.sql", "COPY (SELECT id FROM events) TO 'ids'");
    let notes = "{\"id\":7000,\"note\":1}\n{\"id\":7001,\"note\":2}\n";
    sandbox.write("raw/events/b.json", notes);
    for jobs in ["1", "2"] {
        let output = sandbox
            .run(&["--date", "2026-01-15", "--rerun", "--jobs", jobs])
            .exited_with(1);
        output
            .stderr_has("error: t 2026-01-15: the file `")
            .stderr_has("most often, field `note`: a string is expected, found a number")
            .stdout_has("1 published, 0 skipped, 1 failed");
    }
    let exported = rows(&sandbox.destination, "ids");
    assert_eq!(ids(&exported)[2000..], [7000, 7001]);
}

#[test]
fn check_describes_a_wrong_file() {
    let sandbox = sandbox();
    sandbox.write("raw/events/a.json", objects(3000).concat());
    let to = sandbox.destination.url();
    sandbox
        .dayport(&["check", "--from", "raw", "--to", &to])
        .exited_with(1)
        .stdout_has("a.json` of the source `events` has no good line")
        .stdout_has("objects joined without line ends");
}
