//! Concurrent runs of one table.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use dayport::error::ErrorKind;
use dayport::layout::FileFormat;
use dayport::run::TableOutcome;
use dayport::store::UploadLookup;
use object_store::path::Path;

use crate::crash::faulty_store::{FaultInjector, FaultKind, FaultTiming, Verb};
use crate::crash::storage::{BUCKET, Storage, StorageFactory};
use crate::crash::truth::{StorageContents, Truth, assert_whole};
use crate::crash::world::{
    DAY, DAY_AFTER, DAY_BEFORE, FinishedRun, Row, Table, TestRun, World, name, names, visit, visits,
};
use crate::crash::{Ending, Model, Step, for_each_storage, run_step};
use crate::s3::{Action, Failure, Fault, Operation};

for_each_storage! {
    tokio::test(flavor = "multi_thread", worker_threads = 4) =>
    one_of_twenty_runs_publishes
    cycles_share_an_old_partition
    runners_of_different_tables_mark_a_cycle_once
}

/// Starts all runs, pauses each before its commit, and resumes them when all have got there.
async fn race(world: &World, storage: &Storage, requests: &[TestRun]) -> Vec<FinishedRun> {
    let mut running = Vec::new();
    for request in requests {
        let injector = FaultInjector::when(
            |call| call.is_commit(),
            FaultTiming::Before,
            FaultKind::Pause,
        );
        running.push((
            world.start(storage.with_faults(&injector), request),
            injector,
        ));
    }
    for (_, injector) in &running {
        injector.reached().await;
    }
    for (_, injector) in &running {
        injector.resume();
    }
    let mut finished = Vec::new();
    for (running, _) in running {
        finished.push(running.end().await);
    }
    finished
}

/// Twenty runs of one cycle have staged all files: one publishes, the others name its run id.
async fn one_of_twenty_runs_publishes(factory: StorageFactory) {
    let world = World::new().await;
    let storage = factory.create();
    let rows = vec![visit(1, "a", DAY, 15), visit(2, "b", DAY, 14)];
    world.set(Table::Visits, std::slice::from_ref(&rows));

    let finished = race(&world, &storage, &vec![visits(DAY); 20]).await;

    let published = finished
        .iter()
        .filter(|finished| matches!(finished.outcome(), TableOutcome::Published { .. }));
    let winners: Vec<&String> = published.map(|finished| &finished.run_id).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    for finished in &finished {
        match finished.outcome() {
            TableOutcome::Published { .. } => {}
            TableOutcome::AlreadyPublished { run_id, .. } => assert_eq!(run_id, winners[0]),
            // Too many concurrent commits.
            TableOutcome::Failed(failure) => assert_eq!(failure.kind, ErrorKind::Unavailable),
            other => panic!("{other:?}"),
        }
    }
    let mut truth = Truth::default();
    truth.publish(Table::Visits, DAY, rows);
    assert_whole(&storage, &truth);
    let contents = StorageContents::of(&storage);
    assert_eq!(contents.log(Table::Visits).len(), 1);
    assert_eq!(
        contents.staged(),
        Vec::<&str>::new(),
        "the losers left staged files"
    );
}

/// Three cycles have late rows of one old day: number 0 is free for each, and only one may use it.
async fn cycles_share_an_old_partition(factory: StorageFactory) {
    let world = World::new().await;
    let storage = factory.create();
    let days = [DAY_BEFORE, DAY, DAY_AFTER];
    let rows: Vec<Row> = (1..)
        .zip(days)
        .map(|(id, day)| visit(id, "late", day, 13))
        .collect();
    world.set(Table::Visits, std::slice::from_ref(&rows));

    let finished = race(&world, &storage, &days.map(visits)).await;

    let mut truth = Truth::default();
    for ((finished, day), row) in finished.iter().zip(days).zip(rows) {
        assert_eq!(finished.failures(), Vec::<String>::new());
        truth.publish(Table::Visits, day, vec![row]);
    }
    assert_whole(&storage, &truth);
    let numbers: BTreeSet<String> = storage
        .objects()
        .into_keys()
        .filter(|key| key.starts_with("data/visits/day=13/"))
        .collect();
    let expected = [0, 1, 2].map(|n| format!("data/visits/day=13/data-{n:012}.json.gz"));
    assert_eq!(numbers, BTreeSet::from(expected));
    assert_eq!(StorageContents::of(&storage).staged(), Vec::<&str>::new());
}

/// Two runners with a table each finish a cycle. One is paused before each of its calls in turn while the
/// other one runs: whoever is last marks the cycle, and it gets one marker.
async fn runners_of_different_tables_mark_a_cycle_once(factory: StorageFactory) {
    let world = World::new().await;
    let storage = factory.create();
    let rows = [vec![visit(1, "a", DAY_BEFORE, 15), visit(2, "b", DAY, 15)]];
    let all_names = [vec![name(1, "x")]];
    let mut model = Model::default();
    for step in [
        Step::new(rows.to_vec(), visits(DAY_BEFORE)),
        Step::new(all_names.to_vec(), names(DAY_BEFORE)),
    ] {
        model.apply(&step);
        run_step(&world, &storage, &step).await;
    }
    model.publish(&visits(DAY));
    model.publish(&names(DAY));
    let snapshot = storage.save();
    let injector = FaultInjector::counting();
    let untouched = snapshot.restore();
    let alone = untouched.with_faults(&injector);
    assert_eq!(
        world.run(alone, &visits(DAY)).await.failures(),
        Vec::<String>::new()
    );

    let mut last_marked = 0;
    for call in &injector.calls() {
        let at = format!("{factory}, paused before {call}");
        let storage = snapshot.restore();
        let injector = FaultInjector::at(call.number, FaultTiming::Before, FaultKind::Pause);
        let running = world.start(storage.with_faults(&injector), &visits(DAY));
        injector.reached().await;
        world.succeed(&storage, &names(DAY)).await;
        let is_marked = |storage: &Storage| {
            let objects = storage.objects().into_keys();
            let of_day = objects.filter(|key| key.starts_with(&format!("cycles/{DAY}.")));
            of_day.collect::<Vec<String>>()
        };
        let by_the_other = is_marked(&storage).len();
        injector.resume();
        let finished = running.end().await;
        assert_eq!(finished.failures(), Vec::<String>::new(), "{at}");
        assert_eq!(
            is_marked(&storage),
            [format!("cycles/{DAY}.r0.json")],
            "{at}"
        );
        let problems = StorageContents::of(&storage).problems(&model.truth);
        assert!(problems.is_empty(), "{at}:\n{}", problems.join("\n"));
        last_marked += 1 - by_the_other;
    }
    assert!(0 < last_marked && last_marked < injector.calls().len());
}

/// A run that is paused while other runs proceed.
struct PausedRun {
    name: &'static str,
    prepare: Vec<Step>,
    /// The run that is paused.
    paused_step: Step,
    /// The runs in the meantime.
    others: Vec<Step>,
}

/// Pauses the run before each of its calls in turn.
async fn pause_everywhere(paused: PausedRun, factory: StorageFactory) {
    let world = World::new().await;
    let storage = factory.create();
    let mut before = Model::default();
    for step in &paused.prepare {
        before.apply(step);
        run_step(&world, &storage, step).await;
    }
    let snapshot = storage.save();
    let request = &paused.paused_step.request;
    before.set(request.table, &paused.paused_step.files);

    let injector = FaultInjector::counting();
    world.set(request.table, &paused.paused_step.files);
    let finished = world
        .run(snapshot.restore().with_faults(&injector), request)
        .await;
    assert_eq!(finished.failures(), Vec::<String>::new());
    let calls = injector.calls();

    for call in &calls {
        let at = format!("{}, {factory}, paused before {call}", paused.name);
        let storage = snapshot.restore();
        world.set(request.table, &paused.paused_step.files);
        let injector = FaultInjector::at(call.number, FaultTiming::Before, FaultKind::Pause);
        let running = world.start(storage.with_faults(&injector), request);
        injector.reached().await;

        let mut model = before.clone();
        let is_committed =
            StorageContents::of(&storage).has_commit_of(request.table, &running.run_id);
        if is_committed {
            model.publish(request);
        }
        for step in &paused.others {
            model.set(step.request.table, &step.files);
            run_step(&world, &storage, step).await;
            model.publish(&step.request);
        }
        let problems = StorageContents::of(&storage).problems(&model.truth);
        assert!(
            problems.is_empty(),
            "{at}, others:\n{}",
            problems.join("\n")
        );

        injector.resume();
        let finished = running.end().await;
        let failures = finished.failures();
        if failures.is_empty() && !is_committed {
            model.publish(request);
        }
        // If its source files were replaced in the meantime, the run must not publish.
        let is_about_source = |failure: &String| failure.starts_with("source file");
        let may_fail = !is_committed && failures.iter().all(is_about_source);
        assert!(failures.is_empty() || may_fail, "{at}: {failures:?}");
        let problems = StorageContents::of(&storage).problems(&model.truth);
        assert!(
            problems.is_empty(),
            "{at}, resumed:\n{}",
            problems.join("\n")
        );

        let settled = StorageContents::of(&storage);
        let last = paused.others.last().unwrap_or(&paused.paused_step);
        world.succeed(&storage, &last.request.clone().plain()).await;
        assert!(
            StorageContents::of(&storage) == settled,
            "{at}: another run changed something"
        );
    }
    eprintln!(
        "races: {}, {factory}: paused at {} calls",
        paused.name,
        calls.len()
    );
}

for_each_storage! {
    tokio::test, pause_everywhere =>
    first_publication_is_paused
    shrinking_snapshot_is_paused
    rerun_to_another_format_is_paused
    voiding_run_is_paused
}

/// Others finish its publication, replace it by fewer rows, and publish the next cycle into its
/// partitions.
fn first_publication_is_paused() -> PausedRun {
    let two = |text| vec![visit(1, text, DAY, 15), visit(2, text, DAY, 14)];
    let one = vec![visit(1, "new", DAY, 15), visit(3, "new", DAY_AFTER, 14)];
    PausedRun {
        name: "first publication",
        prepare: vec![],
        paused_step: Step::new(vec![two("old")], visits(DAY)),
        others: vec![
            Step::new(vec![two("mid")], visits(DAY)),
            Step::new(vec![one.clone()], visits(DAY).again()),
            Step::new(vec![one], visits(DAY_AFTER)),
        ],
    }
}

/// The run has files to delete; before it does, others let the table grow again, two entries later.
fn shrinking_snapshot_is_paused() -> PausedRun {
    let files = |count, text: &str| (1..=count).map(|id| vec![name(id, text)]).collect();
    PausedRun {
        name: "shrinking snapshot",
        prepare: vec![Step::new(files(3, "old"), names(DAY_BEFORE))],
        paused_step: Step::new(files(1, "new"), names(DAY)),
        others: vec![
            Step::new(files(1, "mid"), names(DAY)),
            Step::new(files(1, "alt"), names(DAY).again()),
            Step::new(files(3, "big"), names(DAY_AFTER)),
        ],
    }
}

/// The run has files of the other format to delete; before it does, others return to that format.
fn rerun_to_another_format_is_paused() -> PausedRun {
    let rows = |text| vec![vec![visit(1, text, DAY, 15)]];
    let again = |format| visits(DAY).again().format(format);
    PausedRun {
        name: "rerun to another format",
        prepare: vec![Step::new(rows("old"), visits(DAY))],
        paused_step: Step::new(rows("new"), again(FileFormat::Parquet)),
        others: vec![
            Step::new(rows("mid"), visits(DAY)),
            Step::new(rows("end"), again(FileFormat::Json)),
        ],
    }
}

/// The run voids a commit and deletes its visible files; before it does, others publish.
fn voiding_run_is_paused() -> PausedRun {
    let files = |text: &str| vec![vec![name(1, text)], vec![name(2, text)]];
    PausedRun {
        name: "voiding run",
        prepare: vec![
            Step::new(files("old"), names("2020-01-13")),
            Step::new(files("lost"), names(DAY_BEFORE))
                .ending(Ending::DiesAndIsSwept { visible: 1 }),
        ],
        paused_step: Step::new(files("new"), names(DAY)),
        others: vec![
            Step::new(files("mid"), names(DAY)),
            Step::new(files("end"), names(DAY_AFTER)),
        ],
    }
}

/// The program is stopped by a signal between its commit and its first visible file.
#[cfg(target_os = "linux")]
mod stopped_process {
    use std::process::{Child, Command};
    use std::time::Duration;

    use super::*;

    /// A child process that is killed when dropped.
    struct Program(Child);

    impl Program {
        fn signal(&self, name: &str) {
            let id = self.0.id().to_string();
            let status = Command::new("kill").args(["-s", name, &id]).status();
            assert!(status.unwrap().success());
        }

        fn is_stopped(&self) -> bool {
            let about = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
            let (_, after_name) = about.rsplit_once(") ").unwrap();
            after_name.starts_with('T')
        }
    }

    impl Drop for Program {
        fn drop(&mut self) {
            // The process may have exited.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[tokio::test]
    async fn resumes_after_others_have_published() {
        let world = World::new().await;
        let factory = StorageFactory::s3();
        let (storage, server) = (factory.create(), factory.server());
        let mut model = Model::default();
        let rows = |text| vec![vec![visit(1, text, DAY, 15), visit(2, text, DAY, 14)]];

        // The run can commit, but make no file visible.
        let stuck = Action::Before(Failure::Hangup);
        server.inject(Fault::on(Operation::CompleteMultipartUpload, stuck));
        world.set(Table::Visits, &rows("old"));
        model.set(Table::Visits, &rows("old"));
        let mut program = Program(world.program(&storage, &visits(DAY)).spawn().unwrap());
        assert!(server.wait_for_faults(1, Duration::from_secs(60)));
        program.signal("STOP");
        while !program.is_stopped() {
            std::thread::yield_now();
        }
        server.clear_faults();
        model.publish(&visits(DAY));

        // Others finish its work, replace it and publish the next cycle.
        for (text, request) in [
            ("mid", visits(DAY)),
            ("new", visits(DAY).again()),
            ("new", visits(DAY_AFTER)),
        ] {
            let step = Step::new(rows(text), request);
            model.apply(&step);
            run_step(&world, &storage, &step).await;
        }
        assert_whole(&storage, &model.truth);
        let settled = StorageContents::of(&storage);

        program.signal("CONT");
        let status = program.0.wait().unwrap();
        assert!(
            status.success(),
            "another run has published its cycle: {status}"
        );
        assert!(
            StorageContents::of(&storage) == settled,
            "the resumed run changed something"
        );
    }
}

/// Looks up uploads in the server's memory.
struct ServerUploads(Arc<StorageFactory>);

impl fmt::Debug for ServerUploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerUploads")
    }
}

#[async_trait]
impl UploadLookup for ServerUploads {
    async fn exists(&self, _key: &Path, upload_id: &str) -> dayport::error::Result<bool> {
        let uploads = self.0.server().uploads(BUCKET);
        Ok(uploads.iter().any(|(_, id)| id == upload_id))
    }
}

/// Two runs recover one commit. The response to the completion of the first is lost, and it sees no file;
/// then the second completes the uploads, so that they are gone: the first must not take that for a sweep.
#[tokio::test]
async fn a_completion_by_another_run_is_not_taken_for_a_sweep() {
    let factory = Arc::new(StorageFactory::s3());
    let storage = factory.create();
    let world = World::new().await;
    let mut model = Model::default();
    let rows = vec![vec![visit(1, "a", DAY, 15), visit(2, "b", DAY, 14)]];
    let committed = Step::new(rows, visits(DAY)).ending(Ending::Dies { visible: 0 });
    model.apply(&committed);
    run_step(&world, &storage, &committed).await;

    let reset = Fault::on(
        Operation::CompleteMultipartUpload,
        Action::Before(Failure::Reset),
    );
    factory.server().inject(reset.nth(1));
    let injector = FaultInjector::when(
        |call| call.verb == Verb::Get && call.key.contains("data/"),
        FaultTiming::After,
        FaultKind::Pause,
    );
    let lookup = Arc::new(ServerUploads(Arc::clone(&factory)));
    let destination = storage.with_faults(&injector).with_upload_lookup(lookup);
    let first = world.start(destination, &visits(DAY));
    injector.reached().await;
    world.succeed(&storage, &visits(DAY)).await;
    injector.resume();
    let finished = first.end().await;

    assert_eq!(finished.failures(), Vec::<String>::new());
    assert!(!StorageContents::of(&storage).has_void(Table::Visits));
    assert_whole(&storage, &model.truth);
}
