//! Record batches to the bytes of one file. Bytes only: no store, no engine.

mod json;
mod parquet;

use std::io::Write;

use ::parquet::file::properties::WriterProperties;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::encode::json::JsonEncoder;
use crate::encode::parquet::ParquetEncoder;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::layout::FileFormat;

/// How the files of a table are encoded.
#[derive(Debug, Clone)]
pub enum Encoding {
    /// One JSON object a line, gzip.
    Json {
        /// 0 to 9.
        gzip_level: u32,
    },
    Parquet(Box<WriterProperties>),
}

impl Encoding {
    pub fn format(&self) -> FileFormat {
        match self {
            Encoding::Json { .. } => FileFormat::Json,
            Encoding::Parquet(_) => FileFormat::Parquet,
        }
    }

    /// The name of the compression, in lower case.
    pub fn compression(&self) -> String {
        match self {
            Encoding::Json { .. } => "gzip".to_owned(),
            Encoding::Parquet(properties) => parquet::compression(properties),
        }
    }

    /// Memory that a file takes as soon as it is open, in bytes; a generous guess.
    pub fn opening_memory(&self, schema: &SchemaRef) -> usize {
        match self {
            Encoding::Json { .. } => json::OPENING_MEMORY,
            Encoding::Parquet(_) => parquet::opening_memory(schema),
        }
    }
}

/// A whole gzip file of JSON lines.
pub fn json_lines<T: Serialize>(rows: &[T]) -> Result<Vec<u8>> {
    let failed =
        |error: std::io::Error| Error::internal("cannot write JSON lines").with_source(error);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    for row in rows {
        serde_json::to_writer(&mut gzip, row).map_err(|error| failed(error.into()))?;
        gzip.write_all(b"\n").map_err(failed)?;
    }
    gzip.finish().map_err(failed)
}

/// An open file: takes batches, gives bytes.
pub enum Encoder {
    Json(Box<JsonEncoder>),
    Parquet(Box<ParquetEncoder>),
}

impl Encoder {
    pub fn new(encoding: &Encoding, schema: &SchemaRef) -> Result<Self> {
        Ok(match encoding {
            Encoding::Json { gzip_level } => Encoder::Json(Box::new(JsonEncoder::new(*gzip_level))),
            Encoding::Parquet(properties) => {
                Encoder::Parquet(Box::new(ParquetEncoder::new(schema, properties)?))
            }
        })
    }

    /// Encodes a batch of the schema given to [`Encoder::new`].
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Encoder::Json(encoder) => encoder.write(batch),
            Encoder::Parquet(encoder) => encoder.write(batch),
        }
    }

    /// How many finished bytes [`Encoder::take`] would give.
    pub fn ready(&self) -> usize {
        match self {
            Encoder::Json(encoder) => encoder.ready(),
            Encoder::Parquet(encoder) => encoder.ready(),
        }
    }

    /// Takes the finished bytes; they are the next bytes of the file.
    pub fn take(&mut self) -> Vec<u8> {
        match self {
            Encoder::Json(encoder) => encoder.take(),
            Encoder::Parquet(encoder) => encoder.take(),
        }
    }

    /// What would be added to the file, beyond the bytes finished so far, if it ended now.
    pub fn pending(&self) -> usize {
        match self {
            // deflate holds back less than a block.
            Encoder::Json(_) => 0,
            Encoder::Parquet(encoder) => encoder.pending(),
        }
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        match self {
            Encoder::Json(encoder) => encoder.memory(),
            Encoder::Parquet(encoder) => encoder.memory(),
        }
    }

    /// Gives up memory at some cost in file size: ends the row group.
    pub fn relieve(&mut self) -> Result<()> {
        match self {
            Encoder::Json(_) => Ok(()),
            Encoder::Parquet(encoder) => encoder.end_row_group(),
        }
    }

    /// Ends the file and gives its last bytes, and the rows that the format counted.
    pub fn finish(self) -> Result<(Vec<u8>, u64)> {
        match self {
            Encoder::Json(encoder) => encoder.finish(),
            Encoder::Parquet(encoder) => encoder.finish(),
        }
    }
}
