//! Splits a record batch by Hive partition.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::row::{Row, RowConverter, SortField};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;

use crate::error::{Error, Result};
use crate::layout::{HIVE_NULL, NO_NULL, NullPartitions, Partition};
use crate::view_gc::gc_views;

/// The maximum length of a row quoted in a message, in characters.
const MAX_QUOTED_ROW: usize = 300;

/// The rows of one partition in a batch.
#[derive(Debug)]
pub struct PartitionRows {
    /// The partition that the rows belong to.
    pub partition: Partition,
    /// The rows, as indexes of the batch.
    pub rows: RowSelection,
}

/// A selection of rows of a batch, by ascending index.
#[derive(Debug, PartialEq, Eq)]
pub enum RowSelection {
    /// Contiguous rows.
    Range(Range<usize>),
    /// Rows that are not contiguous.
    Indexes(Vec<u32>),
}

impl From<Vec<u32>> for RowSelection {
    fn from(ascending: Vec<u32>) -> Self {
        match (ascending.first(), ascending.last()) {
            (Some(first), Some(last)) if (last - first) as usize + 1 == ascending.len() => {
                RowSelection::Range(*first as usize..*last as usize + 1)
            }
            _ => RowSelection::Indexes(ascending),
        }
    }
}

impl RowSelection {
    /// Appends the indexes of the selected rows to `all`.
    pub fn append_to(&self, all: &mut Vec<u32>) {
        match self {
            RowSelection::Range(range) => all.extend(indexes(range)),
            RowSelection::Indexes(indexes) => all.extend(indexes),
        }
    }

    /// Returns the selected rows. A selection of less than half of the batch is copied, so that it
    /// does not keep the batch in memory.
    pub fn select(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        match self {
            RowSelection::Range(range) if range.len() * 2 >= batch.num_rows() => {
                Ok(batch.slice(range.start, range.len()))
            }
            selection => selection.copy(batch),
        }
    }

    /// Returns a copy of the selected rows, which does not keep the batch in memory.
    pub fn copy(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let indexes = match self {
            RowSelection::Range(range) => indexes(range).collect(),
            RowSelection::Indexes(indexes) => indexes.clone(),
        };
        gc_views(&take_rows(batch, indexes)?).map_err(cannot_split)
    }
}

fn indexes(range: &Range<usize>) -> impl Iterator<Item = u32> {
    range.clone().map(|row| row as u32)
}

/// Returns the rows at `indexes`, whose strings may keep the batch in memory.
pub(super) fn take_rows(batch: &RecordBatch, indexes: Vec<u32>) -> Result<RecordBatch> {
    take_record_batch(batch, &UInt32Array::from(indexes)).map_err(cannot_split)
}

fn cannot_split(error: ArrowError) -> Error {
    Error::internal("cannot split rows by partition").with_source(error)
}

/// Splits batches by the values of their partition columns.
#[derive(Debug)]
pub(super) struct Splitter {
    columns: Vec<String>,
    nulls: NullPartitions,
    converter: RowConverter,
}

impl Splitter {
    /// Creates a splitter by `columns`, which are fields of `schema`. Their NULLs have the values of
    /// `nulls`.
    ///
    /// # Errors
    /// [`Error::invalid`] if a column is missing, if its type has no single spelling in a folder name, or
    /// if it cannot have the value for NULL.
    pub(super) fn new(columns: &[String], nulls: &NullPartitions, schema: &Schema) -> Result<Self> {
        let typed = |column: &String| {
            let data_type = partition_type(column, schema)?;
            check_null_value(column, nulls, &data_type)?;
            Ok(data_type)
        };
        let types = columns.iter().map(typed).collect::<Result<Vec<_>>>()?;
        let converter = RowConverter::new(types.into_iter().map(SortField::new).collect())
            .map_err(|error| {
                Error::internal("cannot compare partition columns").with_source(error)
            })?;
        Ok(Self {
            columns: columns.to_vec(),
            nulls: nulls.clone(),
            converter,
        })
    }

    /// Splits the rows of `batch` by partition, in the order of first appearance; rows keep their
    /// order. `values` are the partition columns of the same rows.
    ///
    /// # Errors
    /// [`Error::data`] if a row has NULL in a partition column that has no value for it.
    pub(super) fn split(
        &self,
        batch: &RecordBatch,
        values: &[ArrayRef],
    ) -> Result<Vec<PartitionRows>> {
        if self.columns.is_empty() {
            return Ok(vec![PartitionRows {
                partition: Partition::default(),
                rows: RowSelection::Range(0..batch.num_rows()),
            }]);
        }
        self.refuse_nulls(batch, values)?;
        let rows = self
            .converter
            .convert_columns(values)
            .map_err(cannot_split)?;

        let mut group_of: HashMap<Row<'_>, usize> = HashMap::new();
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut previous: Option<(Row<'_>, usize)> = None;
        for (index, row) in (0u32..).zip(rows.iter()) {
            let group = match previous {
                Some((same, group)) if same == row => group,
                _ => *group_of.entry(row).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                }),
            };
            groups[group].push(index);
            previous = Some((row, group));
        }
        let split = groups.into_iter().map(|indexes| {
            let partition = self.partition(values, indexes[0] as usize)?;
            let rows = RowSelection::from(indexes);
            Ok(PartitionRows { partition, rows })
        });
        split.collect()
    }

    fn partition(&self, values: &[ArrayRef], row: usize) -> Result<Partition> {
        let options = FormatOptions::default();
        let texts = self
            .columns
            .iter()
            .zip(values)
            .map(|(column, array)| {
                let nulls = array.logical_nulls();
                if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                    return Ok((column.clone(), None));
                }
                let text = ArrayFormatter::try_new(array, &options)
                    .and_then(|formatter| formatter.value(row).try_to_string())
                    .map_err(|error| {
                        Error::internal(format!("cannot print partition column `{column}`"))
                            .with_source(error)
                    })?;
                Ok((column.clone(), Some(text)))
            })
            .collect::<Result<_>>()?;
        Partition::with_nulls(texts, &self.nulls)
    }

    fn refuse_nulls(&self, batch: &RecordBatch, values: &[ArrayRef]) -> Result<()> {
        for (column, array) in self.columns.iter().zip(values) {
            let nulls = array.logical_null_count();
            if nulls == 0 || self.nulls.value_of(column).is_some() {
                continue;
            }
            let first = (0..array.len())
                .find(|row| array.is_null(*row))
                .unwrap_or(0);
            let (rows, have) = if nulls == 1 {
                ("row", "has")
            } else {
                ("rows", "have")
            };
            return Err(Error::data(format!(
                "{nulls} {rows} of a batch {have} NULL in partition column `{column}`; the first is {}",
                quote(&batch.slice(first, 1))
            ))
            .with_hint(NO_NULL));
        }
        Ok(())
    }
}

fn partition_type(column: &str, schema: &Schema) -> Result<DataType> {
    let field = schema.field_with_name(column).map_err(|_| {
        Error::invalid(format!(
            "PARTITIONED BY names `{column}`, which the query does not yield"
        ))
    })?;
    let plain = match field.data_type() {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    let printable = plain.is_integer()
        || matches!(
            plain,
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Boolean
                | DataType::Date32
        );
    if printable {
        return Ok(field.data_type().clone());
    }
    Err(Error::invalid(format!(
        "partition column `{column}` has the type {}, which cannot be used in a folder name",
        field.data_type()
    ))
    .with_hint("use an integer, a string, a boolean or a date; for example date_part('day', time)"))
}

/// Checks that the declared value for NULL is Hive's, or one of the column's type as folders have it.
fn check_null_value(column: &str, nulls: &NullPartitions, data_type: &DataType) -> Result<()> {
    let Some(value) = nulls.value_of(column).filter(|value| *value != HIVE_NULL) else {
        return Ok(());
    };
    let plain = match data_type {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    let is_of_type = plain.is_string()
        || ScalarValue::try_from_string(value.to_owned(), plain)
            .is_ok_and(|scalar| scalar.to_string() == value);
    if is_of_type {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "'null_partition' is `{value}`, which is no {plain} as partition column `{column}` has it"
    ))
    .with_hint(format!(
        "write a value of that type, or '{HIVE_NULL}', which Hive, Spark, Athena and DuckDB read as NULL"
    )))
}

/// Returns the first columns of a row as JSON, for a message.
fn quote(row: &RecordBatch) -> String {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    let written = writer.write(row).and_then(|()| writer.finish());
    let text = String::from_utf8_lossy(writer.get_ref()).trim().to_owned();
    match written {
        Ok(()) if text.chars().count() <= MAX_QUOTED_ROW => text,
        Ok(()) => format!("{}…", text.chars().take(MAX_QUOTED_ROW).collect::<String>()),
        Err(_) => "one that cannot be printed".to_owned(),
    }
}

/// Returns the columns of `batch` called `names`, in that order.
pub(super) fn columns_named(batch: &RecordBatch, names: &[String]) -> Result<Vec<ArrayRef>> {
    let column = |name: &String| {
        batch.column_by_name(name).map(Arc::clone).ok_or_else(|| {
            Error::internal(format!("the rows of the query lack the column `{name}`"))
        })
    };
    names.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Date32Array, Int32Array, StringArray};
    use datafusion::arrow::datatypes::Field;

    use super::*;

    fn split(days: Vec<Option<i32>>, sites: Vec<&str>) -> Result<Vec<(String, Vec<i32>)>> {
        split_with(days, sites, &[])
    }

    fn split_with(
        days: Vec<Option<i32>>,
        sites: Vec<&str>,
        nulls: &[(&str, &str)],
    ) -> Result<Vec<(String, Vec<i32>)>> {
        let nulls = nulls.iter().map(|(column, value)| {
            let (column, value) = (*column, *value);
            (column.to_owned(), value.to_owned())
        });
        let nulls = NullPartitions::new(nulls.collect());
        let columns = ["day".to_owned(), "site".to_owned()];
        let schema = Schema::new(vec![
            Field::new("day", DataType::Int32, true),
            Field::new("site", DataType::Utf8, true),
        ]);
        let ids: Vec<i32> = (0..).take(days.len()).collect();
        let batch =
            RecordBatch::try_from_iter([("id", Arc::new(Int32Array::from(ids)) as ArrayRef)])
                .unwrap();
        let values: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(days)),
            Arc::new(StringArray::from(sites)),
        ];
        let splitter = Splitter::new(&columns, &nulls, &schema)?;
        let ids_of = |split: PartitionRows| {
            let rows = split.rows.select(&batch)?;
            let ids = rows.column(0).as_any().downcast_ref::<Int32Array>();
            Ok((split.partition.to_string(), ids.unwrap().values().to_vec()))
        };
        let split = splitter.split(&batch, &values)?;
        split.into_iter().map(ids_of).collect()
    }

    #[test]
    fn nulls_have_the_declared_folder() {
        let parts = |value| split_with(vec![Some(5), None], vec!["a", "a"], &[("day", value)]);
        let folder = |value| parts(value).unwrap().swap_remove(1);
        assert_eq!(
            folder(HIVE_NULL),
            (format!("day={HIVE_NULL}/site=a"), vec![1])
        );
        assert_eq!(folder("-1"), ("day=-1/site=a".to_owned(), vec![1]));
        let fault = |value| parts(value).unwrap_err().to_string();
        assert_eq!(
            fault("5"),
            "partition column `day` has the value `5`, which is declared for NULL"
        );
        for value in ["none", "05", "+5"] {
            assert_eq!(
                fault(value),
                format!(
                    "'null_partition' is `{value}`, which is no Int32 as partition column `day` has it"
                )
            );
        }
    }

    #[test]
    fn rows_keep_their_order_in_their_partition() {
        let parts = split(
            vec![Some(5), Some(5), Some(12), Some(5)],
            vec!["a/b", "a/b", "a/b", "a/b"],
        )
        .unwrap();
        assert_eq!(
            parts,
            [
                ("day=5/site=a%2Fb".to_owned(), vec![0, 1, 3]),
                ("day=12/site=a%2Fb".to_owned(), vec![2])
            ]
        );
    }

    #[test]
    fn contiguous_rows_are_a_range() {
        let selection = |indexes: &[u32]| RowSelection::from(indexes.to_vec());
        assert_eq!(selection(&[4, 5, 6]), RowSelection::Range(4..7));
        assert_eq!(selection(&[4, 6]), RowSelection::Indexes(vec![4, 6]));
        let mut all = Vec::new();
        selection(&[4, 6]).append_to(&mut all);
        selection(&[1, 2]).append_to(&mut all);
        assert_eq!(all, [4, 6, 1, 2]);
    }

    #[test]
    fn null_and_empty_values_are_errors_that_show_the_row() {
        let error = split(vec![Some(1), None, None], vec!["a", "b", "c"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 rows of a batch have NULL in partition column `day`; the first is {\"id\":1}"
        );
        assert!(split(vec![Some(1)], vec![""]).is_err());
    }

    #[test]
    fn a_type_without_a_folder_name_is_refused() {
        let columns = ["t".to_owned()];
        for (data_type, fine) in [
            (DataType::Date32, true),
            (DataType::Float64, false),
            (
                DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Second, None),
                false,
            ),
        ] {
            let schema = Schema::new(vec![Field::new("t", data_type, false)]);
            assert_eq!(
                Splitter::new(&columns, &NullPartitions::default(), &schema).is_ok(),
                fine
            );
        }
        let schema = Schema::new(vec![Field::new("t", DataType::Date32, false)]);
        let splitter = Splitter::new(&columns, &NullPartitions::default(), &schema).unwrap();
        let batch =
            RecordBatch::try_from_iter([("id", Arc::new(Int32Array::from(vec![1])) as ArrayRef)])
                .unwrap();
        let values: ArrayRef = Arc::new(Date32Array::from(vec![20_468]));
        let split = splitter.split(&batch, &[values]).unwrap();
        assert_eq!(split[0].partition.to_string(), "t=2026-01-15");
    }
}
