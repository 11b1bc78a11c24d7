//! The text of a file, as it grows.

/// What is copied at once where a short piece is: copying a fixed number of bytes and keeping some
/// of them is faster than copying just those.
const CHUNK: usize = 32;

/// A text grows to its double, but by at least and at most this, in bytes: many texts are short, and
/// many are there at once.
const LEAST_GROWTH: usize = 16 << 10;
const MOST_GROWTH: usize = 256 << 10;

/// Bytes of JSON. They are kept initialised beyond their end, so that short pieces go in by copies
/// of fixed size.
#[derive(Debug, Default)]
pub struct Text {
    bytes: Vec<u8>,
    len: usize,
}

impl Text {
    /// A text that is not going to grow before it has `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity],
            len: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }

    /// At least `size` bytes that may be overwritten, at the end of the text.
    #[inline(always)]
    fn room(&mut self, size: usize) -> &mut [u8] {
        if self.bytes.len() - self.len < size {
            self.grow(size);
        }
        &mut self.bytes[self.len..]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, size: usize) {
        let initialised = self.bytes.len();
        let growth = initialised.clamp(LEAST_GROWTH, MOST_GROWTH);
        let wanted = (self.len + size).max(initialised + growth);
        self.bytes.reserve_exact(wanted - initialised);
        self.bytes.resize(wanted, 0);
    }

    #[inline(always)]
    pub fn byte(&mut self, byte: u8) {
        self.room(1)[0] = byte;
        self.len += 1;
    }

    /// Replaces a byte that was written before.
    #[inline(always)]
    pub fn replace(&mut self, at: usize, byte: u8) {
        self.bytes[at] = byte;
    }

    #[inline(always)]
    pub fn slice(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The first `len` bytes of `chunk`.
    #[inline(always)]
    pub fn start_of<const SIZE: usize>(&mut self, chunk: &[u8; SIZE], len: usize) {
        self.room(SIZE)[..SIZE].copy_from_slice(chunk);
        self.len += len;
    }

    /// `source[start..end]`; faster than [`Text::slice`] where more bytes follow in `source`.
    #[inline(always)]
    pub fn part_of(&mut self, source: &[u8], start: usize, end: usize) {
        let len = end - start;
        let from = &source[start..];
        if len <= CHUNK
            && let Some(chunk) = from.first_chunk::<CHUNK>()
        {
            self.start_of(chunk, len);
        } else if len <= 4 * CHUNK
            && let Some(chunk) = from.first_chunk::<{ 4 * CHUNK }>()
        {
            self.start_of(chunk, len);
        } else {
            self.slice(&from[..len]);
        }
    }

    /// What `write` writes at the start of the `size` bytes it is given; it returns how many.
    #[inline(always)]
    pub fn with(&mut self, size: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let written = write(self.room(size));
        self.len += written;
    }

    /// What `write` appends to a vector; for what is rare.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.truncate(self.len);
        write(&mut self.bytes);
        self.len = self.bytes.len();
    }
}
