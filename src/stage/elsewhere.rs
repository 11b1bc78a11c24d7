//! [`StageExec`] in one of the tasks of another machine: a writer beside others.

use std::sync::Arc;

use datafusion::common::config::TableOptions;
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::schema::ExportSchema;
use crate::stage::Stage;
use crate::stage::exec::{StageExec, StageSpec};
use crate::stage::format::EncodingRecipe;
use crate::stage::numbers::Lane;
use crate::stage::order::{Destinations, GiveUp, StageOrder};
use crate::task::{ordinal, ordinals};

/// What such a writer is told with the plan, since no session comes with it.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    order: Arc<StageOrder>,
    /// Writers of the whole plan.
    writers: u64,
    /// Which of them each partition is.
    pub(super) ordinals: Arc<dyn ExecutionPlan>,
}

/// All of a [`StageExec`] but its inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageTask {
    spec: PlainSpec,
    order: StageOrder,
    writers: u64,
}

/// A [`StageSpec`] as plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PlainSpec {
    recipe: EncodingRecipe,
    schema: ExportSchema,
    partition_by: Vec<String>,
    partition_columns: ExportSchema,
    window_column: Option<String>,
    empty_file: bool,
}

impl From<&StageSpec> for PlainSpec {
    fn from(spec: &StageSpec) -> Self {
        Self {
            recipe: spec.recipe.clone(),
            schema: spec.schema.clone(),
            partition_by: spec.partition_by.clone(),
            partition_columns: spec.partition_columns.clone(),
            window_column: spec.window_column.clone(),
            empty_file: spec.empty_file,
        }
    }
}

impl PlainSpec {
    fn spec(self, defaults: TableOptions) -> Result<StageSpec> {
        Ok(StageSpec {
            encoding: self.recipe.encoding(defaults)?,
            recipe: self.recipe,
            schema: self.schema,
            partition_by: self.partition_by,
            partition_columns: self.partition_columns,
            window_column: self.window_column,
            empty_file: self.empty_file,
        })
    }
}

impl StageExec {
    /// The same operator for tasks on other machines: each partition of the input is a writer.
    pub fn for_elsewhere(&self, order: StageOrder) -> Result<Self> {
        let input = Arc::clone(self.input());
        let count = input.properties().output_partitioning().partition_count();
        let elsewhere = Elsewhere {
            order: Arc::new(order),
            writers: count as u64,
            ordinals: ordinals(count)?,
        };
        Ok(Self::with_parts(input, self.spec().clone(), elsewhere))
    }

    /// What travels with the plan; `None` for an operator of this process.
    pub fn task(&self) -> Option<StageTask> {
        let elsewhere = self.elsewhere()?;
        Some(StageTask {
            spec: self.spec().into(),
            order: elsewhere.order.as_ref().clone(),
            writers: elsewhere.writers,
        })
    }

    /// The inverse of [`StageExec::task`]. The inputs are those of the operator.
    pub fn of_task(
        task: StageTask,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
    ) -> Result<Self> {
        let [input, ordinals] = inputs else {
            return internal_err!("StageExec on another machine has two inputs");
        };
        let config = context.session_config().options();
        let spec = task
            .spec
            .spec(TableOptions::default_from_session_config(config))?;
        let elsewhere = Elsewhere {
            order: Arc::new(task.order),
            writers: task.writers,
            ordinals: Arc::clone(ordinals),
        };
        Ok(Self::with_parts(Arc::clone(input), spec, elsewhere))
    }
}

/// A writer at work.
pub(super) struct Began {
    pub(super) writer: u64,
    /// Unless it comes to its end.
    pub(super) give_up: GiveUp,
}

impl Elsewhere {
    pub(super) fn with_ordinals(&self, ordinals: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            ordinals,
            ..self.clone()
        }
    }

    /// The stage of one partition, and what gives it up unless it comes to its end.
    pub(super) async fn stage(
        &self,
        partition: usize,
        context: &Arc<TaskContext>,
    ) -> Result<(Arc<Stage>, Began)> {
        let index = ordinal(&self.ordinals, partition)?;
        if index >= self.writers {
            return Err(
                Error::internal(format!("writer {index} of {} writers", self.writers)).into(),
            );
        }
        let lane = Lane {
            index,
            count: self.writers,
        };
        let shared = context.session_config().get_extension::<Destinations>();
        let destinations = shared.unwrap_or_default();
        let stage = Stage::elsewhere(&self.order, lane, &destinations).await?;
        let began = Began {
            writer: index,
            give_up: GiveUp::unless_kept(Arc::clone(&stage)),
        };
        Ok((stage, began))
    }
}
