//! The text of a file, as it grows.

/// The bytes that are copied at once for a short string: copying a fixed number of bytes and keeping
/// some of them is faster than copying just those.
const CHUNK: usize = 32;

/// A text doubles when it is full, but grows by at least and at most this, in bytes: many texts are
/// short, and many are open at once.
const MIN_GROWTH: usize = 16 << 10;
const MAX_GROWTH: usize = 256 << 10;

/// A growing text of JSON.
///
/// Its bytes are kept initialised beyond their end, so that short strings are added by copies of
/// fixed size.
#[derive(Debug, Default)]
pub struct OutputText {
    bytes: Vec<u8>,
    len: usize,
}

impl OutputText {
    /// Creates an empty text that does not grow before it has `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity],
            len: 0,
        }
    }

    /// Returns the length, in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if the text has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns the bytes of the text.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }

    /// Returns at least `size` bytes after the end of the text, which may be overwritten.
    #[inline(always)]
    fn spare(&mut self, size: usize) -> &mut [u8] {
        if self.bytes.len() - self.len < size {
            self.grow(size);
        }
        &mut self.bytes[self.len..]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, size: usize) {
        let initialised = self.bytes.len();
        let growth = initialised.clamp(MIN_GROWTH, MAX_GROWTH);
        let grown = (self.len + size).max(initialised + growth);
        self.bytes.reserve_exact(grown - initialised);
        self.bytes.resize(grown, 0);
    }

    /// Appends a byte.
    #[inline(always)]
    pub fn push_byte(&mut self, byte: u8) {
        self.spare(1)[0] = byte;
        self.len += 1;
    }

    /// Replaces a byte that was written before.
    #[inline(always)]
    pub fn set_byte(&mut self, at: usize, byte: u8) {
        self.bytes[at] = byte;
    }

    /// Appends `bytes`.
    #[inline(always)]
    pub fn push_slice(&mut self, bytes: &[u8]) {
        self.spare(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends the first `len` bytes of `chunk`.
    #[inline(always)]
    pub fn push_prefix<const SIZE: usize>(&mut self, chunk: &[u8; SIZE], len: usize) {
        self.spare(SIZE)[..SIZE].copy_from_slice(chunk);
        self.len += len;
    }

    /// Appends `source[start..end]`; faster than [`OutputText::push_slice`] where more bytes follow
    /// in `source`.
    #[inline(always)]
    pub fn push_range(&mut self, source: &[u8], start: usize, end: usize) {
        let len = end - start;
        let from = &source[start..];
        if len <= CHUNK
            && let Some(chunk) = from.first_chunk::<CHUNK>()
        {
            self.push_prefix(chunk, len);
        } else if len <= 4 * CHUNK
            && let Some(chunk) = from.first_chunk::<{ 4 * CHUNK }>()
        {
            self.push_prefix(chunk, len);
        } else {
            self.push_slice(&from[..len]);
        }
    }

    /// Appends what `write` writes at the start of the `size` bytes it is given; it returns the
    /// number of bytes written.
    #[inline(always)]
    pub fn push_with(&mut self, size: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let written = write(self.spare(size));
        self.len += written;
    }

    /// Appends what `write` appends to a vector; for rare types.
    pub fn append_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.truncate(self.len);
        write(&mut self.bytes);
        self.len = self.bytes.len();
    }
}
