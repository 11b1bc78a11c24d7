//! The strings of a batch in one leaf column, and the definition level of each row.

use std::ops::Range;

use arrow::array::{Array, StringViewArray};
use arrow::buffer::NullBuffer;

/// The number of rows whose values are passed on together.
const BLOCK: usize = 256;

/// The strings of a batch, with the nulls of the structs that contain them.
#[derive(Debug)]
pub(crate) struct StringLeaf {
    strings: StringViewArray,
    levels: Levels,
}

/// The nulls of a struct, or of the strings themselves.
#[derive(Debug, Clone)]
pub(crate) struct LevelNulls {
    /// The definition level of a row that is null here and in no outer struct.
    pub(crate) level: u8,
    pub(crate) nulls: NullBuffer,
}

/// The definition levels of all rows.
#[derive(Debug)]
struct Levels {
    /// The level of rows with a value, the maximum.
    value_level: u8,
    by_row: LevelsByRow,
    /// True if parquet-rs would write the levels out one by one; it then ends pages at other rows.
    is_materialized: bool,
}

#[derive(Debug)]
enum LevelsByRow {
    Same(u8),
    Each(Vec<u8>),
}

impl StringLeaf {
    /// Makes the leaf of `strings`.
    ///
    /// `outer_nulls` are those of the structs that contain the strings, the outermost first;
    /// `value_level` is the definition level of a value.
    pub(crate) fn new(
        strings: StringViewArray,
        outer_nulls: &[LevelNulls],
        value_level: u8,
    ) -> Self {
        let own_nulls = strings.nulls().map(|nulls| LevelNulls {
            level: value_level.saturating_sub(1),
            nulls: nulls.clone(),
        });
        let levels = match value_level {
            0 => Levels {
                value_level,
                by_row: LevelsByRow::Same(0),
                is_materialized: true,
            },
            _ => Levels::new(strings.len(), outer_nulls, own_nulls.as_ref(), value_level),
        };
        Self { strings, levels }
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> usize {
        self.strings.len()
    }

    /// Returns true if parquet-rs would write the levels out one by one.
    pub(super) fn is_materialized(&self) -> bool {
        self.levels.is_materialized
    }

    /// Returns the levels of `rows`.
    pub(super) fn levels(&self, rows: &Range<usize>) -> RowLevels<'_> {
        match &self.levels.by_row {
            LevelsByRow::Same(level) => RowLevels::Same(*level, rows.len()),
            LevelsByRow::Each(levels) => {
                RowLevels::Each(levels.get(rows.clone()).unwrap_or_default())
            }
        }
    }

    /// Returns the number of `rows` that have a value.
    pub(super) fn count(&self, rows: &Range<usize>) -> usize {
        let value_level = self.levels.value_level;
        match self.levels(rows) {
            RowLevels::Same(level, rows) if level == value_level => rows,
            RowLevels::Same(..) => 0,
            RowLevels::Each(levels) => levels.iter().filter(|it| **it == value_level).count(),
        }
    }

    /// Passes all values of `rows` to `sink`.
    pub(super) fn feed(&self, rows: &Range<usize>, sink: &mut impl ValueSink) {
        let value = |row: usize| match row < self.strings.len() {
            true => self.strings.value(row).as_bytes(),
            false => &[],
        };
        match self.levels(rows) {
            RowLevels::Same(level, count) if level == self.levels.value_level => {
                sink.put_all(count, rows.clone().map(value));
            }
            RowLevels::Same(..) => (),
            RowLevels::Each(levels) => {
                // The rows with a value are found without branches, which would be unpredictable.
                for (block, block_levels) in levels.chunks(BLOCK).enumerate() {
                    let mut valid = [0; BLOCK];
                    let mut count = 0;
                    for (row, level) in block_levels.iter().enumerate() {
                        if let Some(next) = valid.get_mut(count) {
                            *next = row;
                        }
                        count += usize::from(*level == self.levels.value_level);
                    }
                    let valid_rows = valid.get(..count).unwrap_or_default();
                    let first = rows.start + block * BLOCK;
                    sink.put_all(count, valid_rows.iter().map(|row| value(first + row)));
                }
            }
        }
    }

    /// Returns the number of the `count` values of `rows` that fit into `budget` bytes, including the
    /// one that exceeds it; a value takes 4 bytes more than its length.
    pub(super) fn fitting(&self, rows: &Range<usize>, count: usize, budget: usize) -> usize {
        // A view begins with the length of its value.
        let views = self.strings.views().get(rows.clone()).unwrap_or_default();
        let max_bytes: usize = views.iter().map(|view| *view as u32 as usize).sum();
        if max_bytes + 4 * count <= budget {
            return count;
        }
        let mut fitting = FittingValues {
            budget,
            bytes: 0,
            values: 0,
        };
        self.feed(rows, &mut fitting);
        fitting.values
    }
}

/// The definition levels of some rows.
pub(super) enum RowLevels<'a> {
    /// The level that all rows share, and the number of rows.
    Same(u8, usize),
    Each(&'a [u8]),
}

/// A consumer of the values of some rows.
pub(super) trait ValueSink {
    /// Takes `values`, at most `max` of them.
    fn put_all<'a>(&mut self, max: usize, values: impl Iterator<Item = &'a [u8]>);
}

/// Counts the values that fit into a budget of bytes.
struct FittingValues {
    budget: usize,
    bytes: usize,
    values: usize,
}

impl ValueSink for FittingValues {
    fn put_all<'a>(&mut self, _: usize, values: impl Iterator<Item = &'a [u8]>) {
        for value in values {
            if self.bytes > self.budget {
                return;
            }
            self.values += 1;
            self.bytes += value.len() + 4;
        }
    }
}

impl Levels {
    fn new(
        rows: usize,
        outer_nulls: &[LevelNulls],
        own_nulls: Option<&LevelNulls>,
        value_level: u8,
    ) -> Self {
        let mut all_nulls = outer_nulls.iter().chain(own_nulls);
        if all_nulls.all(|nulls| nulls.nulls.null_count() == 0) {
            return Self {
                value_level,
                by_row: LevelsByRow::Same(value_level),
                is_materialized: own_nulls.is_some(),
            };
        }
        // The level of the outermost null is final, so it is written last.
        let mut levels = vec![value_level; rows];
        if let Some(own) = own_nulls {
            own.mark(&mut levels);
        }
        let has_own_value = own_nulls.is_some_and(|own| own.nulls.null_count() < rows);
        let mut reaches_strings = has_own_value;
        if !outer_nulls.is_empty() {
            // The rows in which no struct is null, whether or not the string is.
            let mut structs = vec![value_level; rows];
            for nulls in outer_nulls.iter().rev() {
                nulls.mark(&mut levels);
                nulls.mark(&mut structs);
            }
            reaches_strings &= structs.contains(&value_level);
        }
        let by_row = match levels.split_first() {
            Some((first, rest)) if rest.iter().all(|level| level == first) => {
                LevelsByRow::Same(*first)
            }
            _ => LevelsByRow::Each(levels),
        };
        Self {
            value_level,
            is_materialized: reaches_strings || matches!(by_row, LevelsByRow::Each(_)),
            by_row,
        }
    }
}

impl LevelNulls {
    /// Sets the level of each row that is null.
    fn mark(&self, levels: &mut [u8]) {
        if self.nulls.null_count() == 0 {
            return;
        }
        let valid = self.nulls.inner().bit_chunks();
        for (word_levels, word) in levels.chunks_mut(64).zip(valid.iter_padded()) {
            for (row, level) in word_levels.iter_mut().enumerate() {
                if word >> row & 1 == 0 {
                    *level = self.level;
                }
            }
        }
    }
}
