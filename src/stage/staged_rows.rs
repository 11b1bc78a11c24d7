//! Encodes staged files as rows, the result of the plan that wrote them.

use std::sync::Arc;

use chrono::DateTime;
use datafusion::arrow::array::{
    Array, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::layout::Shard;
use crate::staged::{StagedFile, UploadToken};

/// Returns the schema of rows that describe one staged file each.
pub fn staged_schema() -> SchemaRef {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("rows", DataType::UInt64, false),
        Field::new("bytes", DataType::UInt64, false),
        Field::new("sha256", DataType::Utf8, false),
        Field::new("window_min", instant(), true),
        Field::new("window_max", instant(), true),
        // An `UploadToken` as JSON, which only delivery reads.
        Field::new("token", DataType::Utf8, false),
    ]))
}

/// Encodes staged files as rows of [`staged_schema`].
pub fn staged_rows(files: &[StagedFile]) -> Result<RecordBatch> {
    let tokens = files
        .iter()
        .map(|file| serde_json::to_string(&file.token))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::internal("cannot write an upload token").with_source(error))?;
    let (window_min, window_max): (Vec<_>, Vec<_>) = files
        .iter()
        .map(|file| {
            let (min, max) = file.window.unzip();
            (
                min.map(|instant| instant.timestamp_micros()),
                max.map(|instant| instant.timestamp_micros()),
            )
        })
        .unzip();
    let instants =
        |micros: Vec<Option<i64>>| TimestampMicrosecondArray::from(micros).with_timezone("UTC");
    RecordBatch::try_new(
        staged_schema(),
        vec![
            Arc::new(StringArray::from_iter_values(
                files.iter().map(|file| file.shard.path().to_string()),
            )),
            Arc::new(UInt64Array::from_iter_values(files.iter().map(|f| f.rows))),
            Arc::new(UInt64Array::from_iter_values(files.iter().map(|f| f.bytes))),
            Arc::new(StringArray::from_iter_values(
                files.iter().map(|file| &file.sha256),
            )),
            Arc::new(instants(window_min)),
            Arc::new(instants(window_max)),
            Arc::new(StringArray::from_iter_values(tokens)),
        ],
    )
    .map_err(|error| Error::internal("cannot write the staged files as rows").with_source(error))
}

/// Decodes the rows of [`staged_rows`].
///
/// # Errors
/// [`Error::internal`] if the batch has another schema.
pub fn staged_files(batch: &RecordBatch) -> Result<Vec<StagedFile>> {
    let foreign = || Error::internal("these rows are not staged files");
    if batch.schema() != staged_schema() {
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
    use super::*;
    use crate::layout::{FileFormat, Partition};

    #[test]
    fn staged_files_survive_the_round_trip() {
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
        let rows = staged_rows(&files).unwrap();
        assert_eq!(staged_files(&rows).unwrap(), files);
    }
}
