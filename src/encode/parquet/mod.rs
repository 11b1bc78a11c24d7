//! Parquet: row groups of about 32 MiB or 1 M rows, statistics a page, 3-level lists.

mod dictionary;
mod leaves;
mod row_group;
mod strings;

use std::io::{Sink, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::encode::parquet::leaves::Leaves;
use crate::encode::parquet::row_group::RowGroup;
use crate::error::{Error, Result};

/// Dictionary, page buffers and compressor of one leaf column, in bytes; measured on event tables
/// with a few thousand rows a file.
const LEAF_MEMORY: usize = 48 * 1024;

/// The same of a column of strings, whose compressor is the thread's: 27 KiB where parquet-rs takes 49,
/// with 3,000 rows of agents, countries, campaigns with nulls and constants.
const STRING_LEAF_MEMORY: usize = 28 * 1024;

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
    leaves: Leaves,
    /// Makes the columns of [`Leaves::others`].
    others: ArrowRowGroupWriterFactory,
    group: Option<RowGroup>,
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
pub fn opening_memory(schema: &SchemaRef, settings: &ParquetSettings) -> usize {
    // A schema that does not fit into Parquet is refused where its first file begins.
    let Ok(columns) = ArrowSchemaConverter::new().convert(schema) else {
        return 0;
    };
    let leaves = Leaves::new(schema, &columns, &settings.properties);
    let strings = leaves.is_string().iter().filter(|it| **it).count();
    STRING_LEAF_MEMORY * strings + LEAF_MEMORY * (leaves.is_string().len() - strings)
}

impl OpenFile {
    fn new(schema: &SchemaRef, properties: &WriterProperties) -> Result<Self> {
        let (writer, _) = serialized(Vec::new(), schema, properties)?;
        let leaves = Leaves::new(schema, writer.schema_descr(), writer.properties());
        // Only for its columns: it is made by way of a file.
        let (_, others) = serialized(Sink::default(), leaves.others(), properties)?;
        Ok(Self {
            writer,
            leaves,
            others,
            group: None,
        })
    }

    fn group(&mut self) -> Result<&mut RowGroup> {
        if self.group.is_none() {
            let number = self.writer.flushed_row_groups().len();
            let properties = self.writer.properties();
            let group = RowGroup::new(&self.leaves, &self.others, properties, number);
            self.group = Some(group.map_err(failed)?);
        }
        let missing = || Error::internal("a row group was just begun");
        self.group.as_mut().ok_or_else(missing)
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.group()?;
        let group = self.group.as_mut();
        let written = group.map_or(Ok(()), |group| group.write(&self.leaves, rows));
        written.map_err(failed)
    }

    fn end_row_group(&mut self) -> Result<()> {
        let Some(open) = self.group.take() else {
            return Ok(());
        };
        // The buffer would else grow, and be copied, with each column.
        self.writer.inner_mut().reserve(open.bytes());
        open.append(&self.leaves, &mut self.writer).map_err(failed)
    }
}

/// What writes a file of `schema` into `to`, and what makes its columns.
fn serialized<W: Write + Send>(
    to: W,
    schema: &SchemaRef,
    properties: &WriterProperties,
) -> Result<(SerializedFileWriter<W>, ArrowRowGroupWriterFactory)> {
    // The types say all there is to say: Arrow's own copy of the schema would only repeat them.
    let options = ArrowWriterOptions::new()
        .with_properties(properties.clone())
        .with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(to, SchemaRef::clone(schema), options);
    writer
        .and_then(ArrowWriter::into_serialized_writer)
        .map_err(|error| {
            Error::invalid("the columns or options do not fit into Parquet").with_source(error)
        })
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
                self.open.insert(OpenFile::new(&self.schema, &properties)?)
            }
        };
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let group = file.group()?;
            let fitting = most_rows.saturating_sub(group.rows()).max(1);
            let rows = rest.slice(0, rest.num_rows().min(fitting));
            rest = rest.slice(rows.num_rows(), rest.num_rows() - rows.num_rows());
            file.write(&rows)?;
            let full = |group: &RowGroup| group.rows() >= most_rows || group.bytes() >= most_bytes;
            if file.group.as_ref().is_some_and(full) {
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
            None => OpenFile::new(&self.schema, &self.settings.properties)?,
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

    use arrow::array::{Int64Array, StringArray};
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
        let text = numbers
            .iter()
            .map(|n| (n % 5 > 0).then(|| format!("text {}", n % 700)));
        let text: StringArray = text.collect();
        let columns: [(&str, arrow::array::ArrayRef); 3] = [
            ("text", Arc::new(text)),
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
        for threads in [1, 2 * row_group::CORES_TO_SHARE] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                for batch_rows in [10_000, 1_500, 100] {
                    assert_eq!(read(batch_rows), batch, "{threads}, {batch_rows}");
                }
            });
        }
    }
}
