//! Counts the rows that window functions hold against the memory limit.
//!
//! ```text
//! input ─HeldInputExec→ DataFusion's window operator ─WindowMemoryExec→ output
//!          reserves the rows that pass               releases them
//! ```
//! DataFusion reserves nothing for them. An operator whose functions look at all rows holds all of them
//! until its end; another one those that are not in its output yet, and the rows before them that its frames
//! begin with.
//!
//! The latter also keeps the text of all rows, if that is in views: it cuts its rows off the front of a batch
//! that never ends, and a cut leaves the buffers of views. So its input has offset strings in their place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowExpr};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::TryStreamExt;
use parking_lot::Mutex;

use crate::engine::wrapped_node::leave_to_node;
use crate::error::Error;
use crate::human;
use crate::memory_budget::MemoryBudget;
use crate::view_gc::{cast_to, gc_views, offset_field, used_bytes};

/// Wraps each operator of window functions of a plan, and its input.
pub(super) fn count_window_rows(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| {
        let [input] = node.children()[..] else {
            return Ok(Transformed::no(node));
        };
        let input_schema = input.schema();
        let (kept, schema) = if node.is::<WindowAggExec>() {
            (KeptRows::All, Arc::clone(&input_schema))
        } else if let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() {
            let functions = window.window_expr();
            let kept = KeptRows::Before(max_preceding_rows(functions));
            (kept, without_views(functions, &input_schema))
        } else {
            return Ok(Transformed::no(node));
        };
        let held = Arc::new(HeldByPartition {
            kept,
            partitions: Mutex::default(),
        });
        let properties = Arc::clone(node.properties());
        let input = HeldInputExec::new(Arc::clone(input), schema, Arc::clone(&held));
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let node = node.replace_children(vec![Arc::new(input)], options)?;
        Ok(Transformed::yes(Arc::new(WindowMemoryExec {
            node,
            properties,
            held,
        })))
    })?;
    Ok(wrapped.data)
}

/// Returns the schema with offset strings in the place of views, but in columns that a function computes
/// with: it was planned for their type. Partitions and orders compare values of any type.
fn without_views(functions: &[Arc<dyn WindowExpr>], schema: &SchemaRef) -> SchemaRef {
    // No method returns the filter of an aggregate, but its text.
    if functions
        .iter()
        .any(|function| format!("{function:?}").contains("filter: Some"))
    {
        return Arc::clone(schema);
    }
    let keys = functions.iter().flat_map(|function| {
        let orders = function.order_by().iter().map(|by| Arc::clone(&by.expr));
        let partitions = function.partition_by().iter().cloned();
        orders.chain(partitions).filter(|key| !key.is::<Column>())
    });
    let arguments = functions.iter().flat_map(|function| function.expressions());
    let used: BTreeSet<usize> = arguments
        .chain(keys)
        .flat_map(|expression| collect_columns(&expression))
        .map(|column| column.index())
        .collect();
    let fields = schema.fields().iter().enumerate();
    let fields = fields.map(|(index, field)| match used.contains(&index) {
        true => Arc::clone(field),
        false => offset_field(field),
    });
    let metadata = schema.metadata().clone();
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Fields>(),
        metadata,
    ))
}

/// The rows that an operator keeps besides those that are not in its output yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeptRows {
    /// All, until its end.
    All,
    /// A number of rows before the first of them.
    Before(u64),
}

/// Returns the number of rows before the current one that the frames begin with. Frames by value may have
/// any number of rows, which is not known before: these count as none.
fn max_preceding_rows(functions: &[Arc<dyn WindowExpr>]) -> u64 {
    let preceding = functions.iter().map(|function| {
        let frame = function.get_window_frame();
        match (frame.units, &frame.start_bound) {
            (
                WindowFrameUnits::Rows,
                WindowFrameBound::Preceding(ScalarValue::UInt64(Some(rows))),
            ) => *rows,
            _ => 0,
        }
    });
    preceding.max().unwrap_or(0)
}

/// The rows that the partitions of an operator hold.
#[derive(Debug)]
struct HeldByPartition {
    kept: KeptRows,
    partitions: Mutex<BTreeMap<usize, Arc<HeldRows>>>,
}

/// The rows that one partition of an operator holds.
#[derive(Debug)]
struct HeldRows {
    kept: KeptRows,
    /// Up to so many bytes are held even if the pool has no room for them: a sort or an exchange may fill it,
    /// whose rows come here.
    min_bytes: usize,
    state: Mutex<HeldState>,
}

#[derive(Debug)]
struct HeldState {
    memory: MemoryReservation,
    /// The batches in memory: the number of rows up to the end of each, and its bytes without the text of views,
    /// which is never released.
    batches: VecDeque<(u64, usize)>,
    rows_in: u64,
    rows_out: u64,
}

impl HeldRows {
    fn new(kept: KeptRows, context: &TaskContext) -> Self {
        let pool = context.memory_pool();
        let tasks = context.session_config().target_partitions();
        Self {
            kept,
            min_bytes: MemoryBudget::of(&**pool).min_window_bytes(tasks),
            state: Mutex::new(HeldState {
                memory: MemoryConsumer::new("rows of window functions").register(pool),
                batches: VecDeque::new(),
                rows_in: 0,
                rows_out: 0,
            }),
        }
    }

    /// Reserves the memory of a batch that the operator is given.
    fn hold(&self, batch: &RecordBatch) -> Result<()> {
        let bytes = held_bytes(batch);
        let views = batch.columns().iter().filter(|column| has_views(column));
        let text: usize = views.map(|column| used_bytes(column)).sum();
        let mut state = self.state.lock();
        let held = state.memory.size().saturating_add(bytes);
        if held <= self.min_bytes {
            state.memory.grow(bytes);
        } else if state.memory.try_grow(bytes).is_err() {
            return Err(too_many(held, self.kept).into());
        }
        state.rows_in += batch.num_rows() as u64;
        let end = state.rows_in;
        state.batches.push_back((end, bytes.saturating_sub(text)));
        Ok(())
    }

    /// Releases the memory of rows that the operator has given, and needs no more.
    fn release(&self, rows: usize) {
        let KeptRows::Before(kept) = self.kept else {
            return;
        };
        let mut state = self.state.lock();
        state.rows_out += rows as u64;
        while let Some((end, bytes)) = state.batches.front().copied()
            && end.saturating_add(kept) <= state.rows_out
        {
            state.batches.pop_front();
            state.memory.shrink(bytes);
        }
    }
}

/// Returns the bytes that an operator needs for a batch. It copies all rows into one batch, but for the text
/// that views point to.
fn held_bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    let bytes = columns.map(|column| match column.data_type() {
        DataType::Utf8View | DataType::BinaryView => {
            used_bytes(column) + size_of::<u128>() * column.len()
        }
        _ => 2 * used_bytes(column),
    });
    bytes.sum()
}

fn has_views(column: &ArrayRef) -> bool {
    let field = Arc::new(Field::new("column", column.data_type().clone(), true));
    offset_field(&field) != field
}

fn too_many(bytes: usize, kept: KeptRows) -> Error {
    let bytes = human::bytes(bytes as u64);
    let which = match kept {
        KeptRows::All => "all rows of their input",
        KeptRows::Before(_) => "the rows of their frames",
    };
    Error::invalid(format!(
        "the memory limit is too small for the window functions of the query: they hold {which} in memory, \
         and there is no room for {bytes} of them"
    ))
    .with_hint(
        "select only the columns that are needed below the window functions, or raise --memory-limit",
    )
}

/// The input of an operator of window functions, whose rows are counted.
#[derive(Debug)]
struct HeldInputExec {
    input: Arc<dyn ExecutionPlan>,
    /// Those of the input, with offset strings in place of views.
    properties: Arc<PlanProperties>,
    held: Arc<HeldByPartition>,
}

impl HeldInputExec {
    fn new(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, held: Arc<HeldByPartition>) -> Self {
        let properties = input.properties();
        let properties = match input.schema() == schema {
            true => Arc::clone(properties),
            false => {
                let order = properties.output_ordering().cloned();
                Arc::new(PlanProperties::new(
                    EquivalenceProperties::new_with_orderings(schema, order),
                    properties.output_partitioning().clone(),
                    properties.emission_type,
                    properties.boundedness,
                ))
            }
        };
        Self {
            input,
            properties,
            held,
        }
    }
}

/// An operator of window functions, whose rows are counted.
#[derive(Debug)]
struct WindowMemoryExec {
    node: Arc<dyn ExecutionPlan>,
    /// Those that the operator has without offset strings.
    properties: Arc<PlanProperties>,
    held: Arc<HeldByPartition>,
}

impl DisplayAs for HeldInputExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldInputExec")
    }
}

impl DisplayAs for WindowMemoryExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt_as(format, f)
    }
}

impl ExecutionPlan for HeldInputExec {
    fn name(&self) -> &'static str {
        "HeldInputExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children)
            .or_else(|_| internal_err!("the input of window functions is one"))?;
        let held = Arc::clone(&self.held);
        Ok(Arc::new(Self::new(input, self.schema(), held)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let Some(held) = self.held.partitions.lock().remove(&partition) else {
            return internal_err!("window functions are not counted");
        };
        let schema = self.schema();
        let held_schema = Arc::clone(&schema);
        let counted = rows.and_then(move |batch| {
            let counted = cast_to(&batch, &held_schema)
                .and_then(|batch| gc_views(&batch))
                .map_err(Into::into)
                .and_then(|batch| held.hold(&batch).map(|()| batch));
            futures::future::ready(counted)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
    }
}

impl ExecutionPlan for WindowMemoryExec {
    fn name(&self) -> &'static str {
        "WindowMemoryExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    leave_to_node!();

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let node = Arc::clone(&self.node).replace_children(children, options)?;
        Ok(Arc::new(Self {
            node,
            properties: Arc::clone(&self.properties),
            held: Arc::clone(&self.held),
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let held = Arc::new(HeldRows::new(self.held.kept, &context));
        let partitions = &self.held.partitions;
        partitions.lock().insert(partition, Arc::clone(&held));
        let max_rows = context.session_config().batch_size();
        let rows = self.node.execute(partition, context)?;
        let schema = self.schema();
        let returned = Arc::clone(&schema);
        let released = rows.and_then(move |batch| {
            held.release(batch.num_rows());
            let batch = cast_to(&batch, &returned).map_err(Into::into);
            futures::future::ready(
                batch.map(|batch| futures::stream::iter(slices(&batch, max_rows).map(Ok))),
            )
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            schema,
            released.try_flatten(),
        )))
    }
}

/// Returns the rows of a batch in slices of usual size: an operator that holds all rows returns them as one
/// batch, of which the next one would make others as large.
fn slices(batch: &RecordBatch, max_rows: usize) -> impl Iterator<Item = RecordBatch> + use<> {
    let batch = batch.clone();
    let firsts = (0..batch.num_rows()).step_by(max_rows.max(1));
    firsts.map(move |first| batch.slice(first, max_rows.min(batch.num_rows() - first)))
}

#[cfg(test)]
mod tests;
