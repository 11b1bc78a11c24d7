//! The rows that break an audit: all are counted, and the first ones are kept.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
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
            let row = gc_views(&rows.slice(index, 1)).map_err(cannot_keep)?;
            // A copy: what it is a part of is much larger.
            let row = concat_batches(&row.schema(), [&row]).map_err(cannot_keep)?;
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
