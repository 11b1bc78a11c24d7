//! Exchanges of rows between tasks, in smaller batches if the rows are wide.
//!
//! DataFusion collects the rows for each task until they are a batch of a fixed number of rows, and does not
//! account for them.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, TryStreamExt};
use parking_lot::Mutex;

use crate::engine::wrapped_node::leave_to_node;
use crate::wide_sort::over_wide_rows;

/// Wraps each exchange of a plan, but those that keep an order.
pub(super) fn exchange_wide_rows(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| {
        let Some(exchange) = node.downcast_ref::<RepartitionExec>() else {
            return Ok(Transformed::no(node));
        };
        if exchange.preserve_order() {
            return Ok(Transformed::no(node));
        }
        Ok(Transformed::yes(Arc::new(WideExchangeExec {
            node,
            started: Mutex::default(),
        })))
    })?;
    Ok(wrapped.data)
}

/// The exchange that runs, with its context; one for all of its outputs.
type Started = Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>), Arc<DataFusionError>>;

/// An exchange whose batches have fewer rows if these are wide.
struct WideExchangeExec {
    /// The operator of DataFusion.
    node: Arc<dyn ExecutionPlan>,
    /// The start of the exchange, which the first output begins and any of them goes on with.
    started: Mutex<Option<Shared<BoxFuture<'static, Started>>>>,
}

impl fmt::Debug for WideExchangeExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}

impl WideExchangeExec {
    fn start(&self, context: &Arc<TaskContext>) -> Result<Shared<BoxFuture<'static, Started>>> {
        let mut started = self.started.lock();
        if let Some(started) = &*started {
            return Ok(started.clone());
        }
        let [input] = self.node.children()[..] else {
            return internal_err!("an exchange has one input");
        };
        let count = input.properties().output_partitioning().partition_count();
        let mut inputs = Vec::with_capacity(count);
        for partition in 0..count {
            inputs.push(input.execute(partition, Arc::clone(context))?);
        }
        let (node, schema) = (Arc::clone(&self.node), input.schema());
        let running = over_wide_rows(node, inputs, schema, Arc::clone(context));
        let shared = running
            .map(|result| result.map_err(Arc::new))
            .boxed()
            .shared();
        *started = Some(shared.clone());
        Ok(shared)
    }
}

impl DisplayAs for WideExchangeExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt_as(format, f)
    }
}

impl ExecutionPlan for WideExchangeExec {
    fn name(&self) -> &'static str {
        "WideExchangeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.node.properties()
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
            started: Mutex::default(),
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let started = self.start(&context)?;
        let output = async move {
            let (node, context) = started.await.map_err(DataFusionError::Shared)?;
            node.execute(partition, context)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            futures::stream::once(output).try_flatten(),
        )))
    }
}
