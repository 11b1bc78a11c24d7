//! Footers of files, prepared so that the reader returns what the scan needs.
//!
//! The type that a column is read as is decided by a hint in the footer, the writer's Arrow schema.
//! The footers that are returned here have a hint of our own:
//!
//! - Strings are read as views, at every depth. DataFusion asks for that in the columns of a table
//!   only: those inside structs and lists would be copied, value by value, and then cast.
//! - Dictionaries are read as their values.
//! - Instants of the type INT96 are read as bytes ([`int96`](super::int96)).
//! - Columns have the marks of [`StoredAs`].

use std::collections::HashMap;
use std::sync::Arc;

use ::parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema, parquet_to_arrow_schema};
use ::parquet::basic::{ConvertedType, Type as PhysicalType};
use ::parquet::errors::Result;
use ::parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData};
use ::parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use super::int96::{has_int96, with_int96_as_bytes};
use super::stored_as::StoredAs;

/// A key in the metadata of the schema. DataFusion calls no adapter for a file whose schema is the
/// declared one, but times of the same type are looked at, too.
const PREPARED: &str = "dayport.prepared";

/// Returns the same footer, with the hint and the marks.
///
/// # Errors
/// The file's own schema cannot be read.
pub(super) fn prepared(footer: Arc<ParquetMetaData>) -> Result<Arc<ParquetMetaData>> {
    let original = footer.file_metadata().schema_descr();
    let physical_types: Vec<ColumnDescPtr> = original.columns().to_vec();
    let footer = match has_int96(original) {
        true => with_int96_as_bytes(&footer)?,
        false => footer,
    };
    let file = footer.file_metadata();
    let own_hints = file.key_value_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), own_hints)?;
    let mut leaves = physical_types.iter().map(AsRef::as_ref);
    let fields: Fields = schema
        .fields()
        .iter()
        .map(|field| hinted(field, &mut leaves))
        .collect();
    if fields == *schema.fields() && schema.metadata().contains_key(PREPARED) {
        return Ok(footer);
    }
    let prepared = HashMap::from([(PREPARED.to_owned(), String::new())]);
    let hint = KeyValue {
        key: ARROW_SCHEMA_META_KEY.to_owned(),
        value: Some(encode_arrow_schema(&Schema::new_with_metadata(
            fields, prepared,
        ))),
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
    Ok(Arc::new(builder.build()))
}

/// Returns the field as it is to be read. `leaves` are the file's columns from the field's first one
/// on.
fn hinted<'a>(
    field: &FieldRef,
    leaves: &mut impl Iterator<Item = &'a ColumnDescriptor>,
) -> FieldRef {
    let mut item = |item: &FieldRef| hinted(item, leaves);
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(item).collect()),
        DataType::List(inner) => DataType::List(item(inner)),
        DataType::LargeList(inner) => DataType::LargeList(item(inner)),
        DataType::ListView(inner) => DataType::ListView(item(inner)),
        DataType::LargeListView(inner) => DataType::LargeListView(item(inner)),
        DataType::FixedSizeList(inner, size) => DataType::FixedSizeList(item(inner), *size),
        DataType::Map(inner, is_ordered) => DataType::Map(item(inner), *is_ordered),
        other => return hinted_leaf(field, other, leaves.next()),
    };
    with_type(field, data_type)
}

fn hinted_leaf(
    field: &FieldRef,
    data_type: &DataType,
    column: Option<&ColumnDescriptor>,
) -> FieldRef {
    let data_type = match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let read = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => &DataType::Utf8View,
        other => other,
    };
    let field = with_type(field, read.clone());
    match column.and_then(|column| stored_as(column, read)) {
        Some(mark) => Arc::new(mark.mark(Field::clone(&field))),
        None => field,
    }
}

fn stored_as(column: &ColumnDescriptor, read: &DataType) -> Option<StoredAs> {
    match column.physical_type() {
        PhysicalType::INT96 => Some(StoredAs::Int96),
        // The condition by which the reader decides whether to look at the bytes.
        PhysicalType::BYTE_ARRAY if column.converted_type() != ConvertedType::UTF8 => {
            (read.is_string() || read.is_binary()).then_some(StoredAs::UncheckedText)
        }
        _ => None,
    }
}

fn with_type(field: &FieldRef, data_type: DataType) -> FieldRef {
    if *field.data_type() == data_type {
        return FieldRef::clone(field);
    }
    Arc::new(Field::clone(field).with_data_type(data_type))
}

#[cfg(test)]
mod tests {
    use ::bytes::Bytes;
    use ::parquet::arrow::ArrowWriter;
    use ::parquet::arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
    };
    use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
    use datafusion::arrow::array::RecordBatch;
    use datafusion::arrow::compute::{cast, concat_batches};
    use datafusion::arrow::datatypes::SchemaRef;
    use datafusion::arrow::json::ReaderBuilder;

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
        let mut no_leaves = std::iter::empty();
        let mut fields = schema.fields().iter();
        fields.any(|field| hinted(field, &mut no_leaves) != *field)
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
            let footer = prepared(Arc::clone(own.metadata())).unwrap();
            let again = prepared(Arc::clone(&footer)).unwrap();
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
