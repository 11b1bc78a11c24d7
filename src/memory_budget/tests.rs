//! Every share at some limits, so that a change of one is seen.

use std::sync::Arc;

use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryPool, UnboundedMemoryPool,
};

use super::*;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Pins every share at three limits, so that a change of one is seen.
#[test]
fn shares_of_three_limits() {
    let shares = |mib: usize| {
        let budget = MemoryBudget::new(mib * MIB);
        (
            budget.inflate_bytes(1) / MIB,
            budget.open_files(1, MIB),
            budget.sort_bytes() / KIB,
            budget.chunk_bytes() / KIB,
            budget.batch_rows(),
        )
    };
    assert_eq!(shares(64), (8, 5, 512, 256, 8192));
    assert_eq!(shares(256), (32, 21, 2048, 1024, 8192));
    assert_eq!(shares(512), (64, 42, 4096, 2048, 8192));
    assert_eq!(shares(4096), (512, 341, 10_240, 6144, 32_768));
}

/// What is there in any case is less than the excess at which files end early.
#[test]
fn what_waits_has_its_shares() {
    let waits = |mib: usize| {
        let budget = MemoryBudget::new(mib * MIB);
        let gates = [
            budget.waiting_chunks(2),
            budget.queued_batches(2),
            budget.uploaded_parts(2),
        ];
        let least: usize = gates.iter().map(|limits| 2 * limits.min).sum();
        assert!(!budget.is_exhausted(mib * MIB + least));
        assert!(budget.is_exhausted(mib * MIB + mib * MIB / 8 + 1));
        gates.map(|limits| (limits.min / KIB, limits.max / KIB))
    };
    assert_eq!(waits(64), [(1024, 8192), (512, 4096), (1024, 8192)]);
    assert_eq!(
        waits(4096),
        [(65_536, 524_288), (32_768, 262_144), (65_536, 524_288)]
    );
}

#[test]
fn wide_rows_have_shares_in_bytes() {
    let shares = |mib: usize| {
        let budget = MemoryBudget::new(mib * MIB);
        (
            budget.line_bytes() / MIB,
            budget.coalesced_bytes() / KIB,
            budget.encoded_bytes() / MIB,
            budget.row_group_bytes() / MIB,
            budget.rows_of(MIB, 8192),
            budget.function_bytes() / MIB as u64,
        )
    };
    assert_eq!(shares(64), (2, 512, 2, 8, 1, 16));
    assert_eq!(shares(512), (16, 4096, 16, 64, 8, 128));
    assert_eq!(shares(4096), (64, 4096, 16, 512, 64, 256));
    let sorts = |mib: usize| {
        let budget = MemoryBudget::new(mib * MIB);
        (
            budget.wide_run_bytes(2) / MIB,
            budget.wide_batch_bytes() / MIB,
            budget.spilled_batch_bytes() / KIB,
            budget.merge_bytes(2) / MIB,
            budget.merge_bytes(200) / MIB,
            budget.min_window_bytes(2) / MIB,
        )
    };
    assert_eq!(sorts(64), (8, 1, 256, 4, 16, 4));
    assert_eq!(sorts(4096), (512, 64, 16_384, 256, 1024, 256));
    let sort = |mib: usize, tasks| MemoryBudget::new(mib * MIB).min_sort_bytes(tasks) / MIB;
    assert_eq!((sort(64, 2), sort(64, 64), sort(4096, 16)), (8, 4, 256));
    let usual = |mib: usize, rows| MemoryBudget::new(mib * MIB).usual_row_bytes(rows);
    assert_eq!((usual(64, 8192), usual(64, 1)), (4 * KIB, 32 * KIB));
    assert_eq!(usual(4096, 32_768), 16 * KIB);
    let budget = MemoryBudget::new(512 * MIB);
    // Usual rows make usual batches.
    assert_eq!(budget.rows_of(KIB, 8192), 8192);
    assert_eq!(budget.pending_bytes(1, 42), 512 * MIB / 16 / 42);
    assert_eq!(budget.early_end_bytes(1, 42), 512 * MIB / 4 / 42);
    assert!(budget.is_more(512 * MIB as u64 + 1) && !budget.is_more(512 * MIB as u64));
}

#[test]
fn shares_are_divided_among_tasks_and_tables() {
    let budget = MemoryBudget::new(512 * MIB);
    assert_eq!(budget.inflate_bytes(2), 32 * MIB);
    assert_eq!(budget.inflate_bytes(0), 64 * MIB);
    assert_eq!(budget.open_files(6, MIB), 7);
    // A table can always write.
    assert_eq!(budget.open_files(1000, MIB), 1);
}

#[test]
fn half_of_the_limit_is_the_pressure() {
    let budget = MemoryBudget::new(MIB);
    assert!(!budget.is_pressed(512 * KIB));
    assert!(budget.is_pressed(512 * KIB + 1));
}

#[test]
fn the_budget_of_a_pool_is_its_limit_whatever_is_reserved() {
    let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(MIB));
    let _reservation = MemoryConsumer::new("test").register(&pool);
    assert_eq!(MemoryBudget::of(&*pool), MemoryBudget::new(MIB));
    let unbounded = MemoryBudget::of(&UnboundedMemoryPool::default());
    assert_eq!(unbounded.open_files(1, MIB), MAX_OPEN_FILES);
    assert!(!unbounded.is_pressed(usize::MAX / 2));
}

#[test]
fn half_of_the_usable_memory_is_the_default_within_bounds() {
    assert_eq!(MemoryBudget::default_limit(None), MAX_DEFAULT_LIMIT);
    assert_eq!(MemoryBudget::default_limit(Some(2 << 30)), 1 << 30);
    assert_eq!(MemoryBudget::default_limit(Some(1 << 20)), MIN_LIMIT);
    // 1.25 × 80 MiB and 100 MiB.
    assert_eq!(MemoryBudget::default_limit(Some(200 << 20)), 80 << 20);
    assert_eq!(
        MemoryBudget::default_limit(Some(1 << 40)),
        MAX_DEFAULT_LIMIT
    );
}
