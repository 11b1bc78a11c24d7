//! The keys of rows to be sorted, as bytes that can be compared.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;
use datafusion::physical_expr::LexOrdering;

/// Converts the values that rows are ordered by to bytes.
#[derive(Debug)]
pub(super) struct SortKeys {
    order: LexOrdering,
    fields: Vec<SortField>,
    converter: RowConverter,
}

impl SortKeys {
    /// Returns the keys of an order of rows of `schema`; `None` if there are none for its types.
    pub(super) fn new(order: &LexOrdering, schema: &Schema) -> Result<Option<Self>> {
        let fields = order.iter().map(|by| {
            let data_type = by.expr.data_type(schema)?;
            Ok(SortField::new_with_options(data_type, by.options))
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        if !RowConverter::supports_fields(&fields) {
            return Ok(None);
        }
        Ok(Some(Self {
            order: order.clone(),
            converter: RowConverter::new(fields.clone())?,
            fields,
        }))
    }

    /// Returns the same keys for another merge.
    pub(super) fn again(&self) -> Result<Self> {
        Ok(Self {
            order: self.order.clone(),
            converter: RowConverter::new(self.fields.clone())?,
            fields: self.fields.clone(),
        })
    }

    /// Returns the keys of the rows of a batch.
    pub(super) fn of(&self, batch: &RecordBatch) -> Result<Rows> {
        let columns = self.order.iter().map(|by| {
            let column = by.evaluate_to_sort_column(batch)?;
            Ok(column.values)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(self.converter.convert_columns(&columns)?)
    }
}
