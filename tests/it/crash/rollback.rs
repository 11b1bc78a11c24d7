//! A committed entry whose uploads were swept away is taken back, and its cycle is due again.

use std::collections::BTreeSet;

use serde_json::Value;

use super::directed::{Director, Moment, Turn};
use super::truth::Seen;
use super::world::{Ask, DAY, DAY_AFTER, DAY_BEFORE, Place, Row, Site, Table, World, visit};
use super::{Fate, Model, Step, take};

/// One test for each kind of place.
macro_rules! everywhere {
    ($($test:ident)*) => {
        $(mod $test {
            #[tokio::test]
            async fn on_s3() {
                super::$test(super::Site::s3()).await;
            }

            #[tokio::test]
            async fn in_a_folder() {
                super::$test(super::Site::folders()).await;
            }
        })*
    };
}

everywhere! {
    the_run_itself_finds_out
    what_was_visible_is_removed_by_name
    a_rerun_that_was_half_visible_is_made_again
    a_rerun_of_which_nothing_was_visible_leaves_the_old_rows
}

fn two(text: &str) -> Vec<Vec<Row>> {
    vec![vec![visit(1, text, DAY, 15), visit(2, text, DAY, 14)]]
}

fn visits(cycle: &'static str) -> Ask {
    Ask::new(Table::Visits, cycle)
}

fn assert_whole(place: &Place, model: &Model) {
    let problems = Seen::of(place).problems(&model.truth);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// A world where an earlier cycle is published, so that the later ones are due.
async fn begun(site: &Site, model: &mut Model) -> (World, Place) {
    let world = World::new().await;
    let place = site.place();
    let step = Step::new(two("old"), visits(DAY_BEFORE));
    model.take(&step);
    take(&world, &place, &step).await;
    (world, place)
}

/// Publishes what is due: the swept cycle and the one after it.
async fn publish_due(world: &World, place: &Place, model: &mut Model) {
    world.succeed(place, &Ask::due(Table::Visits)).await;
    model.publish(&visits(DAY));
    model.publish(&visits(DAY_AFTER));
    assert_whole(place, model);
}

fn kinds(log: &[Value]) -> Vec<&str> {
    log.iter()
        .map(|entry| entry["action"]["kind"].as_str().unwrap())
        .collect()
}

async fn the_run_itself_finds_out(site: Site) {
    let mut model = Model::default();
    let (world, place) = begun(&site, &mut model).await;
    let before = Seen::of(&place);

    let director = Director::when(|call| call.is_commit(), Moment::After, Turn::Pause);
    let running = world.start(place.directed(&director), &visits(DAY));
    director.reached().await;
    place.sweep();
    director.resume();
    let ran = running.end().await;

    assert_eq!(ran.exit_code(), 75);
    assert!(ran.failures()[0].contains("the cycle is due again"));
    let seen = Seen::of(&place);
    assert!(seen.published() == before.published());
    assert_eq!(
        kinds(&seen.log(Table::Visits)),
        ["publish", "publish", "void"]
    );
    assert_whole(&place, &model);
    publish_due(&world, &place, &mut model).await;
}

async fn what_was_visible_is_removed_by_name(site: Site) {
    let mut model = Model::default();
    let (world, place) = begun(&site, &mut model).await;
    world.die_after_commit(&place, &visits(DAY), 1).await;
    place.sweep();
    let visible: Vec<String> = Seen::of(&place)
        .published()
        .keys()
        .filter(|key| key.starts_with("data/"))
        .map(|key| (*key).to_owned())
        .collect();
    assert_eq!(visible.len(), 1);

    publish_due(&world, &place, &mut model).await;

    let seen = Seen::of(&place);
    let log = seen.log(Table::Visits);
    let all = ["publish", "publish", "void", "publish", "publish"];
    assert_eq!(kinds(&log), all);
    assert_eq!(log[2]["action"]["delete"], serde_json::json!(visible));
    // Its names are not used again: whoever still means to delete them would hit the new files.
    let paths = |entry: &Value| -> BTreeSet<String> {
        let files = entry["action"]["manifest"]["files"].as_array().unwrap();
        let paths = files.iter().map(|file| file["path"].as_str().unwrap());
        paths.map(str::to_owned).collect()
    };
    assert!(paths(&log[1]).is_disjoint(&paths(&log[3])));
}

async fn a_rerun_that_was_half_visible_is_made_again(site: Site) {
    let mut model = Model::default();
    let (world, place) = begun(&site, &mut model).await;
    for step in [
        Step::new(two("old"), visits(DAY)),
        Step::new(two("new"), visits(DAY).again()).fate(Fate::DiesAndIsSwept { visible: 1 }),
    ] {
        model.take(&step);
        take(&world, &place, &step).await;
    }

    // The file that it took the place of is gone: the cycle is due although it has a manifest.
    publish_due(&world, &place, &mut model).await;
    let seen = Seen::of(&place);
    assert!(seen.bytes("manifests/visits/2020-01-15.r1.json").is_some());
}

async fn a_rerun_of_which_nothing_was_visible_leaves_the_old_rows(site: Site) {
    let mut model = Model::default();
    let (world, place) = begun(&site, &mut model).await;
    for step in [
        Step::new(two("old"), visits(DAY)),
        // It would give up a file, too.
        Step::new(vec![vec![visit(1, "new", DAY, 15)]], visits(DAY).again())
            .fate(Fate::DiesAndIsSwept { visible: 0 }),
    ] {
        model.take(&step);
        take(&world, &place, &step).await;
    }

    publish_due(&world, &place, &mut model).await;
    let seen = Seen::of(&place);
    assert!(seen.bytes("manifests/visits/2020-01-15.r1.json").is_none());
}
