//! Columns of strings, most of what event tables have: byte by byte what parquet-rs makes of them,
//! in less time and memory.
//!
//! ```text
//! StringLeaf ─rows→ levels ─rle───────────────────┐
//!                └→ values ─dictionary | plain────┴→ page ─compress→ chunk ─close→ row group
//! ```
//! Each decision about where a page ends and when a dictionary is given up is taken at the same row
//! as there (`parquet::column::writer`), so its files can be held against these.

mod bounds;
mod chunk;
mod compress;
mod dictionary;
mod leaf;
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

use chunk::{Chunk, DataPage};
use compress::with_workshop;
use dictionary::Dictionary;
use leaf::RowLevels;
pub(super) use leaf::{Nulls, StringLeaf};
use pages::Pages;
use plain::Plain;
use rle::{Hybrid, width_of};

/// Dictionaries of more bytes are left to parquet-rs: places in them are kept in 32 bits.
const MOST_DICTIONARY: usize = 1 << 30;

/// Bytes of the length of the levels.
const LENGTH: usize = 4;

/// Whether [`StringColumn`] writes such a column. Of encryption nothing is asked, as no option of
/// dayport turns it on.
pub(super) fn applies(
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
        && properties.column_dictionary_page_size_limit(path) <= MOST_DICTIONARY
        && compress::is_known(properties.compression(path))
}

/// One column of a row group.
pub(super) struct StringColumn {
    limits: Limits,
    /// The definition level of a value.
    most_level: u8,
    page: OpenPage,
    values: Values,
    chunk: Chunk,
}

/// When a page ends.
#[derive(Debug)]
struct Limits {
    rows: usize,
    page_bytes: usize,
    dictionary_bytes: usize,
    /// Rows that are written before the others are looked at.
    step: usize,
}

/// What a data page has besides its values.
#[derive(Debug)]
struct OpenPage {
    rows: usize,
    nulls: usize,
    levels: Hybrid,
    /// Room for their length, and the levels.
    level_bytes: Vec<u8>,
    /// How many rows are at each level; empty where there is only one.
    histogram: Vec<i64>,
}

enum Values {
    Dictionary(Box<Dictionary>),
    Plain(Plain),
}

impl StringColumn {
    /// For a column that [`applies`].
    pub(super) fn new(column: &ColumnDescPtr, properties: &WriterProperties) -> Self {
        let path = column.path();
        let most_level = u8::try_from(column.max_def_level()).unwrap_or(0);
        let with_bounds = properties.statistics_enabled(path) != EnabledStatistics::None;
        let histogram = match most_level {
            0 => Vec::new(),
            most => vec![0; usize::from(most) + 1],
        };
        Self {
            limits: Limits {
                rows: properties.data_page_row_count_limit(),
                page_bytes: properties.column_data_page_size_limit(path),
                dictionary_bytes: properties.column_dictionary_page_size_limit(path),
                step: properties.write_batch_size(),
            },
            most_level,
            page: OpenPage {
                rows: 0,
                nulls: 0,
                levels: Hybrid::new(width_of(most_level.into())),
                level_bytes: vec![0; LENGTH],
                histogram,
            },
            values: match properties.dictionary_enabled(path) {
                true => Values::Dictionary(Box::new(Dictionary::new(with_bounds))),
                false => Values::Plain(Plain::new(
                    with_bounds,
                    properties.column_data_page_size_limit(path),
                )),
            },
            chunk: Chunk::new(ColumnDescPtr::clone(column), properties),
        }
    }

    pub(super) fn write(&mut self, leaf: &StringLeaf) -> Result<()> {
        let step = match leaf.written_out() {
            true => self.limits.step,
            false => self.limits.rows,
        };
        let mut first = 0;
        while first < leaf.rows() {
            let rows = first..leaf.rows().min(first + step.max(1));
            first = rows.end;
            let part = self.fitting(leaf, &rows);
            let mut from = rows.start;
            while from < rows.end {
                let to = rows.end.min(from + part);
                self.write_rows(leaf, from..to)?;
                from = to;
            }
        }
        Ok(())
    }

    /// Bytes that the column will have in the file, as far as can be said.
    pub(super) fn bytes(&self) -> usize {
        let open = match &self.values {
            Values::Dictionary(dictionary) => {
                dictionary.data_page_size() + dictionary.page().0.len()
            }
            Values::Plain(plain) => plain.data_page_size(),
        };
        self.chunk.bytes() + open
    }

    pub(super) fn memory(&self) -> usize {
        let values = match &self.values {
            Values::Dictionary(dictionary) => size_of::<Dictionary>() + dictionary.memory(),
            Values::Plain(plain) => plain.memory(),
        };
        size_of::<Self>() + self.page.level_bytes.capacity() + values + self.chunk.memory()
    }

    pub(super) fn close(mut self) -> Result<(Pages, ColumnCloseResult)> {
        self.end_page()?;
        if let Values::Dictionary(dictionary) = &self.values {
            with_workshop(|workshop| self.chunk.add_dictionary(workshop, dictionary.page()))?;
        }
        self.chunk.close()
    }

    /// After how many of `rows` the size of a page must be looked at, so that it does not grow far
    /// beyond its limit: that of the dictionary as long as there is one.
    fn fitting(&self, leaf: &StringLeaf, rows: &Range<usize>) -> usize {
        let budget = match &self.values {
            Values::Dictionary(dictionary) => {
                let used = dictionary.page().0.len();
                self.limits.dictionary_bytes.saturating_sub(used)
            }
            Values::Plain(_) => self.limits.page_bytes,
        };
        let count = leaf.count(rows);
        if count == 0 {
            return rows.len();
        }
        let fitting = leaf.fitting(rows, count, budget);
        (fitting * rows.len()).div_ceil(count).max(1)
    }

    fn write_rows(&mut self, leaf: &StringLeaf, rows: Range<usize>) -> Result<()> {
        self.page.add_rows(leaf.levels(&rows), self.most_level);
        match &mut self.values {
            Values::Dictionary(dictionary) => leaf.give(&rows, dictionary.as_mut()),
            Values::Plain(plain) => leaf.give(&rows, plain),
        }
        let page_bytes = match &self.values {
            Values::Dictionary(dictionary) => dictionary.data_page_size(),
            Values::Plain(plain) => plain.data_page_size(),
        };
        if self.page.rows >= self.limits.rows || page_bytes >= self.limits.page_bytes {
            self.end_page()?;
        }
        if let Values::Dictionary(dictionary) = &self.values
            && dictionary.page().0.len() >= self.limits.dictionary_bytes
        {
            self.give_dictionary_up()?;
        }
        Ok(())
    }

    fn give_dictionary_up(&mut self) -> Result<()> {
        self.end_page()?;
        if let Values::Dictionary(dictionary) = &self.values {
            with_workshop(|workshop| self.chunk.add_dictionary(workshop, dictionary.page()))?;
            self.values =
                Values::Plain(Plain::new(dictionary.has_bounds(), self.limits.page_bytes));
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<()> {
        if self.page.rows == 0 {
            return Ok(());
        }
        let (encoding, bounds) = match &mut self.values {
            Values::Dictionary(dictionary) => (Encoding::RLE_DICTIONARY, dictionary.take_bounds()),
            Values::Plain(plain) => (Encoding::PLAIN, plain.take_bounds()),
        };
        let statistics = self.chunk.describe(&DataPage {
            rows: self.page.rows,
            nulls: self.page.nulls,
            levels: &self.page.histogram,
            bounds,
        });
        with_workshop(|workshop| {
            let mut buffer = workshop.buffer();
            let levels = self.page.end_levels(self.most_level);
            let (raw, value_bytes) = match &mut self.values {
                Values::Dictionary(dictionary) => {
                    buffer.extend_from_slice(levels);
                    let value_bytes = dictionary.end_data_page(&mut buffer);
                    (buffer.as_slice(), value_bytes)
                }
                Values::Plain(plain) => {
                    let value_bytes = plain.value_bytes();
                    (plain.data_page(levels, &mut buffer), value_bytes)
                }
            };
            let rows = self.page.rows;
            self.chunk
                .add_data_page(workshop, raw, rows, encoding, value_bytes, statistics)?;
            workshop.keep(buffer);
            if let Values::Plain(plain) = &mut self.values {
                plain.begin_data_page();
            }
            self.page.begin();
            Ok(())
        })
    }
}

impl OpenPage {
    fn add_rows(&mut self, levels: RowLevels<'_>, most: u8) {
        match levels {
            RowLevels::Same(level, rows) => {
                self.rows += rows;
                if most > 0 {
                    self.levels
                        .put_run(&mut self.level_bytes, level.into(), rows);
                    self.count(level, rows);
                }
                if level < most {
                    self.nulls += rows;
                }
            }
            RowLevels::Own(levels) => {
                self.rows += levels.len();
                self.levels.put_all(&mut self.level_bytes, levels);
                for level in 0..=most {
                    let rows = levels.iter().filter(|one| **one == level).count();
                    self.count(level, rows);
                    if level < most {
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

    /// The levels behind their length; nothing where `most` is 0, as no row can be null.
    fn end_levels(&mut self, most: u8) -> &[u8] {
        if most == 0 {
            return &[];
        }
        self.levels.finish(&mut self.level_bytes);
        let len = self.level_bytes.len().saturating_sub(LENGTH) as u32;
        if let Some(length) = self.level_bytes.first_chunk_mut::<LENGTH>() {
            *length = len.to_le_bytes();
        }
        &self.level_bytes
    }

    fn begin(&mut self) {
        self.rows = 0;
        self.nulls = 0;
        self.level_bytes.truncate(LENGTH);
        self.histogram.fill(0);
    }
}
