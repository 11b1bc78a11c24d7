//! The majority split: rows that will be written into one file are separated from the rest.
//!
//! Most rows of a batch of events are of one day, and a few are late. If the scan emits the majority
//! as a batch of its own, the writer takes that batch whole: its rows are copied once, by the filter,
//! and not a second time to divide them by day.

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

/// Splits batches by the values of expressions.
#[derive(Debug)]
pub(crate) struct MajoritySplitter {
    /// The expressions, over the columns at `column_indexes`.
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    /// The indexes of the columns of a batch that the expressions use.
    column_indexes: Vec<usize>,
    converter: RowConverter,
}

/// The rows of a batch that share the most frequent values, and the rest.
pub(crate) struct MajoritySplit {
    /// The values that the rows of the majority share.
    pub(crate) key: OwnedRow,
    /// A flag for each row of the batch that is true for the majority.
    pub(crate) majority: BooleanArray,
    /// The indexes of the other selected rows, in ascending order.
    pub(crate) rest: UInt32Array,
}

impl MajoritySplitter {
    /// Creates a splitter by the values of `expressions` over the columns of `schema`.
    ///
    /// # Errors
    /// Returns an error if the values cannot be compared.
    pub(crate) fn new(expressions: &[Arc<dyn PhysicalExpr>], schema: &Schema) -> Result<Self> {
        let used_columns = expressions.iter().flat_map(collect_columns);
        let mut column_indexes: Vec<usize> = used_columns.map(|column| column.index()).collect();
        column_indexes.sort_unstable();
        column_indexes.dedup();
        let used_schema = schema.project(&column_indexes)?;
        let sort_fields = expressions.iter().map(|expression| {
            let data_type = expression.data_type(schema)?;
            Ok(SortField::new(data_type))
        });
        let converter = RowConverter::new(sort_fields.collect::<Result<_>>()?)?;
        let reassigned = expressions
            .iter()
            .map(|expression| reassign_expr_columns(Arc::clone(expression), &used_schema));
        Ok(Self {
            expressions: reassigned.collect::<Result<_>>()?,
            column_indexes,
            converter,
        })
    }

    /// Splits the `selected` rows of `batch`. Returns `None` if no values are shared by at least half
    /// of them.
    ///
    /// # Errors
    /// Returns an error if an expression cannot be evaluated.
    pub(crate) fn split(
        &self,
        batch: &RecordBatch,
        selected: &BooleanArray,
    ) -> Result<Option<MajoritySplit>> {
        let used_columns = batch.project(&self.column_indexes)?;
        let input = filter_record_batch(&used_columns, selected)?;
        let values = self
            .expressions
            .iter()
            .map(|expression| expression.evaluate(&input)?.into_array(input.num_rows()))
            .collect::<Result<Vec<ArrayRef>>>()?;
        let rows = self.converter.convert_columns(&values)?;
        let Some(candidate) = majority_candidate(&rows) else {
            return Ok(None);
        };
        let key = rows.row(candidate);
        let mut majority = BooleanBufferBuilder::new(batch.num_rows());
        majority.append_n(batch.num_rows(), false);
        let mut rest = Vec::new();
        for (row, index) in rows.iter().zip(selected.values().set_indices()) {
            if row == key {
                majority.set_bit(index, true);
            } else {
                rest.push(index as u32);
            }
        }
        if rest.len() * 2 > rows.num_rows() {
            return Ok(None);
        }
        Ok(Some(MajoritySplit {
            key: key.owned(),
            majority: BooleanArray::new(majority.finish(), None),
            rest: UInt32Array::from(rest),
        }))
    }
}

/// Returns the index of a row that is equal to more than half of all rows, if there is such a row, by
/// the majority vote of Boyer and Moore. Otherwise returns any row, or `None` if there are no rows.
fn majority_candidate(rows: &Rows) -> Option<usize> {
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
