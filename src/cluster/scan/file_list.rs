//! Encodes file lists as rows, so that a scheduler can cut them.

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

use crate::cluster::partition_index::rows_in_memory;
use crate::error::Error;
use crate::listing::snapshot::SourceFile;

/// The number of columns before those of the folders.
const OWN_COLUMNS: usize = 6;

/// A file of a scan that is read on another machine.
#[derive(Debug, Clone)]
pub(super) struct RemoteFile {
    /// The index of the part of the scan that reads it.
    pub part: u64,
    /// The index of the file in the scan's list.
    pub index: usize,
    pub file: SourceFile,
}

fn schema(folders: &[FieldRef]) -> Arc<Schema> {
    let own = [
        Field::new("part", DataType::UInt64, false),
        Field::new("index", DataType::UInt64, false),
        Field::new("key", DataType::Utf8, false),
        Field::new("size", DataType::UInt64, false),
        Field::new("etag", DataType::Utf8, true),
        Field::new(
            "modified",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            false,
        ),
    ];
    let folder_fields = folders.iter().enumerate().map(|(number, folder)| {
        // The names are not needed, and could equal one of ours.
        Field::new(format!("folder_{number}"), folder.data_type().clone(), true)
    });
    Arc::new(Schema::new(
        own.into_iter().chain(folder_fields).collect::<Vec<_>>(),
    ))
}

/// Returns a plan with one partition for each part of a scan, which holds the files of the part.
/// `folders` are the partition columns of the files.
pub(super) fn encode_files(
    parts: &[Vec<RemoteFile>],
    folders: &[FieldRef],
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = schema(folders);
    let partitions = parts
        .iter()
        .map(|files| {
            let own: [ArrayRef; OWN_COLUMNS] = [
                Arc::new(UInt64Array::from_iter_values(files.iter().map(|f| f.part))),
                Arc::new(UInt64Array::from_iter_values(
                    files.iter().map(|f| f.index as u64),
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

/// Returns the files of one partition of a plan of [`encode_files`].
pub(super) fn decode_files(
    lists: &Arc<dyn ExecutionPlan>,
    partition: usize,
) -> Result<Vec<RemoteFile>> {
    let batches = rows_in_memory(lists, partition)?.iter();
    let rows = batches.flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    rows.map(|(batch, row)| decode_file(batch, row)).collect()
}

fn decode_file(batch: &RecordBatch, row: usize) -> Result<RemoteFile> {
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
        let texts = batch
            .column(column)
            .as_string_opt::<i32>()
            .ok_or_else(foreign)?;
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
    Ok(RemoteFile {
        part: number(0)?,
        index: usize::try_from(number(1)?).unwrap_or(usize::MAX),
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
    fn file_lists_survive_the_round_trip() {
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
        let parts: Vec<Vec<RemoteFile>> = expected
            .iter()
            .enumerate()
            .map(|(index, file)| {
                vec![RemoteFile {
                    part: index as u64,
                    index,
                    file: file.clone(),
                }]
            })
            .collect();
        let plan = encode_files(&parts, &folders).unwrap();
        for (index, expected) in expected.iter().enumerate() {
            let decoded = decode_files(&plan, index).unwrap();
            assert_eq!((decoded[0].part, decoded[0].index), (index as u64, index));
            assert_eq!(decoded[0].file.meta, expected.meta);
            assert_eq!(decoded[0].file.partition, expected.partition);
        }
    }
}
