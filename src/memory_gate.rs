//! A gate for bytes that wait: between tasks, in a queue, or for an upload.
//!
//! ```text
//! bytes ─acquire→ permit, which travels with them ─dropped→ their memory is free again
//! ```
//! What waits is reserved in the memory pool. If the gate or the pool has no room, the owner waits until
//! a permit is dropped. Up to a small number of bytes a gate does not ask whether the pool has room, and
//! without any permit it lets one pass of any size: otherwise a sort that fills the pool would stop what
//! feeds it, and two gates could wait for each other.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// The interval at which a thread that waits looks whether its bytes are still wanted.
const RECHECK: Duration = Duration::from_millis(50);

/// A limit on the bytes that wait at one place.
#[derive(Debug, Clone)]
pub(crate) struct MemoryGate(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    limits: GateLimits,
    held: Mutex<Held>,
    /// For those who wait on a thread.
    released: Condvar,
    /// For those who wait in a task.
    notified: Notify,
}

#[derive(Debug)]
struct Held {
    /// The bytes of all permits.
    bytes: usize,
    reservation: MemoryReservation,
}

/// The limits of a gate, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GateLimits {
    /// Up to so many bytes may wait even if the pool has no room for them.
    pub(crate) min: usize,
    /// The maximum.
    pub(crate) max: usize,
}

/// The permission to hold bytes in memory, until it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryPermit {
    gate: Arc<Gate>,
    bytes: usize,
}

impl MemoryGate {
    /// Creates a gate, whose bytes are reserved in `pool` in the name of `consumer`.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, consumer: &str, limits: GateLimits) -> Self {
        Self(Arc::new(Gate {
            limits,
            held: Mutex::new(Held {
                bytes: 0,
                reservation: MemoryConsumer::new(consumer).register(pool),
            }),
            released: Condvar::new(),
            notified: Notify::new(),
        }))
    }

    /// Waits until there is room for `bytes`, or until they are `unwanted`: then there is no permit. Blocks:
    /// for threads, not for tasks.
    ///
    /// A permit that is sent just while its receiver goes away stays in the channel as long as there is a
    /// sender, and the one who waits here may be that sender.
    pub(crate) fn acquire_blocking(
        &self,
        bytes: usize,
        unwanted: impl Fn() -> bool,
    ) -> Option<MemoryPermit> {
        let mut held = self.0.held.lock();
        while !held.admit(bytes, self.0.limits) {
            if unwanted() {
                return None;
            }
            self.0.released.wait_for(&mut held, RECHECK);
        }
        drop(held);
        Some(self.permit(bytes))
    }

    /// Waits until there is room for `bytes`.
    pub(crate) async fn acquire(&self, bytes: usize) -> MemoryPermit {
        loop {
            let released = self.0.notified.notified();
            tokio::pin!(released);
            // From here on no release is missed.
            released.as_mut().enable();
            if self.0.held.lock().admit(bytes, self.0.limits) {
                return self.permit(bytes);
            }
            released.await;
        }
    }

    fn permit(&self, bytes: usize) -> MemoryPermit {
        MemoryPermit {
            gate: Arc::clone(&self.0),
            bytes,
        }
    }
}

impl Held {
    /// Reserves the bytes, and returns whether they may be held.
    fn admit(&mut self, bytes: usize, limits: GateLimits) -> bool {
        let total = self.bytes.saturating_add(bytes);
        if self.bytes == 0 || total <= limits.min {
            self.reservation.grow(bytes);
        } else if total > limits.max || self.reservation.try_grow(bytes).is_err() {
            return false;
        }
        self.bytes = total;
        true
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        let mut held = self.gate.held.lock();
        held.bytes -= self.bytes;
        held.reservation.shrink(self.bytes);
        drop(held);
        self.gate.released.notify_all();
        self.gate.notified.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use futures::FutureExt;

    use super::*;

    fn pool(bytes: usize) -> Arc<dyn MemoryPool> {
        Arc::new(GreedyMemoryPool::new(bytes))
    }

    fn limits(min: usize, max: usize) -> GateLimits {
        GateLimits { min, max }
    }

    fn admits(gate: &MemoryGate, bytes: usize) -> Option<MemoryPermit> {
        gate.acquire(bytes).now_or_never()
    }

    #[test]
    fn a_gate_admits_what_it_has_room_for() {
        let pool = pool(1000);
        let gate = MemoryGate::new(&pool, "test", limits(0, 100));
        let first = admits(&gate, 60).unwrap();
        let second = admits(&gate, 40).unwrap();
        assert!(admits(&gate, 1).is_none());
        assert_eq!(pool.reserved(), 100);
        drop(first);
        assert!(admits(&gate, 60).is_some());
        drop(second);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn a_gate_counts_against_the_pool() {
        let pool = pool(100);
        let others = MemoryConsumer::new("others").register(&pool);
        others.grow(90);
        let gate = MemoryGate::new(&pool, "test", limits(20, 1000));
        // What the gate may hold in any case is on record, though there is no room for it.
        let first = admits(&gate, 20).unwrap();
        assert_eq!(pool.reserved(), 110);
        assert!(admits(&gate, 1).is_none());
        drop(first);
        let large = admits(&gate, 5000).unwrap();
        assert_eq!(pool.reserved(), 5090);
        assert!(admits(&gate, 1).is_none());
        drop(large);
        assert_eq!(pool.reserved(), 90);
    }

    #[test]
    fn threads_and_tasks_wait_for_a_permit_to_be_dropped() {
        let gate = MemoryGate::new(&pool(1000), "test", limits(0, 10));
        let held = admits(&gate, 10).unwrap();
        let waiting = std::thread::spawn({
            let gate = gate.clone();
            move || drop(gate.acquire_blocking(10, || false))
        });
        let mut task = Box::pin(gate.acquire(10));
        assert!(task.as_mut().now_or_never().is_none());
        drop(held);
        waiting.join().unwrap();
        assert!(admits(&gate, 10).is_some());
    }

    #[test]
    fn nobody_waits_for_room_once_the_bytes_are_unwanted() {
        let pool = pool(1000);
        let gate = MemoryGate::new(&pool, "test", limits(0, 10));
        let stuck = admits(&gate, 10).unwrap();
        let looks = Cell::new(0);
        let third_look = || looks.replace(looks.get() + 1) == 2;
        assert!(gate.acquire_blocking(10, third_look).is_none());
        drop(stuck);
        assert!(gate.acquire_blocking(10, || true).is_some());
    }
}
