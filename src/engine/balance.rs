//! The books of a plan: what its decoders, filters and encoders counted, once it ran.
//!
//! ```text
//! bound query ─reasons (pure)→ not countable, or
//! executed plan ─each operator's own counts→ Books, with the rows of the staged files
//! ```
//! An operator that keeps rows counts nothing: its input and its output are counted elsewhere, so that a row
//! that it loses is missing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::unnest::UnnestExec;

use crate::books::{Balance, Books};
use crate::engine::counted_filter::{CountedPredicate, count_filters};
use crate::engine::wide_rows::node_of;
use crate::scan::executed::scan_of;
use crate::scan::filter::row_filter::ROWS_FILTERED;
use crate::scan::record::Scan;
use crate::staged::StagedFile;

/// The operators whose output has each row of their input once.
const KEEP_ROWS: [&str; 16] = [
    "BoundedWindowAggExec",
    "BufferExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "HeldInputExec",
    "InterleaveExec",
    "ProjectionExec",
    "RepartitionExec",
    "SortExec",
    "SortPreservingMergeExec",
    "StagedWriteExec",
    "UnionExec",
    "WideExchangeExec",
    "WindowAggExec",
    "WindowMemoryExec",
];

/// A plan of a query that is about to run.
pub(super) enum CountedPlan {
    /// Its operators count their rows.
    Countable(Arc<dyn ExecutionPlan>),
    /// The rows cannot be counted through, for a reason that follows the name of the table.
    NotCountable(Arc<dyn ExecutionPlan>, &'static str),
}

impl CountedPlan {
    /// Has the operators of a plan of `query` count their rows, if the query is countable.
    pub(super) fn new(query: &LogicalPlan, plan: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(match reason_of(query)? {
            Some(reason) => Self::NotCountable(plan, reason),
            None => Self::Countable(count_filters(&plan)?),
        })
    }

    /// Replaces operators by others that give the same rows.
    pub(super) fn try_map<F>(self, replace: F) -> Result<Self>
    where
        F: FnOnce(Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>>,
    {
        Ok(match self {
            Self::Countable(plan) => Self::Countable(replace(plan)?),
            Self::NotCountable(plan, reason) => Self::NotCountable(replace(plan)?, reason),
        })
    }

    /// Returns the plan to run.
    pub(super) fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        match self {
            Self::Countable(plan) | Self::NotCountable(plan, _) => plan,
        }
    }

    /// Returns the books, after the plan ran, to its end and only once, and wrote `files`.
    pub(super) fn balance(&self, files: &[StagedFile]) -> Balance {
        match self {
            Self::Countable(plan) => balance(plan, files),
            Self::NotCountable(_, reason) => Balance::not_countable(*reason),
        }
    }
}

fn balance(executed: &Arc<dyn ExecutionPlan>, files: &[StagedFile]) -> Balance {
    let mut account = RowAccount::default();
    if let Err(operator) = account.add(executed) {
        return Balance::not_countable(format!("its plan has the operator {operator}"));
    }
    let books = Books {
        exported: files.iter().map(|file| file.rows).sum(),
        ..account.books
    };
    Balance::Counted(books)
}

/// Returns the reason why the rows of a query cannot be counted through, as it follows the name of the
/// table.
fn reason_of(query: &LogicalPlan) -> Result<Option<&'static str>> {
    let mut reason = None;
    query.apply(|node| {
        reason = match node {
            LogicalPlan::Aggregate(_) => Some("it aggregates"),
            LogicalPlan::Distinct(_) => Some("it leaves out duplicates"),
            LogicalPlan::Join(_) => Some("it joins"),
            LogicalPlan::Limit(_) => Some("it limits"),
            LogicalPlan::RecursiveQuery(_) => Some("it is recursive"),
            _ if has_subquery(node)? => Some("it has a subquery"),
            _ => None,
        };
        Ok(match reason {
            Some(_) => TreeNodeRecursion::Stop,
            None => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(reason)
}

fn has_subquery(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expression| {
        let is_subquery = |part: &Expr| {
            matches!(
                part,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::SetComparison(_)
            )
        };
        found |= expression.exists(|part| Ok(is_subquery(part)))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Adds up what the operators of an executed plan counted.
#[derive(Default)]
struct RowAccount {
    books: Books,
    /// The scans that are added.
    scans: Vec<Arc<Scan>>,
}

impl RowAccount {
    /// Adds the counts of an operator and of all below it.
    ///
    /// # Errors
    /// Returns the name of the first operator whose rows cannot be counted.
    fn add<'a>(&mut self, node: &'a Arc<dyn ExecutionPlan>) -> Result<(), &'a str> {
        let node = node_of(node);
        if node.fetch().is_some() {
            return Err(node.name());
        }
        let metrics = node.metrics().unwrap_or_default();
        if let Some(scan) = scan_of(node) {
            self.books.filtered += sum(&metrics, ROWS_FILTERED);
            self.add_scan(scan);
            return Ok(());
        }
        if let Some(rows) = constant_rows(node) {
            self.books.read += rows;
            return Ok(());
        }
        if let Some(filter) = node.downcast_ref::<FilterExec>() {
            let dropped = CountedPredicate::dropped_rows(filter.predicate());
            self.books.filtered += dropped.ok_or_else(|| node.name())?;
        } else if node.is::<UnnestExec>() {
            let (rows_in, rows_out) = (sum(&metrics, "input_rows"), metrics.output_rows());
            self.books.unnested += rows_out.unwrap_or(0) as i64 - rows_in as i64;
        } else if !KEEP_ROWS.contains(&node.name()) || node.children().is_empty() {
            return Err(node.name());
        }
        let mut children = node.children().into_iter();
        children.try_for_each(|child| self.add(child))
    }

    fn add_scan(&mut self, scan: Arc<Scan>) {
        if self.scans.iter().any(|added| Arc::ptr_eq(added, &scan)) {
            return;
        }
        let counts = &scan.counts;
        self.books.read += counts.rows_decoded.load(Ordering::Relaxed);
        self.books.rejected += counts.rows_rejected.load(Ordering::Relaxed);
        self.scans.push(scan);
    }
}

/// Returns the sum of a count over all partitions.
fn sum(metrics: &MetricsSet, name: &str) -> u64 {
    let sum = metrics.sum_by_name(name);
    sum.map_or(0, |sum| sum.as_usize() as u64)
}

/// Returns the number of rows that a plan itself holds, as for `VALUES`; `None` for any other operator.
fn constant_rows(node: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    if node.is::<EmptyExec>() {
        return Some(0);
    }
    if node.is::<PlaceholderRowExec>() {
        return Some(node.properties().output_partitioning().partition_count() as u64);
    }
    let source = node.downcast_ref::<DataSourceExec>()?.data_source();
    let memory = source.downcast_ref::<MemorySourceConfig>()?;
    let batches = memory.partitions().iter().flatten();
    Some(batches.map(|batch| batch.num_rows() as u64).sum())
}
