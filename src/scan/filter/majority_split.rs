//! Rows that will go into one file, kept apart from the few that will not.
//!
//! Most rows of a batch of events are of one day, and a few are late. Where the scan hands them on
//! apart, who writes the files takes the most of them as they are: they are copied once, by the
//! filter, and not a second time by the day.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, UInt32Array,
};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_plan::ExecutionPlan;

use crate::scan::json::exec::JsonLinesExec;
use crate::scan::shared::parquet::SharedParquetExec;

/// The same scan, which hands on the rows for which all of `by` have one value apart from the others
/// of their batch; `None` where `scan` is no scan that can.
pub fn keep_apart(
    scan: &Arc<dyn ExecutionPlan>,
    by: Vec<Arc<dyn PhysicalExpr>>,
) -> Option<Arc<dyn ExecutionPlan>> {
    if let Some(scan) = scan.downcast_ref::<JsonLinesExec>() {
        return Some(scan.with_filter(scan.filter().apart_by(by)));
    }
    let scan = scan.downcast_ref::<SharedParquetExec>()?;
    Some(scan.with_filter(scan.filter().apart_by(by)))
}

/// What tells which rows belong together: those for which all of these have one value.
#[derive(Debug)]
pub(crate) struct Apart {
    /// Over the columns at `places`.
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    /// The columns of a batch that `expressions` use.
    places: Vec<usize>,
    converter: RowConverter,
}

/// The rows of a batch that belong together, and the others.
pub(crate) struct Parted {
    /// What the rows that belong together have in common.
    pub(crate) together: OwnedRow,
    /// Which rows of the batch they are.
    pub(crate) most: BooleanArray,
    /// Where the others are, ascending.
    pub(crate) others: UInt32Array,
}

impl Apart {
    /// `expressions` are over the columns of `schema`.
    ///
    /// # Errors
    /// Where their values cannot be compared.
    pub(crate) fn new(expressions: &[Arc<dyn PhysicalExpr>], schema: &Schema) -> Result<Self> {
        let used = expressions.iter().flat_map(collect_columns);
        let mut places: Vec<usize> = used.map(|column| column.index()).collect();
        places.sort_unstable();
        places.dedup();
        let thin = schema.project(&places)?;
        let fields = expressions.iter().map(|expression| {
            let data_type = expression.data_type(schema)?;
            Ok(SortField::new(data_type))
        });
        let converter = RowConverter::new(fields.collect::<Result<_>>()?)?;
        let expressions = expressions.iter();
        let expressions =
            expressions.map(|expression| reassign_expr_columns(Arc::clone(expression), &thin));
        Ok(Self {
            expressions: expressions.collect::<Result<_>>()?,
            places,
            converter,
        })
    }

    /// Parts the rows of `batch` that are `kept`. `None` where no half of them belongs together.
    ///
    /// # Errors
    /// Where an expression has no value.
    pub(crate) fn part(&self, batch: &RecordBatch, kept: &BooleanArray) -> Result<Option<Parted>> {
        let thin = batch.project(&self.places)?;
        let thin = filter_record_batch(&thin, kept)?;
        let values = self.expressions.iter();
        let values =
            values.map(|expression| expression.evaluate(&thin)?.into_array(thin.num_rows()));
        let values = values.collect::<Result<Vec<ArrayRef>>>()?;
        let rows = self.converter.convert_columns(&values)?;
        let Some(majority) = majority(&rows) else {
            return Ok(None);
        };
        let value = rows.row(majority);
        let mut most = BooleanBufferBuilder::new(batch.num_rows());
        most.append_n(batch.num_rows(), false);
        let mut others = Vec::new();
        for (row, place) in rows.iter().zip(kept.values().set_indices()) {
            if row == value {
                most.set_bit(place, true);
            } else {
                others.push(place as u32);
            }
        }
        if others.len() * 2 > rows.num_rows() {
            return Ok(None);
        }
        Ok(Some(Parted {
            together: value.owned(),
            most: BooleanArray::new(most.finish(), None),
            others: UInt32Array::from(others),
        }))
    }
}

/// A row like which more than half of all are, if there is one, by the vote of Boyer and Moore; else
/// any, or none of no rows.
fn majority(rows: &Rows) -> Option<usize> {
    let (mut candidate, mut votes) = (None, 0usize);
    for (number, row) in rows.iter().enumerate() {
        match candidate {
            Some(leader) if rows.row(leader) == row => votes += 1,
            Some(_) if votes > 0 => votes -= 1,
            _ => (candidate, votes) = (Some(number), 1),
        }
    }
    candidate
}
