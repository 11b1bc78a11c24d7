//! A replacement deletes and overwrites the files of the manifest that it replaces, by name, and nothing
//! else.

use std::collections::BTreeSet;

use dayport::layout::FileFormat;
use dayport::run::TableOutcome;

use super::faulty_store::{FaultInjector, Verb};
use super::storage::{Storage, StorageFactory};
use super::truth::{StorageContents, assert_whole};
use super::world::{DAY, DAY_AFTER, DAY_BEFORE, FinishedRun, Row, Table, World, name, names};
use super::{Model, Step, for_each_storage, run_step};

for_each_storage! {
    tokio::test =>
    only_its_own_files_are_deleted
    a_number_in_use_is_not_overwritten
}

const FOREIGN: &[u8] = b"none of dayport's";

fn files(count: i64, text: &str) -> Vec<Vec<Row>> {
    (1..=count).map(|id| vec![name(id, text)]).collect()
}

fn put_foreign(storage: &Storage, model: &mut Model, keys: &[&str]) {
    for key in keys {
        storage.put(key, FOREIGN);
        model.truth.foreign.insert((*key).to_owned());
    }
}

fn assert_whole_and_foreign_kept(storage: &Storage, model: &Model) {
    assert_whole(storage, &model.truth);
    let contents = StorageContents::of(storage);
    for key in &model.truth.foreign {
        assert_eq!(
            contents.bytes(key),
            Some(FOREIGN),
            "`{key}` was overwritten"
        );
    }
}

/// Returns the foreign objects that a run has reported.
fn reported_foreign_objects(finished: &FinishedRun) -> BTreeSet<&str> {
    match finished.outcome() {
        TableOutcome::Published { foreign, .. } => foreign.iter().map(String::as_str).collect(),
        other => panic!("{other:?}"),
    }
}

async fn only_its_own_files_are_deleted(factory: StorageFactory) {
    let world = World::new().await;
    let storage = factory.create();
    let mut model = Model::default();
    let first = Step::new(files(3, "old"), names(DAY_BEFORE));
    model.apply(&first);
    run_step(&world, &storage, &first).await;
    let foreign = [
        "data/names/data-000000000001.parquet",
        "data/names/data-000000000007.json.gz",
        "data/names/older/data-000000000000.json.gz",
        "data/names/readme.txt",
    ];
    put_foreign(&storage, &mut model, &foreign);

    // One file replaces three.
    model.set(Table::Names, &files(1, "new"));
    world.set(Table::Names, &files(1, "new"));
    let injector = FaultInjector::counting();
    let finished = world.run(storage.with_faults(&injector), &names(DAY)).await;
    model.publish(&names(DAY));
    assert_whole_and_foreign_kept(&storage, &model);
    assert_eq!(reported_foreign_objects(&finished), BTreeSet::from(foreign));
    let deleted: Vec<String> = injector
        .calls()
        .into_iter()
        .filter(|call| call.verb == Verb::Delete)
        .map(|call| call.key.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        deleted,
        ["data-000000000001.json.gz", "data-000000000002.json.gz"]
    );

    // Three files replace one: their numbers are higher than all that ever existed.
    let third = Step::new(files(3, "big"), names(DAY_AFTER));
    model.apply(&third);
    run_step(&world, &storage, &third).await;
    assert_whole_and_foreign_kept(&storage, &model);
    let numbers: Vec<u64> = StorageContents::of(&storage)
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

async fn a_number_in_use_is_not_overwritten(factory: StorageFactory) {
    let world = World::new().await;
    let storage = factory.create();
    let mut model = Model::default();
    // The number is in use before the first publication.
    put_foreign(
        &storage,
        &mut model,
        &["data/names/data-000000000000.json.gz"],
    );
    let first = Step::new(files(1, "old"), names(DAY_BEFORE));
    model.apply(&first);
    run_step(&world, &storage, &first).await;
    assert_whole_and_foreign_kept(&storage, &model);

    // The number of the replaced file is in use in the format that the rerun changes to.
    put_foreign(
        &storage,
        &mut model,
        &["data/names/data-000000000001.parquet"],
    );
    let request = names(DAY_BEFORE).again().format(FileFormat::Parquet);
    let second = Step::new(files(1, "new"), request);
    model.apply(&second);
    run_step(&world, &storage, &second).await;
    assert_whole_and_foreign_kept(&storage, &model);
}
