//! Faults on the wire between the real S3 client and a real endpoint.

use std::time::Duration;

use dayport::run::Outcome;

use crate::crash::Model;
use crate::crash::truth::Seen;
use crate::crash::world::{Ask, DAY, Place, Ran, Row, Site, Table, World, visit};
use crate::s3::{Action, Failure, Fault, On, Operation};

const LOG: &str = "_dayport/log/";
const MANIFESTS: &str = "manifests/";

fn rows(text: &str) -> Vec<Vec<Row>> {
    let rows = (1..=3).map(|id| visit(id, text, DAY, 12 + id));
    vec![rows.collect()]
}

fn visits() -> Ask {
    Ask::new(Table::Visits, DAY)
}

/// A bucket, and rows to publish.
struct Scene {
    site: Site,
    world: World,
    place: Place,
    model: Model,
}

impl Scene {
    async fn new() -> Self {
        let site = Site::s3();
        let place = site.place();
        let world = World::new().await;
        let mut model = Model::default();
        world.set(Table::Visits, &rows("a"));
        model.set(Table::Visits, &rows("a"));
        Self {
            site,
            world,
            place,
            model,
        }
    }

    /// A run under a fault, which ends with the run.
    async fn run(&self, fault: Fault) -> Ran {
        self.site.server().inject(fault);
        let ran = self.world.run(self.place.destination(), &visits()).await;
        assert!(self.site.server().faults_struck() > 0, "the fault struck");
        self.site.server().clear_faults();
        ran
    }

    /// Nothing is left to be done: one entry, one manifest, every row once.
    fn assert_published_by(&mut self, ran: &Ran) {
        assert_eq!(ran.failures(), Vec::<String>::new());
        assert!(matches!(ran.outcome(), Outcome::Published { .. }));
        self.model.publish(&visits());
        self.assert_whole();
        let seen = Seen::of(&self.place);
        assert_eq!(seen.log(Table::Visits).len(), 1);
        assert_eq!(seen.staged(), Vec::<&str>::new());
    }

    fn assert_whole(&self) {
        let problems = Seen::of(&self.place).problems(&self.model.truth);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    /// It failed in a way that the next run makes good; returns its complaint.
    async fn assert_next_run_publishes(&mut self, ran: &Ran) -> String {
        assert_eq!(ran.exit_code(), 75, "{:?}", ran.failures());
        self.world.succeed(&self.place, &visits()).await;
        self.model.publish(&visits());
        self.assert_whole();
        ran.failures().remove(0)
    }
}

/// The client tries again, is told that the object exists, and reports `AlreadyExists`.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_our_own() {
    for failure in [Failure::SlowDown, Failure::Hangup] {
        let mut scene = Scene::new().await;
        let lost = Fault::on(Operation::PutObject, Action::After(failure));
        let ran = scene.run(lost.key(LOG).nth(1)).await;
        scene.assert_published_by(&ran);
    }
}

/// The client does not try again: `Generic`, although the entry is stored.
#[tokio::test]
async fn a_commit_whose_connection_is_reset_may_be_stored() {
    let mut scene = Scene::new().await;
    let reset = Fault::on(Operation::PutObject, Action::After(Failure::Reset));
    let ran = scene.run(reset.key(LOG).nth(1)).await;
    scene.assert_published_by(&ran);
}

/// ... and if it is not stored, nobody can tell whether it will be: the uploads must stay.
#[tokio::test]
async fn a_commit_that_does_not_arrive_publishes_nothing() {
    let mut scene = Scene::new().await;
    let reset = Fault::on(Operation::PutObject, Action::Before(Failure::Reset));
    let ran = scene.run(reset.key(LOG).nth(1)).await;
    assert!(Seen::of(&scene.place).published().is_empty());
    let uploads = scene.place.uploads().len();
    assert_eq!(uploads, 3, "an entry that arrives late would need them");
    let complaint = scene.assert_next_run_publishes(&ran).await;
    assert!(complaint.contains("whether the cycle is committed is not known"));
}

/// `409` is reported as `AlreadyExists` too, but nothing is stored.
#[tokio::test]
async fn a_commit_that_conflicts_in_passing_is_tried_again() {
    let mut scene = Scene::new().await;
    let conflict = Fault::on(Operation::PutObject, Action::Before(Failure::Conflict));
    let ran = scene.run(conflict.key(LOG).first(2)).await;
    scene.assert_published_by(&ran);
}

#[tokio::test]
async fn a_manifest_whose_answer_is_lost_is_our_own() {
    for failure in [Failure::SlowDown, Failure::Hangup, Failure::Reset] {
        let mut scene = Scene::new().await;
        let lost = Fault::on(Operation::PutObject, Action::After(failure));
        let ran = scene.run(lost.key(MANIFESTS).nth(1)).await;
        scene.assert_published_by(&ran);
    }
}

#[tokio::test]
async fn a_manifest_that_conflicts_is_written_by_the_next_run() {
    let mut scene = Scene::new().await;
    let conflict = Fault::on(Operation::PutObject, Action::Before(Failure::Conflict));
    let ran = scene.run(conflict.key(MANIFESTS).nth(1)).await;
    scene.assert_next_run_publishes(&ran).await;
    assert_eq!(Seen::of(&scene.place).log(Table::Visits).len(), 1);
}

/// The client tries again and is told that there is no such upload: `NotFound`. If it hears nothing
/// but failures, or after a reset, it cannot tell: `Generic`.
#[tokio::test]
async fn an_upload_that_is_completed_unheard_is_found_by_its_etag() {
    for failure in [Failure::SlowDown, Failure::Hangup, Failure::Reset] {
        let unheard = Fault::on(Operation::CompleteMultipartUpload, Action::After(failure));
        for fault in [unheard.clone().nth(1), unheard] {
            let mut scene = Scene::new().await;
            let ran = scene.run(fault).await;
            scene.assert_published_by(&ran);
        }
    }
}

/// An answer that breaks off is read on from where it ended.
#[tokio::test]
async fn a_truncated_answer_is_read_on() {
    let mut scene = Scene::new().await;
    scene.world.succeed(&scene.place, &visits()).await;
    scene.model.publish(&visits());
    let truncate = Action::Truncate { after_bytes: 100 };
    let ran = scene
        .run(Fault::on(Operation::GetObject, truncate).first(3))
        .await;
    assert_eq!(ran.failures(), Vec::<String>::new());
    scene.assert_whole();
}

/// Any share of calls may go wrong in any way: the run completes, or asks for another one and has
/// changed nothing that readers rely on.
#[tokio::test]
async fn any_share_of_calls_may_go_wrong() {
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
    let site = Site::s3();
    let world = World::new().await;
    let (mut done, mut again, mut struck) = (0, 0, 0);
    for (kind, on, action) in kinds {
        for (chance, seed) in [(0.01, 1), (0.1, 2), (0.3, 3), (0.3, 4)] {
            let at = format!("{kind}, {chance}, seed {seed}");
            let place = site.place();
            let mut model = Model::default();
            site.server()
                .inject(Fault::on(on, action).chance(chance, seed));
            // The second one replaces what the first one published, or finishes it.
            for (text, ask) in [("old", visits()), ("new", visits().again())] {
                world.set(Table::Visits, &rows(text));
                model.set(Table::Visits, &rows(text));
                let before = Seen::of(&place);
                let ran = world.run(place.destination(), &ask).await;
                let seen = Seen::of(&place);
                if seen.has_commit_of(Table::Visits, &ran.run_id) {
                    model.publish(&ask);
                } else {
                    let had_business = before.has_unfinished_business(Table::Visits);
                    let is_as_before = seen.published() == before.published();
                    assert!(had_business || is_as_before, "{at}: not as before");
                }
                match ran.exit_code() {
                    0 => done += 1,
                    75 => again += 1,
                    _ => panic!("{at}: {:?}", ran.failures()),
                }
                let problems = seen.problems_for_readers(&model.truth);
                assert!(problems.is_empty(), "{at}:\n{}", problems.join("\n"));
            }
            struck += site.server().faults_struck();
            site.server().clear_faults();

            world.succeed(&place, &visits()).await;
            model.publish(&visits());
            let problems = Seen::of(&place).problems(&model.truth);
            assert!(problems.is_empty(), "{at}, after:\n{}", problems.join("\n"));
        }
    }
    eprintln!("faults: {struck} calls struck, {done} runs done, {again} asked for another");
    assert!(done > again && again > 0, "both endings were seen");
}
