//! Staged files as rows, so that they travel like any other result of a plan.

use std::sync::Arc;

use chrono::DateTime;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use datafusion::arrow::compute::{filter_record_batch, is_null};
use datafusion::arrow::datatypes::{
    DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::layout::Shard;
use crate::staged::{StagedFile, UploadToken};

/// One row for each staged file.
pub fn schema() -> SchemaRef {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("rows", DataType::UInt64, false),
        Field::new("bytes", DataType::UInt64, false),
        Field::new("sha256", DataType::Utf8, false),
        Field::new("window_min", instant(), true),
        Field::new("window_max", instant(), true),
        // An `UploadToken` as JSON: only delivery looks inside.
        Field::new("token", DataType::Utf8, false),
        // In a row of its own, whose other columns say nothing: rows that a writer hands on to
        // another, as an Arrow stream.
        Field::new("handed_on", DataType::Binary, true),
    ]))
}

/// The rows of [`schema`].
pub fn batch(files: &[StagedFile]) -> Result<RecordBatch> {
    let tokens = files
        .iter()
        .map(|file| serde_json::to_string(&file.token))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::internal("cannot write an upload token").with_source(error))?;
    let (least, greatest): (Vec<_>, Vec<_>) = files
        .iter()
        .map(|file| file.window.unzip())
        .map(|(min, max)| {
            (
                min.map(|m| m.timestamp_micros()),
                max.map(|m| m.timestamp_micros()),
            )
        })
        .unzip();
    let instants =
        |micros: Vec<Option<i64>>| TimestampMicrosecondArray::from(micros).with_timezone("UTC");
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(StringArray::from_iter_values(
                files.iter().map(|file| file.shard.path().to_string()),
            )),
            Arc::new(UInt64Array::from_iter_values(files.iter().map(|f| f.rows))),
            Arc::new(UInt64Array::from_iter_values(files.iter().map(|f| f.bytes))),
            Arc::new(StringArray::from_iter_values(
                files.iter().map(|file| &file.sha256),
            )),
            Arc::new(instants(least)),
            Arc::new(instants(greatest)),
            Arc::new(StringArray::from_iter_values(tokens)),
            Arc::new(BinaryArray::from_iter(files.iter().map(|_| None::<&[u8]>))),
        ],
    )
    .map_err(|error| Error::internal("cannot write the staged files as rows").with_source(error))
}

/// A row that carries rows to another writer.
pub fn handing_on(rows: &[RecordBatch]) -> Result<Option<RecordBatch>> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let failed = |error| Error::internal("cannot hand rows on").with_source(error);
    let mut stream = Vec::new();
    let mut writer = StreamWriter::try_new(&mut stream, first.schema_ref()).map_err(failed)?;
    for batch in rows {
        writer.write(batch).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    drop(writer);
    let instants = || TimestampMicrosecondArray::from(vec![None]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![""])),
        Arc::new(UInt64Array::from(vec![0])),
        Arc::new(UInt64Array::from(vec![0])),
        Arc::new(StringArray::from(vec![""])),
        Arc::new(instants()),
        Arc::new(instants()),
        Arc::new(StringArray::from(vec![""])),
        Arc::new(BinaryArray::from_vec(vec![&stream])),
    ];
    RecordBatch::try_new(schema(), columns)
        .map(Some)
        .map_err(failed)
}

/// The staged files of some rows, and the rows that are handed on.
pub fn take_apart(batch: &RecordBatch) -> Result<(Vec<StagedFile>, Vec<RecordBatch>)> {
    let foreign = || Error::internal("these rows are not staged files");
    let streams = batch
        .columns()
        .last()
        .and_then(|column| column.as_binary_opt::<i32>());
    let streams = streams.ok_or_else(foreign)?;
    let failed = |error| foreign().with_source(error);
    let mut handed_on = Vec::new();
    for stream in streams.iter().flatten() {
        let reader = StreamReader::try_new(stream, None).map_err(failed)?;
        for rows in reader {
            handed_on.push(rows.map_err(failed)?);
        }
    }
    let is_file = is_null(streams).map_err(failed)?;
    let files = filter_record_batch(batch, &is_file).map_err(failed)?;
    Ok((staged_files(&files)?, handed_on))
}

/// The inverse of [`batch`].
pub fn staged_files(batch: &RecordBatch) -> Result<Vec<StagedFile>> {
    let foreign = || Error::internal("these rows are not staged files");
    if batch.schema() != schema() {
        return Err(foreign());
    }
    let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row);
    let number =
        |column: usize, row: usize| batch.column(column).as_primitive::<UInt64Type>().value(row);
    let instant = |column: usize, row: usize| {
        let array = batch
            .column(column)
            .as_primitive::<TimestampMicrosecondType>();
        array
            .is_valid(row)
            .then(|| DateTime::from_timestamp_micros(array.value(row)))
            .flatten()
    };
    (0..batch.num_rows())
        .map(|row| {
            let path = Path::parse(text(0, row)).map_err(|e| foreign().with_source(e))?;
            let token: UploadToken =
                serde_json::from_str(text(6, row)).map_err(|e| foreign().with_source(e))?;
            Ok(StagedFile {
                shard: Shard::parse(&path).ok_or_else(foreign)?,
                rows: number(1, row),
                bytes: number(2, row),
                sha256: text(3, row).to_owned(),
                window: instant(4, row).zip(instant(5, row)),
                token,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::compute::concat_batches;

    use super::*;
    use crate::layout::{FileFormat, Partition};

    #[test]
    fn staged_files_survive_the_journey() {
        let file = |partition: Vec<(String, String)>, window, token| StagedFile {
            shard: Shard {
                table: "t".parse().unwrap(),
                partition: Partition::new(partition).unwrap(),
                number: 3,
                format: FileFormat::Json,
            },
            rows: 7,
            bytes: 9,
            sha256: "ab".into(),
            window,
            token,
        };
        let instant = DateTime::from_timestamp_micros(1_768_435_199_999_999).unwrap();
        let files = vec![
            file(
                vec![("k".into(), "a/b=c%".into())],
                Some((instant, instant)),
                UploadToken::Multipart {
                    upload_id: "id".into(),
                    part_etags: vec!["\"1\"".into()],
                },
            ),
            file(
                Vec::new(),
                None,
                UploadToken::Rename {
                    staged: "x".into(),
                    etag: None,
                },
            ),
        ];
        let rows = batch(&files).unwrap();
        assert_eq!(staged_files(&rows).unwrap(), files);

        // Some are handed on as they are.
        let with_rows = handing_on(std::slice::from_ref(&rows)).unwrap().unwrap();
        assert!(staged_files(&with_rows).is_err());
        let all = concat_batches(&schema(), [&rows, &with_rows]).unwrap();
        assert_eq!(take_apart(&all).unwrap(), (files, vec![rows]));
    }
}
