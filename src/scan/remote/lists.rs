//! Frozen lists as rows, so that a scheduler can cut them.

use std::sync::Arc;

use chrono::DateTime;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Schema, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::error::Error;
use crate::listing::snapshot::SourceFile;
use crate::task::rows_in_memory;

/// Columns before those of the folders.
const OWN_COLUMNS: usize = 6;

/// A file of a list: its part of the scan, and its place in the scan's frozen list.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) part: u64,
    pub(crate) place: usize,
    pub(crate) file: SourceFile,
}

fn schema(folders: &[FieldRef]) -> Arc<Schema> {
    let own = [
        Field::new("part", DataType::UInt64, false),
        Field::new("place", DataType::UInt64, false),
        Field::new("key", DataType::Utf8, false),
        Field::new("size", DataType::UInt64, false),
        Field::new("etag", DataType::Utf8, true),
        Field::new(
            "modified",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            false,
        ),
    ];
    let folders = folders.iter().enumerate().map(|(number, folder)| {
        // The names are nobody's business, and could be one of ours.
        Field::new(format!("folder_{number}"), folder.data_type().clone(), true)
    });
    Arc::new(Schema::new(
        own.into_iter().chain(folders).collect::<Vec<_>>(),
    ))
}

/// A plan with one partition for each part of a scan, which holds the files of the part.
pub(crate) fn lists(parts: &[Vec<Listed>], folders: &[FieldRef]) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = schema(folders);
    let partitions = parts
        .iter()
        .map(|files| {
            let own: [ArrayRef; OWN_COLUMNS] = [
                Arc::new(UInt64Array::from_iter_values(files.iter().map(|f| f.part))),
                Arc::new(UInt64Array::from_iter_values(
                    files.iter().map(|f| f.place as u64),
                )),
                Arc::new(StringArray::from_iter_values(
                    files.iter().map(|f| f.file.meta.location.as_ref()),
                )),
                Arc::new(UInt64Array::from_iter_values(
                    files.iter().map(|f| f.file.meta.size),
                )),
                Arc::new(StringArray::from_iter(
                    files.iter().map(|f| f.file.meta.e_tag.as_deref()),
                )),
                Arc::new(TimestampMicrosecondArray::from_iter_values(
                    files
                        .iter()
                        .map(|f| f.file.meta.last_modified.timestamp_micros()),
                )),
            ];
            let mut columns = own.to_vec();
            for number in 0..folders.len() {
                let values = files.iter().map(|f| {
                    let value = f.file.partition.get(number).cloned();
                    value.unwrap_or(ScalarValue::Null)
                });
                columns.push(ScalarValue::iter_to_array(values)?);
            }
            Ok(vec![RecordBatch::try_new(Arc::clone(&schema), columns)?])
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(MemorySourceConfig::try_new_exec(&partitions, schema, None)?)
}

/// The files of one partition of [`lists`].
pub(crate) fn files(lists: &Arc<dyn ExecutionPlan>, partition: usize) -> Result<Vec<Listed>> {
    let batches = rows_in_memory(lists, partition)?.iter();
    let rows = batches.flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    rows.map(|(batch, row)| listed(batch, row)).collect()
}

fn listed(batch: &RecordBatch, row: usize) -> Result<Listed> {
    let foreign = || Error::internal("these rows are not a list of files");
    if batch.num_columns() < OWN_COLUMNS {
        return Err(foreign().into());
    }
    let number = |column: usize| {
        let numbers = batch.column(column).as_primitive_opt::<UInt64Type>();
        numbers
            .map(|numbers| numbers.value(row))
            .ok_or_else(foreign)
    };
    let text = |column: usize| {
        let texts = batch.column(column).as_string_opt::<i32>();
        let texts = texts.ok_or_else(foreign)?;
        Ok::<_, Error>(texts.is_valid(row).then(|| texts.value(row).to_owned()))
    };
    let modified = batch
        .column(OWN_COLUMNS - 1)
        .as_primitive_opt::<TimestampMicrosecondType>()
        .and_then(|times| DateTime::from_timestamp_micros(times.value(row)))
        .ok_or_else(foreign)?;
    let key = text(2)?.ok_or_else(foreign)?;
    let folders = batch.columns().iter().skip(OWN_COLUMNS);
    let partition: Result<Vec<ScalarValue>> = folders
        .map(|column| ScalarValue::try_from_array(column, row))
        .collect();
    Ok(Listed {
        part: number(0)?,
        place: usize::try_from(number(1)?).unwrap_or(usize::MAX),
        file: SourceFile {
            meta: ObjectMeta {
                location: Path::parse(key).map_err(|error| foreign().with_source(error))?,
                last_modified: modified,
                size: number(3)?,
                e_tag: text(4)?,
                version: None,
            },
            partition: partition?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_survive_the_journey() {
        let folders = vec![Arc::new(Field::new("date", DataType::Date32, true))];
        let file = |key: &str, etag: Option<&str>, day: Option<i32>| SourceFile {
            meta: ObjectMeta {
                location: Path::parse(key).unwrap(),
                last_modified: DateTime::from_timestamp_micros(1_768_435_199_999_999).unwrap(),
                size: 7,
                e_tag: etag.map(str::to_owned),
                version: None,
            },
            partition: vec![ScalarValue::Date32(day)],
        };
        let expected = [
            file("raw/date=2026-01-15/a%20b.json", Some("\"e\""), Some(20468)),
            file("raw/date=__HIVE_DEFAULT_PARTITION__/a.json", None, None),
        ];
        let parts: Vec<Vec<Listed>> = expected
            .iter()
            .enumerate()
            .map(|(place, file)| {
                vec![Listed {
                    part: place as u64,
                    place,
                    file: file.clone(),
                }]
            })
            .collect();
        let plan = lists(&parts, &folders).unwrap();
        for (place, expected) in expected.iter().enumerate() {
            let listed = files(&plan, place).unwrap();
            assert_eq!((listed[0].part, listed[0].place), (place as u64, place));
            assert_eq!(listed[0].file.meta, expected.meta);
            assert_eq!(listed[0].file.partition, expected.partition);
        }
    }
}
