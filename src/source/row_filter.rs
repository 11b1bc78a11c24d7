//! The filters of a query, applied where its rows come from.
//!
//! DataFusion's own operator would do it, but copies every column of a batch for each condition
//! after the first, and again to make larger batches.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{and, concat_batches, filter_record_batch, prep_null_mask_filter};
use datafusion::arrow::datatypes::SchemaRef;
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
    pub(super) fn stream(
        &self,
        batches: SendableRecordBatchStream,
        rows: Count,
    ) -> SendableRecordBatchStream {
        let schema = batches.schema();
        if self.conditions.is_empty() {
            let counted = batches.inspect_ok(move |batch| rows.add(batch.num_rows()));
            return Box::pin(RecordBatchStreamAdapter::new(schema, counted));
        }
        let filtering = Filtering {
            filter: self.clone(),
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

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
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
    batches: SendableRecordBatchStream,
    /// Batches that are too small to go alone.
    few: Vec<RecordBatch>,
}

impl Filtering {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(batch) = self.batches.next().await {
            let batch = self.filter.apply(batch?)?;
            if self.few.is_empty() && batch.num_rows() >= FEW_ROWS {
                return Ok(Some(batch));
            }
            if batch.num_rows() > 0 {
                self.few.push(batch);
            }
            if self.few.iter().map(RecordBatch::num_rows).sum::<usize>() >= FEW_ROWS {
                return self.together(&self.batches.schema()).map(Some);
            }
        }
        match self.few.is_empty() {
            true => Ok(None),
            false => self.together(&self.batches.schema()).map(Some),
        }
    }

    fn together(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let few = std::mem::take(&mut self.few);
        Ok(concat_batches(schema, &few)?)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{binary, col, lit};

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
            .stream(stream, rows.clone())
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
}
