//! The reusable buffer that whole files are decompressed into.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

/// The headroom of a new buffer, as a multiple of the size of the file that needs it.
const GROWTH: usize = 2;

/// The interval at which one who waits looks whether the text is still wanted.
const RECHECK: Duration = Duration::from_millis(50);

/// A limit on the memory of an [`InflateBuffer`]. Dropping it releases what it has reserved.
pub trait Reservation: Send {
    /// Raises the reservation to at least `bytes` in total, and never lowers it. Returns false, and
    /// reserves nothing more, if the limit does not allow it.
    fn try_reserve_total(&mut self, bytes: usize) -> bool;
}

/// The single buffer that a reader decompresses whole files into.
///
/// A buffer that is full of text is lent to the chunks cut from it, and returns when the last of
/// them is dropped: the page faults of fresh memory cost more than the decompression into it.
#[derive(Clone)]
pub struct InflateBuffer {
    slot: Arc<BufferSlot>,
    max_bytes: usize,
}

struct BufferSlot {
    state: Mutex<SlotState>,
    returned: Condvar,
}

struct SlotState {
    /// `None` while the buffer is taken or lent.
    buffer: Option<Vec<u8>>,
    reservation: Box<dyn Reservation>,
}

impl InflateBuffer {
    /// Creates an empty buffer of at most `max_bytes`, whose memory is reserved by `reservation`.
    pub fn new(max_bytes: usize, reservation: Box<dyn Reservation>) -> Self {
        let state = SlotState {
            buffer: Some(Vec::new()),
            reservation,
        };
        Self {
            slot: Arc::new(BufferSlot {
                state: Mutex::new(state),
                returned: Condvar::new(),
            }),
            max_bytes,
        }
    }

    /// Returns the maximum capacity, in bytes.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Takes the buffer, empty and with at least `capacity` bytes. Blocks until it is returned, or until
    /// the text `is_unwanted`: a piece that is sent just while its receiver goes away stays in the channel
    /// as long as there is a sender, and the one who waits here may be that sender.
    ///
    /// Returns `None` if the text is unwanted, if the capacity exceeds the maximum, or if the reservation
    /// does not allow for it and for `compressed_bytes`, the memory that the caller holds meanwhile.
    pub fn take(
        &self,
        capacity: usize,
        compressed_bytes: usize,
        is_unwanted: impl Fn() -> bool,
    ) -> Option<Vec<u8>> {
        if capacity > self.max_bytes {
            return None;
        }
        let mut state = self.slot.state.lock();
        let mut buffer = loop {
            match state.buffer.take() {
                Some(buffer) => break buffer,
                None if is_unwanted() => return None,
                None => {
                    self.slot.returned.wait_for(&mut state, RECHECK);
                }
            }
        };
        buffer.clear();
        if !state
            .reservation
            .try_reserve_total(capacity + compressed_bytes)
        {
            state.buffer = Some(buffer);
            return None;
        }
        if buffer.capacity() < capacity {
            // Memory that is never written to is free; growing again for each file is not.
            buffer = Vec::with_capacity(self.max_bytes.min(capacity.saturating_mul(GROWTH)));
        }
        Some(buffer)
    }

    /// Shares the contents of a taken buffer. The buffer returns with the last reference.
    pub fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(LentBuffer {
            buffer,
            slot: Arc::clone(&self.slot),
        })
    }

    /// Returns a taken buffer that is not lent.
    pub fn give_back(&self, buffer: Vec<u8>) {
        self.slot.put(buffer);
    }
}

impl BufferSlot {
    fn put(&self, buffer: Vec<u8>) {
        self.state.lock().buffer = Some(buffer);
        self.returned.notify_one();
    }
}

struct LentBuffer {
    buffer: Vec<u8>,
    slot: Arc<BufferSlot>,
}

impl AsRef<[u8]> for LentBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for LentBuffer {
    fn drop(&mut self) {
        self.slot.put(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A budget of a number of bytes, and what is reserved of it.
    struct TestBudget {
        limit: usize,
        reserved: Arc<AtomicUsize>,
    }

    impl Reservation for TestBudget {
        fn try_reserve_total(&mut self, bytes: usize) -> bool {
            if bytes > self.limit {
                return false;
            }
            self.reserved.fetch_max(bytes, Ordering::Relaxed);
            true
        }
    }

    impl Drop for TestBudget {
        fn drop(&mut self) {
            self.reserved.store(0, Ordering::Relaxed);
        }
    }

    /// The text is still wanted.
    fn wanted() -> bool {
        false
    }

    /// A buffer of at most 2000 bytes, and the bytes that it has reserved of `limit`.
    fn buffer_within(limit: usize) -> (InflateBuffer, impl Fn() -> usize) {
        let reserved = Arc::new(AtomicUsize::new(0));
        let budget = TestBudget {
            limit,
            reserved: Arc::clone(&reserved),
        };
        let buffer = InflateBuffer::new(2000, Box::new(budget));
        (buffer, move || reserved.load(Ordering::Relaxed))
    }

    #[test]
    fn the_buffer_returns_with_its_last_slice() {
        let (buffer, reserved) = buffer_within(3000);
        assert_eq!(buffer.take(2001, 0, wanted), None);
        let mut taken = buffer.take(1000, 0, wanted).unwrap();
        assert_eq!(reserved(), 1000);
        taken.extend_from_slice(b"text");
        let (address, lent) = (taken.as_ptr(), buffer.lend(taken));
        let slice = lent.slice(1..);
        drop(lent);
        let waiter = std::thread::spawn({
            let buffer = buffer.clone();
            move || {
                buffer
                    .take(1000, 0, wanted)
                    .map(|again| (again.as_ptr().addr(), again.len()))
            }
        });
        assert_eq!(slice, "ext");
        drop(slice);
        assert_eq!(waiter.join().unwrap(), Some((address.addr(), 0)));
    }

    #[test]
    fn nobody_waits_for_a_buffer_once_its_text_is_unwanted() {
        let (buffer, _) = buffer_within(3000);
        let lent = buffer.lend(buffer.take(1000, 0, wanted).unwrap());
        let looks = AtomicUsize::new(0);
        let third_look = || looks.fetch_add(1, Ordering::Relaxed) == 2;
        assert_eq!(buffer.take(1000, 0, third_look), None);
        drop(lent);
        assert!(buffer.take(1000, 0, || true).is_some());
    }

    #[test]
    fn a_file_that_is_a_little_larger_fits_into_the_same_buffer() {
        let (buffer, reserved) = buffer_within(3000);
        let taken = buffer.take(600, 0, wanted).unwrap();
        let address = taken.as_ptr();
        assert_eq!(reserved(), 600);
        buffer.give_back(taken);
        let again = buffer.take(1000, 0, wanted).unwrap();
        assert_eq!(again.as_ptr(), address);
        assert_eq!(reserved(), 1000);
    }

    #[test]
    fn an_exhausted_budget_gives_no_buffer() {
        let (buffer, reserved) = buffer_within(1500);
        assert_eq!(buffer.take(1000, 600, wanted), None);
        assert!(buffer.take(1000, 400, wanted).is_some());
        assert_eq!(reserved(), 1400);
        drop(buffer);
        assert_eq!(reserved(), 0);
    }
}
