//! Chooses the columns without a dictionary: those whose values hardly ever repeat.
//!
//! Such a column would be hashed value by value, only to be written with all its values in the
//! dictionary page and their indices beside it. The writer itself falls back from a dictionary that
//! has grown beyond its limit, but most files of a day end before.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use parquet::arrow::ArrowSchemaConverter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// The sizes of the samples of a column, the smallest first: most columns repeat within it.
const SAMPLES: [usize; 2] = [64, 1024];

/// The minimum number of values to decide on; with fewer the dictionary stays.
const MIN_VALUES: usize = 256;

/// The maximum repeat rate of a column without a dictionary, as a divisor: 4 repeats in a sample of
/// 1024. That many are expected of some 130,000 equally likely values, whose dictionary would
/// outgrow its page of 1 MiB.
const MAX_REPEAT_RATE: usize = 256;

/// Returns `properties` without the dictionaries of the columns that, by the first rows of the file,
/// hardly repeat.
///
/// # Errors
/// Fails if `schema` does not fit into Parquet.
pub(crate) fn choose(
    properties: &WriterProperties,
    schema: &Schema,
    rows: &RecordBatch,
) -> Result<WriterProperties, ParquetError> {
    if rows.num_rows() < MIN_VALUES {
        return Ok(properties.clone());
    }
    let mut leaves = Vec::new();
    for column in rows.columns() {
        add_leaves(column, &mut leaves);
    }
    let descriptor = ArrowSchemaConverter::new().convert(schema)?;
    let mut chosen = properties.clone().into_builder();
    for (leaf, column) in leaves.iter().zip(descriptor.columns()) {
        if hardly_repeats(leaf)? {
            chosen = chosen.set_column_dictionary_enabled(column.path().clone(), false);
        }
    }
    Ok(chosen.build())
}

/// Adds the leaf columns below `array`, in the order of Parquet.
fn add_leaves(array: &ArrayRef, leaves: &mut Vec<ArrayRef>) {
    match array.data_type() {
        DataType::Struct(_) => {
            for column in array.as_struct().columns() {
                add_leaves(column, leaves);
            }
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.offsets();
            let [first, last] = [offsets[0], offsets[list.len()]].map(|offset| offset as usize);
            add_leaves(&list.values().slice(first, last - first), leaves);
        }
        _ => leaves.push(Arc::clone(array)),
    }
}

/// Returns true if the repeat rate of the first values is at most 1 / [`MAX_REPEAT_RATE`].
fn hardly_repeats(leaf: &ArrayRef) -> Result<bool, ArrowError> {
    let valid = (0..leaf.len()).filter(|row| leaf.is_valid(*row));
    let valid_rows: Vec<u32> = valid.take(SAMPLES[1]).map(|row| row as u32).collect();
    if valid_rows.len() < MIN_VALUES {
        return Ok(false);
    }
    let converter = RowConverter::new(vec![SortField::new(leaf.data_type().clone())])?;
    for sample_size in SAMPLES {
        let size = sample_size.min(valid_rows.len());
        let sample = take(leaf, &UInt32Array::from(valid_rows[..size].to_vec()), None)?;
        let rows = converter.convert_columns(&[sample])?;
        let distinct: HashSet<&[u8]> = rows.iter().map(|row| row.data()).collect();
        if (size - distinct.len()) * MAX_REPEAT_RATE > size {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, StringArray, StructArray};
    use arrow::datatypes::{Field, Int64Type};
    use parquet::schema::types::ColumnPath;

    use super::*;

    fn strings(values: impl Iterator<Item = usize>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            values.map(|value| format!("value {value}")),
        ))
    }

    /// Returns for each path whether its column has a dictionary.
    fn dictionaries(rows: &RecordBatch, paths: &[&[&str]]) -> Vec<bool> {
        let chosen = choose(&WriterProperties::default(), &rows.schema(), rows).unwrap();
        let has_dictionary = |parts: &&[&str]| {
            let path = ColumnPath::new(parts.iter().map(|part| (*part).to_owned()).collect());
            chosen.dictionary_enabled(&path)
        };
        paths.iter().map(has_dictionary).collect()
    }

    #[test]
    fn only_values_that_repeat_have_a_dictionary() {
        let pairs = (0..2000).map(|n| Some(vec![Some(n), Some(-n - 1)]));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(pairs);
        let nested = StructArray::from(vec![
            (
                Arc::new(Field::new("same", DataType::Int64, false)),
                Arc::new(Int64Array::from(vec![7; 2000])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("own", DataType::Utf8, false)),
                strings(0..2000),
            ),
        ]);
        let columns: [(&str, ArrayRef); 5] = [
            ("unique", strings(0..2000)),
            ("repeating", strings((0..2000).map(|n| n % 300))),
            ("many", strings((0..2000).map(|n| n * n % 1021))),
            ("lists", Arc::new(lists)),
            ("nested", Arc::new(nested)),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let paths: [&[&str]; 6] = [
            &["unique"],
            &["repeating"],
            &["many"],
            &["lists", "list", "item"],
            &["nested", "same"],
            &["nested", "own"],
        ];
        let expected = [false, true, true, false, true, false];
        assert_eq!(dictionaries(&rows, &paths), expected);
        let part = rows.slice(1000, 900);
        assert_eq!(dictionaries(&part, &paths), expected);
    }

    #[test]
    fn few_values_keep_their_dictionary() {
        let has_dictionary = |column: ArrayRef| {
            let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
            dictionaries(&rows, &[&["n"]]) == [true]
        };
        let mostly_null = (0..5000usize).map(|n| (n % 50 == 0).then(|| n.to_string()));
        assert!(has_dictionary(Arc::new(StringArray::from_iter(
            mostly_null
        ))));
        assert!(has_dictionary(strings(0..255)));
        assert!(!has_dictionary(strings(0..256)));
    }
}
