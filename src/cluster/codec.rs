//! Our operators as bytes inside a physical plan of DataFusion; all others are Ballista's.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::{PhysicalExprNode, Schema as SchemaNode};
use prost::Message;

use crate::error::Error;
use crate::scan::remote::counted::CountedExec;
use crate::scan::remote::json::{JsonTask, JsonTaskExec};
use crate::stage::{GatherExec, StageExec, StageTask};

/// In front of what is ours. The number is of the format: machines of one cluster have one version.
const MAGIC: &[u8] = b"dayport1";

/// Ballista's codec, and our operators.
#[derive(Debug, Default)]
pub struct PlanCodec {
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
    /// A `StageTask` as JSON.
    #[prost(string, tag = "1")]
    Stage(String),
    #[prost(message, tag = "2")]
    Json(JsonNode),
    /// The scan's place in the log.
    #[prost(uint64, tag = "3")]
    Counted(u64),
    /// A `StageTask` as JSON.
    #[prost(string, tag = "4")]
    Gather(String),
}

#[derive(Clone, PartialEq, Message)]
struct JsonNode {
    /// A `JsonTask` as JSON.
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
            Operator::Stage(task) => {
                let task: StageTask = from_json(&task)?;
                Ok(Arc::new(StageExec::of_task(task, inputs, context)?))
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
            Operator::Counted(scan) => {
                let [input, ordinals] = inputs else {
                    return internal_err!("CountedExec has two inputs");
                };
                let scan = usize::try_from(scan).map_err(|_| unreadable())?;
                let (input, ordinals) = (Arc::clone(input), Arc::clone(ordinals));
                Ok(Arc::new(CountedExec::new(input, ordinals, scan)))
            }
            Operator::Json(json) => {
                let [lists] = inputs else {
                    return internal_err!("JsonTaskExec has one input");
                };
                let task: JsonTask = from_json(&json.task)?;
                let schema = TableSchema::builder(Arc::new(schema(json.files)?))
                    .with_table_partition_cols(fields(&schema(json.folders)?))
                    .build();
                let output = task.output(&schema)?;
                let decoding = PhysicalPlanDecodeContext::new(context, self);
                let conditions = json.conditions.iter().map(|condition| {
                    converter.proto_to_physical_expr(condition, &output, &decoding)
                });
                let conditions = conditions.collect::<Result<Vec<_>>>()?;
                let exec = JsonTaskExec::new(task, schema, conditions, Arc::clone(lists))?;
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
        let operator = if let Some(stage) = node.downcast_ref::<StageExec>() {
            let Some(task) = stage.task() else {
                return internal_err!("StageExec of this process was sent to another");
            };
            Operator::Stage(to_json(&task)?)
        } else if let Some(json) = node.downcast_ref::<JsonTaskExec>() {
            let conditions = json.conditions().iter();
            let conditions =
                conditions.map(|condition| converter.physical_expr_to_proto(condition, self));
            let table = json.table_schema();
            let folders = Schema::new(table.table_partition_cols().clone());
            Operator::Json(JsonNode {
                task: to_json(json.task())?,
                files: Some(table.file_schema().as_ref().try_into()?),
                folders: Some((&folders).try_into()?),
                conditions: conditions.collect::<Result<_>>()?,
            })
        } else if let Some(gather) = node.downcast_ref::<GatherExec>() {
            Operator::Gather(to_json(gather.task())?)
        } else if let Some(counted) = node.downcast_ref::<CountedExec>() {
            Operator::Counted(counted.scan() as u64)
        } else {
            return self.ballista.try_encode(node, bytes, converter);
        };
        bytes.extend_from_slice(MAGIC);
        let node = Node {
            operator: Some(operator),
        };
        node.encode(bytes)
            .map_err(|error| DataFusionError::External(Box::new(error)))
    }
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
