//! Tests of each fault with object_store 0.13. The commit protocol relies on this behaviour of the
//! client: when an update of object_store changes it, a test here fails first.

use super::{
    super::{
        Action::{self, After, Before},
        Failure::{Conflict, Hangup, Reset, Silence, SlowDown},
        Fault, On, Operation, TestS3,
        fault::Faults,
        operation::Target,
    },
    BUCKET,
};
use object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutResult, aws::AmazonS3,
    multipart::MultipartStore, path::Path,
};
use std::time::{Duration, Instant};

/// The number of attempts of `RetryConfig::default`: one, and ten retries.
const ATTEMPTS: usize = 11;

struct Setup {
    s3: TestS3,
    store: AmazonS3,
    path: Path,
}

fn start(fault: Fault) -> Setup {
    let s3 = TestS3::start();
    s3.create_bucket(BUCKET);
    s3.inject(fault);
    let store = s3.store(BUCKET);
    Setup {
        s3,
        store,
        path: Path::from("log/1"),
    }
}

impl Setup {
    async fn create(&self) -> Result<PutResult, Error> {
        self.store
            .put_opts(&self.path, "mine".into(), PutMode::Create.into())
            .await
    }

    async fn overwrite(&self) -> Result<PutResult, Error> {
        self.store.put(&self.path, "mine".into()).await
    }

    fn is_stored(&self) -> bool {
        self.s3.object(BUCKET, self.path.as_ref()).is_some()
    }

    /// Returns the statuses of the puts; `None` is a lost response.
    fn statuses(&self) -> Vec<Option<u16>> {
        self.s3.calls().iter().map(|call| call.status).collect()
    }
}

fn once(action: Action) -> Fault {
    Fault::on(Operation::PutObject, action).first(1)
}

#[tokio::test]
async fn failures_before_the_put_are_retried() {
    for failure in [SlowDown, Hangup] {
        let setup = start(once(Before(failure)));
        setup.create().await.unwrap();
        assert_eq!(setup.statuses().len(), 2, "{failure:?}");
    }
    let setup = start(once(Before(Reset)));
    setup.overwrite().await.unwrap();
    assert_eq!(setup.statuses(), [None, Some(200)]);
}

#[tokio::test]
async fn a_create_that_is_reset_fails_at_once_whether_stored_or_not() {
    for (action, is_stored) in [(Before(Reset), false), (After(Reset), true)] {
        let setup = start(once(action));
        let outcome = setup.create().await;
        assert!(matches!(outcome, Err(Error::Generic { .. })), "{outcome:?}");
        assert_eq!(setup.statuses(), [None]);
        assert_eq!(setup.is_stored(), is_stored);
    }
}

#[tokio::test]
async fn a_create_with_a_conflict_reports_an_object_that_does_not_exist() {
    let setup = start(once(Before(Conflict)));
    let outcome = setup.create().await;
    assert!(
        matches!(outcome, Err(Error::AlreadyExists { .. })),
        "{outcome:?}"
    );
    assert_eq!(setup.statuses(), [Some(409)]);
    assert!(!setup.is_stored());
}

#[tokio::test]
async fn a_create_whose_response_is_lost_reports_its_own_object_as_existing() {
    for failure in [SlowDown, Hangup] {
        let setup = start(once(After(failure)));
        let outcome = setup.create().await;
        assert!(
            matches!(outcome, Err(Error::AlreadyExists { .. })),
            "{failure:?}: {outcome:?}"
        );
        assert_eq!(setup.statuses()[1], Some(412));
        assert_eq!(setup.s3.object(BUCKET, "log/1").unwrap().data, "mine");
    }
}

#[tokio::test]
async fn a_create_whose_responses_are_all_lost_fails_although_stored() {
    let setup = start(Fault::on(Operation::PutObject, After(SlowDown)));
    let outcome = setup.create().await;
    assert!(matches!(outcome, Err(Error::Generic { .. })), "{outcome:?}");
    assert_eq!(setup.statuses(), [Some(503); ATTEMPTS]);
    assert_eq!(setup.s3.faults_triggered(), ATTEMPTS as u64);
    assert!(setup.is_stored());
}

#[tokio::test]
async fn a_completion_whose_response_is_lost_reports_not_found_although_stored() {
    for failure in [SlowDown, Hangup, Reset] {
        let setup = start(Fault::on(Operation::CompleteMultipartUpload, After(failure)).nth(1));
        let Setup { s3, store, path } = &setup;
        let id = store.create_multipart(path).await.unwrap();
        let part = store.put_part(path, &id, 0, "data".into()).await.unwrap();
        let outcome = store.complete_multipart(path, &id, vec![part]).await;
        assert!(
            matches!(outcome, Err(Error::NotFound { .. })),
            "{failure:?}: {outcome:?}"
        );
        assert_eq!(s3.count(Operation::CompleteMultipartUpload), 2);
        assert!(setup.is_stored());
    }
}

#[tokio::test]
async fn a_truncated_get_is_resumed() {
    let truncate = Action::Truncate {
        after_bytes: 10_000,
    };
    let setup = start(Fault::on(Operation::GetObject, truncate).first(3));
    let data: Vec<u8> = (0..50_000_u32).map(|number| (number % 251) as u8).collect();
    setup.s3.put(BUCKET, "log/1", data.clone());
    let answer = setup.store.get(&setup.path).await.unwrap();
    assert!(answer.bytes().await.unwrap() == data);
    let ranges: Vec<_> = setup
        .s3
        .calls()
        .into_iter()
        .map(|call| call.range)
        .collect();
    let from = |start: u32| Some(format!("bytes={start}-49999"));
    assert_eq!(ranges, [None, from(10_000), from(20_000), from(30_000)]);
}

#[tokio::test]
async fn a_delayed_request_is_served() {
    let delay = Duration::from_millis(30);
    let setup = start(Fault::on(On::Any, Action::Delay(delay)));
    let started = Instant::now();
    setup.create().await.unwrap();
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn after_a_crash_nothing_is_applied_until_faults_are_cleared() {
    for (action, stored) in [(Before(Hangup), 1), (After(Hangup), 2)] {
        let setup = start(Fault::on(On::Writes, action).key("log/").crash_at(2));
        let Setup { s3, store, path } = &setup;
        s3.put(BUCKET, "read", "before the crash");
        let put = async |key: &str| store.put(&Path::from(key), "data".into()).await;

        put("log/1").await.unwrap();
        store.get(&Path::from("read")).await.unwrap();
        assert_eq!(s3.faults_triggered(), 0);
        put("log/2").await.unwrap_err();
        put("elsewhere").await.unwrap_err();
        store.get(path).await.unwrap_err();
        assert_eq!(s3.keys(BUCKET).len(), 1 + stored, "{action:?}");
        assert_eq!(s3.faults_triggered(), 3 * ATTEMPTS as u64);

        s3.clear_faults();
        put("log/2").await.unwrap();
        assert_eq!(s3.faults_triggered(), 0);
    }
}

#[tokio::test]
async fn a_silent_server_can_be_awaited() {
    let setup = start(Fault::on(Operation::PutObject, After(Silence)));
    assert!(!setup.s3.wait_for_faults(1, Duration::ZERO));
    let store = setup.store.clone();
    let path = setup.path.clone();
    let put = tokio::spawn(async move { store.put(&path, "data".into()).await });
    let Setup { s3, .. } = setup;
    let waited = tokio::task::spawn_blocking(move || {
        let was_triggered = s3.wait_for_faults(1, Duration::from_secs(30));
        (s3, was_triggered)
    });
    let (s3, was_triggered) = waited.await.unwrap();
    assert!(was_triggered);
    assert_eq!(s3.keys(BUCKET), ["log/1"]);
    assert!(!put.is_finished());
    put.abort();
    assert_eq!(s3.calls()[0].status, None);
}

/// Returns the numbers of the requests, of ten, that trigger a fault.
fn triggered_numbers(fault: Fault) -> Vec<u64> {
    let faults = Faults::default();
    faults.inject(fault);
    let key = "log/1".to_owned();
    let target = Target {
        operation: Operation::PutObject,
        bucket: BUCKET.to_owned(),
        key,
    };
    (1..=10)
        .filter(|_| faults.decide(&target).is_some())
        .collect()
}

#[test]
fn faults_are_triggered_by_the_requests_they_are_narrowed_to() {
    let fault = || Fault::on(Operation::PutObject, Before(Reset));
    assert_eq!(triggered_numbers(fault()), Vec::from_iter(1..=10));
    assert_eq!(triggered_numbers(fault().nth(3)), [3]);
    assert_eq!(triggered_numbers(fault().first(2)), [1, 2]);
    assert_eq!(triggered_numbers(fault().nth_and_later(9)), [9, 10]);
    assert_eq!(triggered_numbers(fault().crash_at(8)), [8, 9, 10]);
    assert_eq!(triggered_numbers(fault().key("log/").nth(1)), [1]);
    assert_eq!(triggered_numbers(fault().key("data/")), [0; 0]);
    assert_eq!(
        triggered_numbers(Fault::on(Operation::GetObject, Before(Reset))),
        [0; 0]
    );

    let by_chance = triggered_numbers(fault().chance(0.5, 1));
    assert_eq!(triggered_numbers(fault().chance(0.5, 1)), by_chance);
    assert_ne!(triggered_numbers(fault().chance(0.5, 2)), by_chance);
    assert_eq!(triggered_numbers(fault().chance(0.0, 1)), [0; 0]);
    assert_eq!(triggered_numbers(fault().chance(1.0, 1)).len(), 10);
}

#[test]
fn every_matching_rule_counts_and_the_first_triggered_one_decides() {
    let faults = Faults::default();
    faults.inject(Fault::on(On::Any, Before(SlowDown)).nth(1));
    faults.inject(Fault::on(On::Writes, Before(Conflict)).first(2));
    let target = Target {
        operation: Operation::PutObject,
        bucket: BUCKET.to_owned(),
        key: "key".to_owned(),
    };
    let decisions: Vec<_> = (1..=3).map(|_| faults.decide(&target)).collect();
    assert_eq!(
        decisions,
        [Some(Before(SlowDown)), Some(Before(Conflict)), None]
    );
}
