//! Faults between the real S3 client and a real endpoint.

use std::time::Duration;

use dayport::run::TableOutcome;

use crate::crash::Model;
use crate::crash::storage::{Storage, StorageFactory};
use crate::crash::truth::{StorageContents, assert_whole};
use crate::crash::world::{DAY, FinishedRun, Row, Table, World, visit, visits};
use crate::s3::{Action, Failure, Fault, On, Operation};

const LOG: &str = "_dayport/log/";
const MANIFESTS: &str = "manifests/";

fn rows(text: &str) -> Vec<Vec<Row>> {
    let rows = (1..=3).map(|id| visit(id, text, DAY, 12 + id));
    vec![rows.collect()]
}

/// A bucket, and a world with rows to publish.
struct FaultTest {
    factory: StorageFactory,
    world: World,
    storage: Storage,
    model: Model,
}

impl FaultTest {
    async fn new() -> Self {
        let factory = StorageFactory::s3();
        let storage = factory.create();
        let world = World::new().await;
        let mut model = Model::default();
        world.set(Table::Visits, &rows("a"));
        model.set(Table::Visits, &rows("a"));
        Self {
            factory,
            world,
            storage,
            model,
        }
    }

    /// Runs with a fault, which is removed after the run.
    async fn run(&self, fault: Fault) -> FinishedRun {
        self.factory.server().inject(fault);
        let finished = self
            .world
            .run(self.storage.destination(), &visits(DAY))
            .await;
        assert!(
            self.factory.server().faults_triggered() > 0,
            "the fault was not triggered"
        );
        self.factory.server().clear_faults();
        finished
    }

    /// Asserts that the run has finished its publication: one entry, one manifest, every row once.
    fn assert_published_by(&mut self, finished: &FinishedRun) {
        assert_eq!(finished.failures(), Vec::<String>::new());
        assert!(matches!(finished.outcome(), TableOutcome::Published { .. }));
        self.model.publish(&visits(DAY));
        assert_whole(&self.storage, &self.model.truth);
        let contents = StorageContents::of(&self.storage);
        assert_eq!(contents.log(Table::Visits).len(), 1);
        assert_eq!(contents.staged(), Vec::<&str>::new());
    }

    /// Asserts that the run failed and the next run publishes; returns the error message.
    async fn assert_next_run_publishes(&mut self, finished: &FinishedRun) -> String {
        assert_eq!(finished.exit_code(), 75, "{:?}", finished.failures());
        self.world.succeed(&self.storage, &visits(DAY)).await;
        self.model.publish(&visits(DAY));
        assert_whole(&self.storage, &self.model.truth);
        finished.failures().remove(0)
    }
}

/// The client retries, gets the response that the object exists, and returns `AlreadyExists`.
#[tokio::test]
async fn a_commit_whose_response_is_lost_is_recognised() {
    for failure in [Failure::SlowDown, Failure::Hangup] {
        let mut test = FaultTest::new().await;
        let lost = Fault::on(Operation::PutObject, Action::After(failure));
        let finished = test.run(lost.key(LOG).nth(1)).await;
        test.assert_published_by(&finished);
    }
}

/// The client does not retry, and returns `Generic` although the entry is stored.
#[tokio::test]
async fn a_commit_whose_connection_is_reset_may_be_stored() {
    let mut test = FaultTest::new().await;
    let reset = Fault::on(Operation::PutObject, Action::After(Failure::Reset));
    let finished = test.run(reset.key(LOG).nth(1)).await;
    test.assert_published_by(&finished);
}

/// The client returns `Generic`, and the entry is not stored but may arrive later: the uploads must
/// stay.
#[tokio::test]
async fn a_commit_that_does_not_arrive_publishes_nothing() {
    let mut test = FaultTest::new().await;
    let reset = Fault::on(Operation::PutObject, Action::Before(Failure::Reset));
    let finished = test.run(reset.key(LOG).nth(1)).await;
    assert!(StorageContents::of(&test.storage).published().is_empty());
    let uploads = test.storage.uploads().len();
    assert_eq!(uploads, 3, "an entry that arrives late would need them");
    let complaint = test.assert_next_run_publishes(&finished).await;
    assert!(complaint.contains("whether the cycle is committed is not known"));
}

/// The client returns `AlreadyExists` for `409` too, but nothing is stored.
#[tokio::test]
async fn a_commit_with_a_transient_conflict_is_retried() {
    let mut test = FaultTest::new().await;
    let conflict = Fault::on(Operation::PutObject, Action::Before(Failure::Conflict));
    let finished = test.run(conflict.key(LOG).first(2)).await;
    test.assert_published_by(&finished);
}

#[tokio::test]
async fn a_manifest_whose_response_is_lost_is_recognised() {
    for failure in [Failure::SlowDown, Failure::Hangup, Failure::Reset] {
        let mut test = FaultTest::new().await;
        let lost = Fault::on(Operation::PutObject, Action::After(failure));
        let finished = test.run(lost.key(MANIFESTS).nth(1)).await;
        test.assert_published_by(&finished);
    }
}

#[tokio::test]
async fn a_manifest_that_conflicts_is_written_by_the_next_run() {
    let mut test = FaultTest::new().await;
    let conflict = Fault::on(Operation::PutObject, Action::Before(Failure::Conflict));
    let finished = test.run(conflict.key(MANIFESTS).nth(1)).await;
    test.assert_next_run_publishes(&finished).await;
    assert_eq!(
        StorageContents::of(&test.storage).log(Table::Visits).len(),
        1
    );
}

/// The client retries and returns `NotFound`, because the upload no longer exists. If every response is
/// a failure, or after a reset, it returns `Generic`.
#[tokio::test]
async fn an_upload_completed_without_response_is_found_by_its_etag() {
    for failure in [Failure::SlowDown, Failure::Hangup, Failure::Reset] {
        let lost_response = Fault::on(Operation::CompleteMultipartUpload, Action::After(failure));
        for fault in [lost_response.clone().nth(1), lost_response] {
            let mut test = FaultTest::new().await;
            let finished = test.run(fault).await;
            test.assert_published_by(&finished);
        }
    }
}

/// A truncated response is resumed from where it ended.
#[tokio::test]
async fn a_truncated_response_is_resumed() {
    let mut test = FaultTest::new().await;
    test.world.succeed(&test.storage, &visits(DAY)).await;
    test.model.publish(&visits(DAY));
    let truncate = Action::Truncate { after_bytes: 100 };
    let finished = test
        .run(Fault::on(Operation::GetObject, truncate).first(3))
        .await;
    assert_eq!(finished.failures(), Vec::<String>::new());
    assert_whole(&test.storage, &test.model.truth);
}

/// Any fraction of the requests may fail in any way: the run succeeds, or exits with a retryable error
/// and has changed nothing for readers.
#[tokio::test]
async fn any_fraction_of_requests_may_fail() {
    let puts = On::from(Operation::PutObject);
    let gets = On::from(Operation::GetObject);
    let kinds = [
        ("slow down", On::Any, Action::Before(Failure::SlowDown)),
        ("hang up", On::Any, Action::Before(Failure::Hangup)),
        ("reset", On::Any, Action::Before(Failure::Reset)),
        ("conflict", puts, Action::Before(Failure::Conflict)),
        ("lost, slow down", On::Any, Action::After(Failure::SlowDown)),
        ("lost, hang up", On::Any, Action::After(Failure::Hangup)),
        ("lost, reset", On::Any, Action::After(Failure::Reset)),
        ("truncated", gets, Action::Truncate { after_bytes: 10 }),
        ("late", On::Any, Action::Delay(Duration::from_millis(1))),
    ];
    let factory = StorageFactory::s3();
    let world = World::new().await;
    let (mut succeeded, mut retryable, mut injected) = (0, 0, 0);
    for (kind, on, action) in kinds {
        for (chance, seed) in [(0.01, 1), (0.1, 2), (0.3, 3), (0.3, 4)] {
            let at = format!("{kind}, {chance}, seed {seed}");
            let storage = factory.create();
            let mut model = Model::default();
            factory
                .server()
                .inject(Fault::on(on, action).chance(chance, seed));
            // The second run replaces the publication of the first one, or finishes it.
            for (text, request) in [("old", visits(DAY)), ("new", visits(DAY).again())] {
                world.set(Table::Visits, &rows(text));
                model.set(Table::Visits, &rows(text));
                let before = StorageContents::of(&storage);
                let finished = world.run(storage.destination(), &request).await;
                let contents = StorageContents::of(&storage);
                if contents.has_commit_of(Table::Visits, &finished.run_id) {
                    model.publish(&request);
                } else {
                    let had_pending_work = before.has_pending_work(Table::Visits);
                    let is_as_before = contents.published() == before.published();
                    assert!(had_pending_work || is_as_before, "{at}: not as before");
                }
                match finished.exit_code() {
                    0 => succeeded += 1,
                    75 => retryable += 1,
                    _ => panic!("{at}: {:?}", finished.failures()),
                }
                let problems = contents.problems_for_readers(&model.truth);
                assert!(problems.is_empty(), "{at}:\n{}", problems.join("\n"));
            }
            injected += factory.server().faults_triggered();
            factory.server().clear_faults();

            world.succeed(&storage, &visits(DAY)).await;
            model.publish(&visits(DAY));
            let problems = StorageContents::of(&storage).problems(&model.truth);
            assert!(problems.is_empty(), "{at}, after:\n{}", problems.join("\n"));
        }
    }
    eprintln!(
        "faults: {injected} injected, {succeeded} runs succeeded, {retryable} were retryable"
    );
    assert!(
        succeeded > retryable && retryable > 0,
        "only one kind of ending"
    );
}
