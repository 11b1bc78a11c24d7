//! Runs of dayport in this process, with a clock of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use dayport::catalog::Sources;
use dayport::codec::deflate::GzipLevel;
use dayport::definition::{self, Definition};
use dayport::engine::{Engine, EngineSettings};
use dayport::env::Clock;
use dayport::error::ErrorKind;
use dayport::layout::FileFormat;
use dayport::run::{
    ConditionProof, NoProgress, RunContext, RunReport, RunRequest, StoredLists, TableOutcome, run,
};
use dayport::store::{Destination, Location, StoreOptions};
use object_store::local::LocalFileSystem;
use tokio_util::sync::CancellationToken;

use crate::faulty_store::{FaultInjector, FaultyStore};

/// An engine over a folder with `sql` and `raw`, and a destination in the folder `out`.
pub(crate) struct Program {
    engine: Engine,
    definitions: Vec<Definition>,
    folder: PathBuf,
    runs: AtomicU32,
}

/// How a run ended.
pub(crate) enum Ended {
    Done(Box<RunReport>),
    /// It died at a call to the destination.
    Died {
        run_id: String,
    },
}

impl Program {
    /// Writes the definitions, and opens the engine. Each declaration and definition is a name and a text.
    pub(crate) async fn new(
        folder: &Path,
        sources: &[(&str, String)],
        tables: &[(&str, String)],
    ) -> Self {
        let sql = folder.join("sql");
        let declared = sql.join(definition::SOURCES);
        fs::create_dir_all(&declared).unwrap();
        fs::create_dir_all(folder.join("out")).unwrap();
        for (name, text) in sources {
            fs::write(declared.join(format!("{name}.sql")), text).unwrap();
        }
        for (name, text) in tables {
            fs::write(sql.join(format!("{name}.sql")), text).unwrap();
        }
        let settings = EngineSettings {
            memory_limit: 64 << 20,
            parallelism: 1,
            gzip_level: GzipLevel::default(),
            spill_dir: Some(folder.join("spills")),
            spill_id: "days".to_owned(),
        };
        let raw = folder.join("raw");
        fs::create_dir_all(&raw).unwrap();
        let from = Location::parse(raw.to_str().unwrap()).unwrap();
        let sources = Sources::load(&declared).unwrap();
        let engine = Engine::open(&sources, Some(&from), &StoreOptions::default(), settings).await;
        Self {
            engine: engine.unwrap(),
            definitions: definition::load(&sql).unwrap(),
            folder: folder.to_owned(),
            runs: AtomicU32::new(0),
        }
    }

    /// Runs at an instant. `injector` may let the run die.
    ///
    /// # Errors
    /// The error of the run, or of a table of it. That another run is faster is none.
    pub(crate) async fn run(
        &self,
        now: DateTime<Utc>,
        request: RunRequest,
        injector: &Arc<FaultInjector>,
    ) -> Result<Ended, String> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let run_id = format!("run-{number:05}");
        let root = self.folder.join("out");
        let store = LocalFileSystem::new_with_prefix(&root).unwrap();
        let store = Arc::new(store.with_automatic_cleanup(true));
        let destination = Destination::rename(root, Arc::new(FaultyStore::new(store, injector)));
        let context = Arc::new(RunContext {
            engine: self.engine.clone(),
            destination,
            rejected_lines: None,
            clock: Clock::Fixed(now),
            run_id: run_id.clone(),
            listener: Box::new(NoProgress),
            stop: CancellationToken::new(),
            condition: ConditionProof::default(),
            lists: StoredLists::default(),
        });
        let request = RunRequest {
            definitions: self.definitions.clone(),
            format: FileFormat::Json,
            max_shrink: 100,
            allow_shrink: true,
            ..request
        };
        let running = tokio::spawn(run(context, request));
        let abort = running.abort_handle();
        let report = tokio::select! {
            report = running => report.map_err(|error| error.to_string())?,
            () = injector.died() => {
                abort.abort();
                return Ok(Ended::Died { run_id });
            }
        };
        let report = report.map_err(|error| error.render())?;
        for table in &report.tables {
            if let TableOutcome::Failed(failure) = &table.outcome
                && failure.kind != ErrorKind::Unavailable
            {
                return Err(format!("{}: {}", table.table, failure.error));
            }
        }
        if let Some(failure) = report.marker_failures().next() {
            return Err(failure.error.clone());
        }
        Ok(Ended::Done(Box::new(report)))
    }
}
