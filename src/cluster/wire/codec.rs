//! Encodes our operators inside a physical plan of DataFusion; Ballista encodes all others.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::{PhysicalExprNode, Schema as SchemaNode};
use prost::Message;

use crate::cluster::scan::{RemoteJsonExec, RemoteJsonTask, RowCountExec};
use crate::cluster::write::{GatherExec, RemoteStagedWriteExec, RemoteWriteTask};
use crate::engine::{bounded, checked};
use crate::error::Error;

/// The prefix of our operators, with the version of their encoding: all machines of a cluster run the
/// same version of dayport.
const MAGIC: &[u8] = b"dayport1";

/// Ballista's codec, extended by our operators.
#[derive(Debug, Default)]
pub(crate) struct PlanCodec {
    ballista: BallistaPhysicalExtensionCodec,
}

/// One of our operators without its inputs.
#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(oneof = "Operator", tags = "1, 2, 3, 4")]
    operator: Option<Operator>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Operator {
    /// A `RemoteWriteTask` as JSON.
    #[prost(string, tag = "1")]
    StagedWrite(String),
    #[prost(message, tag = "2")]
    Json(JsonNode),
    /// The index of the scan in the log.
    #[prost(uint64, tag = "3")]
    RowCount(u64),
    /// A `RemoteWriteTask` as JSON.
    #[prost(string, tag = "4")]
    Gather(String),
}

#[derive(Clone, PartialEq, Message)]
struct JsonNode {
    /// A `RemoteJsonTask` as JSON.
    #[prost(string, tag = "1")]
    task: String,
    #[prost(message, optional, tag = "2")]
    files: Option<SchemaNode>,
    #[prost(message, optional, tag = "3")]
    folders: Option<SchemaNode>,
    #[prost(message, repeated, tag = "4")]
    conditions: Vec<PhysicalExprNode>,
}

impl PhysicalExtensionCodec for PlanCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(ours) = bytes.strip_prefix(MAGIC) else {
            return self.ballista.try_decode(bytes, inputs, context, converter);
        };
        let node = Node::decode(ours).map_err(|error| unreadable().with_source(error))?;
        match node.operator.ok_or_else(unreadable)? {
            Operator::StagedWrite(task) => {
                let [input, indexes] = inputs else {
                    return internal_err!("RemoteStagedWriteExec has two inputs");
                };
                let task: RemoteWriteTask = from_json(&task)?;
                let (input, indexes) = (Arc::clone(input), Arc::clone(indexes));
                Ok(Arc::new(RemoteStagedWriteExec::new(task, input, indexes)))
            }
            Operator::Gather(task) => {
                let [input] = inputs else {
                    return internal_err!("GatherExec has one input");
                };
                Ok(Arc::new(GatherExec::new(
                    Arc::clone(input),
                    from_json(&task)?,
                )))
            }
            Operator::RowCount(scan) => {
                let [input, indexes] = inputs else {
                    return internal_err!("RowCountExec has two inputs");
                };
                let scan = usize::try_from(scan).map_err(|_| unreadable())?;
                let (input, indexes) = (Arc::clone(input), Arc::clone(indexes));
                Ok(Arc::new(RowCountExec::new(input, indexes, scan)))
            }
            Operator::Json(json) => {
                let [lists] = inputs else {
                    return internal_err!("RemoteJsonExec has one input");
                };
                let task: RemoteJsonTask = from_json(&json.task)?;
                let schema = TableSchema::builder(Arc::new(schema(json.files)?))
                    .with_table_partition_cols(fields(&schema(json.folders)?))
                    .build();
                let output = task.output(&schema)?;
                let decoding = PhysicalPlanDecodeContext::new(context, self);
                let conditions = json
                    .conditions
                    .iter()
                    .map(|condition| {
                        converter.proto_to_physical_expr(condition, &output, &decoding)
                    })
                    .collect::<Result<Vec<_>>>()?;
                let exec = RemoteJsonExec::new(task, schema, conditions, Arc::clone(lists))?;
                Ok(Arc::new(exec))
            }
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let operator = if let Some(write) = node.downcast_ref::<RemoteStagedWriteExec>() {
            Operator::StagedWrite(to_json(write.task())?)
        } else if let Some(json) = node.downcast_ref::<RemoteJsonExec>() {
            let conditions = json
                .conditions()
                .iter()
                .map(|condition| converter.physical_expr_to_proto(condition, self))
                .collect::<Result<_>>()?;
            let table = json.table_schema();
            let folders = Schema::new(table.table_partition_cols().clone());
            Operator::Json(JsonNode {
                task: to_json(json.task())?,
                files: Some(table.file_schema().as_ref().try_into()?),
                folders: Some((&folders).try_into()?),
                conditions,
            })
        } else if let Some(gather) = node.downcast_ref::<GatherExec>() {
            Operator::Gather(to_json(gather.task())?)
        } else if let Some(count) = node.downcast_ref::<RowCountExec>() {
            Operator::RowCount(count.scan() as u64)
        } else {
            return self.ballista.try_encode(node, bytes, converter);
        };
        bytes.extend_from_slice(MAGIC);
        let ours = Node {
            operator: Some(operator),
        };
        ours.encode(bytes)
            .map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// Marks a bounded function, with its bound: the other machine would take DataFusion's, which has the
    /// same name.
    fn try_encode_udf(&self, function: &ScalarUDF, bytes: &mut Vec<u8>) -> Result<()> {
        match bounded::max_bytes_of_function(function) {
            Some(max_bytes) => {
                bytes.extend(bound_mark(max_bytes));
                Ok(())
            }
            None => self.ballista.try_encode_udf(function, bytes),
        }
    }

    fn try_decode_udf(&self, name: &str, bytes: &[u8]) -> Result<Arc<ScalarUDF>> {
        if let Some(max_bytes) = marked_bound(bytes) {
            let function = bounded::scalar_function(name, max_bytes);
            return function.ok_or_else(|| unreadable().into());
        }
        match checked::scalar_function(name) {
            Some(function) => Ok(function),
            None => self.ballista.try_decode_udf(name, bytes),
        }
    }

    /// Marks our `sum` and the bounded functions: the other machine would take DataFusion's, which have the
    /// same names.
    fn try_encode_udaf(&self, function: &AggregateUDF, bytes: &mut Vec<u8>) -> Result<()> {
        if checked::is_checked_aggregate(function) {
            bytes.extend_from_slice(MAGIC);
            return Ok(());
        }
        if let Some(max_bytes) = bounded::max_bytes_of_aggregate(function) {
            bytes.extend(bound_mark(max_bytes));
            return Ok(());
        }
        self.ballista.try_encode_udaf(function, bytes)
    }

    fn try_decode_udaf(&self, name: &str, bytes: &[u8]) -> Result<Arc<AggregateUDF>> {
        if let Some(max_bytes) = marked_bound(bytes) {
            let function = bounded::aggregate_function(name, max_bytes);
            return function.ok_or_else(|| unreadable().into());
        }
        match bytes == MAGIC {
            true => Ok(checked::aggregate_function()),
            false => self.ballista.try_decode_udaf(name, bytes),
        }
    }
}

/// Returns the mark of a function with a bound.
fn bound_mark(max_bytes: u64) -> Vec<u8> {
    [MAGIC, &max_bytes.to_le_bytes()].concat()
}

/// Returns the bound that a function is marked with.
fn marked_bound(bytes: &[u8]) -> Option<u64> {
    let bound = bytes.strip_prefix(MAGIC)?.try_into().ok()?;
    Some(u64::from_le_bytes(bound))
}

fn unreadable() -> Error {
    Error::internal("an operator of the plan is unreadable")
        .with_hint("do all machines of the cluster run the same version of dayport?")
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable().with_source(error).into())
}

fn to_json<T: serde::Serialize>(task: &T) -> Result<String> {
    serde_json::to_string(task).map_err(|error| {
        let error = Error::internal("cannot write an operator of the plan").with_source(error);
        error.into()
    })
}

fn schema(node: Option<SchemaNode>) -> Result<Schema> {
    let node = node.ok_or_else(unreadable)?;
    Ok((&node).try_into()?)
}

fn fields(schema: &Schema) -> Vec<FieldRef> {
    schema.fields().iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use datafusion::execution::FunctionRegistry;
    use datafusion::functions_aggregate::sum::sum_udaf;

    use super::*;

    #[test]
    fn the_checked_sum_is_told_from_that_of_datafusion() {
        let codec = PlanCodec::default();
        let mut ours = Vec::new();
        codec
            .try_encode_udaf(&checked::aggregate_function(), &mut ours)
            .unwrap();
        let decoded = codec.try_decode_udaf("sum", &ours).unwrap();
        assert!(checked::is_checked_aggregate(&decoded));
        let mut theirs = Vec::new();
        codec.try_encode_udaf(&sum_udaf(), &mut theirs).unwrap();
        assert!(theirs.is_empty());
    }

    #[test]
    fn bounded_functions_keep_their_bound() {
        let codec = PlanCodec::default();
        let mut mark = Vec::new();
        let repeat = bounded::scalar_function("repeat", 1000).unwrap();
        codec.try_encode_udf(&repeat, &mut mark).unwrap();
        let decoded = codec.try_decode_udf("repeat", &mark).unwrap();
        assert_eq!(bounded::max_bytes_of_function(&decoded), Some(1000));
        mark.clear();
        let agg = bounded::aggregate_function("array_agg", 2000).unwrap();
        codec.try_encode_udaf(&agg, &mut mark).unwrap();
        let decoded = codec.try_decode_udaf("array_agg", &mark).unwrap();
        assert_eq!(bounded::max_bytes_of_aggregate(&decoded), Some(2000));
        assert!(!checked::is_checked_aggregate(&decoded));
    }

    #[test]
    fn executors_know_the_checked_functions_by_name() {
        let codec = PlanCodec::default();
        let context = TaskContext::default();
        for name in [
            "checked_add",
            "checked_subtract",
            "checked_multiply",
            "checked_negate",
        ] {
            assert!(context.udf(name).is_err(), "{name}");
            assert_eq!(codec.try_decode_udf(name, &[]).unwrap().name(), name);
        }
    }
}
