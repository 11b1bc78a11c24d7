//! Enumerates all crash points: a fault is injected into each call of a run to the destination in turn,
//! and the next run recovers from the state that it leaves.
//!
//! The calls of a run without faults are recorded. Then each call gets every fault that can make a
//! difference:
//! - *outage, before*: the call and all later ones fail; the program continues and exits with an error;
//! - *outage, after*: the call is applied, its response is lost, and all later calls fail. Reads have
//!   no *after*;
//! - *death, after*: the process dies once the call is applied (which is also death before the next).
//!
//! The points alternate between the two formats, in a folder in the opposite order of S3.

pub(crate) mod faulty_store;
mod late;
mod replacement;
mod rollback;
mod scenarios;
pub(crate) mod storage;
pub(crate) mod truth;
pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};

use dayport::layout::FileFormat;

use faulty_store::{Call, FaultInjector, FaultKind, FaultTiming, Verb};
use storage::{Storage, StorageFactory, StorageSnapshot};
use truth::{StorageContents, Truth};
use world::{Row, Table, TestRun, World, malformed};

/// Makes two tests of each function `async fn(StorageFactory)`, or of each scenario that is passed to
/// one function: one on S3, one in a folder.
macro_rules! for_each_storage {
    ($test:meta => $($function:ident)+) => {
        $(mod $function {
            use crate::crash::storage::StorageFactory;

            #[$test]
            async fn on_s3() {
                super::$function(StorageFactory::s3()).await;
            }

            #[$test]
            async fn in_a_folder() {
                super::$function(StorageFactory::folders()).await;
            }
        })+
    };
    ($test:meta, $function:ident => $($scenario:ident)+) => {
        $(mod $scenario {
            use crate::crash::storage::StorageFactory;

            #[$test]
            async fn on_s3() {
                super::$function(super::$scenario(), StorageFactory::s3()).await;
            }

            #[$test]
            async fn in_a_folder() {
                super::$function(super::$scenario(), StorageFactory::folders()).await;
            }
        })+
    };
}
pub(crate) use for_each_storage;

/// A step of a scenario: raw files, and a run that exports them.
#[derive(Clone)]
pub(crate) struct Step {
    /// The rows of each raw file of the table.
    pub files: Vec<Vec<Row>>,
    pub request: TestRun,
    pub ending: Ending,
}

/// The ending of a run that prepares a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Succeeds,
    /// The run dies after its commit, when this number of its files is visible.
    Dies {
        visible: usize,
    },
    /// The run dies likewise, and then its unfinished uploads are removed.
    DiesAndIsSwept {
        visible: usize,
    },
}

impl Step {
    pub(crate) fn new(files: Vec<Vec<Row>>, request: TestRun) -> Self {
        Self {
            files,
            request,
            ending: Ending::Succeeds,
        }
    }

    pub(crate) fn ending(self, ending: Ending) -> Self {
        Self { ending, ..self }
    }
}

/// A scenario: preparing steps, and the step with the fault.
pub(crate) struct Scenario {
    pub name: &'static str,
    pub prepare: Vec<Step>,
    pub act: Step,
}

/// A model of the destination: what has to be published after each step.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub truth: Truth,
    files: BTreeMap<Table, Vec<Vec<Row>>>,
    /// Cycles that have lost published files.
    pub damaged: BTreeSet<String>,
}

impl Model {
    pub(crate) fn set(&mut self, table: Table, files: &[Vec<Row>]) {
        self.files.insert(table, files.to_vec());
    }

    /// Applies a run that has succeeded, or at least committed.
    pub(crate) fn publish(&mut self, request: &TestRun) {
        for cycle in &request.cycles {
            let published = self.truth.tables.entry(request.table).or_default();
            let is_published = published.contains_key(*cycle) && !self.damaged.contains(*cycle);
            if is_published && !request.rerun && !request.is_late {
                continue;
            }
            self.damaged.remove(*cycle);
            let rows = self.files[&request.table]
                .iter()
                .flatten()
                .filter(|row| **row != malformed())
                .filter(|row| request.table.is_snapshot() || row.received == *cycle);
            self.truth
                .publish(request.table, cycle, rows.cloned().collect());
        }
    }

    /// Applies a preparing step.
    pub(crate) fn apply(&mut self, step: &Step) {
        self.set(step.request.table, &step.files);
        match step.ending {
            Ending::Succeeds | Ending::Dies { .. } => self.publish(&step.request),
            Ending::DiesAndIsSwept { visible } => {
                let cycle = step.request.cycles[0];
                let published = self.truth.tables.entry(step.request.table).or_default();
                let replaces = match step.request.table {
                    Table::Visits | Table::Days => published.contains_key(cycle),
                    Table::Names => !published.is_empty(),
                };
                if visible > 0 && replaces {
                    let replaced = match step.request.table {
                        Table::Visits | Table::Days => Some(cycle),
                        Table::Names => published.keys().next_back().map(String::as_str),
                    };
                    self.damaged.extend(replaced.map(str::to_owned));
                }
            }
        }
    }
}

/// Runs a preparing step.
pub(crate) async fn run_step(world: &World, storage: &Storage, step: &Step) {
    world.set(step.request.table, &step.files);
    match step.ending {
        Ending::Succeeds => {
            world.succeed(storage, &step.request).await;
        }
        Ending::Dies { visible } => {
            world
                .die_after_commit(storage, &step.request, visible)
                .await;
        }
        Ending::DiesAndIsSwept { visible } => {
            world
                .die_after_commit(storage, &step.request, visible)
                .await;
            storage.sweep();
        }
    }
}

/// A crash point: a call, and the fault that is injected.
#[derive(Clone, Copy, Debug)]
struct Point {
    call: usize,
    timing: FaultTiming,
    kind: FaultKind,
}

/// The state right before the run with the fault.
struct Setup<'a> {
    world: &'a World,
    snapshot: StorageSnapshot,
    model: Model,
    request: TestRun,
    /// True if the log has entries that cannot be finished.
    was_swept: bool,
}

impl<'a> Setup<'a> {
    async fn prepare(
        world: &'a World,
        storage: Storage,
        scenario: &Scenario,
        format: FileFormat,
    ) -> Self {
        let mut model = Model::default();
        for step in &scenario.prepare {
            let step = Step {
                request: step.request.clone().format(format),
                ..step.clone()
            };
            model.apply(&step);
            run_step(world, &storage, &step).await;
        }
        let act = &scenario.act;
        model.set(act.request.table, &act.files);
        world.set(act.request.table, &act.files);
        Self {
            world,
            snapshot: storage.save(),
            model,
            request: act.request.clone().format(format),
            was_swept: scenario
                .prepare
                .iter()
                .any(|step| matches!(step.ending, Ending::DiesAndIsSwept { .. })),
        }
    }

    /// Returns the calls of a run without faults. The engine keeps footers of Parquet files: what is
    /// published is read back with fewer calls from the second run on.
    async fn calls(&self) -> Vec<Call> {
        self.calls_of_a_run().await;
        self.calls_of_a_run().await
    }

    async fn calls_of_a_run(&self) -> Vec<Call> {
        let injector = FaultInjector::counting();
        let storage = self.snapshot.restore();
        let finished = self
            .world
            .run(storage.with_faults(&injector), &self.request)
            .await;
        assert_eq!(finished.failures(), Vec::<String>::new());
        injector.calls()
    }
}

/// Returns the crash points of a run that makes these calls.
fn points(calls: &[Call], is_folder: bool) -> Vec<Point> {
    let mut points = Vec::new();
    for call in calls {
        let mut point = |timing, kind| {
            points.push(Point {
                call: call.number,
                timing,
                kind,
            });
        };
        point(FaultTiming::Before, FaultKind::Outage);
        if !matches!(call.verb, Verb::Get | Verb::List) {
            point(FaultTiming::After, FaultKind::Outage);
            // For a bucket this is the same: everything that the program still does needs the store.
            if is_folder {
                point(FaultTiming::After, FaultKind::Death);
            }
        }
    }
    points
}

/// Injects a fault at every crash point of the scenario's last run.
pub(crate) async fn enumerate(scenario: Scenario, factory: StorageFactory) {
    let world = World::new().await;
    let is_folder = matches!(factory, StorageFactory::Folders);
    let formats = match is_folder {
        false => [FileFormat::Json, FileFormat::Parquet],
        true => [FileFormat::Parquet, FileFormat::Json],
    };
    let mut setups = Vec::new();
    for format in formats {
        setups.push(Setup::prepare(&world, factory.create(), &scenario, format).await);
    }
    let (mut calls, mut tested) = (0, 0);
    for (index, setup) in setups.iter().enumerate() {
        // What is published is read back for late files: Parquet takes more calls.
        let of_format = setup.calls().await;
        calls = calls.max(of_format.len());
        let points = points(&of_format, is_folder).into_iter();
        for point in points.filter(|point| point.call % 2 == index) {
            tested += 1;
            let problems = inject(setup, point).await;
            assert!(
                problems.is_empty(),
                "{}, {factory}, {}, {point:?}:\n{}",
                scenario.name,
                setup.request.format,
                problems.join("\n")
            );
        }
    }
    let name = scenario.name;
    eprintln!("crash: {name}, {factory}: {calls} calls, {tested} points");
}

/// Lets every call of the scenario's last run fail, one at a time: without a commit, all staged files
/// are removed.
pub(crate) async fn fail_each(scenario: Scenario, factory: &StorageFactory) {
    let world = World::new().await;
    let setup = Setup::prepare(&world, factory.create(), &scenario, FileFormat::Json).await;
    let calls = setup.calls().await;
    // After a commit without a response, no staged file may be removed.
    for call in calls.iter().filter(|call| !call.is_commit()) {
        let storage = setup.snapshot.restore();
        let prepared = StorageContents::of(&storage).without_lists();
        let injector = FaultInjector::at(call.number, FaultTiming::Before, FaultKind::Failure);
        let finished = world
            .run(storage.with_faults(&injector), &setup.request)
            .await;
        let at = format!("{}, {factory}, {call} failed", scenario.name);
        let contents = StorageContents::of(&storage);
        if finished.exit_code() == 0
            || contents.has_commit_of(setup.request.table, &finished.run_id)
        {
            continue;
        }
        assert_eq!(finished.exit_code(), 75, "{at}: {:?}", finished.failures());
        assert!(
            contents.clone().without_lists() == prepared,
            "{at}: something is left behind, {:?}",
            contents.added_since(&prepared)
        );
    }
}

/// Tests a crash point and the runs that follow it. Returns the problems.
async fn inject(setup: &Setup<'_>, point: Point) -> Vec<String> {
    let world = setup.world;
    let request = setup.request.clone();
    let table = request.table;
    let storage = setup.snapshot.restore();
    let prepared = StorageContents::of(&storage);

    let injector = FaultInjector::at(point.call, point.timing, point.kind);
    let run_id = world.inject(&storage, &request, &injector).await;
    let Some(call) = injector.injected() else {
        return vec!["the run ended before the fault".to_owned()];
    };
    let found = |phase: &str, problems: Vec<String>| -> Vec<String> {
        let problems = problems.into_iter();
        problems
            .map(|problem| format!("{phase} (fault in {call}): {problem}"))
            .collect()
    };

    // Immediately: nothing has changed for readers unless something is committed.
    let contents = StorageContents::of(&storage);
    let is_committed = contents.has_commit_of(table, &run_id);
    let mut model = setup.model.clone();
    if is_committed {
        model.publish(&request);
    }
    let was_quiet = !prepared.has_pending_work(table);
    if was_quiet && !is_committed && contents.published() != prepared.published() {
        return found("immediately", vec!["published without a commit".to_owned()]);
    }
    if model.damaged.is_empty() {
        let problems = contents.problems_for_readers(&model.truth);
        if !problems.is_empty() {
            return found("immediately", problems);
        }
    }

    // The next run finishes a commit, and publishes the cycle without one.
    world.succeed(&storage, &request.clone().plain()).await;
    model.publish(&request.clone().plain());
    let problems = StorageContents::of(&storage).problems(&model.truth);
    if !problems.is_empty() {
        return found("after the next run", problems);
    }
    if request.rerun {
        world.succeed(&storage, &request).await;
        model.publish(&request);
        let problems = StorageContents::of(&storage).problems(&model.truth);
        if !problems.is_empty() {
            return found("after the rerun", problems);
        }
    }

    // A commit is finished, never voided, unless its uploads were removed.
    if !setup.was_swept && StorageContents::of(&storage).has_void(table) {
        return found("at the end", vec!["a commit was voided".to_owned()]);
    }

    // Another run has nothing to do.
    let settled = StorageContents::of(&storage);
    world.succeed(&storage, &request.plain()).await;
    if StorageContents::of(&storage) != settled {
        return found("another run", vec!["it changed something".to_owned()]);
    }
    Vec::new()
}
