//! Files that cannot be read to their end, and documents of something else.

use serde_json::{Value, json};

use super::{RUN, declare, expected, exported, objects, sandbox};
use crate::support::{TestDestination, check_published, for_each_destination, gzip};

for_each_destination!(a_file_that_breaks_fails_the_table_unless_all_is_allowed);

fn a_file_that_breaks_fails_the_table_unless_all_is_allowed(destination: TestDestination) {
    let sandbox = sandbox(destination, "");
    let objects = objects(2000);
    let whole = Value::from(objects.clone()).to_string();
    let half = &whole[..whole.len() / 2];
    let all = |count: usize| expected(&objects[..count]);
    for (text, offset, reason, count) in [
        (
            half.to_owned(),
            half.rfind(",{").expect("a record") + 1,
            "the file ends inside of this record",
            None,
        ),
        (
            whole[..whole.len() - 1].to_owned(),
            whole.len() - 1,
            "the file ends before the list",
            Some(2000),
        ),
        (
            format!("{whole} x"),
            whole.len() + 1,
            "a value is expected",
            Some(2000),
        ),
        (
            whole.replace("},{\"extra\"", "}{\"extra\""),
            0,
            "`,` or `]` is expected",
            Some(1),
        ),
        (
            format!("{whole}\0\0"),
            whole.len(),
            "a value is expected",
            Some(2000),
        ),
    ] {
        for stored in [text.clone().into_bytes(), gzip(&text)] {
            sandbox.write("raw/events/a.json", stored);
            let rerun = [&RUN[..], &["--rerun", "--allow-shrink"]].concat();
            let output = sandbox
                .run(&[&rerun[..], &["--max-rejects", "99%"]].concat())
                .exited_with(1)
                .stderr_has("a.json` of the source `events` cannot be read behind byte ")
                .stderr_has(reason);
            if offset > 0 {
                output.stderr_has(&format!("behind byte {offset}: "));
            }
            sandbox
                .run(&[&rerun[..], &["--max-rejects", "9"]].concat())
                .exited_with(1)
                .stderr_has(reason);
            sandbox
                .run(&[&rerun[..], &["--max-rejects", "0"]].concat())
                .exited_with(1)
                .stderr_has(&format!(": {reason}"));
            sandbox
                .run(&[&rerun[..], &["--max-rejects", "100%"]].concat())
                .exited_with(0);
            let published = check_published(&sandbox.destination);
            let newest = published["t"].last().expect("a manifest");
            assert_eq!(newest["sources"][0]["rows_rejected"], 1);
            let rows = exported(&sandbox);
            assert_eq!(rows, all(count.unwrap_or(rows.len())), "{reason}");
            assert!(rows.len() >= count.unwrap_or(900));
        }
    }
}

/// Of several files, each is counted; those before are not lost, and none is read in silence.
#[test]
fn several_broken_files_are_counted() {
    let sandbox = sandbox(TestDestination::local(), "");
    for name in ["a", "b", "c"] {
        sandbox.write(&format!("raw/events/{name}.json"), "[{\"id\":1},");
    }
    sandbox
        .run(&RUN)
        .exited_with(1)
        .stderr_has("a.json` of the source `events` cannot be read behind byte 10: ")
        .stderr_has("; nor can 2 other files")
        .hint_has("--max-rejects 100%");
    sandbox
        .query(&["SELECT count(id) FROM events"])
        .exited_with(1)
        .stderr_has("cannot be read behind byte 10");
}

/// A document without the list is a malformed record, like a list that is none.
#[test]
fn an_envelope_without_its_list_is_a_malformed_record() {
    let sandbox = sandbox(
        TestDestination::local(),
        "OPTIONS ('records' '$.Records[*]')",
    );
    let good = json!({ "Records": objects(3000) });
    sandbox.write("raw/events/a.json", good.to_string());
    for text in [
        "{\"digestEndTime\":\"2026\",\"logFiles\":[{\"id\":1}]}",
        "{\"Records\":null}",
        "{\"Records\":{\"id\":1}}",
        "[{\"id\":1}]",
        "1",
    ] {
        sandbox.write("raw/events/b.json", text);
        sandbox
            .run(&[&RUN[..], &["--rerun"]].concat())
            .exited_with(0);
        let published = check_published(&sandbox.destination);
        let newest = published["t"].last().expect("a manifest");
        assert_eq!(newest["sources"][0]["rows_rejected"], 1, "{text}");
        assert_eq!(newest["sources"][0]["rows_read"], 3000, "{text}");
    }
    // Two of them are a file without a good line.
    sandbox.write("raw/events/b.json", "{\"logFiles\":[]}\n{\"logFiles\":[]}");
    sandbox
        .run(&[&RUN[..], &["--rerun"]].concat())
        .exited_with(1)
        .stderr_has("b.json` of the source `events` has no good line (2 malformed lines): most often, there is no list on the path of the records `$.Records[*]`");
}

/// A document that is taken for a record by its form alone is no row of NULLs.
#[test]
fn documents_of_something_else_fail_the_table() {
    let sandbox = sandbox(TestDestination::local(), "");
    for (text, message, hint) in [
        (
            "{\n  \"Records\": [\n    {\"id\": 1}\n  ]\n}\n",
            "it looks like objects in a \"Records\" list",
            "OPTIONS ('records' '$.Records[*]')",
        ),
        (
            "{\n  \"version\": 1,\n  \"files\": []\n}\n",
            "no declared key is in it",
            "",
        ),
        ("[{\"other\":1}]", "no declared key is in it", ""),
    ] {
        sandbox.write("raw/events/a.json", text);
        sandbox
            .run(&RUN)
            .exited_with(1)
            .stderr_has(message)
            .hint_has(hint);
    }
    // A declared key makes it a record, with a value or without.
    sandbox.write("raw/events/a.json", "{\n  \"id\": null\n}\n");
    sandbox.run(&RUN).exited_with(0);
    assert_eq!(exported(&sandbox).len(), 1);
}

/// The messages about files that the source does not declare name the option.
#[test]
fn messages_name_the_option() {
    let sandbox = sandbox(TestDestination::local(), "OPTIONS ('records' 'lines')");
    let objects = objects(2000);
    let compact: Vec<String> = objects.iter().map(Value::to_string).collect();
    let list = Value::from(objects.clone());
    let printed: String = objects
        .iter()
        .map(|object| format!("{object:#}\n"))
        .collect();
    for (text, looks_like, path) in [
        (list.to_string(), "one JSON array", "$[*]"),
        (format!("{list:#}"), "one JSON array", "$[*]"),
        (compact.concat(), "objects joined without line ends", "$"),
        (printed, "pretty-printed JSON over several lines", "$"),
        (
            json!({ "logs": list }).to_string(),
            "objects in a \"logs\" list",
            "$.logs[*]",
        ),
        (
            format!("{:#}", json!({ "logs": list })),
            "objects in a \"logs\" list",
            "$.logs[*]",
        ),
    ] {
        declare(&sandbox, "OPTIONS ('records' 'lines')");
        sandbox.write("raw/events/a.json", text);
        let option = format!("OPTIONS ('records' '{path}')");
        let rerun = [&RUN[..], &["--rerun"]].concat();
        sandbox
            .run(&rerun)
            .exited_with(1)
            .stderr_has(&format!("looks like {looks_like}"))
            .hint_has(&option);
        declare(&sandbox, &option);
        sandbox.run(&rerun).succeeded();
        assert_eq!(exported(&sandbox), expected(&objects), "{looks_like}");
    }
}

#[test]
fn wrong_options_are_refused() {
    let sandbox = sandbox(TestDestination::local(), "OPTIONS ('records' '$.Records')");
    sandbox.write("raw/events/a.json", "[]");
    sandbox
        .run(&RUN)
        .exited_with(2)
        .stderr_has("option `records` is `$.Records`; write 'auto', 'lines', '$'");
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT, note VARCHAR)
         STORED AS PARQUET LOCATION 'events/' OPTIONS ('records' '$[*]')",
    );
    sandbox
        .run(&RUN)
        .exited_with(2)
        .stderr_has("`records` is an option of JSON sources");
}
