//! A byte of a Parquet source that changed is noticed where its pages have checksums.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

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

/// Returns a file of this program's library, which writes no checksums.
fn without_checksums(rows: i64) -> Vec<u8> {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let notes: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..rows).map(|id| format!("note {id}")),
    ));
    let columns = [("id", ids, true), ("note", notes, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("write");
    writer.close().expect("close");
    file
}

#[test]
fn check_notes_files_without_checksums() {
    let (sandbox, _) = query(FILE.to_vec());
    let to = sandbox.destination.url();
    let check = || {
        let args = ["check", "--from", "raw", "--to", &to];
        sandbox.dayport(&args).exited_with(0)
    };
    let output = check();
    assert!(!output.stdout.contains("checksum"), "{output}");
    sandbox.write("raw/notes/other.parquet", without_checksums(1_000));
    // It has no page.
    sandbox.write("raw/notes/empty.parquet", without_checksums(0));
    check()
        .stdout_has("1 of 2 files without checksums of their pages")
        .stdout_has("write_page_checksum=True");
}
