//! Whole gzip files inflated in one go by libdeflate, about twice as fast as in a stream.

use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use datafusion::execution::memory_pool::MemoryReservation;
use libdeflate_sys as ffi;

/// The least that a gzip member takes: header and trailer (RFC 1952).
const LEAST_MEMBER: usize = 18;

/// A buffer that is too small makes room for files so many times larger than the one at hand.
const GROWTH: usize = 2;

/// Deflate cannot do better than this.
const MOST_RATIO: u64 = 1032;

/// What the trailer of a gzip file says of its last member's length: with one member shorter than
/// 4 GiB, that of the whole text. `None` where the file can be no gzip, or cannot be that short.
pub(crate) fn inflated_size(stored: &[u8]) -> Option<usize> {
    if stored.len() < LEAST_MEMBER || !stored.starts_with(&[0x1f, 0x8b]) {
        return None;
    }
    let trailer: [u8; 4] = *stored.last_chunk()?;
    let size = u32::from_le_bytes(trailer);
    (u64::from(size) <= stored.len() as u64 * MOST_RATIO).then_some(size as usize)
}

/// libdeflate's decompressor. Allocated once, used for many files.
pub(crate) struct Inflater {
    decompressor: NonNull<ffi::libdeflate_decompressor>,
}

// SAFETY: the decompressor is plain memory that only its owner points to.
unsafe impl Send for Inflater {}

impl Inflater {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no arguments; a null pointer means that memory is short.
        let decompressor = unsafe { ffi::libdeflate_alloc_decompressor() };
        let decompressor = NonNull::new(decompressor).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { decompressor })
    }

    /// Inflates all members of `stored` into `text`, up to `most` bytes within its capacity.
    /// `false` if the data is damaged, cut off, or does not fit: whoever streams it finds out what
    /// is wrong.
    pub(crate) fn gzip(&mut self, mut stored: &[u8], text: &mut Vec<u8>, most: usize) -> bool {
        while !stored.is_empty() {
            let left = most.saturating_sub(text.len());
            let room = text.spare_capacity_mut();
            let fitting = room.len().min(left);
            let room = &mut room[..fitting];
            let (mut read, mut written) = (0, 0);
            // SAFETY: both buffers are valid for the lengths given with them, the outputs are
            // valid pointers, and the decompressor is exclusively ours.
            let result = unsafe {
                ffi::libdeflate_gzip_decompress_ex(
                    self.decompressor.as_ptr(),
                    stored.as_ptr().cast(),
                    stored.len(),
                    room.as_mut_ptr().cast(),
                    room.len(),
                    &raw mut read,
                    &raw mut written,
                )
            };
            if result != ffi::libdeflate_result_LIBDEFLATE_SUCCESS || read == 0 {
                return false;
            }
            // SAFETY: libdeflate has written this many bytes into the spare capacity.
            unsafe { text.set_len(text.len() + written) };
            stored = stored.get(read..).unwrap_or_default();
        }
        true
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, freed once.
        unsafe { ffi::libdeflate_free_decompressor(self.decompressor.as_ptr()) };
    }
}

/// The one buffer of a pass that is inflated into. It comes back when the last chunk cut from it is
/// decoded: fresh memory costs more than inflating into it.
#[derive(Clone)]
pub(crate) struct Buffer {
    home: Arc<Home>,
    most: usize,
}

struct Home {
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    /// `None` while it is lent.
    buffer: Option<Vec<u8>>,
    memory: MemoryReservation,
}

impl Buffer {
    /// A buffer of at most `most` bytes, accounted for in `memory`.
    pub(crate) fn new(most: usize, memory: MemoryReservation) -> Self {
        let state = State {
            buffer: Some(Vec::new()),
            memory,
        };
        Self {
            home: Arc::new(Home {
                state: Mutex::new(state),
                returned: Condvar::new(),
            }),
            most,
        }
    }

    /// How much it may hold.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// The buffer, empty and of at least `capacity`, once it is back; `None` if that is more than
    /// it may hold, or with what is held `beside` it more than the memory pool has. Blocks.
    pub(crate) fn take(&self, capacity: usize, beside: usize) -> Option<Vec<u8>> {
        if capacity > self.most {
            return None;
        }
        let mut state = self.home.lock();
        let mut buffer = loop {
            match state.buffer.take() {
                Some(buffer) => break buffer,
                None => state = self.home.wait(state),
            }
        };
        buffer.clear();
        let needed = capacity + beside;
        if state
            .memory
            .try_resize(needed.max(state.memory.size()))
            .is_err()
        {
            state.buffer = Some(buffer);
            return None;
        }
        if buffer.capacity() < capacity {
            // Memory that is not written to costs nothing; growing with each file, the most.
            buffer = Vec::with_capacity(self.most.min(capacity.saturating_mul(GROWTH)));
        }
        Some(buffer)
    }

    /// Shares what is in the buffer that was taken; it comes back with the last reference.
    pub(crate) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            buffer,
            home: Arc::clone(&self.home),
        })
    }

    /// Puts back what was taken.
    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        self.home.put(buffer);
    }
}

impl Home {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: a panic elsewhere cannot leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.returned
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, buffer: Vec<u8>) {
        self.lock().buffer = Some(buffer);
        self.returned.notify_one();
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Arc<Home>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(stored: &[u8], capacity: usize) -> Option<Vec<u8>> {
        // The buffer may be larger than what may be written.
        let mut text = Vec::with_capacity(2 * capacity);
        let whole = Inflater::new().unwrap().gzip(stored, &mut text, capacity);
        whole.then_some(text)
    }

    #[test]
    fn one_member_tells_its_length() {
        let text = "a line of text\n".repeat(1000);
        let stored = gzip(&text);
        let size = inflated_size(&stored).unwrap();
        assert_eq!(size, text.len());
        assert_eq!(inflate(&stored, size).unwrap(), text.as_bytes());
        assert_eq!(inflated_size(b"{}"), None);
        assert_eq!(inflated_size(&[0; 30]), None);
        let mut lying = stored;
        lying.truncate(30);
        lying.extend([255; 4]);
        assert_eq!(inflated_size(&lying), None);
    }

    #[test]
    fn all_members_are_read_or_none() {
        let members = [gzip("same"), gzip("size")].concat();
        assert_eq!(inflate(&members, 100).unwrap(), b"samesize");
        // The trailer tells of the last member only: the whole does not fit.
        assert_eq!(inflate(&members, inflated_size(&members).unwrap()), None);
    }

    #[test]
    fn damaged_data_is_not_inflated() {
        let stored = gzip(&"a line of text\n".repeat(1000));
        for length in 1..stored.len() {
            assert_eq!(inflate(&stored[..length], 1 << 16), None, "{length}");
        }
        let trailing = [gzip("one"), b"rest".to_vec()].concat();
        assert_eq!(inflate(&trailing, 1 << 16), None);
    }

    #[test]
    fn the_buffer_comes_home_with_its_last_slice() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(3000));
        let memory = MemoryConsumer::new("test").register(&pool);
        let buffer = Buffer::new(2000, memory);
        assert_eq!(buffer.take(2001, 0), None);
        let mut taken = buffer.take(1000, 0).unwrap();
        assert_eq!(pool.reserved(), 1000);
        taken.extend_from_slice(b"text");
        let (address, lent) = (taken.as_ptr(), buffer.lend(taken));
        let slice = lent.slice(1..);
        drop(lent);
        let waiting = std::thread::spawn({
            let buffer = buffer.clone();
            move || {
                buffer
                    .take(1000, 0)
                    .map(|again| (again.as_ptr().addr(), again.len()))
            }
        });
        assert_eq!(slice, "ext");
        drop(slice);
        assert_eq!(waiting.join().unwrap(), Some((address.addr(), 0)));
    }

    #[test]
    fn a_file_that_is_a_little_larger_fits_into_the_same_buffer() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(3000));
        let buffer = Buffer::new(2000, MemoryConsumer::new("test").register(&pool));
        let taken = buffer.take(600, 0).unwrap();
        let address = taken.as_ptr();
        assert_eq!(pool.reserved(), 600);
        buffer.give_back(taken);
        let again = buffer.take(1000, 0).unwrap();
        assert_eq!(again.as_ptr(), address);
        assert_eq!(pool.reserved(), 1000);
    }

    #[test]
    fn a_pool_that_has_no_more_gives_no_buffer() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1500));
        let buffer = Buffer::new(2000, MemoryConsumer::new("test").register(&pool));
        assert_eq!(buffer.take(1000, 600), None);
        assert!(buffer.take(1000, 400).is_some());
        assert_eq!(pool.reserved(), 1400);
        drop(buffer);
        assert_eq!(pool.reserved(), 0);
    }
}
