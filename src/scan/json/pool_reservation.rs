//! The memory pool of a query as the reservation of a decompression buffer.

use datafusion::execution::memory_pool::MemoryReservation;

use crate::jsonl::Reservation;

/// A reservation in the memory pool that only grows.
pub(crate) struct PoolReservation(pub(crate) MemoryReservation);

impl Reservation for PoolReservation {
    fn try_reserve_total(&mut self, bytes: usize) -> bool {
        self.0.try_resize(bytes.max(self.0.size())).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    use super::*;
    use crate::jsonl::InflateBuffer;

    #[test]
    fn the_buffer_reserves_its_memory_in_the_pool() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1500));
        let reservation = PoolReservation(MemoryConsumer::new("test").register(&pool));
        let buffer = InflateBuffer::new(2000, Box::new(reservation));
        assert_eq!(buffer.take(1000, 600, || false), None);
        assert_eq!(pool.reserved(), 0);
        let taken = buffer.take(1000, 400, || false).unwrap();
        assert_eq!(pool.reserved(), 1400);
        buffer.give_back(taken);
        // A smaller file keeps the reservation.
        assert!(buffer.take(500, 0, || false).is_some());
        assert_eq!(pool.reserved(), 1400);
        drop(buffer);
        assert_eq!(pool.reserved(), 0);
    }
}
