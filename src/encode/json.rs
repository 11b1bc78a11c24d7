//! JSON lines, gzip: one object a line, UTF-8, NULL fields omitted, empty lists kept, timestamps
//! RFC 3339 in UTC, 64-bit integers as numbers. One gzip member, without name and time, so that
//! equal rows give equal bytes.

use arrow::array::RecordBatch;
use arrow::json::writer::{LineDelimited, Writer, WriterBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::{Error, Result};

/// zlib's window and hash tables.
const GZIP_MEMORY: usize = 320 * 1024;

/// zlib's state, and a batch's worth of compressed bytes.
pub const OPENING_MEMORY: usize = GZIP_MEMORY + 256 * 1024;

pub struct JsonEncoder {
    writer: Writer<GzEncoder<Vec<u8>>, LineDelimited>,
    rows: u64,
}

impl JsonEncoder {
    pub fn new(gzip_level: u32) -> Self {
        let gzip = GzEncoder::new(Vec::new(), Compression::new(gzip_level));
        let writer = WriterBuilder::new()
            .with_explicit_nulls(false)
            .build::<_, LineDelimited>(gzip);
        Self { writer, rows: 0 }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer
            .write(batch)
            .map_err(|error| Error::data("cannot write rows as JSON").with_source(error))
    }

    pub fn ready(&self) -> usize {
        self.writer.get_ref().get_ref().len()
    }

    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.get_mut().get_mut())
    }

    pub fn memory(&self) -> usize {
        GZIP_MEMORY + self.writer.get_ref().get_ref().capacity()
    }

    pub fn finish(mut self) -> Result<(Vec<u8>, u64)> {
        self.writer
            .finish()
            .map_err(|error| Error::data("cannot write rows as JSON").with_source(error))?;
        let gzip = self.writer.into_inner();
        let last = gzip
            .finish()
            .map_err(|error| Error::internal("cannot end a gzip stream").with_source(error))?;
        Ok((last, self.rows))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, StructArray,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::{Field, Int64Type};

    use super::*;

    fn text_of(batch: &RecordBatch) -> String {
        let mut encoder = JsonEncoder::new(6);
        encoder.write(batch).unwrap();
        let mut bytes = encoder.take();
        let (last, rows) = encoder.finish().unwrap();
        assert_eq!(rows, batch.num_rows() as u64);
        bytes.extend(last);
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn the_dialect_is_the_published_one() {
        let time =
            TimestampMicrosecondArray::from(vec![1_768_435_199_999_999, 1_768_435_200_000_000])
                .with_timezone("UTC");
        let segments = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), Some(9_007_199_254_740_993)]),
            Some(vec![]),
        ]);
        let client = StructArray::from(vec![
            (
                Arc::new(Field::new("title", arrow::datatypes::DataType::Utf8, true)),
                Arc::new(StringArray::from(vec![Some("<a> & \"b\"\n😀\\"), None])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("new", arrow::datatypes::DataType::Boolean, true)),
                Arc::new(BooleanArray::from(vec![None, Some(false)])) as ArrayRef,
            ),
        ]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("time", Arc::new(time)),
            ("segments", Arc::new(segments)),
            ("client", Arc::new(client)),
            ("id", Arc::new(Int64Array::from(vec![None, Some(-1)]))),
            ("score", Arc::new(Float64Array::from(vec![0.5, f64::NAN]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        assert_eq!(
            text_of(&batch),
            concat!(
                r#"{"time":"2026-01-14T23:59:59.999999Z","segments":[1,9007199254740993],"client":{"title":"<a> & \"b\"\n😀\\"},"score":0.5}"#,
                "\n",
                r#"{"time":"2026-01-15T00:00:00Z","segments":[],"client":{"new":false},"id":-1,"score":null}"#,
                "\n",
            )
        );
    }

    #[test]
    fn a_file_without_rows_is_readable() {
        let schema = arrow::datatypes::Schema::new(vec![Field::new(
            "a",
            arrow::datatypes::DataType::Int64,
            true,
        )]);
        assert_eq!(text_of(&RecordBatch::new_empty(Arc::new(schema))), "");
    }
}
