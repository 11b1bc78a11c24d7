//! Counts the rows that DataFusion's filters leave out, where their conditions are evaluated.
//!
//! The metrics of a filter are its input and its output: rows that it loses would look like rows that it
//! leaves out.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::planted_fault::{strikes, with_one_flipped};

/// Returns the plan, whose filters count the rows that they leave out. Nothing else of it changes: it
/// is to be run as it is.
pub(super) fn count_filters(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let children: Vec<_> = plan
        .children()
        .into_iter()
        .map(count_filters)
        .collect::<Result<_>>()?;
    let is_same = plan
        .children()
        .into_iter()
        .zip(&children)
        .all(|(before, after)| Arc::ptr_eq(before, after));
    let rebuilt = match is_same {
        true => Arc::clone(plan),
        false => {
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
            Arc::clone(plan).replace_children(children, options)?
        }
    };
    let Some(filter) = rebuilt.downcast_ref::<FilterExec>() else {
        return Ok(rebuilt);
    };
    let predicate = CountedPredicate::new(Arc::clone(filter.predicate()));
    let counted = FilterExecBuilder::from(filter).with_predicate(Arc::new(predicate));
    Ok(Arc::new(counted.build()?))
}

/// The condition of a filter, which counts the rows for which it is not true.
#[derive(Debug)]
pub(super) struct CountedPredicate {
    condition: Arc<dyn PhysicalExpr>,
    dropped: Arc<AtomicU64>,
}

impl CountedPredicate {
    fn new(condition: Arc<dyn PhysicalExpr>) -> Self {
        Self {
            condition,
            dropped: Arc::default(),
        }
    }

    /// Returns the number of rows for which `predicate` was not true; `None` if it does not count.
    pub(super) fn dropped_rows(predicate: &Arc<dyn PhysicalExpr>) -> Option<u64> {
        let counted = predicate.downcast_ref::<Self>()?;
        Some(counted.dropped.load(Ordering::Relaxed))
    }
}

impl PartialEq for CountedPredicate {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for CountedPredicate {}

impl Hash for CountedPredicate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for CountedPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for CountedPredicate {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.condition.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.condition.nullable(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let value = self.condition.evaluate(batch)?;
        let flags = value.into_array(batch.num_rows())?;
        let Some(matching) = flags.as_boolean_opt() else {
            return internal_err!("the condition `{self}` is not BOOLEAN");
        };
        // Without those that are NULL.
        let matching_count = matching.true_count();
        let dropped = batch.num_rows() - matching_count;
        self.dropped.fetch_add(dropped as u64, Ordering::Relaxed);
        if matching_count > 0 && strikes("a filter of DataFusion drops a row that matches") {
            let fewer: ArrayRef = Arc::new(with_one_flipped(matching, true));
            return Ok(ColumnarValue::Array(fewer));
        }
        Ok(ColumnarValue::Array(flags))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let (Some(condition), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("CountedPredicate has one input");
        };
        Ok(Arc::new(Self {
            condition,
            dropped: Arc::clone(&self.dropped),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}
