//! The evaluation of a query's conditions on a batch.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::{and, prep_null_mask_filter};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;

/// Returns a flag for each row that is true if all `conditions` are true for it. No flag is NULL.
///
/// # Errors
/// Returns the error of a condition.
pub(crate) fn matching_rows(
    conditions: &[Arc<dyn PhysicalExpr>],
    batch: &RecordBatch,
) -> Result<BooleanArray> {
    let mut matching: Option<BooleanArray> = None;
    for condition in conditions {
        let value = condition.evaluate(batch)?.into_array(batch.num_rows())?;
        let is_true = match value.as_boolean() {
            values if values.null_count() > 0 => prep_null_mask_filter(values),
            values => values.clone(),
        };
        let all_true = match matching {
            Some(earlier) => and(&earlier, &is_true)?,
            None => is_true,
        };
        if !all_true.has_true() {
            return Ok(all_true);
        }
        matching = Some(all_true);
    }
    let every_row = || BooleanArray::new(BooleanBuffer::new_set(batch.num_rows()), None);
    Ok(matching.unwrap_or_else(every_row))
}
