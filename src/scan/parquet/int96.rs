//! INT96 read as its 12 bytes.
//!
//! The reader converts INT96 to a count of one unit and wraps what does not fit, so that
//! 9999-12-31 becomes a time in 1816. Both types are stored as 12 bytes a value, in plain and in
//! dictionary pages, so a footer that declares bytes makes the reader return the values unchanged.

use std::sync::Arc;

use ::parquet::basic::Type as PhysicalType;
use ::parquet::errors::Result;
use ::parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, RowGroupMetaData,
};
use ::parquet::schema::types::{ColumnDescPtr, SchemaDescPtr, SchemaDescriptor, Type, TypePtr};

/// The size of a value, in bytes.
const INT96_BYTES: i32 = 12;

/// Returns true if a file has a column of the type.
pub(super) fn has_int96(schema: &SchemaDescriptor) -> bool {
    let mut columns = schema.columns().iter();
    columns.any(|column| column.physical_type() == PhysicalType::INT96)
}

/// Returns the footer with bytes in place of INT96, and without the statistics of these columns.
pub(super) fn with_int96_as_bytes(footer: &ParquetMetaData) -> Result<Arc<ParquetMetaData>> {
    let file = footer.file_metadata();
    let root = as_bytes(file.schema_descr().root_schema())?;
    let schema: SchemaDescPtr = Arc::new(SchemaDescriptor::new(root));
    let row_groups = footer
        .row_groups()
        .iter()
        .map(|group| row_group_as_bytes(group, &schema))
        .collect::<Result<Vec<_>>>()?;
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        schema,
        file.column_orders().cloned(),
    );
    let builder = ParquetMetaData::new(file, row_groups)
        .into_builder()
        .set_offset_index(footer.offset_index().cloned());
    Ok(Arc::new(builder.build()))
}

fn as_bytes(field: &Type) -> Result<TypePtr> {
    let info = field.get_basic_info();
    let id = info.has_id().then(|| info.id());
    let converted = match field {
        Type::PrimitiveType { physical_type, .. } if *physical_type == PhysicalType::INT96 => {
            Type::primitive_type_builder(field.name(), PhysicalType::FIXED_LEN_BYTE_ARRAY)
                .with_length(INT96_BYTES)
                .with_repetition(info.repetition())
                .with_id(id)
                .build()?
        }
        Type::PrimitiveType { .. } => field.clone(),
        Type::GroupType { fields, .. } => {
            let fields = fields.iter().map(|field| as_bytes(field));
            let builder = Type::group_type_builder(field.name())
                .with_fields(fields.collect::<Result<_>>()?)
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_id(id);
            match info.has_repetition() {
                true => builder.with_repetition(info.repetition()).build()?,
                false => builder.build()?,
            }
        }
    };
    Ok(Arc::new(converted))
}

fn row_group_as_bytes(
    group: &RowGroupMetaData,
    schema: &SchemaDescPtr,
) -> Result<RowGroupMetaData> {
    let columns = group.columns().iter().zip(schema.columns());
    let columns = columns.map(
        |(chunk, column)| match chunk.column_descr().physical_type() {
            PhysicalType::INT96 => chunk_as_bytes(chunk, column),
            _ => Ok(chunk.clone()),
        },
    );
    let mut builder = RowGroupMetaData::builder(Arc::clone(schema))
        .set_num_rows(group.num_rows())
        .set_total_byte_size(group.total_byte_size())
        .set_sorting_columns(group.sorting_columns().cloned())
        .set_column_metadata(columns.collect::<Result<_>>()?);
    if let Some(ordinal) = group.ordinal() {
        builder = builder.set_ordinal(ordinal);
    }
    if let Some(offset) = group.file_offset() {
        builder = builder.set_file_offset(offset);
    }
    builder.build()
}

fn chunk_as_bytes(
    chunk: &ColumnChunkMetaData,
    column: &ColumnDescPtr,
) -> Result<ColumnChunkMetaData> {
    ColumnChunkMetaData::builder(Arc::clone(column))
        .set_encodings_mask(*chunk.encodings_mask())
        .set_num_values(chunk.num_values())
        .set_compression_codec(chunk.compression_codec())
        .set_total_compressed_size(chunk.compressed_size())
        .set_total_uncompressed_size(chunk.uncompressed_size())
        .set_data_page_offset(chunk.data_page_offset())
        .set_index_page_offset(chunk.index_page_offset())
        .set_dictionary_page_offset(chunk.dictionary_page_offset())
        .set_offset_index_offset(chunk.offset_index_offset())
        .set_offset_index_length(chunk.offset_index_length())
        .build()
}
