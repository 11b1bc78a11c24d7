//! The serializable part of a staged write on other machines.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::TableOptions;
use datafusion::execution::TaskContext;
use serde::{Deserialize, Serialize};

use crate::cluster::write::remote_writer::RemoteWriter;
use crate::cluster::write::staging_config::{Destinations, RemoteStagingConfig};
use crate::error::Error;
use crate::layout::NullPartitions;
use crate::schema::ExportSchema;
use crate::stage::{EncodingOptions, StageSpec, WindowColumn, WriterIndex};

/// The settings of all writers of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RemoteWriteTask {
    spec: StageSpecProto,
    config: RemoteStagingConfig,
    /// The number of writers of the whole plan, the gathering one included.
    writers: u64,
    is_gathered: bool,
}

impl RemoteWriteTask {
    /// Creates the settings of a plan whose rows are written by `partitions` writers. If `is_gathered`,
    /// one more writer gathers the rows that they forward.
    pub(crate) fn new(
        spec: &StageSpec,
        config: RemoteStagingConfig,
        partitions: usize,
        is_gathered: bool,
    ) -> Self {
        Self {
            spec: spec.into(),
            config,
            writers: partitions as u64 + u64::from(is_gathered),
            is_gathered,
        }
    }

    /// Returns the number of writers of the whole plan, the gathering one included.
    pub(crate) fn writers(&self) -> u64 {
        self.writers
    }

    /// Returns true if a last writer gathers the rows that the others forward.
    pub(crate) fn is_gathered(&self) -> bool {
        self.is_gathered
    }

    /// Returns the settings of the files, in a session whose defaults are those of `context`.
    pub(crate) fn spec(&self, context: &TaskContext) -> Result<StageSpec> {
        let options = context.session_config().options();
        let defaults = TableOptions::default_from_session_config(options);
        let mut spec = self.spec.clone().into_spec(defaults)?;
        // Each of several writers without rows would write an empty file.
        spec.empty_file = false;
        Ok(spec)
    }

    /// Starts the writer with `index` among all writers of the plan.
    pub(crate) async fn start(&self, index: u64, context: &TaskContext) -> Result<RemoteWriter> {
        let count = self.writers;
        if index >= count {
            return Err(Error::internal(format!("writer {index} of {count} writers")).into());
        }
        let shared: Option<Arc<Destinations>> = context.session_config().get_extension();
        let destinations = shared.unwrap_or_default();
        let writer = WriterIndex { index, count };
        let session = self.config.open_session(writer, &destinations).await?;
        Ok(RemoteWriter::new(session))
    }

    /// Starts the writer that gathers the rows that the others forward.
    pub(crate) async fn start_gathering(&self, context: &TaskContext) -> Result<RemoteWriter> {
        self.start(self.writers - 1, context).await
    }
}

/// A [`StageSpec`] as plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StageSpecProto {
    encoding: EncodingOptions,
    schema: ExportSchema,
    partition_by: Vec<String>,
    partition_columns: ExportSchema,
    null_partitions: NullPartitions,
    window: Option<WindowColumn>,
    empty_file: bool,
}

impl From<&StageSpec> for StageSpecProto {
    fn from(spec: &StageSpec) -> Self {
        Self {
            encoding: spec.options.clone(),
            schema: spec.schema.clone(),
            partition_by: spec.partition_by.clone(),
            partition_columns: spec.partition_columns.clone(),
            null_partitions: spec.null_partitions.clone(),
            window: spec.window.clone(),
            empty_file: spec.empty_file,
        }
    }
}

impl StageSpecProto {
    fn into_spec(self, defaults: TableOptions) -> Result<StageSpec> {
        Ok(StageSpec {
            encoding: self.encoding.encoding(defaults)?,
            options: self.encoding,
            schema: self.schema,
            partition_by: self.partition_by,
            partition_columns: self.partition_columns,
            null_partitions: self.null_partitions,
            window: self.window,
            empty_file: self.empty_file,
        })
    }
}
