//! The start of a file, and the count of its lines for one consumer.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::common::Result;
use serde::de::IgnoredAny;

use crate::jsonl::{BadLine, LineChunk, TextShape};
use crate::scan::file_rejects::FileTally;
use crate::scan::json::chunker::ChunkOrigin;
use crate::scan::misplaced::FolderTimes;
use crate::scan::record::Scan;

/// The text of a chunk; of an oversized line, its beginning.
#[derive(Clone, Copy)]
pub(super) struct ChunkText<'a> {
    pub(super) bytes: &'a [u8],
    /// The offset of the text in the decompressed file, in bytes.
    pub(super) offset: u64,
    /// The chunk, if it is records of documents.
    pub(super) records: Option<&'a LineChunk>,
}

impl<'a> ChunkText<'a> {
    /// Returns the text of a malformed line of the chunk, or the beginning of an oversized one.
    pub(super) fn line(self, bad: &BadLine) -> &'a [u8] {
        let position = |offset: u64| {
            let position = usize::try_from(offset.saturating_sub(self.offset));
            position.map_or(self.bytes.len(), |position| position.min(self.bytes.len()))
        };
        let (start, end) = (position(bad.offset), position(bad.offset + bad.length));
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// The lines of a file that one consumer has seen.
pub(super) struct OpenTally {
    pub(super) origin: Arc<ChunkOrigin>,
    pub(super) tally: FileTally,
    /// The times of the rows that are in cycles, if that is checked.
    pub(super) times: Option<FolderTimes>,
    /// True if the lines of the file are rows without any value because the objects are inside, or
    /// because it is a document of something else.
    pub(super) is_frame: bool,
    /// The form of the file, if its objects are inside.
    pub(super) frame: Option<TextShape>,
}

/// The number of records of a document that are searched for a declared key.
const SEARCHED_RECORDS: usize = 64;

impl OpenTally {
    /// Notes what the file looks like, if most lines of its first chunk are malformed, or if all are rows
    /// without a value.
    pub(super) fn note_start(
        &mut self,
        scan: &Scan,
        text: ChunkText<'_>,
        declared: &Schema,
        rows: &[RecordBatch],
        bad: &[BadLine],
    ) -> Result<()> {
        let is_declared = |key: &str| declared.column_with_name(key).is_some();
        let row_count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        let is_empty = row_count > 0 && !has_value(rows);
        if let Some(records) = text.records {
            let mut searched = records.lines().take(SEARCHED_RECORDS);
            if is_empty && !searched.any(|record| has_key(record.text, is_declared)) {
                let first = records.lines().next();
                let shape = first.and_then(|first| TextShape::of(first.text, is_declared));
                self.frame = shape.filter(|shape| matches!(shape, TextShape::ObjectsInList(_)));
                self.is_frame = true;
                self.tally.require_row();
            }
            return Ok(());
        }
        let shape = || TextShape::of(text.bytes, is_declared);
        if bad.iter().any(|bad| bad.is_record) {
            return Ok(());
        }
        if bad.len() > row_count
            && let (Some(first), Some(shape)) = (bad.first(), shape())
        {
            scan.note_shape(&self.origin.key, shape, first)?;
        }
        if is_empty {
            self.frame = shape().filter(|shape| matches!(shape, TextShape::ObjectsInList(_)));
            self.is_frame = self.frame.is_some();
            if self.is_frame {
                self.tally.require_row();
            }
        }
        Ok(())
    }
}

/// Returns true if a record is an object with a key that is a declared column.
fn has_key(record: &[u8], is_declared: impl Fn(&str) -> bool) -> bool {
    let members = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(record);
    members.is_ok_and(|members| members.keys().any(|key| is_declared(key)))
}

/// Returns true if a column has a value, or if there is no column.
pub(super) fn has_value(rows: &[RecordBatch]) -> bool {
    let columns = || rows.iter().flat_map(RecordBatch::columns);
    columns().next().is_none() || columns().any(|column| column.null_count() < column.len())
}
