//! A bound definition over given lines: the rows that it would export, and nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use crate::catalog::Sources;
use crate::catalog::lines::{self, LineSource};
use crate::engine::binding::BoundDefinition;
use crate::engine::local::LocalRunner;
use crate::engine::state::{self, EngineSettings};
use crate::engine::{Engine, OpenRows};
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::scan::scan_log::{ScanLog, SourceScan};
use crate::stage::CheckedRows;

/// A session whose sources are given as lines. One definition runs at a time.
pub(crate) struct LineEngine {
    engine: Engine,
    sources: Vec<LineSource>,
}

/// The rows that a definition exports of given lines.
pub(crate) struct ExportedRows {
    /// The columns of the files, then the partition columns.
    pub(crate) rows: Vec<RecordBatch>,
    /// The record of what was read of each source, with the lines that were rejected.
    pub(crate) sources: Vec<SourceScan>,
}

impl LineEngine {
    /// Opens a session over the declared `sources`, without any line.
    pub(crate) async fn open(sources: &Sources, settings: EngineSettings) -> Result<Self> {
        let context = SessionContext::new_with_state(state::new_state(&settings)?);
        let sources = sources.register_lines(&context).await?;
        let engine = Engine {
            state: context.state(),
            runner: Arc::new(LocalRunner),
        };
        Ok(Self { engine, sources })
    }

    /// Returns the engine, to bind definitions.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the columns of each declared table.
    pub(crate) fn sources(&self) -> &[LineSource] {
        &self.sources
    }

    /// Returns the columns that a bound definition exports: those of its files, then the partition columns.
    pub(crate) fn exported_columns(&self, bound: &BoundDefinition) -> Result<SchemaRef> {
        let query = Arc::new(bound.query()?.schema().as_arrow().clone());
        let rows = CheckedRows::new(&bound.spec, &query)?;
        Ok(Arc::clone(rows.schema()))
    }

    /// Runs a bound definition over the lines of each source, by their names; a source that is not among them has
    /// none.
    ///
    /// # Errors
    /// As a run: the query fails, a row lies outside of the cycle or in no partition, or the format cannot hold a
    /// value.
    pub(crate) async fn export(
        &self,
        bound: &BoundDefinition,
        lines: &BTreeMap<String, Bytes>,
    ) -> Result<ExportedRows> {
        self.put(lines).await?;
        let scans = ScanLog::keeping_rejects();
        let OpenRows {
            mut stream,
            scanned,
        } = self.engine.open_rows(bound, scans).await?;
        let mut checked = CheckedRows::new(&bound.spec, &stream.schema())?;
        while let Some(batch) = stream.try_next().await.map_err(from_datafusion)? {
            checked.add(&batch)?;
        }
        let sources = scanned.finish().await?;
        Ok(ExportedRows {
            rows: checked.finish()?,
            sources,
        })
    }

    /// Puts the lines where the sources read them.
    async fn put(&self, lines: &BTreeMap<String, Bytes>) -> Result<()> {
        let store = InMemory::new();
        for source in &self.sources {
            let text = lines.get(&source.name).cloned().unwrap_or_default();
            let put = store.put(&lines::key(&source.name), text.into()).await;
            put.map_err(|error| Error::store("write", &source.name, error))?;
        }
        let url = lines::store_url()?;
        let runtime = self.engine.state.runtime_env();
        runtime.register_object_store(url.as_ref(), Arc::new(store));
        Ok(())
    }
}
