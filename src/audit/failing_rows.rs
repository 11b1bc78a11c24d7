//! The rows that break an audit: all are counted, and the first ones are kept.

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::format::json::json_value;
use crate::view_gc::{batch_bytes, gc_views};
use crate::visible::visible_line;

/// The number of rows whose keys are reported.
const MAX_KEYS: usize = 10;

/// The number of rows that are kept for the operator's place.
pub(super) const MAX_ROWS: usize = 100;

/// The length to which a text in a key is cut, in characters.
const MAX_KEY_CHARS: usize = 200;

/// A row that breaks an audit, as the operator's place has it.
#[derive(Debug, Serialize)]
pub(crate) struct FailingRow {
    /// The name of the audit.
    pub audit: String,
    /// The row: that of the export, or what the audit's query returns.
    pub row: Map<String, Value>,
}

/// The limits of the rows that are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeptRows {
    /// True if whole rows are kept, and not only their keys.
    pub rows: bool,
    /// The maximum of their bytes.
    pub max_bytes: usize,
}

impl KeptRows {
    /// Nothing is kept.
    pub(super) const NONE: Self = Self {
        rows: false,
        max_bytes: 0,
    };
}

/// The rows that break one audit.
#[derive(Debug)]
pub(super) struct FailingRows {
    pub count: u64,
    kept: KeptRows,
    keys: Vec<Map<String, Value>>,
    rows: Vec<RecordBatch>,
    row_count: usize,
    bytes: usize,
}

impl FailingRows {
    pub(super) fn new(kept: KeptRows) -> Self {
        Self {
            count: 0,
            kept,
            keys: Vec::new(),
            rows: Vec::new(),
            row_count: 0,
            bytes: 0,
        }
    }

    /// Returns true if whole rows are kept.
    pub(super) fn keeps_rows(&self) -> bool {
        self.kept.rows
    }

    /// Returns the number of further rows that are of use.
    pub(super) fn wanted(&self) -> usize {
        let keys = MAX_KEYS.saturating_sub(self.keys.len());
        match self.kept.rows && self.bytes < self.kept.max_bytes {
            true => keys.max(MAX_ROWS.saturating_sub(self.row_count)),
            false => keys,
        }
    }

    /// Keeps of some rows as many as are of use. They are counted by the caller. `keys` has the columns of their
    /// keys, in the same order.
    pub(super) fn keep(&mut self, rows: &RecordBatch, keys: Option<&RecordBatch>) -> Result<()> {
        if let Some(keys) = keys {
            let wanted = MAX_KEYS.saturating_sub(self.keys.len());
            for row in 0..keys.num_rows().min(wanted) {
                self.keys.push(shortened(row_of(keys, row)?));
            }
        }
        let wanted = MAX_ROWS.saturating_sub(self.row_count);
        if !self.kept.rows || wanted == 0 || self.bytes >= self.kept.max_bytes {
            return Ok(());
        }
        for index in 0..rows.num_rows().min(wanted) {
            // A copy: the batch that it is a part of is much larger, and so are the buffers of its views.
            let index = UInt32Array::from_value(u32::try_from(index).unwrap_or(u32::MAX), 1);
            let row = take_record_batch(rows, &index)
                .and_then(|row| gc_views(&row))
                .map_err(cannot_keep)?;
            self.bytes += batch_bytes(&row);
            self.row_count += 1;
            self.rows.push(row);
            if self.bytes >= self.kept.max_bytes {
                break;
            }
        }
        Ok(())
    }

    /// Returns the keys that are reported.
    pub(super) fn take_keys(&mut self) -> Vec<Map<String, Value>> {
        std::mem::take(&mut self.keys)
    }

    #[cfg(test)]
    pub(super) fn kept_batches(&self) -> &[RecordBatch] {
        &self.rows
    }

    /// Returns the rows for the operator's place.
    pub(super) fn into_rows(self, audit: &str) -> Result<Vec<FailingRow>> {
        let batches = self.rows.iter();
        let rows = batches.flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        rows.map(|(batch, row)| {
            Ok(FailingRow {
                audit: audit.to_owned(),
                row: row_of(batch, row)?,
            })
        })
        .collect()
    }
}

/// Returns a row as a JSON object, with `null` for NULL.
fn row_of(batch: &RecordBatch, row: usize) -> Result<Map<String, Value>> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    columns
        .map(|(field, values)| Ok((field.name().clone(), json_value(values, row)?)))
        .collect()
}

/// Cuts the texts of a key, which reports and events have.
fn shortened(key: Map<String, Value>) -> Map<String, Value> {
    key.into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => {
                let cut: String = text.chars().take(MAX_KEY_CHARS).collect();
                let cut = match cut.len() < text.len() {
                    true => format!("{cut}…"),
                    false => cut,
                };
                (name, Value::String(visible_line(&cut).into_owned()))
            }
            Value::Array(_) | Value::Object(_) => {
                let text: String = value.to_string().chars().take(MAX_KEY_CHARS).collect();
                (name, Value::String(visible_line(&text).into_owned()))
            }
            value => (name, value),
        })
        .collect()
}

fn cannot_keep(error: datafusion::arrow::error::ArrowError) -> Error {
    Error::internal("cannot keep a row that breaks an audit").with_source(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        Array, ArrayRef, Int64Array, ListArray, StringViewArray, StructArray,
    };
    use datafusion::arrow::datatypes::{DataType, Field, Int64Type};

    use super::*;

    /// The buffers of a batch are much larger than a row of it.
    #[test]
    fn kept_rows_are_copies() {
        let count = 10_000;
        let texts = (0..count).map(|n| format!("a text that is not kept in its view: {n}"));
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
        let lists = (0..count).map(|n| Some(vec![Some(n); 3]));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let field = Arc::new(Field::new("t", DataType::Utf8View, true));
        let inner = StructArray::from(vec![(field, Arc::clone(&texts))]);
        let rows = RecordBatch::try_from_iter([
            ("text", texts),
            ("number", numbers),
            ("list", lists),
            ("inner", Arc::new(inner) as ArrayRef),
        ])
        .unwrap();
        let mut failing = FailingRows::new(KeptRows {
            rows: true,
            max_bytes: 200_000,
        });
        failing.keep(&rows, None).unwrap();
        let kept = failing.kept_batches();
        assert_eq!(kept.len(), MAX_ROWS);
        let held: usize = kept.iter().map(RecordBatch::get_array_memory_size).sum();
        assert!(held < 200_000, "{held} bytes");
        assert_eq!(failing.into_rows("x").unwrap()[99].row["number"], 99);
        assert!(rows.column(0).len() > MAX_ROWS);
    }

    #[test]
    fn wide_rows_are_fewer() {
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(vec![
            "x".repeat(1000);
            50
        ]));
        let rows = RecordBatch::try_from_iter([("text", texts)]).unwrap();
        let mut failing = FailingRows::new(KeptRows {
            rows: true,
            max_bytes: 10_000,
        });
        failing.keep(&rows, Some(&rows)).unwrap();
        assert!((5..15).contains(&failing.kept_batches().len()));
        let keys = failing.take_keys();
        assert_eq!(keys.len(), MAX_KEYS);
        let key = keys[0]["text"].as_str().unwrap();
        assert_eq!(key.chars().count(), MAX_KEY_CHARS + 1);
        assert!(key.ends_with('…'));
    }
}
