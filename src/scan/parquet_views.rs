//! The reader of Parquet files whose strings, at every depth, are read as views.
//!
//! DataFusion makes its reader return views for the strings of a table's columns, but not for those
//! inside structs and lists: these would be copied, value by value, and then converted by a cast.
//! The type that a column is read as is decided by a hint in the footer, the writer's Arrow schema.
//! The footers that are returned here have a hint that asks for views.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema, parquet_to_arrow_schema};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData};

/// A factory of readers that return strings as views.
pub(super) struct ViewReaders(Arc<dyn ParquetFileReaderFactory>);

impl ViewReaders {
    /// Wraps the factory of the readers that read the files.
    pub(super) fn new(readers: Arc<dyn ParquetFileReaderFactory>) -> Self {
        Self(readers)
    }
}

impl fmt::Debug for ViewReaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ViewReaders").finish()
    }
}

impl ParquetFileReaderFactory for ViewReaders {
    fn create_reader(
        &self,
        task: usize,
        file: PartitionedFile,
        footer_bytes: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let reader = self.0.create_reader(task, file, footer_bytes, metrics)?;
        Ok(Box::new(ViewReader(reader)))
    }
}

struct ViewReader(Box<dyn AsyncFileReader + Send>);

impl AsyncFileReader for ViewReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let footer = self.0.get_metadata(options);
        async move { Ok(with_views(footer.await?)) }.boxed()
    }
}

/// Returns the same footer, with the hint that strings are views.
///
/// A footer whose own hint is invalid is returned as it is, and the reader reports the error.
fn with_views(footer: Arc<ParquetMetaData>) -> Arc<ParquetMetaData> {
    let file = footer.file_metadata();
    let own_hints = file.key_value_metadata();
    let Ok(schema) = parquet_to_arrow_schema(file.schema_descr(), own_hints) else {
        return footer;
    };
    let fields: Fields = schema.fields().iter().map(with_string_views).collect();
    if fields == *schema.fields() {
        return footer;
    }
    let hint = KeyValue {
        key: ARROW_SCHEMA_META_KEY.to_owned(),
        value: Some(encode_arrow_schema(&Schema::new(fields))),
    };
    let hints = own_hints
        .into_iter()
        .flatten()
        .filter(|own| own.key != ARROW_SCHEMA_META_KEY)
        .cloned()
        .chain([hint])
        .collect();
    let hinted = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        Some(hints),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let builder = ParquetMetaData::new(hinted, footer.row_groups().to_vec())
        .into_builder()
        .set_column_index(footer.column_index().cloned())
        .set_offset_index(footer.offset_index().cloned());
    Arc::new(builder.build())
}

/// Returns the field with views in place of all strings.
fn with_string_views(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(with_string_views).collect())
        }
        DataType::List(item) => DataType::List(with_string_views(item)),
        _ => return FieldRef::clone(field),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::RecordBatch;
    use datafusion::arrow::compute::{cast, concat_batches};
    use datafusion::arrow::datatypes::SchemaRef;
    use datafusion::arrow::json::ReaderBuilder;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
    use parquet::arrow::arrow_writer::ArrowWriterOptions;

    use super::*;

    /// Returns rows with strings at every depth.
    fn rows() -> RecordBatch {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let list = |item: DataType| DataType::List(Arc::new(Field::new("element", item, true)));
        let inner =
            DataType::Struct(vec![text("a"), Field::new("n", DataType::Int64, true)].into());
        let members = vec![
            text("title"),
            Field::new("tags", list(DataType::Utf8), true),
            Field::new("inner", inner.clone(), true),
        ];
        let schema = Schema::new(vec![
            Field::new("id", DataType::LargeUtf8, false),
            Field::new("page", DataType::Struct(members.into()), true),
            Field::new("objects", list(inner), true),
        ]);
        let numbered = (0..500).map(|n| {
            let inner = format!(r#"{{"a": "a rather long value {}", "n": {n}}}"#, n % 40);
            match n % 3 {
                0 => format!(r#"{{"id": "{n}"}}"#),
                1 => format!(r#"{{"id": "{n}", "page": {{"inner": {inner}}}, "objects": []}}"#),
                _ => format!(
                    r#"{{"id": "{n}", "page": {{"title": "{n}", "tags": ["x", null]}}, "objects": [{inner}, null]}}"#
                ),
            }
        });
        let lines = numbered.collect::<Vec<_>>().join("\n");
        let reader = ReaderBuilder::new(Arc::new(schema)).build(lines.as_bytes());
        reader.unwrap().next().unwrap().unwrap()
    }

    fn has_strings(schema: &SchemaRef) -> bool {
        schema
            .fields()
            .iter()
            .any(|field| with_string_views(field) != *field)
    }

    #[test]
    fn strings_inside_structs_and_lists_are_read_as_views() {
        let rows = rows();
        for without_hint in [true, false] {
            let options = ArrowWriterOptions::new().with_skip_arrow_metadata(without_hint);
            let mut buffer = Vec::new();
            let mut writer =
                ArrowWriter::try_new_with_options(&mut buffer, rows.schema(), options).unwrap();
            writer.write(&rows).unwrap();
            writer.close().unwrap();
            let file = Bytes::from(buffer);

            let own = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
            assert!(has_strings(own.schema()));
            let footer = with_views(Arc::clone(own.metadata()));
            let again = with_views(Arc::clone(&footer));
            assert!(Arc::ptr_eq(&footer, &again), "nothing is left to do");
            let hinted = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new()).unwrap();
            assert!(!has_strings(hinted.schema()));

            let batches: Vec<_> = ParquetRecordBatchReaderBuilder::new_with_metadata(file, hinted)
                .build()
                .unwrap()
                .map(|batch| batch.unwrap())
                .collect();
            let all = concat_batches(&batches[0].schema(), &batches).unwrap();
            for (read, written) in all.columns().iter().zip(rows.columns()) {
                let as_written = cast(read, written.data_type()).unwrap();
                assert_eq!(as_written.as_ref(), written.as_ref());
            }
        }
    }
}
