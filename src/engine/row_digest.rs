//! A digest of rows that does not depend on their order: two sets of rows with the same digest are the
//! same rows, each as often.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};

use crate::engine_error::from_datafusion;
use crate::error::Result;

/// The number of rows, and the sum of 128 bits of the SHA-256 of each, modulo 2^128.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowDigest {
    /// The number of rows.
    pub rows: u64,
    sum: u128,
}

impl RowDigest {
    fn add(&mut self, row: &[u8]) {
        let mut half = [0; 16];
        half.copy_from_slice(&Sha256::digest(row)[..16]);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
    }
}

/// Computes the digest of `rows`, whose columns are taken in the order and in the types of `columns`.
///
/// # Errors
/// Fails if the query fails, if a column is missing, or if its values have another type that is not
/// converted.
pub(crate) async fn of(rows: SendableRecordBatchStream, columns: &SchemaRef) -> Result<RowDigest> {
    let fields = columns.fields().iter();
    let sort_fields = fields.map(|field| SortField::new(field.data_type().clone()));
    let converter = RowConverter::new(sort_fields.collect())
        .map_err(|error| from_datafusion(DataFusionError::from(error)))?;
    let mut stream = rows;
    let mut digest = RowDigest::default();
    while let Some(batch) = stream.try_next().await.map_err(from_datafusion)? {
        let arrays = in_types(&batch, columns)
            .map_err(|error| from_datafusion(DataFusionError::from(error)))?;
        let encoded = converter
            .convert_columns(&arrays)
            .map_err(|error| from_datafusion(DataFusionError::from(error)))?;
        for row in &encoded {
            digest.add(row.as_ref());
        }
    }
    Ok(digest)
}

fn in_types(batch: &RecordBatch, columns: &SchemaRef) -> Result<Vec<ArrayRef>, ArrowError> {
    let schema = batch.schema();
    let fields = columns.fields().iter();
    fields
        .map(|field| {
            let array = batch.column(schema.index_of(field.name())?);
            match array.data_type() == field.data_type() {
                true => Ok(Arc::clone(array)),
                false => cast(array, field.data_type()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int32Array, Int64Array, StringArray, StringViewArray};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn digest(ids: ArrayRef, texts: ArrayRef) -> RowDigest {
        let batch = RecordBatch::try_from_iter([("text", texts), ("id", ids)]).unwrap();
        let frame = SessionContext::new().read_batch(batch).unwrap();
        let columns = Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("text", DataType::Utf8, true),
        ]);
        let stream = frame.execute_stream().await.unwrap();
        of(stream, &Arc::new(columns)).await.unwrap()
    }

    #[tokio::test]
    async fn the_order_and_the_representation_do_not_matter_and_the_number_does() {
        let texts = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let ids = |ids: &[i64]| Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef;
        let expected = digest(ids(&[1, 2, 2]), texts(&["a", "b", "b"])).await;
        assert_eq!(expected.rows, 3);
        let other = digest(
            Arc::new(Int32Array::from(vec![2, 1, 2])),
            Arc::new(StringViewArray::from(vec!["b", "a", "b"])),
        );
        assert_eq!(other.await, expected);
        for (i, t) in [
            (vec![1, 2], vec!["a", "b"]),
            (vec![1, 1, 2], vec!["a", "a", "b"]),
            (vec![1, 2, 2], vec!["b", "a", "b"]),
        ] {
            assert_ne!(digest(ids(&i), texts(&t)).await, expected, "{i:?} {t:?}");
        }
    }
}
