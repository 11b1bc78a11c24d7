//! The hashes of the rows of one side, and of their keys.
//!
//! The sum of the hashes of many rows identifies them, in whatever order they come: two sets of n rows that
//! differ have the same sum with a probability of about n / 2^128.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};

use crate::diff::columns::ComparedColumn;
use crate::error::Result;
use crate::row_hash::{RowSums, add_hashes, column_states, mixed};

/// Hashes the rows of one side.
#[derive(Debug)]
pub(super) struct RowHasher {
    columns: Arc<[ComparedColumn]>,
    /// For each column, whether it is one of the key.
    is_key: Vec<bool>,
    has_key: bool,
}

/// The rows of a batch, with their hashes.
#[derive(Debug)]
pub(super) struct HashedRows {
    /// The values of each compared column.
    pub values: Vec<ArrayRef>,
    /// The hash of each row.
    pub rows: Vec<u128>,
    /// The hash of the key of each row, `None` if a part of it is NULL. Empty without a key.
    pub keys: Vec<Option<u128>>,
}

impl RowHasher {
    /// Creates a hasher of these columns. `key` has the indexes of those of the key.
    pub(super) fn new(columns: Arc<[ComparedColumn]>, key: &[usize]) -> Self {
        let is_key = (0..columns.len()).map(|index| key.contains(&index));
        Self {
            is_key: is_key.collect(),
            has_key: !key.is_empty(),
            columns,
        }
    }

    /// Hashes the rows of a batch.
    pub(super) fn hash(&self, batch: &RecordBatch) -> Result<HashedRows> {
        let values: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|column| column.values(batch))
            .collect::<Result<_>>()?;
        self.hash_columns(values, batch.num_rows())
    }

    /// Hashes rows whose values have been taken out of their batch.
    pub(super) fn hash_values(&self, values: Vec<ArrayRef>) -> Result<HashedRows> {
        let count = values.first().map_or(0, |array| array.len());
        self.hash_columns(values, count)
    }

    fn hash_columns(&self, values: Vec<ArrayRef>, count: usize) -> Result<HashedRows> {
        let mut row_sums = vec![[0_u64; 2]; count];
        let mut key_sums = vec![[0_u64; 2]; if self.has_key { count } else { 0 }];
        let mut has_null = vec![false; key_sums.len()];
        let mut of_column = vec![[0_u64; 2]; key_sums.len()];
        for (index, (array, is_key)) in values.iter().zip(&self.is_key).enumerate() {
            let states = column_states(index);
            if *is_key {
                of_column.fill([0; 2]);
                add_hashes(array, &states, &mut of_column)?;
                add(&of_column, &mut row_sums);
                add(&of_column, &mut key_sums);
            } else {
                add_hashes(array, &states, &mut row_sums)?;
            }
            if *is_key && array.null_count() > 0 {
                for (row, has_null) in has_null.iter_mut().enumerate() {
                    *has_null |= array.is_null(row);
                }
            }
        }
        let keys = key_sums.into_iter().zip(has_null);
        Ok(HashedRows {
            values,
            rows: row_sums.into_iter().map(mixed).collect(),
            keys: keys
                .map(|(sum, has_null)| (!has_null).then(|| mixed(sum)))
                .collect(),
        })
    }
}

fn add(hashes: &[RowSums], sums: &mut [RowSums]) {
    for (sum, hash) in sums.iter_mut().zip(hashes) {
        *sum = [sum[0].wrapping_add(hash[0]), sum[1].wrapping_add(hash[1])];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::array::{
        Decimal128Array, Float64Array, Int64Array, ListArray, StringViewArray, StructArray,
    };
    use arrow::datatypes::{DataType, Field, Fields, Int64Type};

    use super::*;
    use crate::diff::columns::AlignedColumns;
    use crate::schema::ExportSchema;

    fn hash(columns: Vec<(&str, ArrayRef)>, key: &[usize]) -> HashedRows {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        let fields = batch.schema_ref().fields().iter();
        let schema = ExportSchema::of(fields.map(AsRef::as_ref)).unwrap();
        let aligned = AlignedColumns::new(&schema, &schema, &[]);
        RowHasher::new(aligned.compared.into(), key)
            .hash(&batch)
            .unwrap()
    }

    fn distinct(array: ArrayRef) -> usize {
        let rows = hash(vec![("a", array)], &[]).rows;
        rows.into_iter().collect::<BTreeSet<u128>>().len()
    }

    fn texts(values: Vec<Option<&str>>) -> ArrayRef {
        Arc::new(StringViewArray::from(values))
    }

    #[test]
    fn values_that_look_alike_differ() {
        assert_eq!(
            distinct(texts(vec![None, Some(""), Some("\0"), Some("0")])),
            4
        );
        let floats = vec![Some(0.0), Some(-0.0), None, Some(f64::MIN_POSITIVE)];
        assert_eq!(distinct(Arc::new(Float64Array::from(floats))), 4);
        let integers = vec![
            Some(9_007_199_254_740_992),
            Some(9_007_199_254_740_993),
            None,
        ];
        assert_eq!(distinct(Arc::new(Int64Array::from(integers))), 3);
        let decimals = Decimal128Array::from(vec![Some(0), None, Some(1), Some(-1)])
            .with_precision_and_scale(38, 2)
            .unwrap();
        assert_eq!(distinct(Arc::new(decimals)), 4);
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            None,
            Some(vec![]),
            Some(vec![None]),
            Some(vec![None, None]),
            Some(vec![Some(1), Some(2)]),
            Some(vec![Some(2), Some(1)]),
        ]);
        assert_eq!(distinct(Arc::new(lists)), 6);
    }

    #[test]
    fn texts_belong_to_their_column_and_their_row() {
        let (a, b) = (texts(vec![Some("x"), None]), texts(vec![None, Some("x")]));
        let rows = hash(
            vec![("a", ArrayRef::clone(&a)), ("b", ArrayRef::clone(&b))],
            &[],
        )
        .rows;
        assert_ne!(rows[0], rows[1]);
        let sum = |rows: Vec<u128>| rows.into_iter().fold(0, u128::wrapping_add);
        let pairs = |second: Vec<Option<&str>>| {
            let first = texts(vec![Some("1"), Some("2")]);
            sum(hash(vec![("a", first), ("b", texts(second))], &[]).rows)
        };
        assert_ne!(
            pairs(vec![Some("x"), Some("y")]),
            pairs(vec![Some("y"), Some("x")])
        );
    }

    #[test]
    fn a_slice_of_lists_has_the_hashes_of_its_rows() {
        let fields = Fields::from(vec![Field::new("n", DataType::Int64, true)]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let structs = StructArray::new(fields.clone(), vec![numbers], None);
        let item = Arc::new(Field::new("element", DataType::Struct(fields), true));
        let offsets = arrow::buffer::OffsetBuffer::new(vec![0, 1, 1, 4].into());
        let lists: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(structs), None));
        let all = hash(vec![("l", ArrayRef::clone(&lists))], &[]).rows;
        let last = hash(vec![("l", lists.slice(2, 1))], &[]).rows;
        assert_eq!(all[2], last[0]);
    }

    #[test]
    fn a_key_with_a_null_is_none() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(1)]));
        let names = texts(vec![Some("a"), Some("b"), Some("c")]);
        let hashed = hash(vec![("id", ids), ("n", names)], &[0]);
        assert_eq!(hashed.keys[1], None);
        assert_eq!(hashed.keys[0], hashed.keys[2]);
        assert_ne!(hashed.rows[0], hashed.rows[2]);
    }
}
