//! The filters of a query, evaluated by the scan (filter pushdown).
//!
//! DataFusion's own operator copies every column of a batch for each condition after the first, and
//! once more to coalesce batches. Here rows are copied once.
//!
//! Rows that will be written into one file can be split from the others, see [`MajoritySplitter`].

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::jsonl::LeafMask;
use crate::memory_budget::MemoryBudget;
use crate::planted_fault::without_last_row;
use crate::scan::filter::filter_stream::FilterStream;
use crate::scan::filter::majority_split::MajoritySplitter;
use crate::view_gc::gc_views;

/// The rows that a filter counts in the metrics of its scan.
pub(crate) struct FilterCounts {
    /// The rows that are returned.
    pub(crate) returned: Count,
    /// The rows that do not meet the conditions.
    pub(crate) filtered: Count,
}

/// The name of the metric of [`FilterCounts::filtered`].
pub(crate) const ROWS_FILTERED: &str = "rows_filtered";

impl FilterCounts {
    /// Registers the counts of one partition.
    pub(crate) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        Self {
            returned: MetricBuilder::new(metrics).output_rows(partition),
            filtered: MetricBuilder::new(metrics).counter(ROWS_FILTERED, partition),
        }
    }
}

/// The conditions that a row must meet, all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowFilter {
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// The expressions that batches are split by: rows with equal values go into one file.
    ///
    /// If there are any, no operator between the scan and the file buffers rows, so that large
    /// batches may retain memory that they do not use. Otherwise, for example below a sort, rows are
    /// copied out of it.
    split_by: Vec<Arc<dyn PhysicalExpr>>,
}

impl RowFilter {
    #[cfg(any(test, feature = "cluster"))]
    pub(crate) fn new(conditions: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self {
            conditions,
            split_by: Vec::new(),
        }
    }

    /// Returns the same filter, which splits batches by the values of `expressions`.
    pub(crate) fn split_by(&self, expressions: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self {
            conditions: self.conditions.clone(),
            split_by: expressions,
        }
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn conditions(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.conditions
    }

    /// Accepts the filters that the parent operator pushes down. `with_filter` creates the scan that
    /// evaluates them too. Dynamic filters, which change while the query runs, are declined.
    pub(crate) fn accept_pushdown(
        &self,
        phase: FilterPushdownPhase,
        pushdown: &ChildPushdownResult,
        with_filter: impl FnOnce(Self) -> Arc<dyn ExecutionPlan>,
    ) -> FilterPushdownPropagation<Arc<dyn ExecutionPlan>> {
        let filters = &pushdown.parent_filters;
        let answers = |answer| vec![answer; filters.len()];
        if filters.is_empty() || !matches!(phase, FilterPushdownPhase::Pre) {
            let declined = answers(PushedDown::No);
            return FilterPushdownPropagation::with_parent_pushdown_result(declined);
        }
        let mut conditions = self.conditions.clone();
        for parent_filter in filters {
            let parts = split_conjunction(&parent_filter.filter);
            conditions.extend(parts.into_iter().cloned());
        }
        let combined = Self {
            conditions,
            split_by: self.split_by.clone(),
        };
        FilterPushdownPropagation::with_parent_pushdown_result(answers(PushedDown::Yes))
            .with_updated_node(with_filter(combined))
    }

    /// Returns the rows of `batches` that meet the conditions, with small batches coalesced. Without
    /// conditions, the batches are returned as they are. `counts` counts the rows. What is coalesced
    /// has the bytes that `budget` allots.
    ///
    /// With `output_mask`, only those leaves are copied; the others are NULL.
    ///
    /// # Errors
    /// Returns an error if the values to split by cannot be compared.
    pub(crate) fn stream(
        &self,
        batches: SendableRecordBatchStream,
        output_mask: Option<Arc<LeafMask>>,
        counts: FilterCounts,
        budget: MemoryBudget,
    ) -> Result<SendableRecordBatchStream> {
        let schema = batches.schema();
        let FilterCounts { returned, filtered } = counts;
        if self.conditions.is_empty() && self.split_by.is_empty() {
            let counted = batches.map(move |result| {
                let batch = without_last_row("a row of a whole scan is lost", result?);
                returned.add(batch.num_rows());
                Ok(gc_views(&batch)?)
            });
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)));
        }
        let splitter = match self.split_by.is_empty() {
            true => None,
            false => Some(MajoritySplitter::new(&self.split_by, &schema)?),
        };
        let conditions = self.conditions.clone();
        let max_buffered_bytes = budget.coalesced_bytes();
        let rows = FilterStream::new(
            conditions,
            splitter,
            output_mask,
            batches,
            max_buffered_bytes,
            filtered,
        )
        .into_stream()
        .map(move |result| {
            let batch = result?;
            returned.add(batch.num_rows());
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

impl fmt::Display for RowFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, condition) in self.conditions.iter().enumerate() {
            let separator = if number == 0 { ", predicate=" } else { " AND " };
            write!(f, "{separator}{condition}")?;
        }
        for (number, expression) in self.split_by.iter().enumerate() {
            let separator = if number == 0 { ", split_by=" } else { ", " };
            write!(f, "{separator}{expression}")?;
        }
        Ok(())
    }
}
