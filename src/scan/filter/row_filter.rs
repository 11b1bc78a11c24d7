//! The filters of a query, applied where its rows come from.
//!
//! DataFusion's own operator would do it, but copies every column of a batch for each condition
//! after the first, and again to make larger batches.
//!
//! Rows that will be written into one file can be kept apart from the others, see [`Apart`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::{and, concat_batches, prep_null_mask_filter, take_record_batch};
use datafusion::arrow::row::OwnedRow;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::Count;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::jsonl::LeafMask;
use crate::scan::filter::filter_kernel::filtered;
use crate::scan::filter::majority_split::{Apart, Parted};
use crate::view_gc::gc_views;

/// Batches with fewer rows wait for more: each costs something for each of its columns.
const FEW_ROWS: usize = 2048;

/// Conditions that a row has to meet, all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowFilter {
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// Rows for which all of these have one value belong together, in a file: that is where they go,
    /// with nothing on the way that would keep them. Elsewhere, as in a sort, they hold no more
    /// memory than they need.
    apart_by: Vec<Arc<dyn PhysicalExpr>>,
}

impl RowFilter {
    #[cfg(any(test, feature = "cluster"))]
    pub(crate) fn of(conditions: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self {
            conditions,
            apart_by: Vec::new(),
        }
    }

    /// The same filter, which hands on the rows that belong together apart from the others.
    pub(crate) fn apart_by(&self, expressions: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self {
            conditions: self.conditions.clone(),
            apart_by: expressions,
        }
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn conditions(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.conditions
    }

    /// Takes over what the operator above asks for: `with` makes the scan that does it besides what
    /// `self` does. Filters that change while the query runs are not taken.
    pub(crate) fn take_over(
        &self,
        phase: FilterPushdownPhase,
        asked: &ChildPushdownResult,
        with: impl FnOnce(Self) -> Arc<dyn ExecutionPlan>,
    ) -> FilterPushdownPropagation<Arc<dyn ExecutionPlan>> {
        let filters = &asked.parent_filters;
        let answers = |answer| vec![answer; filters.len()];
        if filters.is_empty() || !matches!(phase, FilterPushdownPhase::Pre) {
            let declined = answers(PushedDown::No);
            return FilterPushdownPropagation::with_parent_pushdown_result(declined);
        }
        let mut conditions = self.conditions.clone();
        for asked in filters {
            conditions.extend(split_conjunction(&asked.filter).into_iter().cloned());
        }
        let taken = answers(PushedDown::Yes);
        let filter = Self {
            conditions,
            apart_by: self.apart_by.clone(),
        };
        FilterPushdownPropagation::with_parent_pushdown_result(taken)
            .with_updated_node(with(filter))
    }

    /// The rows of `batches` that meet the conditions, in batches that are not tiny; without
    /// conditions, the batches as they are. `rows` counts them.
    ///
    /// Where only a part of the rows is `used`, no more is copied: the rest is NULL.
    ///
    /// # Errors
    /// Where the values that tell which rows belong together cannot be compared.
    pub(crate) fn stream(
        &self,
        batches: SendableRecordBatchStream,
        used: Option<Arc<LeafMask>>,
        rows: Count,
    ) -> Result<SendableRecordBatchStream> {
        let schema = batches.schema();
        if self.conditions.is_empty() && self.apart_by.is_empty() {
            let counted = batches.map(move |batch| {
                let batch = batch?;
                rows.add(batch.num_rows());
                Ok(gc_views(&batch)?)
            });
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)));
        }
        let apart = match self.apart_by.is_empty() {
            true => None,
            false => Some(Apart::new(&self.apart_by, &schema)?),
        };
        let filtering = Filtering {
            filter: self.clone(),
            apart,
            used,
            batches,
            together: None,
            most: Few::default(),
            others: Few::default(),
            ready: VecDeque::new(),
        };
        let filtered = futures::stream::unfold(Some(filtering), move |filtering| {
            let rows = rows.clone();
            async move {
                let mut filtering = filtering?;
                match filtering.next().await {
                    Ok(None) => None,
                    Ok(Some(batch)) => {
                        rows.add(batch.num_rows());
                        Some((Ok(batch), Some(filtering)))
                    }
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, filtered)))
    }

    /// Which rows meet the conditions; none of them is NULL.
    fn kept(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let mut kept: Option<BooleanArray> = None;
        for condition in &self.conditions {
            let value = condition.evaluate(batch)?.into_array(batch.num_rows())?;
            let value = match value.as_boolean() {
                values if values.null_count() > 0 => prep_null_mask_filter(values),
                values => values.clone(),
            };
            let all = match kept {
                Some(earlier) => and(&earlier, &value)?,
                None => value,
            };
            if !all.has_true() {
                return Ok(all);
            }
            kept = Some(all);
        }
        let all = || BooleanArray::new(BooleanBuffer::new_set(batch.num_rows()), None);
        Ok(kept.unwrap_or_else(all))
    }
}

impl fmt::Display for RowFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, condition) in self.conditions.iter().enumerate() {
            let between = if number == 0 { ", predicate=" } else { " AND " };
            write!(f, "{between}{condition}")?;
        }
        for (number, expression) in self.apart_by.iter().enumerate() {
            let between = if number == 0 { ", apart_by=" } else { ", " };
            write!(f, "{between}{expression}")?;
        }
        Ok(())
    }
}

struct Filtering {
    filter: RowFilter,
    apart: Option<Apart>,
    used: Option<Arc<LeafMask>>,
    batches: SendableRecordBatchStream,
    /// What the rows of `most` have in common.
    together: Option<OwnedRow>,
    most: Few,
    others: Few,
    /// What is used of batches that are handed on next.
    ready: VecDeque<RecordBatch>,
}

impl Filtering {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return self.whole(batch).map(Some);
            }
            match self.batches.next().await {
                Some(batch) => self.take(batch?)?,
                None if self.most.rows + self.others.rows > 0 => self.hand_on()?,
                None => return Ok(None),
            }
        }
    }

    /// With NULL for what is not used.
    fn whole(&self, batch: RecordBatch) -> Result<RecordBatch> {
        match &self.used {
            Some(used) => Ok(used.restore(&self.batches.schema(), batch)?),
            None => Ok(batch),
        }
    }

    fn take(&mut self, batch: RecordBatch) -> Result<()> {
        let kept = self.filter.kept(&batch)?;
        if !kept.has_true() {
            return Ok(());
        }
        let parted = match &self.apart {
            Some(apart) => apart.part(&batch, &kept)?,
            None => None,
        };
        let (together, most, others) = match parted {
            None => (None, kept, None),
            Some(Parted {
                together,
                most,
                others,
            }) => (Some(together), most, Some(others)),
        };
        let batch = match &self.used {
            Some(used) => used.prune(&batch)?,
            None => batch,
        };
        // Rows that will lie in one file keep their order.
        if self.together != together {
            self.hand_on()?;
            self.together = together;
        }
        let most = filtered(&batch, &most)?;
        // What waits, here or above, must not keep the whole batch.
        let most = match self.apart {
            Some(_) if most.num_rows() >= FEW_ROWS => most,
            _ => gc_views(&most)?,
        };
        self.most.add(most, &mut self.ready)?;
        if let Some(others) = others
            && !others.is_empty()
        {
            let others = gc_views(&take_record_batch(&batch, &others)?)?;
            self.others.add(others, &mut self.ready)?;
        }
        Ok(())
    }

    /// Lets nothing wait any longer.
    fn hand_on(&mut self) -> Result<()> {
        self.ready.extend(self.most.together()?);
        self.ready.extend(self.others.together()?);
        Ok(())
    }
}

/// Batches that are too small to go alone.
#[derive(Default)]
struct Few {
    batches: Vec<RecordBatch>,
    rows: usize,
}

impl Few {
    /// Adds a batch. Those that are no longer few are ready.
    fn add(&mut self, batch: RecordBatch, ready: &mut VecDeque<RecordBatch>) -> Result<()> {
        if batch.num_rows() >= FEW_ROWS {
            // Not copied only because few wait.
            ready.extend(self.together()?);
            ready.push_back(batch);
            return Ok(());
        }
        self.rows += batch.num_rows();
        self.batches.push(batch);
        if self.rows >= FEW_ROWS {
            ready.extend(self.together()?);
        }
        Ok(())
    }

    fn together(&mut self) -> Result<Option<RecordBatch>> {
        self.rows = 0;
        let batches = std::mem::take(&mut self.batches);
        match batches.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            [first, ..] => Ok(Some(concat_batches(first.schema_ref(), &batches)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int64Array, StringViewArray, StructArray};
    use datafusion::arrow::buffer::NullBuffer;
    use datafusion::arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef};
    use datafusion::datasource::table_schema::TableSchema;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{binary, col, lit};
    use futures::TryStreamExt;

    use super::*;
    use crate::scan::json::columns::ScanColumns;

    fn batch(numbers: impl IntoIterator<Item = Option<i64>>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter(numbers));
        RecordBatch::try_from_iter_with_nullable([("n", numbers, true)]).unwrap()
    }

    fn filter(schema: &SchemaRef, conditions: &[(Operator, i64)]) -> RowFilter {
        let condition = |(operator, value): &(Operator, i64)| {
            binary(col("n", schema).unwrap(), *operator, lit(*value), schema).unwrap()
        };
        RowFilter::of(conditions.iter().map(condition).collect())
    }

    async fn filtered(batches: Vec<RecordBatch>, conditions: &[(Operator, i64)]) -> Vec<Vec<i64>> {
        let schema = batches[0].schema();
        let filter = filter(&schema, conditions);
        let stream = futures::stream::iter(batches.into_iter().map(Ok));
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, stream));
        let rows = Count::new();
        let batches: Vec<RecordBatch> = filter
            .stream(stream, None, rows.clone())
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        let values = |batch: &RecordBatch| {
            batch
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()
        };
        let values: Vec<Vec<i64>> = batches.iter().map(values).collect();
        assert_eq!(rows.value(), values.iter().map(Vec::len).sum::<usize>());
        values
    }

    #[tokio::test]
    async fn every_condition_has_to_be_true_not_null() {
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
    async fn few_rows_wait_for_more_and_keep_their_order() {
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

    /// Few that wait for more, and many that do not go straight into a file.
    #[tokio::test]
    async fn rows_keep_no_more_than_their_text() {
        let texts = (0..8000).map(|n| format!("{n} {}", "of this text".repeat(9)));
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8000));
        let all = RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).unwrap();
        for kept in [80, 3000] {
            let schema = all.schema();
            let filter = filter(&schema, &[(Operator::Lt, kept)]);
            let stream = futures::stream::iter(vec![Ok(all.clone()), Ok(all.clone())]);
            let stream = Box::pin(RecordBatchStreamAdapter::new(schema, stream));
            let rows = filter.stream(stream, None, Count::new()).unwrap();
            let rows: Vec<RecordBatch> = rows.try_collect().await.unwrap();
            let memory: usize = rows.iter().map(RecordBatch::get_array_memory_size).sum();
            let share = 2 * kept as usize * all.get_array_memory_size() / 8000;
            assert!(memory < share * 3 / 2, "{memory} of {share}");
        }
    }

    /// `n` from `start` on, and `p` of `a` and `b`, both `n`; every third `p` is NULL.
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

    /// Batches of days and numbers, as they come out apart by day.
    async fn by_day(batches: &[&[(i64, i64)]]) -> Vec<Vec<(i64, i64)>> {
        let column = |rows: &[(i64, i64)], of: fn(&(i64, i64)) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(of)))
        };
        let batches = batches.iter().map(|rows| {
            let columns = [
                ("day", column(rows, |row| row.0)),
                ("n", column(rows, |row| row.1)),
            ];
            Ok(RecordBatch::try_from_iter(columns)?)
        });
        let batches: Vec<Result<RecordBatch>> = batches.collect();
        let schema = batches[0].as_ref().unwrap().schema();
        let day = vec![col("day", &schema).unwrap()];
        let filter = filter(&schema, &[(Operator::GtEq, 0)]).apart_by(day);
        let stream = futures::stream::iter(batches);
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, stream));
        let parts = filter.stream(stream, None, Count::new()).unwrap();
        let parts: Vec<RecordBatch> = parts.try_collect().await.unwrap();
        let rows = |batch: &RecordBatch| {
            let [days, numbers] = [0, 1].map(|column| {
                let column = batch.column(column).as_primitive::<Int64Type>();
                column.values().to_vec()
            });
            days.into_iter().zip(numbers).collect()
        };
        parts.iter().map(rows).collect()
    }

    #[tokio::test]
    async fn rows_of_one_day_come_apart_from_the_few_of_others() {
        let parts = by_day(&[
            &[(5, 0), (5, 1), (4, 2), (5, -9), (5, 3)],
            &[(5, 4), (3, 5), (5, 6)],
        ]);
        let most = vec![(5, 0), (5, 1), (5, 3), (5, 4), (5, 6)];
        assert_eq!(parts.await, [most, vec![(4, 2), (3, 5)]]);
    }

    /// Also where another day becomes the one of most rows, or none is.
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
    async fn only_what_is_used_of_the_rows_is_kept() {
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let members = Fields::from(vec![number("a"), number("b")]);
        let p = Field::new("p", DataType::Struct(members), true);
        let schema = Arc::new(Schema::new(vec![number("n"), p]));
        let table = TableSchema::builder(Arc::clone(&schema)).build();
        let used = ScanColumns::new(&table, &[0, 1], Some(&[true, true, false]));
        // Small batches that wait for each other, then a large one of which all rows are kept.
        let batches = [(0, 40), (40, 900), (940, 200), (1140, 3000)];
        let batches = batches.map(|(start, rows)| Ok(with_object(&schema, start, rows)));
        let stream = futures::stream::iter(batches);
        let stream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), stream));
        let filtered: Vec<RecordBatch> = filter(&schema, &[(Operator::GtEq, 30)])
            .stream(stream, used.unwrap().output_mask(), Count::new())
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        let sizes: Vec<usize> = filtered.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(sizes, [1110, 3000]);
        let rows = concat_batches(&schema, &filtered).unwrap();
        let all = with_object(&schema, 30, 4110);
        assert_eq!(rows.column(0), all.column(0));
        let (p, all) = (rows.column(1).as_struct(), all.column(1).as_struct());
        assert_eq!(p.nulls(), all.nulls());
        assert_eq!(p.column(0), all.column(0));
        assert_eq!(p.column(1).null_count(), 4110);
    }
}
