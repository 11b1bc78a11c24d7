//! Encodes staged files together with rows that one writer forwards to another.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, is_null};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;

use crate::error::{Error, Result};
use crate::stage::{staged_files, staged_rows, staged_schema};
use crate::staged::StagedFile;

/// Returns the columns of a staged file, and one that is set in rows that forward rows: an Arrow IPC
/// stream. The other columns of such a row mean nothing.
pub(super) fn forwarded_schema() -> SchemaRef {
    let forwarded = Arc::new(Field::new("forwarded", DataType::Binary, true));
    let staged = staged_schema();
    let fields = staged.fields().iter().cloned().chain([forwarded]);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Encodes staged files, one row each, and the forwarded rows as one more row.
pub(super) fn encode_rows(files: &[StagedFile], forwarded: &[RecordBatch]) -> Result<RecordBatch> {
    let failed = |error| Error::internal("cannot forward rows").with_source(error);
    let staged = staged_rows(files)?;
    let mut columns = staged.columns().to_vec();
    columns.push(Arc::new(BinaryArray::from_iter(
        files.iter().map(|_| None::<&[u8]>),
    )));
    let file_rows = RecordBatch::try_new(forwarded_schema(), columns).map_err(failed)?;
    let Some(stream) = ipc_stream(forwarded).map_err(failed)? else {
        return Ok(file_rows);
    };
    let forwarded_row = forwarded_row(&stream).map_err(failed)?;
    concat_batches(&forwarded_schema(), [&file_rows, &forwarded_row]).map_err(failed)
}

/// Encodes batches of one schema as an Arrow IPC stream; `None` if there are none.
fn ipc_stream(batches: &[RecordBatch]) -> Result<Option<Vec<u8>>, ArrowError> {
    let Some(first) = batches.first() else {
        return Ok(None);
    };
    let mut writer = StreamWriter::try_new(Vec::new(), first.schema_ref())?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.into_inner().map(Some)
}

fn forwarded_row(stream: &[u8]) -> Result<RecordBatch, ArrowError> {
    let null_instant = || TimestampMicrosecondArray::from(vec![None]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![""])),
        Arc::new(UInt64Array::from(vec![0])),
        Arc::new(UInt64Array::from(vec![0])),
        Arc::new(StringArray::from(vec![""])),
        Arc::new(null_instant()),
        Arc::new(null_instant()),
        Arc::new(StringArray::from(vec![""])),
        Arc::new(BinaryArray::from_vec(vec![stream])),
    ];
    RecordBatch::try_new(forwarded_schema(), columns)
}

/// Decodes the rows of [`encode_rows`] to the staged files and the forwarded rows.
///
/// # Errors
/// [`Error::internal`] if the batch has another schema.
pub(super) fn decode_rows(batch: &RecordBatch) -> Result<(Vec<StagedFile>, Vec<RecordBatch>)> {
    let foreign = || Error::internal("these rows are not staged files");
    let failed = |error| foreign().with_source(error);
    let file_columns: Vec<usize> = (0..staged_schema().fields().len()).collect();
    let streams = batch
        .columns()
        .get(file_columns.len())
        .and_then(|column| column.as_binary_opt::<i32>())
        .ok_or_else(foreign)?;
    let mut forwarded = Vec::new();
    for stream in streams.iter().flatten() {
        let reader = StreamReader::try_new(stream, None).map_err(failed)?;
        for rows in reader {
            forwarded.push(rows.map_err(failed)?);
        }
    }
    let is_file = is_null(streams).map_err(failed)?;
    let files = filter_record_batch(batch, &is_file)
        .and_then(|rows| rows.project(&file_columns))
        .map_err(failed)?;
    Ok((staged_files(&files)?, forwarded))
}

/// Decodes the rows of the last writer of a plan, which forwards nothing.
///
/// # Errors
/// [`Error::internal`] if there are forwarded rows: nobody would write them.
pub(crate) fn remote_files(batch: &RecordBatch) -> Result<Vec<StagedFile>> {
    let (files, forwarded) = decode_rows(batch)?;
    if !forwarded.is_empty() {
        return Err(Error::internal("rows were forwarded to no writer"));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{FileFormat, Partition, Shard};
    use crate::staged::UploadToken;

    #[test]
    fn files_and_forwarded_rows_survive_the_round_trip() {
        let file = StagedFile {
            shard: Shard {
                table: "t".parse().unwrap(),
                partition: Partition::new(vec![("k".into(), "a/b=c%".into())]).unwrap(),
                number: 3,
                format: FileFormat::Json,
            },
            rows: 7,
            bytes: 9,
            sha256: "ab".into(),
            window: None,
            token: UploadToken::Rename {
                staged: "x".into(),
                etag: None,
            },
        };
        let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![1, 2]));
        let rows = RecordBatch::try_from_iter([("n", numbers)]).unwrap();

        let without = encode_rows(std::slice::from_ref(&file), &[]).unwrap();
        assert_eq!(remote_files(&without).unwrap(), std::slice::from_ref(&file));
        let with = encode_rows(std::slice::from_ref(&file), &[rows.clone(), rows.clone()]).unwrap();
        assert_eq!(with.num_rows(), 2);
        let decoded = decode_rows(&with).unwrap();
        assert_eq!(decoded, (vec![file], vec![rows.clone(), rows]));
        assert!(remote_files(&with).is_err());
    }
}
