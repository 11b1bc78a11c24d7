//! Every crash point, enumerated: a run is struck at each of its calls to the destination in turn,
//! and whatever that leaves behind, the next run makes it right.
//!
//! The calls of a clean run are counted. Then each of them is struck, as long as that can make a
//! difference:
//! - *outage, before*: the call and all that follow fail; the program goes on and gives up in order;
//! - *outage, after*: the call is done, its answer is lost, and all that follow fail. A read has
//!   no after;
//! - *death, after*: the process is gone once the call is done (which is also death before the next).
//!
//! The points take turns with the two formats, the other way round in a folder than on S3.

pub mod directed;
mod replacement;
mod rollback;
mod scenarios;
pub mod truth;
pub mod world;

use std::collections::{BTreeMap, BTreeSet};

use dayport::layout::FileFormat;

use directed::{Call, Director, Moment, Turn, Verb};
use truth::{Seen, Truth};
use world::{Ask, Place, Row, Saved, Site, Table, World, malformed};

/// Raw files, and one run over them.
#[derive(Clone)]
pub struct Step {
    /// The rows of each raw file of the table.
    pub files: Vec<Vec<Row>>,
    pub ask: Ask,
    pub fate: Fate,
}

/// How a run that prepares a scenario ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Succeeds,
    /// Dies when so many of its files are visible, after its commit.
    Dies {
        visible: usize,
    },
    /// Dies so, and then its unfinished uploads are swept away.
    DiesAndIsSwept {
        visible: usize,
    },
}

impl Step {
    pub fn new(files: Vec<Vec<Row>>, ask: Ask) -> Self {
        Self {
            files,
            ask,
            fate: Fate::Succeeds,
        }
    }

    pub fn fate(self, fate: Fate) -> Self {
        Self { fate, ..self }
    }
}

/// Steps that prepare, and the one that is struck.
pub struct Scenario {
    pub name: &'static str,
    pub prepare: Vec<Step>,
    pub act: Step,
}

/// What ought to be published, step by step.
#[derive(Clone, Default)]
pub struct Model {
    pub truth: Truth,
    files: BTreeMap<Table, Vec<Vec<Row>>>,
    /// Cycles that lost files which they had published.
    pub damaged: BTreeSet<&'static str>,
}

impl Model {
    pub fn set(&mut self, table: Table, files: &[Vec<Row>]) {
        self.files.insert(table, files.to_vec());
    }

    /// A run that comes to its end, or at least to its commit.
    pub fn publish(&mut self, ask: &Ask) {
        for cycle in &ask.cycles {
            let published = self.truth.tables.entry(ask.table).or_default();
            let is_there = published.contains_key(*cycle) && !self.damaged.contains(cycle);
            if is_there && !ask.rerun {
                continue;
            }
            self.damaged.remove(cycle);
            let rows = self.files[&ask.table].iter().flatten();
            let rows = rows.filter(|row| **row != malformed());
            let rows = rows.filter(|row| ask.table == Table::Names || row.received == *cycle);
            self.truth
                .publish(ask.table, cycle, rows.cloned().collect());
        }
    }

    /// A preparing step.
    pub fn take(&mut self, step: &Step) {
        self.set(step.ask.table, &step.files);
        match step.fate {
            Fate::Succeeds | Fate::Dies { .. } => self.publish(&step.ask),
            Fate::DiesAndIsSwept { visible } => {
                let cycle = step.ask.cycles[0];
                let published = self.truth.tables.entry(step.ask.table).or_default();
                let replaces = match step.ask.table {
                    Table::Visits => published.contains_key(cycle),
                    Table::Names => !published.is_empty(),
                };
                if visible > 0 && replaces {
                    self.damaged.insert(cycle);
                }
            }
        }
    }
}

/// Does a preparing step.
pub async fn take(world: &World, place: &Place, step: &Step) {
    world.set(step.ask.table, &step.files);
    match step.fate {
        Fate::Succeeds => {
            world.succeed(place, &step.ask).await;
        }
        Fate::Dies { visible } => {
            world.die_after_commit(place, &step.ask, visible).await;
        }
        Fate::DiesAndIsSwept { visible } => {
            world.die_after_commit(place, &step.ask, visible).await;
            place.sweep();
        }
    }
}

/// A point to strike at.
#[derive(Clone, Copy, Debug)]
struct Point {
    call: usize,
    moment: Moment,
    turn: Turn,
}

/// A place right before the run that is struck.
struct Stage<'a> {
    world: &'a World,
    saved: Saved,
    model: Model,
    ask: Ask,
    /// Whether there are entries that cannot be finished.
    was_swept: bool,
}

impl<'a> Stage<'a> {
    async fn prepare(
        world: &'a World,
        place: Place,
        scenario: &Scenario,
        format: FileFormat,
    ) -> Self {
        let mut model = Model::default();
        for step in &scenario.prepare {
            let step = Step {
                ask: step.ask.clone().format(format),
                ..step.clone()
            };
            model.take(&step);
            take(world, &place, &step).await;
        }
        let act = &scenario.act;
        model.set(act.ask.table, &act.files);
        world.set(act.ask.table, &act.files);
        Self {
            world,
            saved: place.save(),
            model,
            ask: act.ask.clone().format(format),
            was_swept: scenario
                .prepare
                .iter()
                .any(|step| matches!(step.fate, Fate::DiesAndIsSwept { .. })),
        }
    }

    /// The calls of a run that nothing happens to.
    async fn calls(&self) -> Vec<Call> {
        let director = Director::watching();
        let place = self.saved.restore();
        let ran = self.world.run(place.directed(&director), &self.ask).await;
        assert_eq!(ran.failures(), Vec::<String>::new());
        director.calls()
    }
}

/// Where to strike a run that makes these calls.
fn points(calls: &[Call], is_folder: bool) -> Vec<Point> {
    let mut points = Vec::new();
    for call in calls {
        let mut point = |moment, turn| {
            points.push(Point {
                call: call.number,
                moment,
                turn,
            });
        };
        point(Moment::Before, Turn::Outage);
        if !matches!(call.verb, Verb::Get | Verb::List) {
            point(Moment::After, Turn::Outage);
            // To a bucket there is no difference: whatever the program still does needs the store.
            if is_folder {
                point(Moment::After, Turn::Death);
            }
        }
    }
    points
}

/// Strikes at every point of the scenario's last run.
pub async fn enumerate(scenario: Scenario, site: Site) {
    let world = World::new().await;
    let is_folder = matches!(site, Site::Folders);
    let formats = match is_folder {
        false => [FileFormat::Json, FileFormat::Parquet],
        true => [FileFormat::Parquet, FileFormat::Json],
    };
    let mut stages = Vec::new();
    for format in formats {
        stages.push(Stage::prepare(&world, site.place(), &scenario, format).await);
    }
    let calls = stages[0].calls().await;
    let points = points(&calls, is_folder);
    for point in &points {
        let stage = &stages[point.call % 2];
        let problems = strike(stage, *point).await;
        assert!(
            problems.is_empty(),
            "{}, {site}, {}, {point:?}:\n{}",
            scenario.name,
            stage.ask.format,
            problems.join("\n")
        );
    }
    eprintln!(
        "crash: {}, {site}: {} calls, {} points",
        scenario.name,
        calls.len(),
        points.len()
    );
}

/// Lets every call of the scenario's last run fail, one at a time: as long as nothing is committed,
/// what was staged is given up.
pub async fn fail_each(scenario: Scenario, site: Site) {
    let world = World::new().await;
    let stage = Stage::prepare(&world, site.place(), &scenario, FileFormat::Json).await;
    let calls = stage.calls().await;
    // After a commit whose answer is missing, nothing may be given up.
    for call in calls.iter().filter(|call| !call.is_commit()) {
        let place = stage.saved.restore();
        let prepared = Seen::of(&place);
        let director = Director::at(call.number, Moment::Before, Turn::Failure);
        let ran = world.run(place.directed(&director), &stage.ask).await;
        let at = format!("{}, {site}, {call} failed", scenario.name);
        let seen = Seen::of(&place);
        if ran.exit_code() == 0 || seen.has_commit_of(stage.ask.table, &ran.run_id) {
            continue;
        }
        assert_eq!(ran.exit_code(), 75, "{at}: {:?}", ran.failures());
        assert!(
            seen == prepared,
            "{at}: something is left, {:?}",
            seen.left_since(&prepared)
        );
    }
}

/// One point, and all that is asked of the runs that come after. Returns what is wrong.
async fn strike(stage: &Stage<'_>, point: Point) -> Vec<String> {
    let world = stage.world;
    let ask = stage.ask.clone();
    let table = ask.table;
    let place = stage.saved.restore();
    let prepared = Seen::of(&place);

    let director = Director::at(point.call, point.moment, point.turn);
    let run_id = world.strike(&place, &ask, &director).await;
    let Some(call) = director.struck() else {
        return vec!["the run ended before it was struck".to_owned()];
    };
    let is = |stage: &str, problems: Vec<String>| -> Vec<String> {
        let problems = problems.into_iter();
        problems
            .map(|problem| format!("{stage} ({call} struck): {problem}"))
            .collect()
    };

    // At once: nothing changed for readers unless something is committed.
    let seen = Seen::of(&place);
    let is_committed = seen.has_commit_of(table, &run_id);
    let mut model = stage.model.clone();
    if is_committed {
        model.publish(&ask);
    }
    let was_quiet = !prepared.has_unfinished_business(table);
    if was_quiet && !is_committed && seen.published() != prepared.published() {
        return is("at once", vec!["published without a commit".to_owned()]);
    }
    if model.damaged.is_empty() {
        let problems = seen.problems_for_readers(&model.truth);
        if !problems.is_empty() {
            return is("at once", problems);
        }
    }

    // The next run finishes what is committed, and publishes what is not.
    world.succeed(&place, &ask.clone().plain()).await;
    model.publish(&ask.clone().plain());
    let problems = Seen::of(&place).problems(&model.truth);
    if !problems.is_empty() {
        return is("after the next run", problems);
    }
    if ask.rerun {
        world.succeed(&place, &ask).await;
        model.publish(&ask);
        let problems = Seen::of(&place).problems(&model.truth);
        if !problems.is_empty() {
            return is("after the rerun", problems);
        }
    }

    // What is committed is finished, never taken back, unless it was swept away.
    if !stage.was_swept && Seen::of(&place).has_void(table) {
        return is("in the end", vec!["a commit was taken back".to_owned()]);
    }

    // A further run finds nothing to do.
    let settled = Seen::of(&place);
    world.succeed(&place, &ask.plain()).await;
    if Seen::of(&place) != settled {
        return is("a further run", vec!["it changed something".to_owned()]);
    }
    Vec::new()
}
