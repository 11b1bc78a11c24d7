//! Sorts of wide and usual rows in a small pool give what DataFusion's sort gives in a large one.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringViewArray};
use datafusion::arrow::compute::{SortOptions, concat_batches};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::col;
use datafusion::prelude::SessionConfig;

use super::*;

const MIB: usize = 1 << 20;

/// The memory of two sorts and their merge: a batch of the tests fits into what each has in any case.
const LIMIT: usize = 4 * MIB;

/// The maximum bytes of an output batch at the limit of the tests.
const MAX_BATCH_BYTES: usize = MIB;

fn context(limit: usize) -> Arc<TaskContext> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limit)))
        .build_arc();
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .set_usize("datafusion.execution.sort_spill_reservation_bytes", 8 << 10);
    let context = TaskContext::default().with_session_config(config);
    Arc::new(context.with_runtime(runtime.unwrap()))
}

/// Returns batches of ten rows, in no order. One row in `every` has a text of 6,000 bytes.
fn batches(batches: i64, every: i64, with_views: bool) -> Vec<RecordBatch> {
    let batch = |batch: i64| {
        let numbers = (0..10).map(|row| (batch * 10 + row) * 7919 % (batches * 10));
        let texts = numbers.clone().map(|number| {
            let length = if number % every == every - 1 {
                6000
            } else {
                10
            };
            (number % 7 > 0).then(|| format!("{:08}", number * 31 % 1000).repeat(length / 8 + 1))
        });
        let texts: ArrayRef = match with_views {
            true => Arc::new(texts.collect::<StringViewArray>()),
            false => Arc::new(texts.collect::<StringArray>()),
        };
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
        let columns = [("text", texts, true), ("number", numbers, false)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    (0..batches).map(batch).collect()
}

fn order(schema: &datafusion::arrow::datatypes::Schema) -> LexOrdering {
    let by = |name, descending, nulls_first| {
        let options = SortOptions {
            descending,
            nulls_first,
        };
        PhysicalSortExpr::new(col(name, schema).unwrap(), options)
    };
    LexOrdering::new([by("text", true, false), by("number", false, true)]).unwrap()
}

fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let schema = batches[0].schema();
    let batches = futures::stream::iter(batches.into_iter().map(Ok));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

async fn reference(batches: Vec<RecordBatch>) -> RecordBatch {
    let schema = batches[0].schema();
    let input = taken_input(&schema, vec![stream(batches)]).unwrap();
    let sort = SortExec::new(order(&schema), input);
    let sorted = sort.execute(0, context(1 << 30)).unwrap();
    concat_batches(&schema, &sorted.try_collect::<Vec<_>>().await.unwrap()).unwrap()
}

/// Sorts rows in two tasks, merges them, and checks that the result is in bounds and returns its memory.
async fn sorts(all: Vec<RecordBatch>, has_wide: bool) {
    let schema = all[0].schema();
    let context = context(LIMIT);
    let (mut one, mut other) = (all.clone(), Vec::new());
    other.extend(one.drain(all.len() / 3..));
    let seen = [WideRowsSeen::default(), WideRowsSeen::default()];
    let sorted = [one, other].into_iter().zip(&seen).map(|(rows, seen)| {
        let context = Arc::clone(&context);
        sort_rows(&order(&schema), stream(rows), context, seen.clone())
    });
    let inputs = sorted.collect();
    let merged = merge_rows(&order(&schema), inputs, Arc::clone(&context), seen.to_vec());
    let merged: Vec<RecordBatch> = merged.unwrap().try_collect().await.unwrap();
    assert_eq!(seen.iter().any(WideRowsSeen::is_noted), has_wide);
    for batch in &merged {
        let bytes: usize = row_sizes(batch).into_iter().sum();
        assert!(bytes < MAX_BATCH_BYTES + 10_000, "{bytes}");
    }
    let merged = concat_batches(&schema, &merged).unwrap();
    assert_eq!(merged, reference(all).await);
    assert_eq!(context.memory_pool().reserved(), 0);
}

#[tokio::test]
async fn wide_rows_are_sorted_in_runs() {
    for with_views in [false, true] {
        sorts(batches(240, 1, with_views), true).await;
    }
}

#[tokio::test]
async fn wide_rows_are_merged_with_the_others() {
    for with_views in [false, true] {
        sorts(batches(1200, 5, with_views), true).await;
    }
}

#[tokio::test]
async fn usual_rows_are_left_to_the_usual_sort() {
    sorts(batches(160, i64::MAX, true), false).await;
}

#[test]
fn the_size_of_a_row_is_that_of_its_values() {
    let batch = &batches(1, 3, false)[0];
    let views = &batches(1, 3, true)[0];
    let sizes = row_sizes(batch);
    assert_eq!(sizes.len(), 10);
    assert!(sizes.iter().any(|size| *size > 6000) && sizes.iter().any(|size| *size < 40));
    assert_eq!(sizes.iter().copied().max(), Some(max_row_bytes(batch)));
    let more = row_sizes(views).into_iter().zip(sizes);
    assert!(more.into_iter().all(|(view, text)| view == text + 16));
}
