//! Writes the bits of a DEFLATE stream: the first bit is the lowest of a byte (RFC 1951 §3.1.1).

/// The bits of a stream's last byte until it is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PartialByte {
    pub(super) bits: u8,
    /// The number of bits, less than 8.
    pub(super) count: u32,
}

/// Writes bits into a slice that is large enough: a vector that may have to grow would cost a branch
/// and a call at each write.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    bytes: &'a mut [u8],
    /// The number of whole bytes written; narrower than an address, so that adding to it cannot
    /// overflow.
    at: u32,
    /// The bits that are not written for good; less than 8 after [`BitWriter::flush`].
    buffer: u64,
    /// The number of bits in `buffer`.
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// The maximum number of bits that can be added between two flushes.
    pub(super) const ROOM: u32 = 56;
    /// The number of bytes that a flush writes, of which fewer may be full: `bytes` must end this
    /// many bytes after the last full one.
    pub(super) const SLACK: usize = 8;

    /// Starts after the bits of `partial`.
    pub(super) fn new(bytes: &'a mut [u8], partial: PartialByte) -> Self {
        Self {
            bytes,
            at: 0,
            buffer: u64::from(partial.bits),
            count: partial.count,
        }
    }

    /// Adds the lowest `count` bits of `bits`, whose other bits are 0.
    #[inline(always)]
    pub(super) fn add(&mut self, bits: u32, count: u32) {
        // With the mask the shift compiles to a single instruction.
        self.buffer |= u64::from(bits) << (self.count & 63);
        self.count += count;
    }

    /// Writes the buffered bits, and keeps those of the last byte if it is not full.
    #[inline(always)]
    pub(super) fn flush(&mut self) {
        let at = self.at as usize;
        if let Some(to) = self.bytes.get_mut(at..at.wrapping_add(Self::SLACK)) {
            to.copy_from_slice(&self.buffer.to_le_bytes());
        }
        self.at += self.count >> 3;
        self.buffer >>= self.count & !7 & 63;
        self.count &= 7;
    }

    /// Returns the number of full bytes, and the bits of the next one.
    pub(super) fn finish(mut self) -> (usize, PartialByte) {
        self.flush();
        let partial = PartialByte {
            bits: self.buffer as u8,
            count: self.count,
        };
        (self.at as usize, partial)
    }
}
