//! Partitions that know their number.
//!
//! A scheduler that gives each task some partitions of a plan counts them from 0 in each task. An
//! operator that has to know which partition of the whole plan it works on takes [`ordinals`] as one
//! more input: a scheduler that cuts the plan cuts all inputs alike.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;

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
pub async fn ordinal(
    ordinals: &Arc<dyn ExecutionPlan>,
    partition: usize,
    context: &Arc<TaskContext>,
) -> Result<u64> {
    let mut rows = ordinals.execute(partition, Arc::clone(context))?;
    let mut number = None;
    while let Some(batch) = rows.try_next().await? {
        let column = batch.columns().first();
        let numbers = column.and_then(|column| column.as_primitive_opt::<UInt64Type>());
        number = number.or_else(|| numbers.and_then(|numbers| numbers.iter().flatten().next()));
    }
    number.ok_or_else(|| Error::internal(format!("partition {partition} has no number")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_partition_knows_its_number() {
        let plan = ordinals(3).unwrap();
        let context = Arc::new(TaskContext::default());
        for partition in 0..3 {
            let number = ordinal(&plan, partition, &context).await.unwrap();
            assert_eq!(number, partition as u64);
        }
    }
}
