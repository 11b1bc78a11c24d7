//! Small tables, and runs that export them to a storage.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use dayport::catalog::Sources;
use dayport::codec::deflate::GzipLevel;
use dayport::cycle::Cycle;
use dayport::definition::Definition;
use dayport::engine::{Engine, EngineSettings};
use dayport::env::Clock;
use dayport::layout::FileFormat;
use dayport::run::{
    ConditionProof, CycleSelection, NoProgress, RunContext, RunReport, RunRequest, TableOutcome,
    run,
};
use dayport::scan::MaxRejects;
use dayport::store::{Destination, Location, StoreOptions};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::faulty_store::{FaultInjector, FaultKind, FaultTiming};
use super::storage::{BUCKET, Storage};

/// The closed cycle that most tests publish, and its neighbours.
pub(crate) const DAY_BEFORE: &str = "2020-01-14";
pub(crate) const DAY: &str = "2020-01-15";
pub(crate) const DAY_AFTER: &str = "2020-01-16";

/// The clock: [`DAY_AFTER`] is the last closed day. It is years ago, so that files which a test has just
/// staged are never older than the clock and removed as leftovers.
const NOW: &str = "2020-01-17T03:00:00Z";

/// A row of the incremental table `visits` or, without days, of the snapshot `names`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub id: i64,
    pub text: String,
    /// The day of receipt, which is its cycle.
    pub received: &'static str,
    /// The partition of the row.
    pub day: i64,
}

/// Returns a visit that was received at noon of a day.
pub(crate) fn visit(id: i64, text: &str, received: &'static str, day: i64) -> Row {
    Row {
        id,
        text: text.to_owned(),
        received,
        day,
    }
}

/// Returns a row of the snapshot.
pub(crate) fn name(id: i64, text: &str) -> Row {
    visit(id, text, "", 0)
}

/// Returns a row that stands for a malformed line.
pub(crate) fn malformed() -> Row {
    visit(-1, "", "", 0)
}

/// The tables of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// An incremental table, partitioned by `day`.
    Visits,
    /// A snapshot. Each source file becomes one shard.
    Names,
    /// As `Visits`, of files in folders by day: those that arrive late are found.
    Days,
}

impl Table {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Visits => "visits",
            Table::Names => "names",
            Table::Days => "days",
        }
    }

    pub(crate) fn is_snapshot(self) -> bool {
        self == Table::Names
    }

    fn file(self) -> String {
        format!("{}.sql", self.name())
    }

    fn text(self) -> &'static str {
        match self {
            Table::Visits => {
                "COPY (SELECT id, received, text, day FROM raw_visits \
                 WHERE received >= $window_start AND received < $window_end) \
                 TO 'visits' PARTITIONED BY (day)"
            }
            Table::Names => "COPY (SELECT id, text FROM raw_names) TO 'names'",
            Table::Days => {
                "COPY (SELECT id, received, text, day FROM raw_days \
                 WHERE received >= $window_start AND received < $window_end) \
                 TO 'days' PARTITIONED BY (day)"
            }
        }
    }

    fn definition(self) -> Definition {
        Definition::parse(&self.file(), self.text()).unwrap()
    }
}

/// The arguments of a run.
#[derive(Clone, Debug)]
pub(crate) struct TestRun {
    pub table: Table,
    /// The cycles to publish; if empty, those that are due.
    pub cycles: Vec<&'static str>,
    pub rerun: bool,
    /// True if the run names no cycle, and looks for late files of `cycles`.
    pub is_late: bool,
    pub format: FileFormat,
}

impl TestRun {
    pub(crate) fn new(table: Table, cycle: &'static str) -> Self {
        Self {
            table,
            cycles: vec![cycle],
            rerun: false,
            is_late: false,
            format: FileFormat::Json,
        }
    }

    /// Looks for late files of the cycle, which is the last closed one.
    pub(crate) fn late(self) -> Self {
        Self {
            is_late: true,
            ..self
        }
    }

    pub(crate) fn again(self) -> Self {
        Self {
            rerun: true,
            ..self
        }
    }

    /// Requests the due cycles.
    pub(crate) fn due(table: Table) -> Self {
        Self {
            cycles: Vec::new(),
            ..Self::new(table, DAY)
        }
    }

    pub(crate) fn plain(self) -> Self {
        Self {
            rerun: false,
            ..self
        }
    }

    pub(crate) fn format(self, format: FileFormat) -> Self {
        Self { format, ..self }
    }

    /// Converts to dayport's [`RunRequest`].
    fn to_request(&self) -> RunRequest {
        let cycles: Vec<Cycle> = self.cycles.iter().map(|day| day.parse().unwrap()).collect();
        RunRequest {
            definitions: vec![self.table.definition()],
            selection: match cycles.is_empty() || self.is_late {
                true => CycleSelection::Due,
                false => CycleSelection::Cycles(cycles),
            },
            rerun: self.rerun,
            format: self.format,
            // Every batch becomes a file of its own.
            target_file_size: Some(1),
            max_rejects: MaxRejects::Lines(1),
            allow_shrink: true,
            accept_change: true,
            lookback: if self.is_late { 7 } else { 0 },
            time_to_final: TimeDelta::days(3),
            ..RunRequest::default()
        }
    }
}

/// Requests a cycle of `visits`.
pub(crate) fn visits(cycle: &'static str) -> TestRun {
    TestRun::new(Table::Visits, cycle)
}

/// Requests a cycle of `days`.
pub(crate) fn days(cycle: &'static str) -> TestRun {
    TestRun::new(Table::Days, cycle)
}

/// Requests a cycle of `names`.
pub(crate) fn names(cycle: &'static str) -> TestRun {
    TestRun::new(Table::Names, cycle)
}

/// A world: raw files in a folder, and an engine that reads them.
pub(crate) struct World {
    folder: TempDir,
    engine: Engine,
    runs: AtomicUsize,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let sql = folder.path().join("sql");
        let sources = sql.join("sources");
        std::fs::create_dir_all(&sources).unwrap();
        for table in [Table::Visits, Table::Names, Table::Days] {
            std::fs::write(sql.join(table.file()), table.text()).unwrap();
        }
        let declare = |name: &str, columns: &str, folders: &str, options: &str| {
            let text = format!(
                "CREATE EXTERNAL TABLE raw_{name} ({columns}) STORED AS JSON {folders} \
                 LOCATION '{name}/' {options}"
            );
            std::fs::write(sources.join(format!("raw_{name}.sql")), text).unwrap();
            std::fs::create_dir(folder.path().join(name)).unwrap();
        };
        let columns = "id BIGINT NOT NULL, received TIMESTAMP(6) WITH TIME ZONE NOT NULL, \
                       text VARCHAR NOT NULL, day BIGINT NOT NULL";
        declare("visits", columns, "", "");
        declare("names", "id BIGINT NOT NULL, text VARCHAR NOT NULL", "", "");
        declare(
            "days",
            &format!("{columns}, date DATE"),
            "PARTITIONED BY (date)",
            "OPTIONS ('time_column' 'received')",
        );
        let settings = EngineSettings {
            memory_limit: 64 << 20,
            parallelism: 1,
            gzip_level: GzipLevel::default(),
            spill_dir: Some(folder.path().join("spills")),
            spill_id: "test".to_owned(),
        };
        let from = Location::parse(folder.path().to_str().unwrap()).unwrap();
        let declared = Sources::load(&sources).unwrap();
        let s3 = StoreOptions::default();
        let engine = Engine::open(&declared, Some(&from), &s3, settings).await;
        Self {
            folder,
            engine: engine.unwrap(),
            runs: AtomicUsize::new(0),
        }
    }

    /// Replaces the raw files of a table by these files of rows.
    pub(crate) fn set(&self, table: Table, files: &[Vec<Row>]) {
        let folder = self.folder.path().join(table.name());
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        for (number, rows) in files.iter().enumerate() {
            let lines = rows.iter().map(|row| {
                let Row { id, text, received, day } = row;
                match table {
                    _ if *row == malformed() => "{\"id\":\n".to_owned(),
                    Table::Visits | Table::Days => format!(
                        "{{\"id\":{id},\"received\":\"{received}T12:00:00Z\",\"text\":\"{text}\",\"day\":{day}}}\n"
                    ),
                    Table::Names => format!("{{\"id\":{id},\"text\":\"{text}\"}}\n"),
                }
            });
            let text: String = lines.collect();
            let folder = match (table, rows.first()) {
                (Table::Days, Some(row)) => folder.join(format!("date={}", row.received)),
                _ => folder.clone(),
            };
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{number}.json")), text).unwrap();
        }
    }

    /// Creates a context with a new run id.
    pub(crate) fn context(&self, destination: Destination) -> Arc<RunContext> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(RunContext {
            engine: self.engine.clone(),
            destination,
            rejected_lines: None,
            clock: Clock::Fixed(NOW.parse().unwrap()),
            run_id: format!("run-{number:05}"),
            listener: Box::new(NoProgress),
            stop: CancellationToken::new(),
            condition: ConditionProof::default(),
            lists: dayport::run::StoredLists::default(),
        })
    }

    /// Runs to a destination, which may have faults. An error counts as a failure of every table.
    pub(crate) async fn run(&self, destination: Destination, request: &TestRun) -> FinishedRun {
        let context = self.context(destination);
        FinishedRun::of(
            &context,
            run(Arc::clone(&context), request.to_request()).await,
        )
    }

    /// Starts a run in the background; if it never ends, it is dropped with the runtime.
    pub(crate) fn start(&self, destination: Destination, request: &TestRun) -> Running {
        let context = self.context(destination);
        let request = request.to_request();
        let run_id = context.run_id.clone();
        let task = tokio::spawn(async move {
            FinishedRun::of(&context, run(Arc::clone(&context), request).await)
        });
        Running { run_id, task }
    }

    /// Returns the command of the same run as a child process.
    pub(crate) fn program(&self, storage: &Storage, request: &TestRun) -> Command {
        let Storage::S3 { server, prefix, .. } = storage else {
            panic!("a child process needs a server");
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_dayport"));
        command
            .env_clear()
            .envs(server.env())
            .env("DAYPORT_NOW", NOW)
            .args(["run", "--quiet", request.table.name()])
            .args(["--date", request.cycles[0]])
            .arg("--format")
            .arg(request.format.to_string())
            .arg("--to")
            .arg(format!("s3://{BUCKET}/{prefix}/"))
            .arg("--from")
            .arg(self.folder.path())
            .arg("--sql")
            .arg(self.folder.path().join("sql"))
            .stdin(Stdio::null());
        command
    }

    /// Runs, and asserts success.
    pub(crate) async fn succeed(&self, storage: &Storage, request: &TestRun) -> FinishedRun {
        let finished = self.run(storage.destination(), request).await;
        assert_eq!(finished.failures(), Vec::<String>::new(), "{request:?}");
        finished
    }

    /// Runs with a fault, until the run ends or dies, and returns the run id.
    pub(crate) async fn inject(
        &self,
        storage: &Storage,
        request: &TestRun,
        injector: &Arc<FaultInjector>,
    ) -> String {
        let running = self.start(storage.with_faults(injector), request);
        let run_id = running.run_id.clone();
        tokio::select! {
            _ = running.end() => {}
            () = injector.died() => {}
        }
        run_id
    }

    /// Runs until `count` files have become visible (0: right after the commit), where the run dies.
    /// Returns the run id.
    pub(crate) async fn die_after_commit(
        &self,
        storage: &Storage,
        request: &TestRun,
        count: usize,
    ) -> String {
        let completed = AtomicUsize::new(0);
        let injector = FaultInjector::when(
            move |call| match count {
                0 => call.is_commit(),
                _ => call.is_completion() && completed.fetch_add(1, Ordering::Relaxed) + 1 == count,
            },
            FaultTiming::After,
            FaultKind::Death,
        );
        let run_id = self.inject(storage, request, &injector).await;
        assert!(
            injector.injected().is_some(),
            "the run did not reach the call"
        );
        run_id
    }
}

/// A run in the background.
pub(crate) struct Running {
    pub run_id: String,
    task: tokio::task::JoinHandle<FinishedRun>,
}

impl Running {
    pub(crate) async fn end(self) -> FinishedRun {
        self.task.await.expect("a run does not panic")
    }
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct FinishedRun {
    pub run_id: String,
    pub result: Result<RunReport, dayport::error::Error>,
}

impl FinishedRun {
    fn of(context: &RunContext, result: Result<RunReport, dayport::error::Error>) -> Self {
        Self {
            run_id: context.run_id.clone(),
            result,
        }
    }

    /// Returns the error messages as the program prints them.
    pub(crate) fn failures(&self) -> Vec<String> {
        match &self.result {
            Err(error) => vec![error.render()],
            Ok(report) => {
                let tables = report.tables.iter();
                let failed = tables.filter_map(|table| match &table.outcome {
                    TableOutcome::Failed(failure) => Some(failure.error.clone()),
                    _ => None,
                });
                let markers = report
                    .marker_failures()
                    .map(|failure| failure.error.clone());
                failed.chain(markers).collect()
            }
        }
    }

    /// Returns the exit code of the program.
    pub(crate) fn exit_code(&self) -> u8 {
        match &self.result {
            Err(error) => error.kind().exit_code().code(),
            Ok(report) => report.exit_code().code(),
        }
    }

    /// Returns the outcome of the only table and cycle.
    pub(crate) fn outcome(&self) -> &TableOutcome {
        let report = self.result.as_ref().expect("the run was attempted");
        assert_eq!(report.tables.len(), 1, "one table and cycle");
        &report.tables[0].outcome
    }
}
