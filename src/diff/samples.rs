//! The values of the rows that are shown.

use arrow::array::{Array, ArrayRef, RecordBatch};
use serde_json::Value;

use crate::diff::columns::ComparedColumn;
use crate::diff::compare::DifferingRows;
use crate::diff::matching::RowPosition;
use crate::diff::prepare::TablePlan;
use crate::diff::report::{ChangedRow, ChangedValue, SampleRow, SampleValue, Samples};
use crate::diff::row_store::StoredRows;
use crate::error::{Error, Result};
use crate::format::json::json_value;
use crate::row_hash::column_hashes;

/// A value that says that a struct is not NULL, when only that is compared.
const PRESENT: &str = "not NULL";

/// Reads the rows to show.
pub(super) fn samples(differing: &mut DifferingRows, plan: &TablePlan) -> Result<Samples> {
    let matched = &differing.matched;
    let changed: Vec<[RowPosition; 2]> = matched.changed_samples.values().copied().collect();
    let only = matched.only_samples.each_ref().map(|samples| {
        let positions = samples.values().copied();
        positions.collect::<Vec<RowPosition>>()
    });
    let [left_store, right_store] = &mut differing.stored;
    let mut left = RowReader::new(left_store);
    let mut right = RowReader::new(right_store);
    let mut changed_rows = Vec::with_capacity(changed.len());
    for [left_position, right_position] in changed {
        let left_row = left.read(left_position)?;
        let right_row = right.read(right_position)?;
        changed_rows.push(changed_row(&left_row, &right_row, plan)?);
    }
    Ok(Samples {
        changed: changed_rows,
        only_left: only_rows(&mut left, &only[0], plan)?,
        only_right: only_rows(&mut right, &only[1], plan)?,
    })
}

/// Reads single rows of a store.
struct RowReader<'a> {
    stored: &'a mut StoredRows,
    last: Option<(u32, RecordBatch)>,
}

impl<'a> RowReader<'a> {
    fn new(stored: &'a mut StoredRows) -> Self {
        Self { stored, last: None }
    }

    /// Returns the values of a row.
    fn read(&mut self, position: RowPosition) -> Result<Vec<ArrayRef>> {
        let is_last = self
            .last
            .as_ref()
            .is_some_and(|(batch, _)| *batch == position.batch);
        if !is_last {
            let batch = self.stored.batch(position.batch as usize)?;
            self.last = Some((position.batch, batch));
        }
        let Some((_, batch)) = &self.last else {
            return Err(Error::internal("a row that differs is absent"));
        };
        let row = position.row as usize;
        let columns = batch.columns().iter();
        Ok(columns.map(|array| array.slice(row, 1)).collect())
    }
}

fn changed_row(left: &[ArrayRef], right: &[ArrayRef], plan: &TablePlan) -> Result<ChangedRow> {
    let mut columns = Vec::new();
    for (column, (left, right)) in plan.columns.iter().zip(left.iter().zip(right)) {
        if is_same(left, right) {
            continue;
        }
        columns.push(ChangedValue {
            column: column.path(),
            left: shown(column, left)?,
            right: shown(column, right)?,
        });
    }
    Ok(ChangedRow {
        key: key_values(left, plan)?,
        columns,
    })
}

/// Compares two values as rows are compared: by hashes of their bits.
fn is_same(left: &ArrayRef, right: &ArrayRef) -> bool {
    let hash = |array: &ArrayRef| column_hashes(array, 0).ok();
    hash(left) == hash(right)
}

fn only_rows(
    reader: &mut RowReader<'_>,
    positions: &[RowPosition],
    plan: &TablePlan,
) -> Result<Vec<SampleRow>> {
    let rows = positions.iter().map(|position| {
        let row = reader.read(*position)?;
        let mut values = Vec::new();
        for (column, array) in plan.columns.iter().zip(&row) {
            if array.is_null(0) || column.is_presence() {
                continue;
            }
            values.push(SampleValue {
                column: column.path(),
                value: shown(column, array)?,
            });
        }
        Ok(SampleRow {
            key: key_values(&row, plan)?,
            values,
        })
    });
    rows.collect()
}

fn key_values(row: &[ArrayRef], plan: &TablePlan) -> Result<Vec<Value>> {
    let key = plan.key.iter();
    key.map(|column| json_value(&row[*column], 0)).collect()
}

fn shown(column: &ComparedColumn, array: &ArrayRef) -> Result<Value> {
    match (column.is_presence(), json_value(array, 0)?) {
        (true, Value::Bool(true)) => Ok(Value::String(PRESENT.to_owned())),
        (true, _) => Ok(Value::Null),
        (false, value) => Ok(value),
    }
}
