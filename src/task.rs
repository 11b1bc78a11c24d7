//! What an operator knows of the task that it runs in: which one of the plan, and until when.
//!
//! A scheduler that gives each task some partitions of a plan counts them from 0 in each task. An
//! operator that has to know which partition of the whole plan it works on takes [`ordinals`] as one
//! more input: a scheduler that cuts the plan cuts all inputs alike.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// A plan of `count` partitions, each of which holds its number.
pub fn ordinals(count: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::new(Schema::new(vec![Field::new(
        "ordinal",
        DataType::UInt64,
        false,
    )]));
    let partitions: Vec<Vec<RecordBatch>> = (0..count as u64)
        .map(|number| {
            let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![number]));
            Ok(vec![RecordBatch::try_new(
                Arc::clone(&schema),
                vec![numbers],
            )?])
        })
        .collect::<Result<_>>()?;
    Ok(MemorySourceConfig::try_new_exec(&partitions, schema, None)?)
}

/// What the partition's number was before the plan was cut.
pub fn ordinal(ordinals: &Arc<dyn ExecutionPlan>, partition: usize) -> Result<u64> {
    let batches = rows_in_memory(ordinals, partition)?;
    let column = batches.first().and_then(|batch| batch.columns().first());
    let numbers = column.and_then(|column| column.as_primitive_opt::<UInt64Type>());
    let number = numbers.and_then(|numbers| numbers.iter().flatten().next());
    number.ok_or_else(|| Error::internal(format!("partition {partition} has no number")).into())
}

/// What a partition of a plan that holds its rows in memory has, without running it.
pub fn rows_in_memory(plan: &Arc<dyn ExecutionPlan>, partition: usize) -> Result<&[RecordBatch]> {
    let source = plan.downcast_ref::<DataSourceExec>();
    let source = source.and_then(|exec| exec.data_source().downcast_ref::<MemorySourceConfig>());
    let batches = source.and_then(|source| source.partitions().get(partition));
    let batches = batches.map(Vec::as_slice);
    batches.ok_or_else(|| {
        Error::internal(format!(
            "{} has no rows for partition {partition}",
            plan.name()
        ))
        .into()
    })
}

/// Ends when nobody wants the result of the task any more: an extension of its session.
#[derive(Debug, Clone, Default)]
pub struct TaskEnd(pub CancellationToken);

impl TaskEnd {
    /// Of a task that nobody ends, where the session says nothing.
    pub fn of(context: &TaskContext) -> Self {
        let end = context.session_config().get_extension::<Self>();
        end.map_or_else(Self::default, |end| end.as_ref().clone())
    }

    /// What `work` comes to, or an error as soon as nobody wants it.
    pub async fn unless_ended<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = self.0.cancelled() => Err(Error::unavailable("the task was given up").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_knows_its_number() {
        let plan = ordinals(3).unwrap();
        for partition in 0..3 {
            assert_eq!(ordinal(&plan, partition).unwrap(), partition as u64);
        }
        assert!(ordinal(&plan, 3).is_err());
    }
}
