//! Every form of a file gives the rows that its lines would give.

use std::io::Write;

use serde_json::{Value, json};

use super::{RUN, declare, expected, exported, objects, sandbox};
use crate::support::{BUCKET, TestDestination, check_published, for_each_destination, gzip};

for_each_destination!(
    each_form_gives_the_rows_of_lines,
    files_of_several_forms_are_one_source,
);

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON")
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 1).expect("zstd")
}

fn each_form_gives_the_rows_of_lines(destination: TestDestination) {
    let sandbox = sandbox(destination, "");
    let objects = objects(300);
    let list = Value::from(objects.clone());
    let envelope = json!({"Version": {"Records": [1]}, "Records": list, "next": "]}"});
    let compact: Vec<String> = objects.iter().map(Value::to_string).collect();
    let printed: Vec<String> = objects.iter().map(pretty).collect();
    let nested = json!({"a b": {"items": list}, "items": []});
    for (form, records, text) in [
        ("lines", "", compact.join("\n")),
        ("array on one line", "", list.to_string()),
        ("pretty-printed array", "", pretty(&list) + "\n"),
        ("CRLF", "", pretty(&list).replace('\n', "\r\n")),
        ("BOM", "", format!("\u{feff}{list}")),
        (
            "an object a line of an array",
            "",
            format!("[\n{}\n]\n", compact.join(",\n")),
        ),
        ("pretty-printed objects", "", printed.join("\n")),
        ("tabs", "", printed.join("\r\n").replace("\n  ", "\n\t")),
        ("declared array", "$[*]", list.to_string()),
        ("arrays", "$[*]", format!("{list}[]\n")),
        ("joined objects", "$", compact.concat()),
        ("joined pretty-printed objects", "$", printed.concat()),
        ("lines as documents", "$", compact.join("\n")),
        ("envelope", "$.Records[*]", envelope.to_string()),
        ("pretty-printed envelope", "$.Records[*]", pretty(&envelope)),
        (
            "envelope with BOM",
            "$.Records[*]",
            format!("\u{feff}\n{envelope}\n"),
        ),
        ("nested list", "$['a b'].items[*]", nested.to_string()),
    ] {
        declare(
            &sandbox,
            &match records {
                "" => String::new(),
                path => format!("OPTIONS ('records' '{}')", path.replace('\'', "''")),
            },
        );
        for stored in [text.clone().into_bytes(), gzip(&text), zstd(&text)] {
            sandbox.write("raw/events/a.json", stored);
            sandbox
                .run(&[&RUN[..], &["--rerun"]].concat())
                .exited_with(0);
            let published = check_published(&sandbox.destination);
            let source = &published["t"].last().expect("a manifest")["sources"][0];
            assert_eq!(source["rows_read"], 300, "{form}");
            assert_eq!(source["rows_rejected"], 0, "{form}");
            assert_eq!(exported(&sandbox), expected(&objects), "{form}");
        }
    }
}

/// Without the option, each file is read as its beginning says.
fn files_of_several_forms_are_one_source(destination: TestDestination) {
    let sandbox = sandbox(destination, "OPTIONS ('records' 'auto')");
    let objects = objects(900);
    let lines: Vec<String> = objects[..300].iter().map(Value::to_string).collect();
    sandbox.write("raw/events/a.json", lines.join("\n"));
    sandbox.write(
        "raw/events/b.json.gz",
        gzip(&Value::from(&objects[300..600]).to_string()),
    );
    let printed: Vec<String> = objects[600..].iter().map(pretty).collect();
    sandbox.write("raw/events/c.json", printed.join("\n"));
    sandbox.write("raw/events/d.json", "[]");
    sandbox.write("raw/events/e.json", "");
    sandbox.run(&RUN).succeeded();
    assert_eq!(exported(&sandbox), expected(&objects));
}

/// From a bucket, in many small parts, and within a small memory limit.
#[test]
fn large_arrays_of_a_bucket_are_streamed() {
    let sandbox = sandbox(TestDestination::s3(), "");
    let mut objects = objects(4000);
    for object in &mut objects {
        object["padding"] = Value::from("}{][\",\\".repeat(400));
    }
    let server = sandbox.destination.server();
    server.create_bucket("raw-events");
    let list = Value::from(objects.clone());
    for (key, text) in [
        ("events/a.json", list.to_string()),
        ("events/b.json", pretty(&list)),
    ] {
        server.put("raw-events", key, text);
    }
    let to = sandbox.destination.url();
    let from = [
        "run",
        "--from",
        "s3://raw-events/",
        "--to",
        &to,
        "--memory-limit",
        "64MiB",
    ];
    sandbox.dayport(&[&from[..], &RUN].concat()).succeeded();
    assert_eq!(exported(&sandbox).len(), 8000);
    assert!(server.keys(BUCKET).len() > 1);
    check_published(&sandbox.destination);
}

/// A record may have a 32nd of the memory limit, as a line.
#[test]
fn a_record_too_long_for_the_memory_fails_the_table() {
    let sandbox = sandbox(TestDestination::local(), "");
    let mut file = Vec::new();
    write!(
        file,
        "[{{\"id\":1}},{{\"id\":2,\"note\":\"{}\"}}]",
        "x".repeat(3 << 20)
    )
    .expect("a file");
    sandbox.write("raw/events/a.json", file);
    sandbox.run(&RUN).succeeded();
    sandbox
        .run(&[&RUN[..], &["--rerun", "--memory-limit", "64MiB"]].concat())
        .exited_with(1)
        .stderr_has("record 2 of `")
        .stderr_has("has 4 MiB, more than the 2 MiB that --memory-limit leaves for a record")
        .hint_has("raise --memory-limit to at least 128MiB");
}

/// Scans of several tables read the documents once, and each rejects by its own columns.
#[test]
fn tables_share_the_scan_of_documents() {
    let sandbox = sandbox(
        TestDestination::local(),
        "OPTIONS ('records' '$.Records[*]')",
    );
    sandbox.write("sql/ids.sql", "COPY (SELECT id FROM events) TO 'ids'");
    let mut objects = objects(5000);
    objects[7]["note"] = json!(7);
    sandbox.write(
        "raw/events/a.json",
        json!({ "Records": objects }).to_string(),
    );
    sandbox.run(&["--date", "2026-01-15"]).exited_with(0);
    let published = check_published(&sandbox.destination);
    let rejected = |table: &str| &published[table][0]["sources"][0]["rows_rejected"];
    assert_eq!((rejected("t"), rejected("ids")), (&json!(1), &json!(0)));
}

/// A search names the record, and returns it on one line.
#[test]
fn trace_finds_records() {
    let sandbox = sandbox(TestDestination::local(), "");
    let objects = objects(9);
    sandbox.write("raw/events/a.json", pretty(&Value::from(objects)));
    sandbox.run(&RUN).succeeded();
    let to = sandbox.destination.url();
    let trace = [
        "trace",
        "7",
        "--column",
        "id",
        "--from",
        "raw",
        "--to",
        &to,
        "--date",
        "2026-01-15",
    ];
    sandbox
        .dayport(&trace)
        .exited_with(0)
        .stdout_has("events: record 8 of ");
}
