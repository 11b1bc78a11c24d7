//! Malformed records: counted as lines, and on record with their index and byte offset.

use serde_json::{Value, json};

use super::{RUN, objects, sandbox};
use crate::support::{TestDestination, check_published, decode, files_below, for_each_destination};

for_each_destination!(a_reject_names_the_index_and_the_offset);

fn a_reject_names_the_index_and_the_offset(destination: TestDestination) {
    let sandbox = sandbox(destination, "");
    let mut objects = objects(3000);
    objects[1]["note"] = json!(["s3cr3t"]);
    objects[2] = json!([1]);
    objects[4]["id"] = json!("x");
    let mut text = format!("{:#}\n", Value::from(objects));
    // A record that is no JSON inside of its brackets.
    let at = text.find("\"id\": 3,").expect("a record");
    text.replace_range(at..at + 8, "\"id\"; 3,");
    sandbox.write("raw/events/a.json", text.clone());
    let mine = sandbox.folder().join("mine").display().to_string();
    let run = [&RUN[..], &["--max-rejects", "4", "--rejects-to", &mine]].concat();
    sandbox.run(&run).exited_with(0);
    let published = check_published(&sandbox.destination);
    let manifest = &published["t"][0];
    assert_eq!(manifest["sources"][0]["rows_rejected"], 4);
    let path = manifest["rejects"][0]["path"].as_str().expect("a path");
    let rejects = decode(path, &sandbox.destination.read(path));
    let found: Vec<(u64, &Value, &str)> = rejects
        .iter()
        .map(|reject| {
            assert_eq!(reject["line"], reject["record"]);
            let record = reject["record"].as_u64().expect("an index");
            (
                record,
                &reject["field"],
                reject["reason"].as_str().expect("a reason"),
            )
        })
        .collect();
    let byte = |record: &Value| {
        let offset = usize::try_from(record["offset"].as_u64().expect("an offset")).expect("fits");
        at - offset + 5
    };
    let no_json = format!(
        "not valid JSON: `:` is expected at byte {} of the record",
        byte(&rejects[2])
    );
    assert_eq!(
        found,
        [
            (
                2,
                &json!("note"),
                "field `note`: a string is expected, found a list"
            ),
            (3, &json!(null), "a JSON object is expected, found a list"),
            (4, &json!(null), no_json.as_str()),
            (
                5,
                &json!("id"),
                "field `id`: a number is expected, found a string that is none"
            ),
        ]
    );
    // The operator gets the text, which is that of the file at the offset.
    let key = files_below(std::path::Path::new(&mine)).remove(0);
    let bytes = std::fs::read(format!("{mine}/{key}")).expect("a file");
    let lines = decode(&key, &bytes.into());
    assert_eq!(lines.len(), 4);
    for line in lines {
        let offset = usize::try_from(line["offset"].as_u64().expect("an offset")).expect("fits");
        let record = line["text"].as_str().expect("a text");
        assert!(text[offset..].starts_with(record) && record.len() as u64 == line["length"]);
    }
    // Above the limit, the first one is named.
    sandbox
        .run(&[&RUN[..], &["--rerun", "--max-rejects", "3"]].concat())
        .exited_with(1)
        .stderr_has("4 of 3000 lines of the source `events` are malformed")
        .stderr_has("a.json` record 2 at byte ");
    sandbox
        .run(&[&RUN[..], &["--rerun", "--max-rejects", "0"]].concat())
        .exited_with(1)
        .stderr_has("a.json` record 2 at byte ");
    sandbox
        .query(&["SELECT count(note) FROM events", "--max-rejects", "9"])
        .exited_with(0)
        .stderr_has("a.json` record 2 at byte ");
}
