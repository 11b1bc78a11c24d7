//! Where a dictionary does not pay: columns whose values hardly ever come again.
//!
//! Such a column would be hashed value by value, only to be written with all its values in the
//! dictionary and their numbers beside it. The writer itself gives a dictionary up where it has
//! grown beyond its limit; most files of a day end before.

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

/// How many values of a column are looked at, in steps: most columns repeat within the first.
const SAMPLES: [usize; 2] = [64, 1024];

/// Of fewer values nothing is concluded.
const LEAST_VALUES: usize = 256;

/// One value in as many may have come before. In a whole sample, four: that many are expected where
/// some 130,000 values are equally likely, whose dictionary would outgrow its page of 1 MiB.
const REPEATED_SHARE: usize = 256;

/// `properties` without the dictionaries of the columns that, by the first rows of the file, do not
/// pay.
///
/// # Errors
/// Where `schema` is none of Parquet.
pub(super) fn chosen(
    properties: &WriterProperties,
    schema: &Schema,
    rows: &RecordBatch,
) -> Result<WriterProperties, ParquetError> {
    if rows.num_rows() < LEAST_VALUES {
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

fn hardly_repeats(leaf: &ArrayRef) -> Result<bool, ArrowError> {
    let present = (0..leaf.len()).filter(|row| leaf.is_valid(*row));
    let mut places: Vec<u32> = Vec::new();
    places.extend(present.take(SAMPLES[1]).map(|row| row as u32));
    if places.len() < LEAST_VALUES {
        return Ok(false);
    }
    let converter = RowConverter::new(vec![SortField::new(leaf.data_type().clone())])?;
    for most in SAMPLES {
        let looked_at = most.min(places.len());
        let sample = take(leaf, &UInt32Array::from(places[..looked_at].to_vec()), None)?;
        let sample = converter.convert_columns(&[sample])?;
        let different: HashSet<&[u8]> = sample.iter().map(|row| row.data()).collect();
        if (looked_at - different.len()) * REPEATED_SHARE > looked_at {
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

    /// Whether the columns at `paths` have a dictionary.
    fn dictionaries(rows: &RecordBatch, paths: &[&[&str]]) -> Vec<bool> {
        let chosen = chosen(&WriterProperties::default(), &rows.schema(), rows).unwrap();
        let path = |parts: &&[&str]| {
            ColumnPath::new(parts.iter().map(|part| (*part).to_owned()).collect())
        };
        let paths = paths.iter().map(path);
        paths.map(|path| chosen.dictionary_enabled(&path)).collect()
    }

    #[test]
    fn only_values_that_repeat_have_a_dictionary() {
        let lists = (0..2000).map(|n| Some(vec![Some(n), Some(-n - 1)]));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
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
            ("few", strings((0..2000).map(|n| n % 300))),
            ("many", strings((0..2000).map(|n| n * n % 1021))),
            ("lists", Arc::new(lists)),
            ("nested", Arc::new(nested)),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let paths: [&[&str]; 6] = [
            &["unique"],
            &["few"],
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
    fn few_values_say_nothing() {
        let mostly_null = (0..5000usize).map(|n| (n % 50 == 0).then(|| n.to_string()));
        let mostly_null: ArrayRef = Arc::new(StringArray::from_iter(mostly_null));
        let rows = RecordBatch::try_from_iter([("n", mostly_null)]).unwrap();
        assert_eq!(dictionaries(&rows, &[&["n"]]), [true]);
        let rows = RecordBatch::try_from_iter([("n", strings(0..255))]).unwrap();
        assert_eq!(dictionaries(&rows, &[&["n"]]), [true]);
        let rows = RecordBatch::try_from_iter([("n", strings(0..256))]).unwrap();
        assert_eq!(dictionaries(&rows, &[&["n"]]), [false]);
    }
}
