//! Parquet's hybrid of run lengths and bit packing, for numbers of up to 32 bits
//! (<https://parquet.apache.org/docs/file-format/data-pages/encodings/>, "RLE").
//!
//! Values are encoded in groups of eight: a group of equal values begins a run, which continues until
//! another value; all other groups are packed. Other writers do the same, and this one agrees with
//! parquet-rs byte by byte.

/// The number of values that are packed together.
const GROUP: usize = 8;

/// The maximum number of groups that a header of one byte can count.
const MAX_GROUPS: usize = 63;

/// Encodes a sequence, one slice after another.
///
/// Each call takes the output buffer, which must be the same until [`HybridRle::finish`].
#[derive(Debug)]
pub(super) struct HybridRle {
    /// The bits of a value.
    width: u8,
    /// The beginning of a group.
    pending: [u32; GROUP],
    pending_len: usize,
    /// The length of the run of `run_value`; 0 outside of a run.
    run: usize,
    run_value: u32,
    /// The number of packed groups after the header at `header`.
    groups: usize,
    /// The index of the header in the output.
    header: usize,
}

/// Returns the number of bits that numbers up to `max` need.
pub(super) fn bit_width(max: usize) -> u8 {
    (usize::BITS - max.leading_zeros()) as u8
}

/// Returns the maximum size of `values` numbers of `width` bits, in bytes.
pub(super) fn max_size(width: u8, values: usize) -> usize {
    let (groups, width) = (values.div_ceil(GROUP), usize::from(width));
    groups * (1 + width.max(width.div_ceil(8)))
}

impl HybridRle {
    /// Starts a sequence of values of `width` bits.
    pub(super) fn new(width: u8) -> Self {
        Self {
            width,
            pending: [0; GROUP],
            pending_len: 0,
            run: 0,
            run_value: 0,
            groups: 0,
            header: 0,
        }
    }

    /// Adds `value`, `count` times.
    pub(super) fn put_run(&mut self, out: &mut Vec<u8>, value: u32, mut count: usize) {
        if self.run > 0 {
            if value == self.run_value {
                self.run += count;
                return;
            }
            self.end_run(out);
        }
        while count > 0 {
            if self.pending_len == 0 && count >= GROUP {
                self.begin_run(out, value, count);
                return;
            }
            let end = GROUP.min(self.pending_len + count);
            count -= end - self.pending_len;
            for slot in self.pending.iter_mut().take(end).skip(self.pending_len) {
                *slot = value;
            }
            self.pending_len = end;
            if end == GROUP {
                self.pending_len = 0;
                if self.pending.iter().all(|one| *one == value) {
                    self.begin_run(out, value, GROUP + count);
                    return;
                }
                self.pack(out, self.pending);
            }
        }
    }

    /// Adds `values`.
    pub(super) fn put_all<T>(&mut self, out: &mut Vec<u8>, mut values: &[T])
    where
        T: Copy + PartialEq,
        u32: From<T>,
    {
        while let Some((&first, rest)) = values.split_first() {
            if self.run > 0 && u32::from(first) == self.run_value {
                let other = rest.iter().position(|value| *value != first);
                let (same, rest) = rest.split_at(other.unwrap_or(rest.len()));
                self.run += 1 + same.len();
                values = rest;
                continue;
            }
            match values.split_first_chunk::<GROUP>() {
                Some((group, rest)) if self.pending_len == 0 => {
                    self.end_run(out);
                    match group.iter().all(|value| *value == first) {
                        true => self.begin_run(out, first.into(), GROUP),
                        false => self.pack(out, group.map(u32::from)),
                    }
                    values = rest;
                }
                _ => {
                    self.put_run(out, first.into(), 1);
                    values = rest;
                }
            }
        }
    }

    /// Ends the sequence; the next value begins another.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.end_run(out);
        let pending = std::mem::take(&mut self.pending_len);
        let [first, ..] = self.pending;
        let is_run = self.pending.iter().take(pending).all(|one| *one == first);
        if pending > 0 && self.groups == 0 && is_run {
            self.begin_run(out, first, pending);
            self.end_run(out);
        } else if pending > 0 {
            for slot in self.pending.iter_mut().skip(pending) {
                *slot = 0;
            }
            self.pack(out, self.pending);
        }
        self.end_packed(out);
    }

    fn begin_run(&mut self, out: &mut [u8], value: u32, count: usize) {
        self.end_packed(out);
        self.run_value = value;
        self.run = count;
    }

    fn end_run(&mut self, out: &mut Vec<u8>) {
        if self.run == 0 {
            return;
        }
        let mut header = self.run << 1;
        while header >= 0x80 {
            out.push(header as u8 | 0x80);
            header >>= 7;
        }
        out.push(header as u8);
        let bytes = usize::from(self.width).div_ceil(8);
        out.extend(self.run_value.to_le_bytes().into_iter().take(bytes));
        self.run = 0;
    }

    fn pack(&mut self, out: &mut Vec<u8>, group: [u32; GROUP]) {
        if self.groups == 0 {
            self.header = out.len();
            out.push(0);
        }
        let width = usize::from(self.width);
        let (mut bits, mut filled) = (0u64, 0);
        for value in group {
            bits |= u64::from(value) << filled;
            filled += width;
            if filled >= 32 {
                out.extend_from_slice(&(bits as u32).to_le_bytes());
                bits >>= 32;
                filled -= 32;
            }
        }
        out.extend(bits.to_le_bytes().into_iter().take(filled / 8));
        self.groups += 1;
        if self.groups == MAX_GROUPS {
            self.end_packed(out);
        }
    }

    fn end_packed(&mut self, out: &mut [u8]) {
        if self.groups > 0
            && let Some(header) = out.get_mut(self.header)
        {
            *header = (self.groups << 1 | 1) as u8;
        }
        self.groups = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes the first `count` values.
    fn decoded(mut bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0usize, 0);
            while let Some((&byte, rest)) = bytes.split_first() {
                bytes = rest;
                header |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let width = usize::from(width);
            let number = |bits: &dyn Fn(usize) -> bool| -> u32 {
                (0..width).map(|bit| u32::from(bits(bit)) << bit).sum()
            };
            let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (at % 8) & 1 == 1;
            if header & 1 == 1 {
                let all = (header >> 1) * GROUP;
                values.extend((0..all).map(|n| number(&|at| bit(bytes, n * width + at))));
                bytes = &bytes[(header >> 1) * width..];
            } else {
                let value = number(&|at| bit(bytes, at));
                values.extend(std::iter::repeat_n(value, header >> 1));
                bytes = &bytes[width.div_ceil(8)..];
            }
        }
        assert!(bytes.is_empty() && values.len() < count + GROUP);
        values.truncate(count);
        values
    }

    /// Encodes runs, alternations and their borders, at once and in slices.
    #[test]
    fn what_is_put_is_read_back() {
        let mut random = fastrand::Rng::with_seed(7);
        for width in 0..=20u8 {
            let mut values: Vec<u32> = Vec::new();
            while values.len() < 3000 {
                let value = random.u32(..1 << width);
                let max_run = [1, 3, 20, 700][random.usize(..4)];
                values.extend(std::iter::repeat_n(value, random.usize(1..=max_run)));
            }
            let encode = |slices: &mut dyn Iterator<Item = &[u32]>| {
                let (mut hybrid, mut out) = (HybridRle::new(width), Vec::new());
                for slice in slices {
                    hybrid.put_all(&mut out, slice);
                }
                hybrid.finish(&mut out);
                out
            };
            let whole = encode(&mut [values.as_slice()].into_iter());
            assert_eq!(decoded(&whole, width, values.len()), values);
            assert!(whole.len() <= max_size(width, values.len()));
            assert_eq!(encode(&mut values.chunks(13)), whole);
            let (mut hybrid, mut out) = (HybridRle::new(width), Vec::new());
            for run in values.chunk_by(|a, b| a == b) {
                hybrid.put_run(&mut out, run[0], run.len());
            }
            hybrid.finish(&mut out);
            assert_eq!(out, whole);
        }
    }

    #[test]
    fn a_width_fits_its_largest_number() {
        assert_eq!(
            [0, 1, 2, 3, 4, 255, 256].map(bit_width),
            [0, 1, 2, 2, 3, 8, 9]
        );
    }
}
