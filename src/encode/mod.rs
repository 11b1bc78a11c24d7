//! Record batches to the bytes of one file. Bytes only: no store, no engine.

mod deflate;
mod gzip;
mod json;
mod parquet;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use serde::Serialize;

use crate::encode::json::JsonEncoder;
use crate::encode::parquet::ParquetEncoder;
use crate::error::{Error, Result};
use crate::layout::FileFormat;

pub use gzip::{Block, Gzip, GzipLevel, Member};
pub use json::{LineWriter, Text};
pub use parquet::ParquetSettings;

/// A row group smaller than this is not worth ending to relieve memory, in bytes.
const LEAST_ROW_GROUP: usize = 1 << 20;

/// How the files of a table are encoded.
#[derive(Debug, Clone)]
pub enum Encoding {
    /// One JSON object a line, gzip.
    Json(Gzip),
    Parquet(Box<ParquetSettings>),
}

impl Encoding {
    pub fn format(&self) -> FileFormat {
        match self {
            Encoding::Json(_) => FileFormat::Json,
            Encoding::Parquet(_) => FileFormat::Parquet,
        }
    }

    /// The name of the compression, in lower case.
    pub fn compression(&self) -> String {
        match self {
            Encoding::Json(_) => "gzip".to_owned(),
            Encoding::Parquet(settings) => parquet::compression(&settings.properties),
        }
    }

    /// Memory that a file takes as soon as it is open, in bytes; a generous guess.
    pub fn opening_memory(&self, schema: &SchemaRef) -> usize {
        match self {
            Encoding::Json(_) => json::OPENING_MEMORY,
            Encoding::Parquet(settings) => parquet::opening_memory(schema, settings),
        }
    }
}

/// A whole gzip file of JSON lines.
pub fn json_lines<T: Serialize>(rows: &[T]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)
            .map_err(|error| Error::internal("cannot write JSON lines").with_source(error))?;
        text.push(b'\n');
    }
    Gzip::new(GzipLevel::default()).compress(&text)
}

/// An open file: takes batches, gives bytes.
pub enum Encoder {
    Json(Box<JsonEncoder>),
    Parquet(Box<ParquetEncoder>),
}

impl Encoder {
    pub fn new(encoding: &Encoding, schema: &SchemaRef) -> Result<Self> {
        Ok(match encoding {
            Encoding::Json(gzip) => Encoder::Json(Box::new(JsonEncoder::new(gzip, schema))),
            Encoding::Parquet(settings) => {
                Encoder::Parquet(Box::new(ParquetEncoder::new(schema, settings)))
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

    /// Takes the next block to be compressed, wherever there is a processor for it. Its member must
    /// be given back to [`Encoder::append`], after those of the blocks taken before.
    pub fn take_block(&mut self) -> Option<Block> {
        match self {
            Encoder::Json(encoder) => encoder.take_block(),
            Encoder::Parquet(_) => None,
        }
    }

    /// Appends the compressed form of a block that was taken.
    pub fn append(&mut self, member: &Member) {
        if let Encoder::Json(encoder) = self {
            encoder.append(member);
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

    /// About what would be added to the file, beyond the bytes finished so far, if it ended now.
    pub fn pending(&self) -> usize {
        match self {
            Encoder::Json(encoder) => encoder.pending(),
            Encoder::Parquet(encoder) => encoder.pending(),
        }
    }

    /// Memory held, in bytes; that of blocks under way included.
    pub fn memory(&self) -> usize {
        match self {
            Encoder::Json(encoder) => encoder.memory(),
            Encoder::Parquet(encoder) => encoder.memory(),
        }
    }

    /// Gives up memory at some cost in file size, if that is worth it: ends the row group, or the
    /// block.
    pub fn relieve(&mut self) -> Result<()> {
        match self {
            Encoder::Json(encoder) => {
                encoder.end_block();
                Ok(())
            }
            Encoder::Parquet(encoder) if encoder.pending() >= LEAST_ROW_GROUP => {
                encoder.end_row_group()
            }
            Encoder::Parquet(_) => Ok(()),
        }
    }

    /// Ends the file, after all blocks that were taken are back, and gives its last bytes, and the rows that the format counted.
    pub fn finish(self) -> Result<(Vec<u8>, u64)> {
        match self {
            Encoder::Json(encoder) => encoder.finish(),
            Encoder::Parquet(encoder) => encoder.finish(),
        }
    }
}
