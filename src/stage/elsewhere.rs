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
    /// Writers of the whole plan, the gathering one counted.
    writers: u64,
    /// Whether there is one that gathers what the others hand on.
    pub(super) gathered: bool,
    /// Which of them each partition is.
    pub(super) ordinals: Arc<dyn ExecutionPlan>,
}

/// All of a [`StageExec`] but its inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageTask {
    spec: PlainSpec,
    order: StageOrder,
    writers: u64,
    gathered: bool,
}

impl StageTask {
    /// Whether a writer gathers what the others hand on.
    pub fn is_gathered(&self) -> bool {
        self.gathered
    }

    pub(super) fn spec(&self, context: &TaskContext) -> Result<StageSpec> {
        let config = context.session_config().options();
        let spec = self.spec.clone();
        let mut spec = spec.spec(TableOptions::default_from_session_config(config))?;
        // Of several writers without rows, each would make one.
        spec.empty_file = false;
        Ok(spec)
    }

    /// The stage of the writer that gathers.
    pub(super) async fn gathering(
        &self,
        context: &Arc<TaskContext>,
    ) -> Result<(Arc<Stage>, Began)> {
        begin(&self.order, self.writers - 1, self.writers, context).await
    }
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
    /// Where there are several, they hand on what is little to one that gathers it, unless the
    /// query asks for an order.
    pub fn for_elsewhere(&self, order: StageOrder) -> Result<Self> {
        let input = Arc::clone(self.input());
        let count = input.properties().output_partitioning().partition_count();
        let gathered = count > 1 && !self.is_ordered();
        let elsewhere = Elsewhere {
            order: Arc::new(order),
            writers: count as u64 + u64::from(gathered),
            gathered,
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
            gathered: elsewhere.gathered,
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
        let spec = task.spec(context)?;
        let elsewhere = Elsewhere {
            order: Arc::new(task.order),
            writers: task.writers,
            gathered: task.gathered,
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
        begin(&self.order, index, self.writers, context).await
    }
}

/// Begins as writer `index` of so many.
async fn begin(
    order: &StageOrder,
    index: u64,
    writers: u64,
    context: &Arc<TaskContext>,
) -> Result<(Arc<Stage>, Began)> {
    if index >= writers {
        return Err(Error::internal(format!("writer {index} of {writers} writers")).into());
    }
    let lane = Lane {
        index,
        count: writers,
    };
    let shared = context.session_config().get_extension::<Destinations>();
    let stage = Stage::elsewhere(order, lane, &shared.unwrap_or_default()).await?;
    let began = Began {
        writer: index,
        give_up: GiveUp::unless_kept(Arc::clone(&stage)),
    };
    Ok((stage, began))
}
