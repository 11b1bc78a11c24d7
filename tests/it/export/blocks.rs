//! JSON files of many blocks, which are compressed concurrently.

use std::io::Read;

use flate2::bufread::GzDecoder;
use serde_json::json;

use crate::support::{
    Sandbox, TestDestination, check_published, for_each_destination, gzip, lines, rows,
};

const ROWS: u64 = 20_000;

for_each_destination!(a_file_of_many_blocks_has_all_rows_in_order);

fn sandbox(destination: TestDestination) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    sandbox.write(
        "sql/sources/notes.sql",
        "CREATE EXTERNAL TABLE notes (id BIGINT, text VARCHAR) STORED AS JSON LOCATION 'notes/'",
    );
    sandbox.write(
        "sql/notes.sql",
        "COPY (SELECT id, text FROM notes ORDER BY id) TO 'notes'",
    );
    let notes = (0..ROWS).map(|id| {
        let words: Vec<String> = (1..=40)
            .map(|word| id.wrapping_mul(word * 2_654_435_761) % 9_973)
            .map(|word| word.to_string())
            .collect();
        json!({"id": id, "text": words.join(" ")})
    });
    sandbox.write("raw/notes/notes.json.gz", gzip(&lines(notes)));
    sandbox
}

/// Exports at a compression level, and returns the file.
fn export(sandbox: &Sandbox, level: &str) -> Vec<u8> {
    let args = [
        "--date",
        "2026-01-15",
        "--format",
        "json",
        "--rerun",
        "--gzip-level",
        level,
    ];
    sandbox.run(&args).succeeded();
    check_published(&sandbox.destination);
    let keys = sandbox.destination.keys_below("data/notes/");
    let [key] = keys.as_slice() else {
        panic!("not one file: {keys:?}");
    };
    sandbox.destination.read(key).to_vec()
}

fn a_file_of_many_blocks_has_all_rows_in_order(destination: TestDestination) {
    let sandbox = sandbox(destination);
    let file = export(&sandbox, "4");
    let members = members(&file);
    assert!(members.len() >= 3, "{} members", members.len());
    assert!(members.iter().all(|member| member.ends_with('\n')));
    let rows = rows(&sandbox.destination, "notes");
    let ids = rows.iter().map(|row| row["id"].as_u64().expect("an id"));
    assert!(ids.eq(0..ROWS));
    assert!(
        export(&sandbox, "4") == file,
        "equal rows give another file"
    );
}

#[test]
fn a_higher_level_makes_a_smaller_file() {
    let sandbox = sandbox(TestDestination::local());
    let sizes = ["1", "6", "12"].map(|level| export(&sandbox, level).len());
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
}

/// Inflates each member of a gzip file.
fn members(file: &[u8]) -> Vec<String> {
    let (mut rest, mut members) = (file, Vec::new());
    while !rest.is_empty() {
        let mut text = String::new();
        let mut gzip = GzDecoder::new(rest);
        gzip.read_to_string(&mut text).expect("a member");
        members.push(text);
        rest = gzip.into_inner();
    }
    members
}
