//! A JSON file of many blocks, which are compressed side by side.

use std::io::Read;

use flate2::bufread::GzDecoder;
use serde_json::json;

use crate::support::{Place, Sandbox, check_published, gzip, in_both_places, lines, rows};

const ROWS: u64 = 20_000;

in_both_places!(a_file_of_many_blocks_has_all_rows_in_order);

fn sandbox(place: Place) -> Sandbox {
    let sandbox = Sandbox::empty(place);
    sandbox.write(
        "sql/sources/notes.sql",
        "CREATE EXTERNAL TABLE notes (id BIGINT, text VARCHAR) STORED AS JSON LOCATION 'notes/'",
    );
    sandbox.write(
        "sql/notes.sql",
        "COPY (SELECT id, text FROM notes ORDER BY id) TO 'notes'",
    );
    let notes = (0..ROWS).map(|id| {
        let words = (1..=40).map(|word| id.wrapping_mul(word * 2_654_435_761) % 9_973);
        let words: Vec<String> = words.map(|word| word.to_string()).collect();
        json!({"id": id, "text": words.join(" ")})
    });
    sandbox.write("raw/notes/notes.json.gz", gzip(&lines(notes)));
    sandbox
}

/// Exports at a level and gives the file.
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
    check_published(&sandbox.place);
    let keys = sandbox.place.keys_below("data/notes/");
    let [key] = keys.as_slice() else {
        panic!("not one file: {keys:?}");
    };
    sandbox.place.read(key).to_vec()
}

fn a_file_of_many_blocks_has_all_rows_in_order(place: Place) {
    let sandbox = sandbox(place);
    let file = export(&sandbox, "4");
    let members = members(&file);
    assert!(members.len() >= 3, "{} members", members.len());
    assert!(members.iter().all(|member| member.ends_with('\n')));
    let ids = rows(&sandbox.place, "notes");
    let ids = ids.iter().map(|row| row["id"].as_u64().expect("an id"));
    assert!(ids.eq(0..ROWS));
    assert!(
        export(&sandbox, "4") == file,
        "equal rows make another file"
    );
}

#[test]
fn a_higher_level_makes_a_smaller_file() {
    let sandbox = sandbox(Place::local());
    let sizes = ["1", "6", "12"].map(|level| export(&sandbox, level).len());
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
}

/// Each member of a gzip file, inflated.
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
