//! Bits of a DEFLATE stream: the first is the lowest of a byte (RFC 1951 §3.1.1).

/// The bits of a stream's last byte, as long as it is not full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) bits: u8,
    /// Less than 8.
    pub(super) count: u32,
}

/// Writes into bytes that are there already: a vector that may have to grow would cost a branch
/// and a call at each write.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    bytes: &'a mut [u8],
    /// Whole bytes written; narrower than an address, so that a sum with it is no overflow.
    at: u32,
    /// What is not in `bytes` for good; less than 8 bits after [`BitWriter::flush`].
    waiting: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// How many bits can be added between two flushes.
    pub(super) const ROOM: u32 = 56;
    /// Bytes that a flush writes to, though fewer may be full: `bytes` ends so much later.
    pub(super) const SLACK: usize = 8;

    pub(super) fn new(bytes: &'a mut [u8], rest: Rest) -> Self {
        Self {
            bytes,
            at: 0,
            waiting: u64::from(rest.bits),
            count: rest.count,
        }
    }

    /// Adds the lowest `count` bits of `bits`, whose other bits are 0.
    #[inline(always)]
    pub(super) fn add(&mut self, bits: u32, count: u32) {
        // The mask says to the compiler that the shift is a single instruction.
        self.waiting |= u64::from(bits) << (self.count & 63);
        self.count += count;
    }

    #[inline(always)]
    pub(super) fn flush(&mut self) {
        let at = self.at as usize;
        if let Some(to) = self.bytes.get_mut(at..at.wrapping_add(Self::SLACK)) {
            to.copy_from_slice(&self.waiting.to_le_bytes());
        }
        self.at += self.count >> 3;
        self.waiting >>= self.count & !7 & 63;
        self.count &= 7;
    }

    /// How many bytes are full, and what is in the next.
    pub(super) fn finish(mut self) -> (usize, Rest) {
        self.flush();
        let rest = Rest {
            bits: self.waiting as u8,
            count: self.count,
        };
        (self.at as usize, rest)
    }
}
