//! The index that a partition had in the whole plan, carried as a second input of an operator.
//!
//! A scheduler that gives each task some partitions of a plan counts them from 0 in each task. An
//! operator that has to know which partition of the whole plan it runs takes [`partition_indexes`] as
//! one more input: a scheduler that cuts the plan cuts all inputs alike.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::Error;

/// Returns a plan of `count` partitions, each of which holds its index.
pub(super) fn partition_indexes(count: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::new(Schema::new(vec![Field::new(
        "partition_index",
        DataType::UInt64,
        false,
    )]));
    let partitions: Vec<Vec<RecordBatch>> = (0..count as u64)
        .map(|index| {
            let column: ArrayRef = Arc::new(UInt64Array::from(vec![index]));
            Ok(vec![RecordBatch::try_new(
                Arc::clone(&schema),
                vec![column],
            )?])
        })
        .collect::<Result<_>>()?;
    Ok(MemorySourceConfig::try_new_exec(&partitions, schema, None)?)
}

/// Returns the index that `partition` had before the plan was cut. `indexes` is a plan of
/// [`partition_indexes`], or what a scheduler left of it.
pub(super) fn partition_index(indexes: &Arc<dyn ExecutionPlan>, partition: usize) -> Result<u64> {
    let batches = rows_in_memory(indexes, partition)?;
    let column = batches.first().and_then(|batch| batch.columns().first());
    column
        .and_then(|column| column.as_primitive_opt::<UInt64Type>())
        .and_then(|column| column.iter().flatten().next())
        .ok_or_else(|| Error::internal(format!("partition {partition} has no index")).into())
}

/// Returns the rows of a partition of a plan that holds its rows in memory, without running it.
pub(super) fn rows_in_memory(
    plan: &Arc<dyn ExecutionPlan>,
    partition: usize,
) -> Result<&[RecordBatch]> {
    plan.downcast_ref::<DataSourceExec>()
        .and_then(|exec| exec.data_source().downcast_ref::<MemorySourceConfig>())
        .and_then(|source| source.partitions().get(partition))
        .map(Vec::as_slice)
        .ok_or_else(|| {
            Error::internal(format!(
                "{} has no rows for partition {partition}",
                plan.name()
            ))
            .into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_knows_its_index() {
        let plan = partition_indexes(3).unwrap();
        for partition in 0..3 {
            assert_eq!(partition_index(&plan, partition).unwrap(), partition as u64);
        }
        assert!(partition_index(&plan, 3).is_err());
    }
}
