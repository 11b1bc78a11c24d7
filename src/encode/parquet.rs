//! Parquet: row groups of about 128 MiB or 1 M rows, statistics a page, 3-level lists.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};

/// Dictionary, page buffers and compressor of one leaf column, in bytes; measured on event tables
/// with a few thousand rows a file.
const LEAF_MEMORY: usize = 48 * 1024;

pub struct ParquetEncoder {
    writer: ArrowWriter<Vec<u8>>,
}

/// The compression of columns that say nothing else.
pub fn compression(properties: &WriterProperties) -> String {
    let name = match properties.compression(&ColumnPath::from("")) {
        Compression::UNCOMPRESSED => "uncompressed",
        Compression::SNAPPY => "snappy",
        Compression::GZIP(_) => "gzip",
        Compression::LZO => "lzo",
        Compression::BROTLI(_) => "brotli",
        Compression::LZ4 => "lz4",
        Compression::ZSTD(_) => "zstd",
        Compression::LZ4_RAW => "lz4_raw",
    };
    name.to_owned()
}

/// Memory of a file that has just been opened, in bytes.
pub fn opening_memory(schema: &SchemaRef) -> usize {
    fn leaves(data_type: &DataType) -> usize {
        match data_type {
            DataType::Struct(fields) => fields.iter().map(|f| leaves(f.data_type())).sum(),
            DataType::List(item) => leaves(item.data_type()),
            _ => 1,
        }
    }
    let columns = schema.fields().iter();
    LEAF_MEMORY * columns.map(|f| leaves(f.data_type())).sum::<usize>()
}

impl ParquetEncoder {
    pub fn new(schema: &SchemaRef, properties: &WriterProperties) -> Result<Self> {
        // The types say all there is to say: Arrow's own copy of the schema would only repeat them.
        let options = ArrowWriterOptions::new()
            .with_properties(properties.clone())
            .with_skip_arrow_metadata(true);
        let schema = SchemaRef::clone(schema);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options);
        let writer = writer.map_err(|error| {
            Error::invalid("the columns or options do not fit into Parquet").with_source(error)
        })?;
        Ok(Self { writer })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer
            .write(batch)
            .map_err(|error| Error::data("cannot write rows as Parquet").with_source(error))
    }

    pub fn ready(&self) -> usize {
        self.writer.inner().len()
    }

    /// The writer counts its bytes itself, so what it has written may leave the buffer at any time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.inner_mut())
    }

    pub fn pending(&self) -> usize {
        self.writer.in_progress_size()
    }

    pub fn memory(&self) -> usize {
        self.writer.memory_size() + self.writer.inner().capacity()
    }

    pub fn end_row_group(&mut self) -> Result<()> {
        self.writer
            .flush()
            .map_err(|error| Error::data("cannot write rows as Parquet").with_source(error))
    }

    pub fn finish(mut self) -> Result<(Vec<u8>, u64)> {
        let metadata = self
            .writer
            .finish()
            .map_err(|error| Error::internal("cannot end a Parquet file").with_source(error))?;
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        Ok((self.take(), rows))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    /// Bytes may be taken at any moment, and row groups ended at will: the file stays whole.
    #[test]
    fn bytes_taken_piecemeal_make_a_readable_file() {
        let numbers: Vec<i64> = (0..1000).collect();
        let batch = RecordBatch::try_from_iter([(
            "n",
            Arc::new(Int64Array::from(numbers)) as arrow::array::ArrayRef,
        )])
        .unwrap();
        let mut encoder =
            ParquetEncoder::new(&batch.schema(), &WriterProperties::default()).unwrap();
        let mut file = Vec::new();
        for _ in 0..3 {
            encoder.write(&batch).unwrap();
            encoder.end_row_group().unwrap();
            assert!(encoder.ready() > 0);
            file.extend(encoder.take());
            assert_eq!(encoder.ready(), 0);
        }
        let (last, rows) = encoder.finish().unwrap();
        assert_eq!(rows, 3000);
        file.extend(last);
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 3);
        let rows: usize = reader
            .build()
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .sum();
        assert_eq!(rows, 3000);
    }
}
