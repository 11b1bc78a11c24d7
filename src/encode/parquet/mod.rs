//! Parquet: row groups of about 64 MiB or 1 M rows, statistics a page, 3-level lists.

mod dictionary;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::iter::{
    IndexedParallelIterator, IntoParallelIterator, IntoParallelRefMutIterator, ParallelIterator,
};

use crate::error::{Error, Result};

/// Dictionary, page buffers and compressor of one leaf column, in bytes; measured on event tables
/// with a few thousand rows a file.
const LEAF_MEMORY: usize = 48 * 1024;

/// Fewer rows are not worth being encoded on several cores.
const ROWS_TO_SHARE: usize = 1024;

/// Fewer cores are kept busy by the files that are open side by side: handing columns around would
/// only cost (6 % of the CPU time of job A of `benches/peers` on two cores).
const CORES_TO_SHARE: usize = 3;

/// How Parquet files are written.
#[derive(Debug, Clone)]
pub struct ParquetSettings {
    pub properties: WriterProperties,
    /// Whether columns whose values hardly ever repeat go without a dictionary, whatever
    /// `properties` says of it.
    pub choose_dictionaries: bool,
}

pub struct ParquetEncoder {
    schema: SchemaRef,
    settings: ParquetSettings,
    /// There from the first row on.
    open: Option<OpenFile>,
}

/// A file that has begun.
struct OpenFile {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: ArrowRowGroupWriterFactory,
    group: Option<RowGroup>,
}

/// A row group that takes rows; its pages are in memory.
struct RowGroup {
    /// One for each leaf column, in the order of the schema.
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

impl RowGroup {
    /// Encodes the leaf columns of large batches side by side, on all cores.
    fn write(&mut self, schema: &Schema, batch: &RecordBatch) -> parquet::errors::Result<()> {
        self.rows += batch.num_rows();
        let mut leaves = Vec::with_capacity(self.columns.len());
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            leaves.extend(compute_leaves(field, column)?);
        }
        if batch.num_rows() < ROWS_TO_SHARE || rayon::current_num_threads() < CORES_TO_SHARE {
            let mut pairs = self.columns.iter_mut().zip(&leaves);
            return pairs.try_for_each(|(column, leaf)| column.write(leaf));
        }
        let pairs = self.columns.par_iter_mut().zip(&leaves);
        pairs.try_for_each(|(column, leaf)| column.write(leaf))
    }

    fn bytes(&self) -> usize {
        let columns = self.columns.iter();
        columns
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum()
    }

    fn memory(&self) -> usize {
        self.columns
            .iter()
            .map(ArrowColumnWriter::memory_size)
            .sum()
    }
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

impl OpenFile {
    fn new(schema: &SchemaRef, properties: WriterProperties) -> Result<Self> {
        // The types say all there is to say: Arrow's own copy of the schema would only repeat them.
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer =
            ArrowWriter::try_new_with_options(Vec::new(), SchemaRef::clone(schema), options);
        let writer = writer.and_then(ArrowWriter::into_serialized_writer);
        let (writer, columns) = writer.map_err(|error| {
            Error::invalid("the columns or options do not fit into Parquet").with_source(error)
        })?;
        Ok(Self {
            writer,
            columns,
            group: None,
        })
    }

    fn group(&mut self) -> Result<&mut RowGroup> {
        if self.group.is_none() {
            let number = self.writer.flushed_row_groups().len();
            let columns = self.columns.create_column_writers(number);
            let columns = columns.map_err(failed)?;
            self.group = Some(RowGroup { columns, rows: 0 });
        }
        let missing = || Error::internal("a row group was just begun");
        self.group.as_mut().ok_or_else(missing)
    }

    fn end_row_group(&mut self) -> Result<()> {
        let Some(open) = self.group.take() else {
            return Ok(());
        };
        // The buffer would else grow, and be copied, with each column.
        self.writer.inner_mut().reserve(open.bytes());
        let close = |columns: Vec<ArrowColumnWriter>| -> parquet::errors::Result<Vec<_>> {
            if open.rows < ROWS_TO_SHARE || rayon::current_num_threads() < CORES_TO_SHARE {
                return columns.into_iter().map(ArrowColumnWriter::close).collect();
            }
            let columns = columns.into_par_iter();
            columns.map(ArrowColumnWriter::close).collect()
        };
        let mut group = self.writer.next_row_group().map_err(failed)?;
        for chunk in close(open.columns).map_err(failed)? {
            chunk.append_to_row_group(&mut group).map_err(failed)?;
        }
        group.close().map_err(failed)?;
        Ok(())
    }
}

impl ParquetEncoder {
    pub fn new(schema: &SchemaRef, settings: &ParquetSettings) -> Self {
        Self {
            schema: SchemaRef::clone(schema),
            settings: settings.clone(),
            open: None,
        }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let properties = &self.settings.properties;
        let most_rows = properties.max_row_group_row_count().unwrap_or(usize::MAX);
        let most_bytes = properties.max_row_group_bytes().unwrap_or(usize::MAX);
        let file = match &mut self.open {
            Some(file) => file,
            None => {
                let properties = match self.settings.choose_dictionaries {
                    true => dictionary::chosen(properties, &self.schema, batch).map_err(failed)?,
                    false => properties.clone(),
                };
                self.open.insert(OpenFile::new(&self.schema, properties)?)
            }
        };
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let group = file.group()?;
            let fitting = rest
                .num_rows()
                .min(most_rows.saturating_sub(group.rows).max(1));
            let rows = rest.slice(0, fitting);
            rest = rest.slice(fitting, rest.num_rows() - fitting);
            group.write(&self.schema, &rows).map_err(failed)?;
            if group.rows >= most_rows || group.bytes() >= most_bytes {
                file.end_row_group()?;
            }
        }
        Ok(())
    }

    pub fn ready(&self) -> usize {
        let open = self.open.as_ref();
        open.map_or(0, |file| file.writer.inner().len())
    }

    /// The writer counts its bytes itself, so what it has written may leave the buffer at any time.
    pub fn take(&mut self) -> Vec<u8> {
        let open = self.open.as_mut();
        open.map_or_else(Vec::new, |file| std::mem::take(file.writer.inner_mut()))
    }

    pub fn pending(&self) -> usize {
        let group = self.open.as_ref().and_then(|file| file.group.as_ref());
        group.map_or(0, RowGroup::bytes)
    }

    pub fn memory(&self) -> usize {
        let Some(file) = &self.open else {
            return 0;
        };
        let group = file.group.as_ref().map_or(0, RowGroup::memory);
        group + file.writer.inner().capacity()
    }

    pub fn end_row_group(&mut self) -> Result<()> {
        match &mut self.open {
            Some(file) => file.end_row_group(),
            None => Ok(()),
        }
    }

    /// The last bytes, and the number of all rows.
    pub fn finish(mut self) -> Result<(Vec<u8>, u64)> {
        let mut file = match self.open.take() {
            Some(file) => file,
            None => OpenFile::new(&self.schema, self.settings.properties)?,
        };
        file.end_row_group()?;
        let metadata = file
            .writer
            .finish()
            .map_err(|error| Error::internal("cannot end a Parquet file").with_source(error))?;
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        Ok((std::mem::take(file.writer.inner_mut()), rows))
    }
}

fn failed(error: parquet::errors::ParquetError) -> Error {
    Error::data("cannot write rows as Parquet").with_source(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn settings(properties: WriterProperties) -> ParquetSettings {
        ParquetSettings {
            properties,
            choose_dictionaries: true,
        }
    }

    /// Bytes may be taken at any moment, and row groups ended at will: the file stays whole.
    #[test]
    fn bytes_taken_piecemeal_make_a_readable_file() {
        let numbers: Vec<i64> = (0..2000).collect();
        let batch = RecordBatch::try_from_iter([(
            "n",
            Arc::new(Int64Array::from(numbers)) as arrow::array::ArrayRef,
        )])
        .unwrap();
        let mut encoder =
            ParquetEncoder::new(&batch.schema(), &settings(WriterProperties::default()));
        let mut file = Vec::new();
        for _ in 0..3 {
            encoder.write(&batch).unwrap();
            encoder.end_row_group().unwrap();
            assert!(encoder.ready() > 0);
            file.extend(encoder.take());
            assert_eq!(encoder.ready(), 0);
        }
        let (last, rows) = encoder.finish().unwrap();
        assert_eq!(rows, 6000);
        file.extend(last);
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 3);
        let rows: usize = reader
            .build()
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .sum();
        assert_eq!(rows, 6000);
    }

    /// Columns encoded side by side make the same file as one after the other.
    #[test]
    fn rows_end_up_the_same_in_large_batches_and_small_ones() {
        let numbers: Vec<i64> = (0..10_000).collect();
        let lists = numbers.iter().map(|n| match n % 3 {
            0 => None,
            rest => Some((0..rest).map(|item| Some(n + item)).collect::<Vec<_>>()),
        });
        let lists = arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(
            lists.collect::<Vec<_>>(),
        );
        let columns: [(&str, arrow::array::ArrayRef); 2] = [
            ("n", Arc::new(Int64Array::from(numbers))),
            ("lists", Arc::new(lists)),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(4_000))
            .build();
        let read = |batch_rows: usize| -> RecordBatch {
            let mut encoder = ParquetEncoder::new(&batch.schema(), &settings(properties.clone()));
            for first in (0..batch.num_rows()).step_by(batch_rows) {
                let rows = batch_rows.min(batch.num_rows() - first);
                encoder.write(&batch.slice(first, rows)).unwrap();
            }
            let (file, rows) = encoder.finish().unwrap();
            assert_eq!(rows, 10_000);
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
            assert_eq!(reader.metadata().num_row_groups(), 3);
            let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
            arrow::compute::concat_batches(&batch.schema(), &batches).unwrap()
        };
        for batch_rows in [10_000, 1_500, 100] {
            assert_eq!(read(batch_rows), batch, "{batch_rows}");
        }
    }
}
