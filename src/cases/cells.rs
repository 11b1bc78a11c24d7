//! Rows as the JSON text of their cells, with NULL as `null`: the form in which they are compared and written.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::json::writer::{EncoderOptions, make_encoder};

use crate::error::{Error, Result};

/// The text of NULL.
pub(super) const NULL: &str = "null";

/// The cells of a row, in the order of the columns.
pub(super) type Row = Vec<String>;

/// Returns the rows of a batch.
///
/// # Errors
/// A column has a type without a form in JSON.
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<Row>> {
    let mut rows = vec![Row::with_capacity(batch.num_columns()); batch.num_rows()];
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let mut encoder = make_encoder(field, column.as_ref(), &options).map_err(|error| {
            let what = format!("the column `{}` cannot be written as JSON", field.name());
            Error::data(what).with_source(error)
        })?;
        for (index, row) in rows.iter_mut().enumerate() {
            if encoder.is_null(index) {
                row.push(NULL.to_owned());
                continue;
            }
            let mut text = Vec::new();
            encoder.encode(index, &mut text);
            let text = String::from_utf8(text)
                .map_err(|error| Error::internal("JSON that is no UTF-8").with_source(error))?;
            row.push(text);
        }
    }
    Ok(rows)
}

/// Returns a row as one JSON object.
pub(super) fn object(columns: &[String], row: &Row) -> String {
    let members = columns.iter().zip(row).map(|(name, cell)| {
        let name = serde_json::Value::from(name.as_str());
        format!("{name}:{cell}")
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}
