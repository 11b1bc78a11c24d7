//! The filters of a query, applied where its rows come from.
//!
//! DataFusion's own operator would do it, but copies every column of a batch for each condition
//! after the first, and again to make larger batches.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{and, concat_batches, filter_record_batch, prep_null_mask_filter};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::Count;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};

use super::json::Wanted;

/// Batches with fewer rows wait for more.
const FEW_ROWS: usize = 1024;

/// Conditions that a row has to meet, all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct RowFilter {
    conditions: Vec<Arc<dyn PhysicalExpr>>,
}

impl RowFilter {
    pub(super) fn of(conditions: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self { conditions }
    }

    pub(super) fn conditions(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.conditions
    }

    /// Takes over what the operator above asks for: `with` makes the scan that does it besides what
    /// `self` does. Filters that change while the query runs are not taken.
    pub(super) fn take_over(
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
        FilterPushdownPropagation::with_parent_pushdown_result(taken)
            .with_updated_node(with(Self { conditions }))
    }

    /// The rows of `batches` that meet the conditions, in batches that are not tiny; without
    /// conditions, the batches as they are. `rows` counts them.
    ///
    /// Where only a part of the rows is `used`, no more is copied: the rest is NULL.
    pub(super) fn stream(
        &self,
        batches: SendableRecordBatchStream,
        used: Option<Arc<Wanted>>,
        rows: Count,
    ) -> SendableRecordBatchStream {
        let schema = batches.schema();
        if self.conditions.is_empty() {
            let counted = batches.inspect_ok(move |batch| rows.add(batch.num_rows()));
            return Box::pin(RecordBatchStreamAdapter::new(schema, counted));
        }
        let filtering = Filtering {
            filter: self.clone(),
            used,
            batches,
            few: Vec::new(),
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
        Box::pin(RecordBatchStreamAdapter::new(schema, filtered))
    }

    /// What is `used` of the rows that meet the conditions.
    fn apply(&self, batch: RecordBatch, used: Option<&Wanted>) -> Result<RecordBatch> {
        let mut mask: Option<BooleanArray> = None;
        for condition in &self.conditions {
            let value = condition.evaluate(&batch)?.into_array(batch.num_rows())?;
            let value = match value.as_boolean() {
                values if values.null_count() > 0 => prep_null_mask_filter(values),
                values => values.clone(),
            };
            let all = match mask {
                Some(earlier) => and(&earlier, &value)?,
                None => value,
            };
            if !all.has_true() {
                return Ok(batch.slice(0, 0));
            }
            mask = Some(all);
        }
        let batch = match used {
            Some(used) => used.prune_rows(&batch)?,
            None => batch,
        };
        match mask {
            Some(mask) if mask.has_false() => Ok(filter_record_batch(&batch, &mask)?),
            _ => Ok(batch),
        }
    }
}

impl fmt::Display for RowFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, condition) in self.conditions.iter().enumerate() {
            let between = if number == 0 { ", predicate=" } else { " AND " };
            write!(f, "{between}{condition}")?;
        }
        Ok(())
    }
}

struct Filtering {
    filter: RowFilter,
    used: Option<Arc<Wanted>>,
    batches: SendableRecordBatchStream,
    /// What is used of batches that are too small to go alone.
    few: Vec<RecordBatch>,
}

impl Filtering {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(batch) = self.batches.next().await {
            let batch = self.filter.apply(batch?, self.used.as_deref())?;
            if self.few.is_empty() && batch.num_rows() >= FEW_ROWS {
                return self.whole(batch).map(Some);
            }
            if batch.num_rows() > 0 {
                self.few.push(batch);
            }
            if self.few.iter().map(RecordBatch::num_rows).sum::<usize>() >= FEW_ROWS {
                return self.together().map(Some);
            }
        }
        match self.few.is_empty() {
            true => Ok(None),
            false => self.together().map(Some),
        }
    }

    fn together(&mut self) -> Result<RecordBatch> {
        let few = std::mem::take(&mut self.few);
        let schema = match few.first() {
            Some(batch) => batch.schema(),
            None => self.batches.schema(),
        };
        self.whole(concat_batches(&schema, &few)?)
    }

    /// With NULL for what is not used.
    fn whole(&self, batch: RecordBatch) -> Result<RecordBatch> {
        match &self.used {
            Some(used) => Ok(used.restore(&self.batches.schema(), batch)?),
            None => Ok(batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int64Array, StructArray};
    use datafusion::arrow::buffer::NullBuffer;
    use datafusion::arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef};
    use datafusion::datasource::table_schema::TableSchema;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{binary, col, lit};

    use super::super::json::Columns;
    use super::*;

    fn batch(numbers: impl IntoIterator<Item = Option<i64>>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter(numbers));
        RecordBatch::try_from_iter_with_nullable([("n", numbers, true)]).unwrap()
    }

    fn filter(schema: &SchemaRef, conditions: &[(Operator, i64)]) -> RowFilter {
        let condition = |(operator, value): &(Operator, i64)| {
            binary(col("n", schema).unwrap(), *operator, lit(*value), schema).unwrap()
        };
        RowFilter {
            conditions: conditions.iter().map(condition).collect(),
        }
    }

    async fn filtered(batches: Vec<RecordBatch>, conditions: &[(Operator, i64)]) -> Vec<Vec<i64>> {
        let schema = batches[0].schema();
        let filter = filter(&schema, conditions);
        let stream = futures::stream::iter(batches.into_iter().map(Ok));
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, stream));
        let rows = Count::new();
        let batches: Vec<RecordBatch> = filter
            .stream(stream, None, rows.clone())
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
        assert_eq!(sizes, [1500, 2000]);
        let large = batch((0..5000).map(Some));
        assert_eq!(
            filtered(vec![large], &[(Operator::GtEq, 0)]).await[0].len(),
            5000
        );
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

    #[tokio::test]
    async fn only_what_is_used_of_the_rows_is_kept() {
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let members = Fields::from(vec![number("a"), number("b")]);
        let p = Field::new("p", DataType::Struct(members), true);
        let schema = Arc::new(Schema::new(vec![number("n"), p]));
        let table = TableSchema::builder(Arc::clone(&schema)).build();
        let used = Columns::new(&table, &[0, 1], Some(&[true, true, false]));
        // Small batches that wait for each other, then a large one of which all rows are kept.
        let batches = [(0, 40), (40, 900), (940, 200), (1140, 3000)];
        let batches = batches.map(|(start, rows)| Ok(with_object(&schema, start, rows)));
        let stream = futures::stream::iter(batches);
        let stream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), stream));
        let filtered: Vec<RecordBatch> = filter(&schema, &[(Operator::GtEq, 30)])
            .stream(stream, used.unwrap().used(), Count::new())
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
