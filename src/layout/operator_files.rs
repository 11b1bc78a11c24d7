//! The keys of files that a run writes to the operator's place, which the destination does not have.

use object_store::path::Path;

use crate::cycle::Cycle;
use crate::layout::TableName;

/// Returns the key of a file with the texts of malformed lines, which one run writes to the operator's
/// place. It is that of [`rejects_file`](crate::layout::rejects_file) without the folder of rejects.
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
