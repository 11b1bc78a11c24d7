//! Batches to the bytes of one Parquet file.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::codec::parquet::{FileWriter, dictionary_choice, opening_memory};
use crate::error::{Error, Result};
use crate::format::value_range::check_values;
use crate::format::{FileEncoder, FileEncoding, FileFormat};

/// The target size of a row group, in bytes; it ends here or at [`ROW_GROUP_ROWS`]. In event tables a
/// dictionary page of 1 MiB is full before a larger row group, whose rest would have no dictionary.
pub(crate) const ROW_GROUP_BYTES: usize = 32 << 20;

/// The maximum number of rows in a row group.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 20;

/// The minimum size of a row group that is worth ending to free memory, in bytes.
const MIN_ROW_GROUP: usize = 1 << 20;

/// The options of Parquet files.
#[derive(Debug, Clone)]
pub(crate) struct ParquetEncoding {
    pub properties: WriterProperties,
    /// True if columns whose values hardly ever repeat get no dictionary, whatever `properties` says.
    pub choose_dictionaries: bool,
}

impl FileEncoding for ParquetEncoding {
    fn format(&self) -> FileFormat {
        FileFormat::Parquet
    }

    /// Returns the compression of columns that have no option of their own.
    fn compression(&self) -> &'static str {
        match self.properties.compression(&ColumnPath::from("")) {
            Compression::UNCOMPRESSED => "uncompressed",
            Compression::SNAPPY => "snappy",
            Compression::GZIP(_) => "gzip",
            Compression::LZO => "lzo",
            Compression::BROTLI(_) => "brotli",
            Compression::LZ4 => "lz4",
            Compression::ZSTD(_) => "zstd",
            Compression::LZ4_RAW => "lz4_raw",
        }
    }

    fn opening_memory(&self, schema: &SchemaRef) -> usize {
        opening_memory(schema, &self.properties)
    }

    fn encoder(&self, schema: &SchemaRef) -> Result<Box<dyn FileEncoder>> {
        Ok(Box::new(ParquetEncoder {
            schema: SchemaRef::clone(schema),
            encoding: self.clone(),
            file: None,
        }))
    }
}

/// Encodes one Parquet file.
struct ParquetEncoder {
    schema: SchemaRef,
    encoding: ParquetEncoding,
    /// Opened by the first batch, which decides on the dictionaries.
    file: Option<FileWriter>,
}

impl FileEncoder for ParquetEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        check_values(batch)?;
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let ParquetEncoding {
                    properties,
                    choose_dictionaries,
                } = &self.encoding;
                let properties = match choose_dictionaries {
                    true => dictionary_choice::choose(properties, &self.schema, batch)
                        .map_err(cannot_write)?,
                    false => properties.clone(),
                };
                let file = FileWriter::new(&self.schema, &properties).map_err(does_not_fit)?;
                self.file.insert(file)
            }
        };
        file.write(batch).map_err(cannot_write)
    }

    fn ready(&self) -> usize {
        self.file.as_ref().map_or(0, FileWriter::ready)
    }

    fn take(&mut self) -> Vec<u8> {
        self.file.as_mut().map_or_else(Vec::new, FileWriter::take)
    }

    fn pending(&self) -> usize {
        self.file.as_ref().map_or(0, FileWriter::pending)
    }

    fn memory(&self) -> usize {
        self.file.as_ref().map_or(0, FileWriter::memory)
    }

    fn relieve(&mut self) -> Result<()> {
        match &mut self.file {
            Some(file) if file.pending() >= MIN_ROW_GROUP => {
                file.end_row_group().map_err(cannot_write)
            }
            _ => Ok(()),
        }
    }

    fn finish(self: Box<Self>) -> Result<(Vec<u8>, u64)> {
        let mut file = match self.file {
            Some(file) => file,
            None => {
                FileWriter::new(&self.schema, &self.encoding.properties).map_err(does_not_fit)?
            }
        };
        file.end_row_group().map_err(cannot_write)?;
        file.finish()
            .map_err(|error| Error::internal("cannot end a Parquet file").with_source(error))
    }
}

fn does_not_fit(error: ParquetError) -> Error {
    Error::invalid("the columns or options do not fit into Parquet").with_source(error)
}

fn cannot_write(error: ParquetError) -> Error {
    Error::data("cannot write rows as Parquet").with_source(error)
}
