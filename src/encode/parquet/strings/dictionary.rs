//! Values that repeat: each is written once, into the dictionary page, and has a number.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;

use foldhash::fast::RandomState;

use super::bounds::{Bounds, alike, value_at};
use super::leaf::TakeValues;
use super::rle::{Hybrid, most_bytes, width_of};

/// Bytes of a dictionary page that stays near the processor while other columns are written.
const NEAR_PAGE: usize = 32 << 10;

/// Values that are looked up side by side.
const BLOCK: usize = 32;

/// Slots of the first table.
const FIRST_SLOTS: usize = 64;

/// Bytes of the first buffer for values.
const FIRST_PAGE: usize = 1024;

/// Slots of the largest table of which three quarters stay free: 4 KiB.
const TINY_TABLE: usize = 256;

/// Slots of the largest table of which half stay free: 64 KiB.
const SMALL_TABLE: usize = 4096;

/// What the encoder of a dictionary column holds.
///
/// The table is made for caches that hold something else, as a run writes some thousand columns in
/// turn: a value that is known touches one slot and its bytes in the page. Slots keep the hash, so
/// that a table that grows never looks at a value.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// The values in the order of their first coming, each behind its length: the dictionary page.
    page: Vec<u8>,
    /// Open addressing, a power of two.
    slots: Vec<Slot>,
    values: usize,
    hashes: RandomState,
    numbers: Numbers,
    /// Bytes of the values of the data page.
    bytes: usize,
    /// Whether most values were the same as the one before, of late.
    repeats: bool,
    bounds: Option<Bounds>,
    /// The data page that is being filled, from 1 on.
    data_page: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    number: u32,
    /// The place of the value in the dictionary page.
    at: u32,
    /// The last data page that has the value: its bounds need no other look at it. 0 where the slot
    /// is free.
    seen: u32,
}

const FREE: Slot = Slot {
    hash: 0,
    number: 0,
    at: 0,
    seen: 0,
};

/// The numbers of the values of a data page; half as long as long as they are small.
#[derive(Debug)]
enum Numbers {
    Short(Vec<u16>),
    Long(Vec<u32>),
}

impl Dictionary {
    pub(super) fn new(with_bounds: bool) -> Self {
        Self {
            page: Vec::new(),
            slots: Vec::new(),
            values: 0,
            hashes: RandomState::default(),
            numbers: Numbers::Short(Vec::new()),
            bytes: 0,
            repeats: false,
            bounds: with_bounds.then(Bounds::default),
            data_page: 1,
        }
    }

    /// The dictionary page, and how many values it has.
    pub(super) fn page(&self) -> (&[u8], usize) {
        (&self.page, self.values)
    }

    pub(super) fn has_bounds(&self) -> bool {
        self.bounds.is_some()
    }

    fn width(&self) -> u8 {
        width_of(self.values.saturating_sub(1))
    }

    /// The most that the data page can take, in bytes.
    pub(super) fn data_page_size(&self) -> usize {
        1 + most_bytes(self.width(), self.numbers.len())
    }

    /// Appends the data page to `out`; gives the bytes of its values.
    pub(super) fn end_data_page(&mut self, out: &mut Vec<u8>) -> usize {
        let width = self.width();
        out.push(width);
        let mut hybrid = Hybrid::new(width);
        match &mut self.numbers {
            Numbers::Short(numbers) => {
                hybrid.put_all(out, numbers);
                numbers.clear();
            }
            Numbers::Long(numbers) => {
                hybrid.put_all(out, numbers);
                numbers.clear();
            }
        }
        hybrid.finish(out);
        self.data_page += 1;
        std::mem::take(&mut self.bytes)
    }

    pub(super) fn take_bounds(&mut self) -> Option<(&[u8], &[u8])> {
        self.bounds.as_mut()?.take(&self.page)
    }

    pub(super) fn memory(&self) -> usize {
        let numbers = match &self.numbers {
            Numbers::Short(numbers) => numbers.capacity() * size_of::<u16>(),
            Numbers::Long(numbers) => numbers.capacity() * size_of::<u32>(),
        };
        self.page.capacity() + self.slots.capacity() * size_of::<Slot>() + numbers
    }

    #[inline(always)]
    fn hash(&self, value: &[u8]) -> u32 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(value);
        hasher.finish() as u32
    }

    #[inline(always)]
    fn number(&mut self, value: &[u8], hash: u32) -> u32 {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = hash as usize;
        while let Some(slot) = self.slots.get_mut(place & mask) {
            if slot.seen == 0 {
                break;
            }
            if slot.hash == hash && alike(value_at(&self.page, slot.at as usize), value) {
                if slot.seen != self.data_page {
                    slot.seen = self.data_page;
                    if let Some(bounds) = &mut self.bounds {
                        bounds.add(&self.page, value, slot.at as usize);
                    }
                }
                return slot.number;
            }
            place += 1;
        }
        self.add(value, hash)
    }

    /// Adds the numbers of `values` to `numbers`.
    fn number_all<'a, T: Copy + PartialEq>(
        &mut self,
        values: impl Iterator<Item = &'a [u8]>,
        numbers: &mut Vec<T>,
        short: impl Fn(u32) -> T,
    ) {
        if self.page.len() > NEAR_PAGE && !self.repeats {
            return self.number_far(values, numbers, short);
        }
        let (mut all, mut same) = (0, 0);
        let mut last: Option<(&[u8], T)> = None;
        for value in values {
            self.bytes += value.len();
            let number = match last {
                Some((before, number)) if self.repeats && alike(before, value) => number,
                _ => short(self.number(value, self.hash(value))),
            };
            all += 1;
            same += usize::from(last.is_some_and(|(_, before)| before == number));
            last = Some((value, number));
            numbers.push(number);
        }
        // Where they are not, to look would cost more than it saves.
        self.repeats = same * 2 > all;
    }

    /// As [`Dictionary::number_all`] where most of the dictionary is in no cache near: the memory of
    /// some values is asked for at once.
    fn number_far<'a, T: Copy + PartialEq>(
        &mut self,
        mut values: impl Iterator<Item = &'a [u8]>,
        numbers: &mut Vec<T>,
        short: impl Fn(u32) -> T,
    ) {
        let (mut all, mut same, mut last) = (0, 0, None);
        loop {
            let mut block = [(&[] as &[u8], 0); BLOCK];
            let mut len = 0;
            for (place, value) in block.iter_mut().zip(values.by_ref()) {
                *place = (value, self.hash(value));
                len += 1;
            }
            let block = block.get(..len).unwrap_or_default();
            self.touch(block);
            for (value, hash) in block {
                self.bytes += value.len();
                let number = short(self.number(value, *hash));
                same += usize::from(last == Some(number));
                last = Some(number);
                numbers.push(number);
            }
            all += len;
            if len < BLOCK {
                break;
            }
        }
        self.repeats = same * 2 > all;
    }

    /// Brings the slots of values with their hashes near, and what these say of the page.
    fn touch(&self, block: &[(&[u8], u32)]) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut places = [0; BLOCK];
        for (place, (_, hash)) in places.iter_mut().zip(block) {
            let slot = self.slots.get(*hash as usize & mask);
            *place = slot.map_or(0, |slot| slot.at as usize);
        }
        let mut touched = 0;
        for (place, (value, _)) in places.iter().zip(block) {
            let last = self.page.get(place + value.len() + 3);
            touched |= self.page.get(*place).unwrap_or(&0) | last.unwrap_or(&0);
        }
        black_box(touched);
    }

    /// Adds a value that is not there.
    #[inline(never)]
    fn add(&mut self, value: &[u8], hash: u32) -> u32 {
        if self.values >= most_taken(self.slots.len()) {
            self.grow();
        }
        let slot = Slot {
            hash,
            number: self.values as u32,
            at: self.page.len() as u32,
            seen: self.data_page,
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
        slot.number
    }

    #[cold]
    fn grow(&mut self) {
        let times = if self.slots.len() < TINY_TABLE { 4 } else { 2 };
        let mut slots = vec![FREE; (times * self.slots.len()).max(FIRST_SLOTS)];
        for slot in self.slots.iter().filter(|slot| slot.seen > 0) {
            insert(&mut slots, *slot);
        }
        self.slots = slots;
    }
}

/// How many of the slots of a table may be taken. Small ones stay rather empty: where hardly any
/// search takes a second step, the processor foresees its end.
fn most_taken(slots: usize) -> usize {
    if slots <= TINY_TABLE {
        slots / 4
    } else if slots <= SMALL_TABLE {
        slots / 2
    } else {
        slots / 4 * 3
    }
}

/// Puts a slot whose value is not there into a table that has room.
fn insert(slots: &mut [Slot], new: Slot) {
    let mask = slots.len().wrapping_sub(1);
    let mut place = new.hash as usize;
    while let Some(slot) = slots.get_mut(place & mask) {
        if slot.seen == 0 {
            *slot = new;
            return;
        }
        place += 1;
    }
}

impl TakeValues for Dictionary {
    fn take<'a>(&mut self, most: usize, values: impl Iterator<Item = &'a [u8]>) {
        let mut numbers = std::mem::replace(&mut self.numbers, Numbers::Long(Vec::new()));
        if self.values + most > usize::from(u16::MAX) + 1 {
            numbers.lengthen();
        }
        match &mut numbers {
            Numbers::Short(numbers) => {
                numbers.reserve(most);
                self.number_all(values, numbers, |number| number as u16);
            }
            Numbers::Long(numbers) => {
                numbers.reserve(most);
                self.number_all(values, numbers, |number| number);
            }
        }
        self.numbers = numbers;
    }
}

impl Numbers {
    fn len(&self) -> usize {
        match self {
            Numbers::Short(numbers) => numbers.len(),
            Numbers::Long(numbers) => numbers.len(),
        }
    }

    fn lengthen(&mut self) {
        if let Numbers::Short(numbers) = self {
            *self = Numbers::Long(numbers.iter().copied().map(u32::from).collect());
        }
    }
}
