//! The keys of the files of malformed lines and of rows that break audits: those of the destination, and those of the
//! operator's place.

use object_store::path::Path;

use crate::cycle::Cycle;
use crate::layout::{TableName, rejects_folder};

/// Returns the key of a file of rejects that one run writes for a source, a table and a cycle. Files
/// are numbered from 1; the first has no number in its name.
pub fn rejects_file(
    source: &str,
    cycle: Cycle,
    table: &TableName,
    run_id: &str,
    number: u64,
) -> Path {
    let below = rejected_lines_file(source, cycle, table, run_id, number);
    rejects_folder().parts().chain(below.parts()).collect()
}

/// Returns the key of a file with the texts of malformed lines, which one run writes to the operator's
/// place. It is that of [`rejects_file`] without the folder of rejects.
pub fn rejected_lines_file(
    source: &str,
    cycle: Cycle,
    table: &TableName,
    run_id: &str,
    number: u64,
) -> Path {
    let numbered = match number {
        1 => String::new(),
        number => format!(".{number}"),
    };
    Path::from_iter([
        source.to_owned(),
        cycle.to_string(),
        format!("{table}.{run_id}{numbered}.json.gz"),
    ])
}

/// Returns the key of a file of rows that break audits, which one run writes to the operator's place.
pub fn failing_rows_file(cycle: Cycle, table: &TableName, run_id: &str) -> Path {
    Path::from_iter([
        "_audits".to_owned(),
        cycle.to_string(),
        format!("{table}.{run_id}.json.gz"),
    ])
}
