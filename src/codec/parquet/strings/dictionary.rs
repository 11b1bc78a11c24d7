//! Encodes repeating values: each is written once, into the dictionary page, and has an index.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;

use foldhash::fast::RandomState;

use super::bounds::{Bounds, is_equal, value_at};
use super::leaf::ValueSink;
use super::rle::{HybridRle, bit_width, max_size};

/// The maximum bytes of a dictionary page that stays in a near cache while other columns are written.
const MAX_CACHED_PAGE: usize = 32 << 10;

/// The number of values that are looked up together.
const BLOCK: usize = 32;

/// The number of slots of the first table.
const FIRST_SLOTS: usize = 64;

/// The bytes of the first buffer for values.
const FIRST_PAGE: usize = 1024;

/// The maximum slots of a table of which three quarters stay free: 4 KiB.
const MAX_TINY_TABLE: usize = 256;

/// The maximum slots of a table of which half stay free: 64 KiB.
const MAX_SMALL_TABLE: usize = 4096;

/// The encoder of a dictionary column.
///
/// The hash table is made for caches that hold something else, as a run writes thousands of columns
/// in turn: a known value touches one slot and its bytes in the page. Slots keep the hash, so that a
/// table that grows never reads a value.
#[derive(Debug)]
pub(super) struct DictionaryEncoder {
    /// The dictionary page: the values in the order of first occurrence, each after its length.
    page: Vec<u8>,
    /// The hash table, with open addressing; its size is a power of two.
    slots: Vec<Slot>,
    values: usize,
    hashes: RandomState,
    indices: Indices,
    /// The bytes of the values of the data page.
    bytes: usize,
    /// True if most of the latest values were equal to the one before.
    repeats: bool,
    bounds: Option<Bounds>,
    /// The number of the open data page, from 1 on.
    data_page: u32,
}

/// A slot of the hash table.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    index: u32,
    /// The offset of the value in the dictionary page.
    at: u32,
    /// The last data page that has the value, whose bounds need not be compared with it again; 0 if
    /// the slot is free.
    last_data_page: u32,
}

const FREE: Slot = Slot {
    hash: 0,
    index: 0,
    at: 0,
    last_data_page: 0,
};

/// The indices of the values of a data page, as u16 while they fit.
#[derive(Debug)]
enum Indices {
    U16(Vec<u16>),
    U32(Vec<u32>),
}

impl DictionaryEncoder {
    /// Creates an empty dictionary, which tracks the bounds of data pages if `with_bounds`.
    pub(super) fn new(with_bounds: bool) -> Self {
        Self {
            page: Vec::new(),
            slots: Vec::new(),
            values: 0,
            hashes: RandomState::default(),
            indices: Indices::U16(Vec::new()),
            bytes: 0,
            repeats: false,
            bounds: with_bounds.then(Bounds::default),
            data_page: 1,
        }
    }

    /// Returns the dictionary page and the number of its values.
    pub(super) fn page(&self) -> (&[u8], usize) {
        (&self.page, self.values)
    }

    /// Returns true if bounds are tracked.
    pub(super) fn has_bounds(&self) -> bool {
        self.bounds.is_some()
    }

    /// Returns the bits of an index.
    fn width(&self) -> u8 {
        bit_width(self.values.saturating_sub(1))
    }

    /// Returns the maximum size of the data page, in bytes.
    pub(super) fn data_page_size(&self) -> usize {
        1 + max_size(self.width(), self.indices.len())
    }

    /// Ends the data page and appends it to `out`; returns the bytes of its values.
    pub(super) fn end_data_page(&mut self, out: &mut Vec<u8>) -> usize {
        let width = self.width();
        out.push(width);
        let mut hybrid = HybridRle::new(width);
        match &mut self.indices {
            Indices::U16(indices) => {
                hybrid.put_all(out, indices);
                indices.clear();
            }
            Indices::U32(indices) => {
                hybrid.put_all(out, indices);
                indices.clear();
            }
        }
        hybrid.finish(out);
        self.data_page += 1;
        std::mem::take(&mut self.bytes)
    }

    /// Returns the bounds of the data page, if they are tracked and there are values.
    pub(super) fn take_bounds(&mut self) -> Option<(&[u8], &[u8])> {
        self.bounds.as_mut()?.take(&self.page)
    }

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        let index_bytes = match &self.indices {
            Indices::U16(indices) => indices.capacity() * size_of::<u16>(),
            Indices::U32(indices) => indices.capacity() * size_of::<u32>(),
        };
        self.page.capacity() + self.slots.capacity() * size_of::<Slot>() + index_bytes
    }

    #[inline(always)]
    fn hash(&self, value: &[u8]) -> u32 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(value);
        hasher.finish() as u32
    }

    /// Returns the index of a value, which is added if it is new.
    #[inline(always)]
    fn index(&mut self, value: &[u8], hash: u32) -> u32 {
        let mask = self.slots.len().wrapping_sub(1);
        let mut probe = hash as usize;
        while let Some(slot) = self.slots.get_mut(probe & mask) {
            if slot.last_data_page == 0 {
                break;
            }
            if slot.hash == hash && is_equal(value_at(&self.page, slot.at as usize), value) {
                if slot.last_data_page != self.data_page {
                    slot.last_data_page = self.data_page;
                    if let Some(bounds) = &mut self.bounds {
                        bounds.add(&self.page, value, slot.at as usize);
                    }
                }
                return slot.index;
            }
            probe += 1;
        }
        self.add(value, hash)
    }

    /// Adds the indices of `values` to `indices`.
    fn index_all<'a, T: Copy + PartialEq>(
        &mut self,
        values: impl Iterator<Item = &'a [u8]>,
        indices: &mut Vec<T>,
        narrow: impl Fn(u32) -> T,
    ) {
        if self.page.len() > MAX_CACHED_PAGE && !self.repeats {
            return self.index_all_prefetched(values, indices, narrow);
        }
        let (mut all, mut same) = (0, 0);
        let mut last: Option<(&[u8], T)> = None;
        for value in values {
            self.bytes += value.len();
            let index = match last {
                Some((before, index)) if self.repeats && is_equal(before, value) => index,
                _ => narrow(self.index(value, self.hash(value))),
            };
            all += 1;
            same += usize::from(last.is_some_and(|(_, before)| before == index));
            last = Some((value, index));
            indices.push(index);
        }
        // Otherwise the comparison would cost more than it saves.
        self.repeats = same * 2 > all;
    }

    /// Does the same as [`DictionaryEncoder::index_all`] for a dictionary that is in no near cache:
    /// the memory of a block of values is prefetched.
    fn index_all_prefetched<'a, T: Copy + PartialEq>(
        &mut self,
        mut values: impl Iterator<Item = &'a [u8]>,
        indices: &mut Vec<T>,
        narrow: impl Fn(u32) -> T,
    ) {
        let (mut all, mut same, mut last) = (0, 0, None);
        loop {
            let mut block = [(&[] as &[u8], 0); BLOCK];
            let mut len = 0;
            for (entry, value) in block.iter_mut().zip(values.by_ref()) {
                *entry = (value, self.hash(value));
                len += 1;
            }
            let filled = block.get(..len).unwrap_or_default();
            self.prefetch(filled);
            for (value, hash) in filled {
                self.bytes += value.len();
                let index = narrow(self.index(value, *hash));
                same += usize::from(last == Some(index));
                last = Some(index);
                indices.push(index);
            }
            all += len;
            if len < BLOCK {
                break;
            }
        }
        self.repeats = same * 2 > all;
    }

    /// Loads the slots of values, given with their hashes, and the values there into the cache.
    fn prefetch(&self, block: &[(&[u8], u32)]) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut offsets = [0; BLOCK];
        for (offset, (_, hash)) in offsets.iter_mut().zip(block) {
            let slot = self.slots.get(*hash as usize & mask);
            *offset = slot.map_or(0, |slot| slot.at as usize);
        }
        let mut touched = 0;
        for (offset, (value, _)) in offsets.iter().zip(block) {
            let last = self.page.get(offset + value.len() + 3);
            touched |= self.page.get(*offset).unwrap_or(&0) | last.unwrap_or(&0);
        }
        black_box(touched);
    }

    /// Adds a new value; returns its index.
    #[inline(never)]
    fn add(&mut self, value: &[u8], hash: u32) -> u32 {
        if self.values >= max_occupied(self.slots.len()) {
            self.grow();
        }
        let slot = Slot {
            hash,
            index: self.values as u32,
            at: self.page.len() as u32,
            last_data_page: self.data_page,
        };
        insert(&mut self.slots, slot);
        self.values += 1;
        if self.page.capacity() == 0 {
            self.page.reserve(FIRST_PAGE);
        }
        self.page
            .extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.page.extend_from_slice(value);
        if let Some(bounds) = &mut self.bounds {
            bounds.add(&self.page, value, slot.at as usize);
        }
        slot.index
    }

    #[cold]
    fn grow(&mut self) {
        let factor = if self.slots.len() < MAX_TINY_TABLE {
            4
        } else {
            2
        };
        let mut slots = vec![FREE; (factor * self.slots.len()).max(FIRST_SLOTS)];
        for slot in self.slots.iter().filter(|slot| slot.last_data_page > 0) {
            insert(&mut slots, *slot);
        }
        self.slots = slots;
    }
}

/// Returns the maximum number of occupied slots of a table.
///
/// Small ones stay rather empty: if hardly any search takes a second step, the processor predicts
/// its end.
fn max_occupied(slots: usize) -> usize {
    if slots <= MAX_TINY_TABLE {
        slots / 4
    } else if slots <= MAX_SMALL_TABLE {
        slots / 2
    } else {
        slots / 4 * 3
    }
}

/// Inserts the slot of a new value into a table that has room.
fn insert(slots: &mut [Slot], new: Slot) {
    let mask = slots.len().wrapping_sub(1);
    let mut probe = new.hash as usize;
    while let Some(slot) = slots.get_mut(probe & mask) {
        if slot.last_data_page == 0 {
            *slot = new;
            return;
        }
        probe += 1;
    }
}

impl ValueSink for DictionaryEncoder {
    fn put_all<'a>(&mut self, max: usize, values: impl Iterator<Item = &'a [u8]>) {
        let mut indices = std::mem::replace(&mut self.indices, Indices::U32(Vec::new()));
        if self.values + max > usize::from(u16::MAX) + 1 {
            indices.widen();
        }
        match &mut indices {
            Indices::U16(narrow) => {
                narrow.reserve(max);
                self.index_all(values, narrow, |index| index as u16);
            }
            Indices::U32(wide) => {
                wide.reserve(max);
                self.index_all(values, wide, |index| index);
            }
        }
        self.indices = indices;
    }
}

impl Indices {
    fn len(&self) -> usize {
        match self {
            Indices::U16(indices) => indices.len(),
            Indices::U32(indices) => indices.len(),
        }
    }

    fn widen(&mut self) {
        if let Indices::U16(indices) = self {
            *self = Indices::U32(indices.iter().copied().map(u32::from).collect());
        }
    }
}
