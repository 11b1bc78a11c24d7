//! Sources end to end: declarations and raw files in a temporary folder, queried by DataFusion.

mod declaring;
mod nested_projection;
mod parquet;
mod parquet_values;
mod pruning;
mod reading;

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::DataFusionError;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use tempfile::TempDir;
use url::Url;

use crate::catalog::*;
use crate::engine_error::own;
use crate::jsonl::Compression;
use crate::listing::snapshot;
use crate::scan::columns_read::ColumnsRead;
use crate::scan::fixed_table::FixedTable;
use crate::scan::scan_log::{ScanLog, SourceScan};
use crate::scan::shared::request::ScanRequests;
use crate::scan::spec::SourceFormat;

/// A folder with `sql/sources/` and `raw/`.
struct World {
    folder: TempDir,
}

/// The result of a query, with its plan and the scans that it made.
struct Answer {
    batches: Vec<RecordBatch>,
    plan: Arc<dyn ExecutionPlan>,
    scans: Vec<SourceScan>,
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: TempDir::new().unwrap(),
        };
        std::fs::create_dir_all(world.path("sql/sources")).unwrap();
        std::fs::create_dir_all(world.path("raw")).unwrap();
        world
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Writes the declaration of a source.
    fn declare(self, name: &str, sql: &str) -> Self {
        std::fs::write(self.path(&format!("sql/sources/{name}.sql")), sql).unwrap();
        self
    }

    /// Writes a raw file.
    fn raw(self, key: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(&format!("raw/{key}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    fn base(&self) -> Url {
        Url::from_directory_path(self.path("raw")).unwrap()
    }

    /// Opens a session with every source. Returns it with the log of its scans.
    async fn session(&self) -> Result<(SessionContext, Arc<ScanLog>)> {
        let log = ScanLog::new();
        let config = SessionConfig::new()
            .with_target_partitions(3)
            .set_str("datafusion.execution.time_zone", "+00:00")
            .set_bool("datafusion.sql_parser.collect_spans", true)
            .with_extension(Arc::clone(&log));
        let ctx = SessionContext::new_with_config(config);
        let sources = Sources::load(&self.path("sql/sources"))?;
        sources.register(&ctx, Some(&self.base())).await?;
        Ok((ctx, log))
    }

    async fn query(&self, sql: &str) -> Result<Answer> {
        let (ctx, log) = self.session().await?;
        let plan = physical_plan(&ctx, sql).await.map_err(ours)?;
        let batches = collect(Arc::clone(&plan), ctx.task_ctx())
            .await
            .map_err(ours)?;
        let scans = log.report(&plan);
        Ok(Answer {
            batches,
            plan,
            scans,
        })
    }

    /// Returns the error of a query, without the path of the world's folder.
    async fn error(&self, sql: &str) -> String {
        let error = self.query(sql).await.err().expect("the query should fail");
        self.without_path(&error)
    }

    fn without_path(&self, error: &Error) -> String {
        let folder = self.folder.path().display().to_string();
        error.render().replace(&folder, "")
    }
}

impl Answer {
    /// Returns the rows, sorted, each as its values separated by `|`.
    fn rows(&self) -> Vec<String> {
        let table = pretty_format_batches(&self.batches).unwrap().to_string();
        let mut rows: Vec<String> = table
            .lines()
            .filter(|line| line.starts_with('|'))
            .skip(1)
            .map(|line| {
                let cells = line.trim_matches('|').split('|').map(str::trim);
                cells.collect::<Vec<_>>().join("|")
            })
            .collect();
        rows.sort();
        rows
    }

    /// Returns the keys of the only source's snapshot, below `raw/`.
    fn keys(&self) -> Vec<&str> {
        assert_eq!(self.scans.len(), 1);
        let keys = self.scans[0].files.iter().map(|file| file.key.as_str());
        keys.map(|key| key.split_once("/raw/").unwrap().1).collect()
    }
}

async fn physical_plan(
    ctx: &SessionContext,
    sql: &str,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let plan = ctx.state().create_logical_plan(sql).await?;
    ctx.state().create_physical_plan(&plan).await
}

/// Unwraps an error of dayport that DataFusion returned.
fn ours(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(error) => *error.downcast::<Error>().unwrap(),
        DataFusionError::Context(_, inner) => ours(*inner),
        // Partitions of a plan share one error.
        other => own(&other).unwrap_or_else(|| panic!("not our error: {other}")),
    }
}
