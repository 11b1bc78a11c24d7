//! Several runs on one table at once.

use std::collections::BTreeSet;

use dayport::error::ErrorKind;
use dayport::layout::FileFormat;
use dayport::run::Outcome;

use crate::crash::directed::{Director, Moment, Turn};
use crate::crash::truth::{Seen, Truth};
use crate::crash::world::{
    Ask, DAY, DAY_AFTER, DAY_BEFORE, Place, Ran, Row, Site, Table, World, name, visit,
};
use crate::crash::{Fate, Model, Step, take};

fn visits(cycle: &'static str) -> Ask {
    Ask::new(Table::Visits, cycle)
}

fn names(cycle: &'static str) -> Ask {
    Ask::new(Table::Names, cycle)
}

fn assert_whole(place: &Place, truth: &Truth) {
    let problems = Seen::of(place).problems(truth);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Starts a run for each ask, lets all of them come to their commit, and only then lets them go on.
async fn race(world: &World, place: &Place, asks: &[Ask]) -> Vec<Ran> {
    let mut running = Vec::new();
    for ask in asks {
        let director = Director::when(|call| call.is_commit(), Moment::Before, Turn::Pause);
        running.push((world.start(place.directed(&director), ask), director));
    }
    for (_, director) in &running {
        director.reached().await;
    }
    for (_, director) in &running {
        director.resume();
    }
    let mut ran = Vec::new();
    for (running, _) in running {
        ran.push(running.end().await);
    }
    ran
}

/// Twenty runs of one cycle, all of them with everything staged: one publishes, the others say who.
async fn one_of_twenty_publishes(site: Site) {
    let world = World::new().await;
    let place = site.place();
    let rows = vec![visit(1, "a", DAY, 15), visit(2, "b", DAY, 14)];
    world.set(Table::Visits, std::slice::from_ref(&rows));

    let ran = race(&world, &place, &vec![visits(DAY); 20]).await;

    let published = ran
        .iter()
        .filter(|ran| matches!(ran.outcome(), Outcome::Published { .. }));
    let winners: Vec<&String> = published.map(|ran| &ran.run_id).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    for ran in &ran {
        match ran.outcome() {
            Outcome::Published { .. } => {}
            Outcome::AlreadyPublished { run_id, .. } => assert_eq!(run_id, winners[0]),
            // Overtaken too often.
            Outcome::Failed(failure) => assert_eq!(failure.kind, ErrorKind::Unavailable),
            other => panic!("{other:?}"),
        }
    }
    let mut truth = Truth::default();
    truth.publish(Table::Visits, DAY, rows);
    assert_whole(&place, &truth);
    let seen = Seen::of(&place);
    assert_eq!(seen.log(Table::Visits).len(), 1);
    assert_eq!(
        seen.staged(),
        Vec::<&str>::new(),
        "the losers left something"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_twenty_runs_publishes_on_s3() {
    one_of_twenty_publishes(Site::s3()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_twenty_runs_publishes_in_a_folder() {
    one_of_twenty_publishes(Site::folders()).await;
}

/// Three cycles with late rows for one old day: each finds number 0 free, and only one may have it.
async fn cycles_share_an_old_partition(site: Site) {
    let world = World::new().await;
    let place = site.place();
    let days = [DAY_BEFORE, DAY, DAY_AFTER];
    let rows: Vec<Row> = (1..)
        .zip(days)
        .map(|(id, day)| visit(id, "late", day, 13))
        .collect();
    world.set(Table::Visits, std::slice::from_ref(&rows));

    let ran = race(&world, &place, &days.map(visits)).await;

    let mut truth = Truth::default();
    for ((ran, day), row) in ran.iter().zip(days).zip(rows) {
        assert_eq!(ran.failures(), Vec::<String>::new());
        truth.publish(Table::Visits, day, vec![row]);
    }
    assert_whole(&place, &truth);
    let numbers: BTreeSet<String> = place
        .objects()
        .into_keys()
        .filter(|key| key.starts_with("data/visits/day=13/"))
        .collect();
    let expected = [0, 1, 2].map(|n| format!("data/visits/day=13/data-{n:012}.json.gz"));
    assert_eq!(numbers, BTreeSet::from(expected));
    assert_eq!(Seen::of(&place).staged(), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cycles_share_an_old_partition_on_s3() {
    cycles_share_an_old_partition(Site::s3()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cycles_share_an_old_partition_in_a_folder() {
    cycles_share_an_old_partition(Site::folders()).await;
}

/// A run that sleeps while others go on.
struct Sleeper {
    name: &'static str,
    prepare: Vec<Step>,
    /// The run that falls asleep.
    sleeps: Step,
    /// What others do meanwhile.
    others: Vec<Step>,
}

/// Lets the run sleep before each of its calls in turn.
async fn sleep_everywhere(sleeper: Sleeper, site: Site) {
    let world = World::new().await;
    let place = site.place();
    let mut before = Model::default();
    for step in &sleeper.prepare {
        before.take(step);
        take(&world, &place, step).await;
    }
    let saved = place.save();
    let ask = &sleeper.sleeps.ask;
    before.set(ask.table, &sleeper.sleeps.files);

    let director = Director::watching();
    world.set(ask.table, &sleeper.sleeps.files);
    let ran = world.run(saved.restore().directed(&director), ask).await;
    assert_eq!(ran.failures(), Vec::<String>::new());
    let calls = director.calls();

    for call in &calls {
        let at = format!("{}, {site}, asleep before {call}", sleeper.name);
        let place = saved.restore();
        world.set(ask.table, &sleeper.sleeps.files);
        let director = Director::at(call.number, Moment::Before, Turn::Pause);
        let running = world.start(place.directed(&director), ask);
        director.reached().await;

        let mut model = before.clone();
        let is_committed = Seen::of(&place).has_commit_of(ask.table, &running.run_id);
        if is_committed {
            model.publish(ask);
        }
        for step in &sleeper.others {
            model.set(step.ask.table, &step.files);
            take(&world, &place, step).await;
            model.publish(&step.ask);
        }
        let problems = Seen::of(&place).problems(&model.truth);
        assert!(
            problems.is_empty(),
            "{at}, others:\n{}",
            problems.join("\n")
        );

        director.resume();
        let ran = running.end().await;
        let failures = ran.failures();
        if failures.is_empty() && !is_committed {
            model.publish(ask);
        }
        // What it had planned to read has been replaced meanwhile: then it must not publish.
        let is_about_source = |failure: &String| failure.starts_with("source file");
        let may_fail = !is_committed && failures.iter().all(is_about_source);
        assert!(failures.is_empty() || may_fail, "{at}: {failures:?}");
        let problems = Seen::of(&place).problems(&model.truth);
        assert!(problems.is_empty(), "{at}, awake:\n{}", problems.join("\n"));

        let settled = Seen::of(&place);
        let last = sleeper.others.last().unwrap_or(&sleeper.sleeps);
        world.succeed(&place, &last.ask.clone().plain()).await;
        assert!(
            Seen::of(&place) == settled,
            "{at}: a further run did something"
        );
    }
    eprintln!(
        "races: {}, {site}: asleep at {} calls",
        sleeper.name,
        calls.len()
    );
}

macro_rules! sleepers {
    ($($sleeper:ident)*) => {
        $(mod $sleeper {
            #[tokio::test]
            async fn on_s3() {
                super::sleep_everywhere(super::$sleeper(), super::Site::s3()).await;
            }

            #[tokio::test]
            async fn in_a_folder() {
                super::sleep_everywhere(super::$sleeper(), super::Site::folders()).await;
            }
        })*
    };
}

sleepers! {
    first_publication_sleeps
    shrinking_snapshot_sleeps
    rerun_to_another_format_sleeps
    voiding_run_sleeps
}

/// Others finish it, replace it by less, and publish the next cycle into its partitions.
fn first_publication_sleeps() -> Sleeper {
    let two = |text| vec![visit(1, text, DAY, 15), visit(2, text, DAY, 14)];
    let one = vec![visit(1, "new", DAY, 15), visit(3, "new", DAY_AFTER, 14)];
    Sleeper {
        name: "first publication",
        prepare: vec![],
        sleeps: Step::new(vec![two("old")], visits(DAY)),
        others: vec![
            Step::new(vec![two("mid")], visits(DAY)),
            Step::new(vec![one.clone()], visits(DAY).again()),
            Step::new(vec![one], visits(DAY_AFTER)),
        ],
    }
}

/// It has files to delete; others let the table grow again before it does, two entries later.
fn shrinking_snapshot_sleeps() -> Sleeper {
    let files = |count, text: &str| (1..=count).map(|id| vec![name(id, text)]).collect();
    Sleeper {
        name: "shrinking snapshot",
        prepare: vec![Step::new(files(3, "old"), names(DAY_BEFORE))],
        sleeps: Step::new(files(1, "new"), names(DAY)),
        others: vec![
            Step::new(files(1, "mid"), names(DAY)),
            Step::new(files(1, "alt"), names(DAY).again()),
            Step::new(files(3, "big"), names(DAY_AFTER)),
        ],
    }
}

/// It has files of the other format to delete; others go back to that format before it does.
fn rerun_to_another_format_sleeps() -> Sleeper {
    let rows = |text| vec![vec![visit(1, text, DAY, 15)]];
    let again = |format| visits(DAY).again().format(format);
    Sleeper {
        name: "rerun to another format",
        prepare: vec![Step::new(rows("old"), visits(DAY))],
        sleeps: Step::new(rows("new"), again(FileFormat::Parquet)),
        others: vec![
            Step::new(rows("mid"), visits(DAY)),
            Step::new(rows("end"), again(FileFormat::Json)),
        ],
    }
}

/// It takes back what a dead run has made visible; others publish before it deletes that.
fn voiding_run_sleeps() -> Sleeper {
    let files = |text: &str| vec![vec![name(1, text)], vec![name(2, text)]];
    Sleeper {
        name: "voiding run",
        prepare: vec![
            Step::new(files("old"), names("2020-01-13")),
            Step::new(files("lost"), names(DAY_BEFORE)).fate(Fate::DiesAndIsSwept { visible: 1 }),
        ],
        sleeps: Step::new(files("new"), names(DAY)),
        others: vec![
            Step::new(files("mid"), names(DAY)),
            Step::new(files("end"), names(DAY_AFTER)),
        ],
    }
}

/// The program itself, stopped by a signal between its commit and its first visible file.
#[cfg(target_os = "linux")]
mod stopped_process {
    use std::process::{Child, Command};
    use std::time::Duration;

    use super::*;
    use crate::s3::{Action, Failure, Fault, Operation};

    /// A process that does not outlive the test.
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
            // It may have ended.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[tokio::test]
    async fn wakes_up_when_others_have_gone_on() {
        let world = World::new().await;
        let site = Site::s3();
        let (place, server) = (site.place(), site.server());
        let mut model = Model::default();
        let rows = |text| vec![vec![visit(1, text, DAY, 15), visit(2, text, DAY, 14)]];

        // It can come to its commit, but no further.
        let stuck = Action::Before(Failure::Hangup);
        server.inject(Fault::on(Operation::CompleteMultipartUpload, stuck));
        world.set(Table::Visits, &rows("old"));
        model.set(Table::Visits, &rows("old"));
        let mut program = Program(world.program(&place, &visits(DAY)).spawn().unwrap());
        assert!(server.wait_for_faults(1, Duration::from_secs(60)));
        program.signal("STOP");
        while !program.is_stopped() {
            std::thread::yield_now();
        }
        server.clear_faults();
        model.publish(&visits(DAY));

        // Others finish its work, replace it and publish the next cycle.
        for (text, ask) in [
            ("mid", visits(DAY)),
            ("new", visits(DAY).again()),
            ("new", visits(DAY_AFTER)),
        ] {
            let step = Step::new(rows(text), ask);
            model.take(&step);
            take(&world, &place, &step).await;
        }
        assert_whole(&place, &model.truth);
        let settled = Seen::of(&place);

        program.signal("CONT");
        let status = program.0.wait().unwrap();
        assert!(status.success(), "its cycle was published for it: {status}");
        assert!(Seen::of(&place) == settled, "it changed something");
    }
}
