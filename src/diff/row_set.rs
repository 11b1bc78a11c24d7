//! The rows of one side as a multiset of hashes, from which the rows of the other side are taken away.

use datafusion::execution::memory_pool::MemoryReservation;

/// The bytes of a row in the set.
const ROW_BYTES: usize = size_of::<u128>() + 2 * size_of::<u32>();

/// The rows for which memory is reserved at first.
const FIRST_ROWS: usize = 1 << 13;

/// Collects the hashes of the rows of one side, as many as there is memory for.
#[derive(Debug)]
pub(super) struct RowSetBuilder {
    hashes: Vec<u128>,
    max_rows: usize,
    is_complete: bool,
    reservations: Vec<MemoryReservation>,
}

/// The rows of one side. Equal rows of the other side cancel them.
#[derive(Debug)]
pub(super) struct RowSet {
    /// Sorted, each once.
    hashes: Vec<u128>,
    /// The number of rows of each hash.
    rows: Vec<u32>,
    /// The number of them that are cancelled.
    cancelled: Vec<u32>,
    is_complete: bool,
    _reservations: Vec<MemoryReservation>,
}

impl RowSetBuilder {
    /// Creates an empty set that may take `max_bytes`, which are reserved in all of `reservations`.
    pub(super) fn new(max_bytes: usize, reservations: Vec<MemoryReservation>) -> Self {
        Self {
            hashes: Vec::new(),
            max_rows: (max_bytes / ROW_BYTES).max(1),
            is_complete: true,
            reservations,
        }
    }

    /// Adds a row. Beyond the memory, rows are left out.
    pub(super) fn push(&mut self, hash: u128) {
        if self.hashes.len() >= self.max_rows {
            self.is_complete = false;
            return;
        }
        if self.hashes.len() == self.hashes.capacity() {
            let rows = (2 * self.hashes.len()).clamp(FIRST_ROWS, self.max_rows.max(FIRST_ROWS));
            for reservation in &self.reservations {
                reservation.resize(rows * ROW_BYTES);
            }
            self.hashes.reserve_exact(rows - self.hashes.len());
        }
        self.hashes.push(hash);
    }

    pub(super) fn finish(mut self) -> RowSet {
        self.hashes.sort_unstable();
        let mut rows: Vec<u32> = Vec::with_capacity(self.hashes.len());
        let mut last = None;
        self.hashes.retain(|hash| {
            let is_first = last != Some(*hash);
            match rows.last_mut() {
                Some(count) if !is_first => *count = count.saturating_add(1),
                _ => rows.push(1),
            }
            last = Some(*hash);
            is_first
        });
        RowSet {
            cancelled: vec![0; rows.len()],
            rows,
            hashes: self.hashes,
            is_complete: self.is_complete,
            _reservations: self.reservations,
        }
    }
}

impl RowSet {
    /// Returns true if all rows of the side are in the set.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Cancels one of the rows with this hash, for a row of the other side. Returns false if there is none
    /// left.
    pub(super) fn cancel(&mut self, hash: u128) -> bool {
        let Ok(index) = self.hashes.binary_search(&hash) else {
            return false;
        };
        let is_left = self.cancelled[index] < self.rows[index];
        self.cancelled[index] += u32::from(is_left);
        is_left
    }

    /// Takes a row of the same side, when it is read again. Returns true if it is not among the cancelled
    /// ones.
    pub(super) fn outlives(&mut self, hash: u128) -> bool {
        match self.hashes.binary_search(&hash) {
            Ok(index) if self.cancelled[index] > 0 => {
                self.cancelled[index] -= 1;
                false
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(hashes: &[u128], max_rows: usize) -> RowSet {
        let mut builder = RowSetBuilder::new(max_rows * ROW_BYTES, Vec::new());
        for hash in hashes {
            builder.push(*hash);
        }
        builder.finish()
    }

    #[test]
    fn each_row_is_cancelled_once() {
        let mut rows = set(&[7, 5, 7, 9], 10);
        assert!(rows.is_complete());
        let cancelled = [7, 7, 7, 5, 6].map(|hash| rows.cancel(hash));
        assert_eq!(cancelled, [true, true, false, true, false]);
        let outlive = [7, 5, 7, 9].map(|hash| rows.outlives(hash));
        assert_eq!(outlive, [false, false, false, true]);
    }

    #[test]
    fn rows_without_memory_outlive() {
        let mut rows = set(&[7, 7, 7, 5], 2);
        assert!(!rows.is_complete());
        let cancelled = [7, 7, 7, 5].map(|hash| rows.cancel(hash));
        assert_eq!(cancelled, [true, true, false, false]);
        let outlive = [7, 7, 7, 5].map(|hash| rows.outlives(hash));
        assert_eq!(outlive, [false, false, true, true]);
    }
}
