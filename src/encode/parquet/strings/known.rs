//! The numbers of values, by where the values lie.
//!
//! Rows that come from a dictionary page of Parquet share the bytes of a value that repeats: such a
//! value need not be hashed and compared again.

use std::ptr;

/// Slots of the table, a power of two: 12 KiB.
const SLOTS: usize = 512;

/// Shorter values lie in the views of their rows, each in a place of its own.
const LEAST_BYTES: usize = 13;

/// For fewer the table is not worth being made.
const LEAST_ROWS: usize = 1024;

/// After as many values of which hardly any was known, none is looked for any more.
const TRIAL: u32 = 512;

/// Of the values of one data page in one batch, some whose numbers are known.
///
/// A place says what value is there only as long as the batch lives: `'a` sees to that.
pub(super) struct Known<'a> {
    /// Empty, or `SLOTS`.
    slots: Vec<(&'a [u8], u32)>,
    data_page: u32,
    asked: u32,
    found: u32,
    is_off: bool,
}

impl<'a> Known<'a> {
    /// For a batch of `rows` rows.
    pub(super) fn new(rows: usize) -> Self {
        Self {
            slots: Vec::new(),
            data_page: 0,
            asked: 0,
            found: 0,
            is_off: rows < LEAST_ROWS,
        }
    }

    /// Begins with nothing where `data_page` is another one: each page has bounds of its own.
    pub(super) fn begin(&mut self, data_page: u32) {
        if self.data_page != data_page && !self.is_off {
            self.data_page = data_page;
            self.slots.clear();
            self.slots.resize(SLOTS, (&[], 0));
        }
    }

    /// The number of a value of the data page, if it is known.
    #[inline(always)]
    pub(super) fn number(&mut self, value: &'a [u8]) -> Option<u32> {
        if self.is_off || value.len() < LEAST_BYTES {
            return None;
        }
        self.asked += 1;
        let (place, number) = self.slots.get(slot(value))?;
        if ptr::eq(*place, value) {
            self.found += 1;
            return Some(*number);
        }
        if self.asked >= TRIAL {
            self.is_off = self.found < TRIAL / 4;
            (self.asked, self.found) = (0, 0);
        }
        None
    }

    #[inline(always)]
    pub(super) fn add(&mut self, value: &'a [u8], number: u32) {
        if self.is_off || value.len() < LEAST_BYTES {
            return;
        }
        if let Some(slot) = self.slots.get_mut(slot(value)) {
            *slot = (value, number);
        }
    }
}

#[inline(always)]
fn slot(value: &[u8]) -> usize {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let place = (value.as_ptr() as u64).wrapping_mul(SPREAD);
    (place >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_in_its_place_and_page_only() {
        let text = b"one value of many, one value of many".as_slice();
        let (first, alike) = (&text[..17], &text[19..]);
        assert_eq!(first, alike);
        let mut known = Known::new(LEAST_ROWS);
        known.begin(1);
        assert_eq!(known.number(first), None);
        known.add(first, 7);
        assert_eq!(known.number(first), Some(7));
        assert_eq!(known.number(alike), None);
        assert_eq!(known.number(&text[..16]), None);
        known.begin(1);
        assert_eq!(known.number(first), Some(7));
        known.begin(2);
        assert_eq!(known.number(first), None);
    }

    #[test]
    fn where_places_do_not_repeat_none_is_looked_for() {
        let text = vec![b'x'; 100_000];
        let mut known = Known::new(LEAST_ROWS);
        known.begin(1);
        for value in text.chunks(20) {
            assert_eq!(known.number(value), None);
            known.add(value, 1);
        }
        assert!(known.is_off);
        let last = text.chunks(20).next_back().unwrap();
        assert_eq!(known.number(last), None);
    }
}
