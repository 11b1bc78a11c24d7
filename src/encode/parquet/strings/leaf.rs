//! What a batch has for one column of strings: its values, and at which level each row is defined.

use std::ops::Range;

use arrow::array::{Array, StringViewArray};
use arrow::buffer::NullBuffer;

/// Rows whose values are handed on together.
const BLOCK: usize = 256;

/// The strings of a batch, with the nulls of the structs around them.
#[derive(Debug)]
pub struct StringLeaf {
    strings: StringViewArray,
    levels: Levels,
}

/// Nulls of a struct or of the strings themselves.
#[derive(Debug, Clone)]
pub(in super::super) struct Nulls {
    /// The definition level of a row that is null here, and not already further out.
    pub(in super::super) level: u8,
    pub(in super::super) nulls: NullBuffer,
}

/// The definition level of each row.
#[derive(Debug)]
struct Levels {
    /// What rows with a value have.
    most: u8,
    each: EachLevel,
    /// parquet-rs ends pages at other rows where it has written the levels out one by one.
    written_out: bool,
}

#[derive(Debug)]
enum EachLevel {
    Same(u8),
    Own(Vec<u8>),
}

impl StringLeaf {
    /// `around` are the nulls of the structs that the strings are in, from the outermost inwards;
    /// `most` is the definition level of a value.
    pub(in super::super) fn new(strings: StringViewArray, around: &[Nulls], most: u8) -> Self {
        let own = strings.nulls().map(|nulls| Nulls {
            level: most.saturating_sub(1),
            nulls: nulls.clone(),
        });
        let levels = match most {
            0 => Levels {
                most,
                each: EachLevel::Same(0),
                written_out: true,
            },
            _ => Levels::new(strings.len(), around, own.as_ref(), most),
        };
        Self { strings, levels }
    }

    pub(super) fn rows(&self) -> usize {
        self.strings.len()
    }

    pub(super) fn written_out(&self) -> bool {
        self.levels.written_out
    }

    /// The levels of `rows`.
    pub(super) fn levels(&self, rows: &Range<usize>) -> RowLevels<'_> {
        match &self.levels.each {
            EachLevel::Same(level) => RowLevels::Same(*level, rows.len()),
            EachLevel::Own(levels) => RowLevels::Own(levels.get(rows.clone()).unwrap_or_default()),
        }
    }

    /// How many of `rows` have a value.
    pub(super) fn count(&self, rows: &Range<usize>) -> usize {
        match self.levels(rows) {
            RowLevels::Same(level, rows) if level == self.levels.most => rows,
            RowLevels::Same(..) => 0,
            RowLevels::Own(levels) => levels.iter().filter(|it| **it == self.levels.most).count(),
        }
    }

    /// Calls `take` with all values of `rows`.
    pub(super) fn give(&self, rows: &Range<usize>, take: &mut impl TakeValues) {
        let value = |row: usize| match row < self.strings.len() {
            true => self.strings.value(row).as_bytes(),
            false => &[],
        };
        match self.levels(rows) {
            RowLevels::Same(level, count) if level == self.levels.most => {
                take.take(count, rows.clone().map(value));
            }
            RowLevels::Same(..) => (),
            RowLevels::Own(levels) => {
                // Which rows have a value is found without branches, that nobody could predict.
                for (block, levels) in levels.chunks(BLOCK).enumerate() {
                    let mut there = [0; BLOCK];
                    let mut count = 0;
                    for (row, level) in levels.iter().enumerate() {
                        if let Some(next) = there.get_mut(count) {
                            *next = row;
                        }
                        count += usize::from(*level == self.levels.most);
                    }
                    let there = there.get(..count).unwrap_or_default();
                    let first = rows.start + block * BLOCK;
                    take.take(count, there.iter().map(|row| value(first + row)));
                }
            }
        }
    }

    /// How many of the values of `rows`, of which there are `count`, fit into `budget` bytes, the
    /// one that crosses it included; a value takes 4 bytes more than it has.
    pub(super) fn fitting(&self, rows: &Range<usize>, count: usize, budget: usize) -> usize {
        // The length of a value is what its view begins with.
        let lengths = self.strings.views().get(rows.clone()).unwrap_or_default();
        let most: usize = lengths.iter().map(|view| *view as u32 as usize).sum();
        if most + 4 * count <= budget {
            return count;
        }
        let mut fit = Fit {
            budget,
            bytes: 0,
            values: 0,
        };
        self.give(rows, &mut fit);
        fit.values
    }
}

pub(super) enum RowLevels<'a> {
    /// One level for as many rows.
    Same(u8, usize),
    Own(&'a [u8]),
}

/// Takes the values of some rows.
pub(super) trait TakeValues {
    /// There are as many as `most` or fewer.
    fn take<'a>(&mut self, most: usize, values: impl Iterator<Item = &'a [u8]>);
}

struct Fit {
    budget: usize,
    bytes: usize,
    values: usize,
}

impl TakeValues for Fit {
    fn take<'a>(&mut self, _: usize, values: impl Iterator<Item = &'a [u8]>) {
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
    fn new(rows: usize, around: &[Nulls], own: Option<&Nulls>, most: u8) -> Self {
        let has_some = |nulls: &&Nulls| nulls.nulls.null_count() > 0;
        if !around.iter().chain(own).any(|nulls| has_some(&nulls)) {
            return Self {
                most,
                each: EachLevel::Same(most),
                written_out: own.is_some(),
            };
        }
        // Whatever the outermost null says stands, so it is written last.
        let mut levels = vec![most; rows];
        if let Some(own) = own {
            own.mark(&mut levels);
        }
        let own_levels = own.is_some_and(|own| own.nulls.null_count() < rows);
        let mut reached = own_levels;
        if !around.is_empty() {
            // Rows in which no struct is null, whatever the strings are.
            let mut structs = vec![most; rows];
            for nulls in around.iter().rev() {
                nulls.mark(&mut levels);
                nulls.mark(&mut structs);
            }
            reached &= structs.contains(&most);
        }
        let each = match levels.split_first() {
            Some((first, rest)) if rest.iter().all(|level| level == first) => {
                EachLevel::Same(*first)
            }
            _ => EachLevel::Own(levels),
        };
        Self {
            most,
            written_out: reached || matches!(each, EachLevel::Own(_)),
            each,
        }
    }
}

impl Nulls {
    /// Sets the level of each row that is null.
    fn mark(&self, levels: &mut [u8]) {
        if self.nulls.null_count() == 0 {
            return;
        }
        let valid = self.nulls.inner().bit_chunks();
        for (levels, valid) in levels.chunks_mut(64).zip(valid.iter_padded()) {
            for (row, level) in levels.iter_mut().enumerate() {
                if valid >> row & 1 == 0 {
                    *level = self.level;
                }
            }
        }
    }
}
