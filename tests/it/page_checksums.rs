//! A byte of a Parquet source that changed is noticed where its pages have checksums.

use crate::support::{Sandbox, TestDestination};

/// Written by pyarrow: `write_table(pa.table({"id": [1, 2, 3], "note": ["alpha", "bravo", "charlie"]}),
/// compression="none", use_dictionary=False, write_page_checksum=True, …)`.
const FILE: &[u8] = include_bytes!("page_checksums.parquet");

fn query(bytes: Vec<u8>) -> (Sandbox, Vec<&'static str>) {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write(
        "sql/sources/notes.sql",
        "CREATE EXTERNAL TABLE notes (id BIGINT, note VARCHAR) STORED AS PARQUET LOCATION 'notes/'",
    );
    sandbox.write(
        "sql/notes.sql",
        "COPY (SELECT id, note FROM notes) TO 'notes'",
    );
    sandbox.write("raw/notes/part.parquet", bytes);
    let args = ["--output", "csv", "SELECT note FROM notes ORDER BY id"];
    (sandbox, args.to_vec())
}

#[test]
fn a_page_as_it_was_written_is_read() {
    let (sandbox, args) = query(FILE.to_vec());
    let output = sandbox.query(&args).exited_with(0);
    assert_eq!(output.stdout, "note\nalpha\nbravo\ncharlie\n");
}

#[test]
fn a_changed_byte_fails_and_names_the_file() {
    let mut bytes = FILE.to_vec();
    let at = bytes.windows(5).position(|text| text == b"alpha");
    bytes[at.expect("the value")] = b'o';
    let (sandbox, args) = query(bytes);
    sandbox
        .query(&args)
        .exited_with(1)
        .stderr_has("notes/part.parquet")
        .stderr_has("checksum");
}
