//! The filter of a scan, from batches to batches.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, StructArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{binary, col, lit};
use datafusion::physical_plan::metrics::Count;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;

use crate::jsonl::{LeafMask, LeafRules};
use crate::memory_budget::MemoryBudget;
use crate::scan::filter::row_filter::{FilterCounts, RowFilter};
use crate::scan::json::columns::ScanColumns;

/// Returns the batches that a filter gives for `batches`, and checks its counts of rows.
async fn filter_all(
    filter: &RowFilter,
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
    output_mask: Option<Arc<LeafMask>>,
) -> Vec<RecordBatch> {
    let row_count_of =
        |batches: &[RecordBatch]| -> usize { batches.iter().map(RecordBatch::num_rows).sum() };
    let all = row_count_of(&batches);
    let results = futures::stream::iter(batches.into_iter().map(Ok));
    let input = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), results));
    let (returned, dropped) = (Count::new(), Count::new());
    let counts = FilterCounts {
        returned: returned.clone(),
        filtered: dropped.clone(),
    };
    let output = filter.stream(input, output_mask, counts, MemoryBudget::new(1 << 30));
    let filtered: Vec<RecordBatch> = output.unwrap().try_collect().await.unwrap();
    assert_eq!(returned.value(), row_count_of(&filtered));
    assert_eq!(dropped.value(), all - row_count_of(&filtered));
    filtered
}

fn numbers_of(batch: &RecordBatch, column: usize) -> Vec<i64> {
    let numbers = batch.column(column).as_primitive::<Int64Type>();
    numbers.values().to_vec()
}

fn batch(numbers: impl IntoIterator<Item = Option<i64>>) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter(numbers));
    RecordBatch::try_from_iter_with_nullable([("n", numbers, true)]).unwrap()
}

fn filter(schema: &SchemaRef, conditions: &[(Operator, i64)]) -> RowFilter {
    let condition = |(operator, value): &(Operator, i64)| {
        binary(col("n", schema).unwrap(), *operator, lit(*value), schema).unwrap()
    };
    RowFilter::new(conditions.iter().map(condition).collect())
}

async fn filtered(batches: Vec<RecordBatch>, conditions: &[(Operator, i64)]) -> Vec<Vec<i64>> {
    let schema = batches[0].schema();
    let filtered = filter_all(&filter(&schema, conditions), &schema, batches, None).await;
    filtered.iter().map(|batch| numbers_of(batch, 0)).collect()
}

#[tokio::test]
async fn every_condition_must_be_true_and_not_null() {
    let batches = || {
        vec![
            batch([Some(1), None, Some(5), Some(9)]),
            batch([Some(2), Some(6)]),
        ]
    };
    let range = [(Operator::Gt, 1), (Operator::Lt, 7)];
    assert_eq!(filtered(batches(), &range).await, [[5, 2, 6]]);
    let none = [(Operator::Gt, 9), (Operator::Lt, 7)];
    assert!(filtered(batches(), &none).await.is_empty());
}

#[tokio::test]
async fn small_batches_are_coalesced_and_keep_their_order() {
    let batches = (0..4).map(|part| batch((part * 1000..(part + 1) * 1000).map(Some)));
    let sizes: Vec<usize> = filtered(batches.collect(), &[(Operator::GtEq, 500)])
        .await
        .iter()
        .map(Vec::len)
        .collect();
    assert_eq!(sizes, [2500, 1000]);
    let large = vec![batch((0..5000).map(Some))];
    let large = filtered(large, &[(Operator::GtEq, 0)]).await;
    assert_eq!(large[0].len(), 5000);
}

/// Both small batches, which are buffered, and large ones of a plan that may buffer them.
#[tokio::test]
async fn rows_retain_no_more_than_their_text() {
    let texts = (0..8000).map(|n| format!("{n} {}", "of this text".repeat(9)));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8000));
    let all = RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).unwrap();
    for kept in [80, 3000] {
        let schema = all.schema();
        let filter = filter(&schema, &[(Operator::Lt, kept)]);
        let rows = filter_all(&filter, &schema, vec![all.clone(), all.clone()], None).await;
        let memory: usize = rows.iter().map(RecordBatch::get_array_memory_size).sum();
        let share = 2 * kept as usize * all.get_array_memory_size() / 8000;
        assert!(memory < share * 3 / 2, "{memory} of {share}");
    }
}

/// Returns rows of `n` from `start` on, and of `p` with `a` and `b`, both `n`; every third `p` is NULL.
fn with_object(schema: &SchemaRef, start: i64, rows: i64) -> RecordBatch {
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + rows));
    let DataType::Struct(members) = schema.field(1).data_type() else {
        panic!("no object");
    };
    let nulls: NullBuffer = (start..start + rows).map(|n| n % 3 != 0).collect();
    let values = vec![Arc::clone(&n), Arc::clone(&n)];
    let p = StructArray::new(members.clone(), values, Some(nulls));
    RecordBatch::try_new(Arc::clone(schema), vec![n, Arc::new(p)]).unwrap()
}

/// Returns rows of days and numbers as a filter that splits by day emits them.
async fn by_day(batches: &[&[(i64, i64)]]) -> Vec<Vec<(i64, i64)>> {
    let column = |rows: &[(i64, i64)], value: fn(&(i64, i64)) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(value)))
    };
    let input: Vec<RecordBatch> = batches
        .iter()
        .map(|rows| {
            let columns = [
                ("day", column(rows, |row| row.0)),
                ("n", column(rows, |row| row.1)),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        })
        .collect();
    let schema = input[0].schema();
    let day = vec![col("day", &schema).unwrap()];
    let filter = filter(&schema, &[(Operator::GtEq, 0)]).split_by(day);
    let split = filter_all(&filter, &schema, input, None).await;
    let rows = |batch: &RecordBatch| {
        let days = numbers_of(batch, 0).into_iter();
        days.zip(numbers_of(batch, 1)).collect()
    };
    split.iter().map(rows).collect()
}

#[tokio::test]
async fn rows_of_the_majority_day_are_split_from_the_rest() {
    let parts = by_day(&[
        &[(5, 0), (5, 1), (4, 2), (5, -9), (5, 3)],
        &[(5, 4), (3, 5), (5, 6)],
    ]);
    let majority = vec![(5, 0), (5, 1), (5, 3), (5, 4), (5, 6)];
    assert_eq!(parts.await, [majority, vec![(4, 2), (3, 5)]]);
}

/// Also if the day of the majority changes, or if there is no majority.
#[tokio::test]
async fn rows_of_a_day_keep_their_order() {
    let parts = by_day(&[
        &[(5, 0), (5, 1), (6, 2)],
        &[(6, 3), (6, 4), (5, 5)],
        &[(5, 6), (6, 7), (7, 8), (8, 9)],
        &[(6, 10)],
    ]);
    let expected = [
        vec![(5, 0), (5, 1)],
        vec![(6, 2)],
        vec![(6, 3), (6, 4)],
        vec![(5, 5)],
        vec![(5, 6), (6, 7), (7, 8), (8, 9)],
        vec![(6, 10)],
    ];
    assert_eq!(parts.await, expected);
}

#[tokio::test]
async fn leaves_that_are_not_used_are_not_copied() {
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let members = Fields::from(vec![number("a"), number("b")]);
    let p = Field::new("p", DataType::Struct(members), true);
    let schema = Arc::new(Schema::new(vec![number("n"), p]));
    let table = TableSchema::builder(Arc::clone(&schema)).build();
    let columns = ScanColumns::new(
        &table,
        &[0, 1],
        Some(&[true, true, false]),
        &LeafRules::default(),
    );
    // Small batches, which are coalesced, then a large one of which all rows match.
    let batches = [(0, 40), (40, 900), (940, 200), (1140, 3000)]
        .map(|(start, rows)| with_object(&schema, start, rows));
    let filter = filter(&schema, &[(Operator::GtEq, 30)]);
    let output_mask = columns.unwrap().output_mask();
    let filtered = filter_all(&filter, &schema, batches.to_vec(), output_mask).await;
    let sizes: Vec<usize> = filtered.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(sizes, [1110, 3000]);
    let rows = concat_batches(&schema, &filtered).unwrap();
    let all = with_object(&schema, 30, 4110);
    assert_eq!(rows.column(0), all.column(0));
    let (p, all_p) = (rows.column(1).as_struct(), all.column(1).as_struct());
    assert_eq!(p.nulls(), all_p.nulls());
    assert_eq!(p.column(0), all_p.column(0));
    assert_eq!(p.column(1).null_count(), 4110);
}
