//! The memory of one sort or merge, which DataFusion divides among several consumers.
//!
//! ```text
//! memory pool ─one consumer that can spill→ SortPool ─→ rows, runs and merges of the sort
//! ```
//! In the memory pool of the query, a sort that is full leaves no room for its own merge, and the merge of one
//! sort takes what another one needs for its rows. Here, a sort keeps what it has reserved, and a minimum is
//! there in any case. A merge of rows in memory frees all of them before it reserves the first one.

use std::fmt;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use parking_lot::Mutex;

use crate::memory_budget::MemoryBudget;

/// The share of the minimum of a sort that is left if the memory is exhausted, as a divisor.
const EXHAUSTED_SHARE: usize = 8;

/// The memory pool of one sort or merge.
#[derive(Debug)]
pub(super) struct SortPool {
    pool: Arc<dyn MemoryPool>,
    /// Up to so many bytes are reserved even above the limit: for rows that are all there are, or a merge.
    min_bytes: usize,
    state: Mutex<SortMemory>,
}

#[derive(Debug)]
struct SortMemory {
    /// The bytes that the consumers of the sort use, of those that are reserved for it.
    used: usize,
    reserved: MemoryReservation,
    /// The bytes of these that were reserved above the limit, for a merge.
    excess: usize,
}

impl SortPool {
    /// Returns the context of a sort that has a memory pool of its own, with a minimum of `min_bytes`.
    pub(super) fn context(context: &TaskContext, min_bytes: usize) -> Result<Arc<TaskContext>> {
        let pool = context.memory_pool();
        let consumer = MemoryConsumer::new("sort").with_can_spill(true);
        let sort_pool = Arc::new(Self {
            pool: Arc::clone(pool),
            min_bytes,
            state: Mutex::new(SortMemory {
                used: 0,
                excess: 0,
                reserved: consumer.register(pool),
            }),
        });
        let runtime = RuntimeEnvBuilder::from_runtime_env(&context.runtime_env())
            .with_memory_pool(sort_pool)
            .build_arc()?;
        Ok(Arc::new(TaskContext::new(
            context.task_id(),
            context.session_id(),
            context.session_config().clone(),
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            runtime,
        )))
    }
}

impl SortPool {
    /// Returns the bytes that are reserved even above the limit, if there are `missing` more of them. Many sorts
    /// together get less: files end early at that point, so that memory is freed.
    fn min_bytes_now(&self, missing: usize) -> usize {
        let reserved = self.pool.reserved().saturating_add(missing);
        match MemoryBudget::of(&*self.pool).is_exhausted(reserved) {
            true => self.min_bytes / EXHAUSTED_SHARE,
            false => self.min_bytes,
        }
    }
}

impl MemoryPool for SortPool {
    fn name(&self) -> &'static str {
        "sort"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        let mut state = self.state.lock();
        state.used += additional;
        let missing = state.used.saturating_sub(state.reserved.size());
        state.reserved.grow(missing);
    }

    fn shrink(&self, _: &MemoryReservation, freed: usize) {
        self.state.lock().used -= freed;
    }

    fn try_grow(&self, consumer: &MemoryReservation, additional: usize) -> Result<()> {
        let consumer = consumer.consumer();
        let mut state = self.state.lock();
        let needed = state.used.saturating_add(additional);
        // What can be spilled leaves room for its merge, which takes a little more than the rows did.
        let own = match consumer.can_spill() {
            true => state.reserved.size() - state.excess,
            false => state.reserved.size(),
        };
        let missing = needed.saturating_sub(own);
        // A pool with more than its limit refuses to grow by nothing, too.
        if missing > 0 && state.reserved.try_grow(missing).is_err() {
            let excess = state.excess.saturating_add(missing);
            let min_bytes = self.min_bytes_now(missing);
            if !consumer.can_spill() && excess <= min_bytes {
                state.excess = excess;
            } else if needed > min_bytes {
                return Err(DataFusionError::ResourcesExhausted(format!(
                    "`{}` of a sort has no room for {additional} bytes, beside {} that the sort uses, in {}",
                    consumer.name(),
                    state.used,
                    self.pool
                )));
            }
            state.reserved.grow(missing);
        }
        state.used = needed;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}

impl fmt::Display for SortPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sort of {}", self.pool)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnv;

    use super::*;

    #[test]
    fn a_sort_keeps_what_it_frees_and_has_a_minimum() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1000));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool));
        let runtime: Arc<RuntimeEnv> = runtime.build_arc().unwrap();
        let context = TaskContext::default().with_runtime(runtime);
        let sort = SortPool::context(&context, 100).unwrap();
        let rows = MemoryConsumer::new("rows").with_can_spill(true);
        let rows = rows.register(sort.memory_pool());
        let merge = MemoryConsumer::new("merge").register(sort.memory_pool());
        rows.try_grow(900).unwrap();
        assert!(rows.try_grow(101).is_err());
        let others = MemoryConsumer::new("others").register(&pool);
        others.try_grow(100).unwrap();
        // The pool is full, and the merge takes what the rows free.
        rows.free();
        assert!(others.try_grow(1).is_err());
        merge.try_grow(960).unwrap();
        assert!(merge.try_grow(41).is_err());
        merge.free();
        assert_eq!(pool.reserved(), 1060);
        assert!(rows.try_grow(901).is_err());
        rows.try_grow(900).unwrap();
        drop((rows, merge, sort));
        assert_eq!(pool.reserved(), 100);
        others.try_grow(900).unwrap();
        let sort = SortPool::context(&context, 100).unwrap();
        let rows = MemoryConsumer::new("rows").with_can_spill(true);
        let rows = rows.register(sort.memory_pool());
        rows.try_grow(100).unwrap();
        assert!(rows.try_grow(1).is_err());
        assert_eq!(pool.reserved(), 1100);
    }
}
