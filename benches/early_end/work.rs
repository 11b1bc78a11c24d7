//! The queries and runs that end early, and what is expected of each.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datafusion::prelude::{DataFrame, SessionContext};
use dayport::catalog::Sources;
use dayport::codec::deflate::GzipLevel;
use dayport::cycle::Cycle;
use dayport::definition::{self, Definition};
use dayport::engine::{Engine, EngineSettings};
use dayport::env::Clock;
use dayport::layout::FileFormat;
use dayport::run::{
    ConditionProof, CycleSelection, NoProgress, RunContext, RunRequest, StoredLists, run,
};
use dayport::store::{Destination, Location, StoreOptions};
use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// The queries over the fixtures. None of them needs all rows.
const QUERIES: [&str; 8] = [
    "SELECT * FROM events LIMIT 1",
    "SELECT event_id FROM events LIMIT 1",
    "SELECT name, time FROM events WHERE user_id IS NOT NULL LIMIT 1",
    "SELECT event_id FROM events WHERE date = '2026-01-15' LIMIT 3",
    "SELECT id FROM aliases LIMIT 1",
    "SELECT * FROM cohorts LIMIT 1",
    "SELECT domain FROM domains LIMIT 1",
    "SELECT event_id FROM events UNION ALL SELECT id FROM aliases LIMIT 1",
];

/// The queries that are dropped while they run.
const SCANS: [&str; 4] = [
    "SELECT * FROM events",
    "SELECT event_id, name FROM events",
    "SELECT user_id, count(*) FROM events GROUP BY user_id",
    "SELECT e.event_id, a.id FROM events e JOIN aliases a ON e.user_id = a.user_id",
];

/// The sources with a file that cannot be decoded, behind and before others.
const DAMAGED: [(&str, Damage); 2] = [
    ("malformed", Damage::Line),
    ("truncated", Damage::Truncation),
];

/// The number of files of a damaged source, and of their lines.
const FILES: usize = 12;
const LINES: usize = 100;

/// The cycle of the fixtures that runs export.
const CYCLE: &str = "2026-01-15";

const NOW: &str = "2026-01-17T03:00:00Z";

/// The time within which a query is dropped.
const MAX_QUERY_TIME: Duration = Duration::from_millis(60);

/// The time within which a run is dropped; about as long as it takes.
const MAX_RUN_TIME: Duration = Duration::from_millis(1_500);

#[derive(Debug, Clone, Copy)]
enum Damage {
    Line,
    Truncation,
}

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A query that needs a few rows, as `dayport query` runs it.
    Limit,
    /// A query that is dropped after some batches, or at a random time.
    DroppedQuery,
    /// A query whose decoder fails.
    FailingDecoder,
    /// A run that is dropped at a random time.
    DroppedRun,
}

pub(crate) const KINDS: [Kind; 4] = [
    Kind::Limit,
    Kind::DroppedQuery,
    Kind::FailingDecoder,
    Kind::DroppedRun,
];

impl Kind {
    /// Returns the name of several of this kind.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "queries with a limit",
            Self::DroppedQuery => "dropped queries",
            Self::FailingDecoder => "failing decoders",
            Self::DroppedRun => "dropped runs",
        }
    }
}

/// One query or run.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    number: u64,
    pub(crate) kind: Kind,
    /// The query; empty for a run.
    sql: String,
    /// The number of batches after which a query is dropped.
    batches: usize,
    /// The time after which a query or run is dropped at the latest.
    time: Duration,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            sql,
            batches,
            time,
            ..
        } = self;
        match self.kind {
            Kind::Limit | Kind::FailingDecoder => write!(f, "query {number} `{sql}`"),
            Kind::DroppedQuery => {
                write!(
                    f,
                    "query {number} `{sql}`, dropped after {batches} batches or {time:?}"
                )
            }
            Kind::DroppedRun => write!(f, "run {number}, dropped after {time:?}"),
        }
    }
}

/// Returns a runtime for one piece of work, like that of the program.
pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// The fixtures, damaged sources, and destinations of runs.
pub(crate) struct World {
    fixtures: Engine,
    damaged: Engine,
    definitions: Vec<Definition>,
    folder: TempDir,
    runs: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for (name, damage) in DAMAGED {
            write_damaged(folder.path(), name, damage);
        }
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let opening = runtime();
        let open = |sources: &Path, from: &Path| opening.block_on(engine(sources, from, &folder));
        let sql = repository.join("sql");
        let fixtures = open(
            &sql.join(definition::SOURCES),
            &repository.join("fixtures/raw"),
        );
        let damaged = open(&folder.path().join("sources"), folder.path());
        Self {
            fixtures,
            damaged,
            definitions: definition::load(&sql).unwrap(),
            folder,
            runs: AtomicU64::new(0),
        }
    }

    /// Returns the work of a number, the same for the same seed.
    pub(crate) fn work(&self, number: u64, seed: u64) -> Work {
        let mut random = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let kind = match random.u16(..1_000) {
            ..2 => Kind::DroppedRun,
            2..70 => Kind::FailingDecoder,
            70..150 => Kind::DroppedQuery,
            _ => Kind::Limit,
        };
        let sql = match kind {
            Kind::Limit => QUERIES[random.usize(..QUERIES.len())].to_owned(),
            Kind::DroppedQuery => SCANS[random.usize(..SCANS.len())].to_owned(),
            Kind::FailingDecoder => {
                let (source, _) = DAMAGED[random.usize(..DAMAGED.len())];
                format!("SELECT sum(id), max(note) FROM {source}")
            }
            Kind::DroppedRun => String::new(),
        };
        let max_time = match kind {
            Kind::DroppedRun => MAX_RUN_TIME,
            _ => MAX_QUERY_TIME,
        };
        let max_micros = u64::try_from(max_time.as_micros()).unwrap();
        Work {
            number,
            kind,
            sql,
            batches: random.usize(..4),
            time: Duration::from_micros(random.u64(..max_micros)),
        }
    }

    /// Does the work.
    ///
    /// # Errors
    /// What is wrong with its result.
    pub(crate) async fn perform(&self, work: &Work) -> Result<(), String> {
        match work.kind {
            Kind::Limit => {
                let frame = query(&self.fixtures.session(), &work.sql).await;
                let batches = frame.collect().await.map_err(|error| error.to_string())?;
                let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
                (rows > 0).then_some(()).ok_or("no row".to_owned())
            }
            Kind::DroppedQuery => {
                let frame = query(&self.fixtures.session(), &work.sql).await;
                let started = frame.execute_stream().await;
                let mut stream = started.map_err(|error| error.to_string())?;
                let reading = async {
                    for _ in 0..work.batches {
                        if let Some(batch) = stream.next().await {
                            batch.map_err(|error| error.to_string())?;
                        }
                    }
                    Ok(())
                };
                tokio::time::timeout(work.time, reading)
                    .await
                    .unwrap_or(Ok(()))
            }
            Kind::FailingDecoder => {
                let frame = query(&self.damaged.session(), &work.sql).await;
                let failed = frame.collect().await.is_err();
                failed.then_some(()).ok_or("no error".to_owned())
            }
            Kind::DroppedRun => self.drop_run(work.time).await,
        }
    }

    async fn drop_run(&self, time: Duration) -> Result<(), String> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let to = self.folder.path().join(format!("run-{number}"));
        let location = Location::parse(to.to_str().unwrap()).unwrap();
        let opened = Destination::open(&location, &StoreOptions::default()).await;
        let context = RunContext {
            engine: self.fixtures.clone(),
            destination: opened.map_err(|error| error.render())?,
            clock: Clock::Fixed(NOW.parse().unwrap()),
            run_id: format!("run-{number:05}"),
            listener: Box::new(NoProgress),
            stop: CancellationToken::new(),
            condition: ConditionProof::default(),
            lists: StoredLists::default(),
            rejected_lines: None,
        };
        let running = run(Arc::new(context), self.request());
        let problem = match tokio::time::timeout(time, running).await {
            Ok(Err(error)) => Err(error.render()),
            Ok(Ok(_)) | Err(_) => Ok(()),
        };
        // Tables that still run may create files meanwhile; the folder as a whole goes at the end.
        let _ = fs::remove_dir_all(&to);
        problem
    }

    fn request(&self) -> RunRequest {
        let cycle: Cycle = CYCLE.parse().unwrap();
        RunRequest {
            definitions: self.definitions.clone(),
            selection: CycleSelection::Cycles(vec![cycle]),
            format: FileFormat::Json,
            jobs: 32,
            max_shrink: 100,
            allow_shrink: true,
            allow_empty: true,
            ..RunRequest::default()
        }
    }
}

async fn query(session: &SessionContext, sql: &str) -> DataFrame {
    session.sql(sql).await.expect("a query of the bench")
}

async fn engine(sources: &Path, from: &Path, folder: &TempDir) -> Engine {
    let settings = EngineSettings {
        memory_limit: 64 << 20,
        parallelism: 2,
        gzip_level: GzipLevel::default(),
        spill_dir: Some(folder.path().join("spills")),
        spill_id: "early-end".to_owned(),
    };
    let declared = Sources::load(sources).unwrap();
    let from = Location::parse(from.to_str().unwrap()).unwrap();
    let opened = Engine::open(&declared, Some(&from), &StoreOptions::default(), settings).await;
    opened.unwrap()
}

/// Writes a source, one file of which has a malformed line, or is cut off.
fn write_damaged(folder: &Path, name: &str, damage: Damage) {
    let sources = folder.join("sources");
    fs::create_dir_all(&sources).unwrap();
    let declaration = format!(
        "CREATE EXTERNAL TABLE {name} (id BIGINT NOT NULL, note VARCHAR) STORED AS JSON LOCATION '{name}/'"
    );
    fs::write(sources.join(format!("{name}.sql")), declaration).unwrap();
    fs::create_dir_all(folder.join(name)).unwrap();
    for file in 0..FILES {
        let is_damaged = file == FILES / 3;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for line in 0..LINES {
            match (is_damaged, damage) {
                (true, Damage::Line) if line == LINES / 2 => encoder.write_all(b"{\"id\": \n"),
                _ => writeln!(
                    encoder,
                    "{{\"id\": {line}, \"note\": \"note {line} of {file}\"}}"
                ),
            }
            .unwrap();
        }
        let mut bytes = encoder.finish().unwrap();
        if is_damaged && matches!(damage, Damage::Truncation) {
            bytes.truncate(bytes.len() / 2);
        }
        fs::write(folder.join(name).join(format!("{file:02}.json.gz")), bytes).unwrap();
    }
}
