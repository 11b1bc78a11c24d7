//! Encodes columns of strings, which are most columns of event tables: byte by byte as parquet-rs
//! does, in less time and memory.
//!
//! ```text
//! StringLeaf ─rows→ levels ─rle───────────────────┐
//!                └→ values ─dictionary | plain────┴→ page ─compress→ chunk ─close→ row group
//! ```
//! A page ends, and a dictionary falls back to plain values, at the same row as in
//! `parquet::column::writer`, so that its files are the oracle of the tests.

mod bounds;
mod chunk;
mod dictionary;
mod leaf;
mod page_scratch;
mod pages;
mod plain;
mod rle;
mod statistics;
#[cfg(test)]
mod tests;

use std::ops::Range;

use arrow::datatypes::DataType;
use parquet::basic::{Encoding, LogicalType, Type};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use chunk::{ColumnChunk, DataPage};
use dictionary::DictionaryEncoder;
use leaf::RowLevels;
pub(super) use leaf::{LevelNulls, StringLeaf};
use page_scratch::with_scratch;
use pages::Pages;
use plain::PlainEncoder;
use rle::{HybridRle, bit_width};

/// The maximum size limit of a dictionary, in bytes, as offsets in it have 32 bits; larger ones are
/// left to parquet-rs.
const MAX_DICTIONARY: usize = 1 << 30;

/// The bytes of the length that precedes the levels.
const LEVELS_LENGTH: usize = 4;

/// Returns true if [`StringColumn`] supports the column with these properties.
///
/// Encryption is not checked: parquet-rs is built without it.
pub(super) fn supports(
    data_type: &DataType,
    column: &ColumnDescriptor,
    properties: &WriterProperties,
) -> bool {
    let path = column.path();
    *data_type == DataType::Utf8View
        && column.physical_type() == Type::BYTE_ARRAY
        && column.logical_type_ref() == Some(&LogicalType::String)
        && column.max_rep_level() == 0
        && (0..=i16::from(u8::MAX)).contains(&column.max_def_level())
        && properties.writer_version() == WriterVersion::PARQUET_1_0
        && matches!(properties.encoding(path), None | Some(Encoding::PLAIN))
        && properties.bloom_filter_properties(path).is_none()
        && properties.content_defined_chunking().is_none()
        && properties.column_dictionary_page_size_limit(path) <= MAX_DICTIONARY
        && page_scratch::is_supported(properties.compression(path))
}

/// One column of a row group.
pub(super) struct StringColumn {
    limits: PageLimits,
    /// The definition level of a value, the maximum.
    value_level: u8,
    page: OpenPage,
    values: ValueEncoder,
    chunk: ColumnChunk,
}

/// The limits at which a page ends.
#[derive(Debug)]
struct PageLimits {
    rows: usize,
    page_bytes: usize,
    dictionary_bytes: usize,
    /// The rows of a batch whose sizes are estimated at once.
    step: usize,
}

/// The rows of an open data page, without their values.
#[derive(Debug)]
struct OpenPage {
    rows: usize,
    nulls: usize,
    levels: HybridRle,
    /// Space for the length of the levels, then the levels.
    level_bytes: Vec<u8>,
    /// The number of rows at each level; empty if there is only one level.
    histogram: Vec<i64>,
}

enum ValueEncoder {
    DictionaryEncoder(Box<DictionaryEncoder>),
    PlainEncoder(PlainEncoder),
}

impl StringColumn {
    /// Opens a column that this encoder [`supports`].
    pub(super) fn new(column: &ColumnDescPtr, properties: &WriterProperties) -> Self {
        let path = column.path();
        let value_level = u8::try_from(column.max_def_level()).unwrap_or(0);
        let with_bounds = properties.statistics_enabled(path) != EnabledStatistics::None;
        let histogram = match value_level {
            0 => Vec::new(),
            max => vec![0; usize::from(max) + 1],
        };
        Self {
            limits: PageLimits {
                rows: properties.data_page_row_count_limit(),
                page_bytes: properties.column_data_page_size_limit(path),
                dictionary_bytes: properties.column_dictionary_page_size_limit(path),
                step: properties.write_batch_size(),
            },
            value_level,
            page: OpenPage {
                rows: 0,
                nulls: 0,
                levels: HybridRle::new(bit_width(value_level.into())),
                level_bytes: vec![0; LEVELS_LENGTH],
                histogram,
            },
            values: match properties.dictionary_enabled(path) {
                true => {
                    ValueEncoder::DictionaryEncoder(Box::new(DictionaryEncoder::new(with_bounds)))
                }
                false => ValueEncoder::PlainEncoder(PlainEncoder::new(
                    with_bounds,
                    properties.column_data_page_size_limit(path),
                )),
            },
            chunk: ColumnChunk::new(ColumnDescPtr::clone(column), properties),
        }
    }

    /// Encodes the strings of a batch.
    pub(super) fn write(&mut self, leaf: &StringLeaf) -> Result<()> {
        let step = match leaf.is_materialized() {
            true => self.limits.step,
            false => self.limits.rows,
        };
        let mut first = 0;
        while first < leaf.rows() {
            let rows = first..leaf.rows().min(first + step.max(1));
            first = rows.end;
            let fitting = self.fitting(leaf, &rows);
            let mut start = rows.start;
            while start < rows.end {
                let end = rows.end.min(start + fitting);
                self.write_rows(leaf, start..end)?;
                start = end;
            }
        }
        Ok(())
    }

    /// Estimates the bytes that the column will have in the file.
    pub(super) fn bytes(&self) -> usize {
        let open = match &self.values {
            ValueEncoder::DictionaryEncoder(dictionary) => {
                dictionary.data_page_size() + dictionary.page().0.len()
            }
            ValueEncoder::PlainEncoder(plain) => plain.data_page_size(),
        };
        self.chunk.bytes() + open
    }

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        let values = match &self.values {
            ValueEncoder::DictionaryEncoder(dictionary) => {
                size_of::<DictionaryEncoder>() + dictionary.memory()
            }
            ValueEncoder::PlainEncoder(plain) => plain.memory(),
        };
        size_of::<Self>() + self.page.level_bytes.capacity() + values + self.chunk.memory()
    }

    /// Ends the column; returns its pages and the metadata of its chunk.
    pub(super) fn close(mut self) -> Result<(Pages, ColumnCloseResult)> {
        self.end_page()?;
        if let ValueEncoder::DictionaryEncoder(dictionary) = &self.values {
            with_scratch(|scratch| self.chunk.add_dictionary(scratch, dictionary.page()))?;
        }
        self.chunk.close()
    }

    /// Returns the number of `rows` after which the size of the page must be checked, so that it does
    /// not grow far beyond its limit; while there is a dictionary, the limit is that of its page.
    fn fitting(&self, leaf: &StringLeaf, rows: &Range<usize>) -> usize {
        let budget = match &self.values {
            ValueEncoder::DictionaryEncoder(dictionary) => {
                let used = dictionary.page().0.len();
                self.limits.dictionary_bytes.saturating_sub(used)
            }
            ValueEncoder::PlainEncoder(_) => self.limits.page_bytes,
        };
        let count = leaf.count(rows);
        if count == 0 {
            return rows.len();
        }
        let fitting = leaf.fitting(rows, count, budget);
        (fitting * rows.len()).div_ceil(count).max(1)
    }

    fn write_rows(&mut self, leaf: &StringLeaf, rows: Range<usize>) -> Result<()> {
        self.page.add_rows(leaf.levels(&rows), self.value_level);
        match &mut self.values {
            ValueEncoder::DictionaryEncoder(dictionary) => leaf.feed(&rows, dictionary.as_mut()),
            ValueEncoder::PlainEncoder(plain) => leaf.feed(&rows, plain),
        }
        let page_bytes = match &self.values {
            ValueEncoder::DictionaryEncoder(dictionary) => dictionary.data_page_size(),
            ValueEncoder::PlainEncoder(plain) => plain.data_page_size(),
        };
        if self.page.rows >= self.limits.rows || page_bytes >= self.limits.page_bytes {
            self.end_page()?;
        }
        if let ValueEncoder::DictionaryEncoder(dictionary) = &self.values
            && dictionary.page().0.len() >= self.limits.dictionary_bytes
        {
            self.fall_back_to_plain()?;
        }
        Ok(())
    }

    /// Ends the dictionary, which has reached its limit; later values are plain.
    fn fall_back_to_plain(&mut self) -> Result<()> {
        self.end_page()?;
        if let ValueEncoder::DictionaryEncoder(dictionary) = &self.values {
            with_scratch(|scratch| self.chunk.add_dictionary(scratch, dictionary.page()))?;
            self.values = ValueEncoder::PlainEncoder(PlainEncoder::new(
                dictionary.has_bounds(),
                self.limits.page_bytes,
            ));
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<()> {
        if self.page.rows == 0 {
            return Ok(());
        }
        let (encoding, bounds) = match &mut self.values {
            ValueEncoder::DictionaryEncoder(dictionary) => {
                (Encoding::RLE_DICTIONARY, dictionary.take_bounds())
            }
            ValueEncoder::PlainEncoder(plain) => (Encoding::PLAIN, plain.take_bounds()),
        };
        let statistics = self.chunk.add_page_bounds(&DataPage {
            rows: self.page.rows,
            nulls: self.page.nulls,
            levels: &self.page.histogram,
            bounds,
        });
        with_scratch(|scratch| {
            let mut buffer = scratch.take_buffer();
            let levels = self.page.end_levels(self.value_level);
            let (raw, value_bytes) = match &mut self.values {
                ValueEncoder::DictionaryEncoder(dictionary) => {
                    buffer.extend_from_slice(levels);
                    let value_bytes = dictionary.end_data_page(&mut buffer);
                    (buffer.as_slice(), value_bytes)
                }
                ValueEncoder::PlainEncoder(plain) => {
                    let value_bytes = plain.value_bytes();
                    (plain.data_page(levels, &mut buffer), value_bytes)
                }
            };
            let rows = self.page.rows;
            self.chunk
                .add_data_page(scratch, raw, rows, encoding, value_bytes, statistics)?;
            scratch.return_buffer(buffer);
            if let ValueEncoder::PlainEncoder(plain) = &mut self.values {
                plain.begin_data_page();
            }
            self.page.begin();
            Ok(())
        })
    }
}

impl OpenPage {
    /// Adds the levels of some rows; `value_level` is that of a value.
    fn add_rows(&mut self, levels: RowLevels<'_>, value_level: u8) {
        match levels {
            RowLevels::Same(level, rows) => {
                self.rows += rows;
                if value_level > 0 {
                    self.levels
                        .put_run(&mut self.level_bytes, level.into(), rows);
                    self.count(level, rows);
                }
                if level < value_level {
                    self.nulls += rows;
                }
            }
            RowLevels::Each(levels) => {
                self.rows += levels.len();
                self.levels.put_all(&mut self.level_bytes, levels);
                for level in 0..=value_level {
                    let rows = levels.iter().filter(|one| **one == level).count();
                    self.count(level, rows);
                    if level < value_level {
                        self.nulls += rows;
                    }
                }
            }
        }
    }

    fn count(&mut self, level: u8, rows: usize) {
        if let Some(count) = self.histogram.get_mut(usize::from(level)) {
            *count += rows as i64;
        }
    }

    /// Ends the levels and returns them after their length; nothing if `value_level` is 0, as no row
    /// can be null.
    fn end_levels(&mut self, value_level: u8) -> &[u8] {
        if value_level == 0 {
            return &[];
        }
        self.levels.finish(&mut self.level_bytes);
        let len = self.level_bytes.len().saturating_sub(LEVELS_LENGTH) as u32;
        if let Some(length) = self.level_bytes.first_chunk_mut::<LEVELS_LENGTH>() {
            *length = len.to_le_bytes();
        }
        &self.level_bytes
    }

    /// Begins the next page.
    fn begin(&mut self) {
        self.rows = 0;
        self.nulls = 0;
        self.level_bytes.truncate(LEVELS_LENGTH);
        self.histogram.fill(0);
    }
}
