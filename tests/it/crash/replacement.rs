//! What a replacement deletes and overwrites: the files of the manifest that it replaces, by name,
//! and nothing else.

use std::collections::BTreeSet;

use dayport::layout::FileFormat;
use dayport::run::Outcome;

use super::directed::{Director, Verb};
use super::truth::Seen;
use super::world::{Ask, DAY, DAY_AFTER, DAY_BEFORE, Place, Ran, Row, Site, Table, World, name};
use super::{Model, Step, take};

const FOREIGN: &[u8] = b"none of dayport's";

fn names(cycle: &'static str) -> Ask {
    Ask::new(Table::Names, cycle)
}

fn files(count: i64, text: &str) -> Vec<Vec<Row>> {
    (1..=count).map(|id| vec![name(id, text)]).collect()
}

fn put_foreign(place: &Place, model: &mut Model, keys: &[&str]) {
    for key in keys {
        place.put(key, FOREIGN);
        model.truth.foreign.insert((*key).to_owned());
    }
}

fn assert_whole(place: &Place, model: &Model) {
    let seen = Seen::of(place);
    let problems = seen.problems(&model.truth);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    for key in &model.truth.foreign {
        assert_eq!(seen.bytes(key), Some(FOREIGN), "`{key}` was overwritten");
    }
}

/// The foreign objects that a run told of.
fn told(ran: &Ran) -> BTreeSet<&str> {
    match ran.outcome() {
        Outcome::Published { foreign, .. } => foreign.iter().map(String::as_str).collect(),
        other => panic!("{other:?}"),
    }
}

async fn only_its_own_files_are_deleted(site: Site) {
    let world = World::new().await;
    let place = site.place();
    let mut model = Model::default();
    let first = Step::new(files(3, "old"), names(DAY_BEFORE));
    model.take(&first);
    take(&world, &place, &first).await;
    let foreign = [
        "data/names/data-000000000001.parquet",
        "data/names/data-000000000007.json.gz",
        "data/names/older/data-000000000000.json.gz",
        "data/names/readme.txt",
    ];
    put_foreign(&place, &mut model, &foreign);

    // One file takes the place of three.
    model.set(Table::Names, &files(1, "new"));
    world.set(Table::Names, &files(1, "new"));
    let director = Director::watching();
    let ran = world.run(place.directed(&director), &names(DAY)).await;
    model.publish(&names(DAY));
    assert_whole(&place, &model);
    assert_eq!(told(&ran), BTreeSet::from(foreign));
    let deleted: Vec<String> = director
        .calls()
        .into_iter()
        .filter(|call| call.verb == Verb::Delete)
        .map(|call| call.key.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        deleted,
        ["data-000000000001.json.gz", "data-000000000002.json.gz"]
    );

    // Three take the place of one: beyond every number that was ever seen.
    let third = Step::new(files(3, "big"), names(DAY_AFTER));
    model.take(&third);
    take(&world, &place, &third).await;
    assert_whole(&place, &model);
    let numbers: Vec<u64> = Seen::of(&place)
        .published()
        .keys()
        .filter(|key| !model.truth.foreign.contains(**key))
        .filter_map(|key| {
            key.strip_prefix("data/names/data-")?
                .strip_suffix(".json.gz")
        })
        .map(|number| number.parse().unwrap())
        .collect();
    assert_eq!(numbers, [0, 8, 9]);
}

#[tokio::test]
async fn only_its_own_files_are_deleted_on_s3() {
    only_its_own_files_are_deleted(Site::s3()).await;
}

#[tokio::test]
async fn only_its_own_files_are_deleted_in_a_folder() {
    only_its_own_files_are_deleted(Site::folders()).await;
}

async fn a_number_that_is_taken_is_not_overwritten(site: Site) {
    let world = World::new().await;
    let place = site.place();
    let mut model = Model::default();
    // Taken before the first publication.
    put_foreign(
        &place,
        &mut model,
        &["data/names/data-000000000000.json.gz"],
    );
    let first = Step::new(files(1, "old"), names(DAY_BEFORE));
    model.take(&first);
    take(&world, &place, &first).await;
    assert_whole(&place, &model);

    // Taken in the format that a rerun changes to, under the number of the file that it replaces.
    put_foreign(
        &place,
        &mut model,
        &["data/names/data-000000000001.parquet"],
    );
    let ask = names(DAY_BEFORE).again().format(FileFormat::Parquet);
    let second = Step::new(files(1, "new"), ask);
    model.take(&second);
    take(&world, &place, &second).await;
    assert_whole(&place, &model);
}

#[tokio::test]
async fn a_number_that_is_taken_is_not_overwritten_on_s3() {
    a_number_that_is_taken_is_not_overwritten(Site::s3()).await;
}

#[tokio::test]
async fn a_number_that_is_taken_is_not_overwritten_in_a_folder() {
    a_number_that_is_taken_is_not_overwritten(Site::folders()).await;
}
