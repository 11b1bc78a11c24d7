//! A committed entry whose uploads were removed is voided, and its cycle is due again.

use std::collections::BTreeSet;

use serde_json::Value;

use super::faulty_store::{FaultInjector, FaultKind, FaultTiming};
use super::storage::{Storage, StorageFactory};
use super::truth::{StorageContents, assert_whole};
use super::world::{
    DAY, DAY_AFTER, DAY_BEFORE, Row, Table, TestRun, World, name, names, visit, visits,
};
use super::{Ending, Model, Step, for_each_storage, run_step};

for_each_storage! {
    tokio::test =>
    the_run_itself_voids_its_commit
    visible_files_are_removed_by_name
    a_half_visible_rerun_is_repeated
    an_invisible_rerun_leaves_the_old_rows
    a_damaged_cycle_stays_due_when_its_replacement_is_voided
    a_damaged_snapshot_stays_due_when_its_replacement_is_voided
    the_first_cycle_is_due_again
    the_first_cycle_is_due_again_after_a_half_visible_rerun
    a_half_visible_snapshot_damages_the_one_before
}

fn two(text: &str) -> Vec<Vec<Row>> {
    vec![vec![visit(1, text, DAY, 15), visit(2, text, DAY, 14)]]
}

/// Creates a world where an earlier cycle is published, so that the later ones are due.
async fn world_with_published_cycle(
    factory: &StorageFactory,
    model: &mut Model,
) -> (World, Storage) {
    let world = World::new().await;
    let storage = factory.create();
    let step = Step::new(two("old"), visits(DAY_BEFORE));
    model.apply(&step);
    run_step(&world, &storage, &step).await;
    (world, storage)
}

async fn run_steps(world: &World, storage: &Storage, model: &mut Model, steps: &[Step]) {
    for step in steps {
        model.apply(step);
        run_step(world, storage, step).await;
    }
}

fn two_names(text: &str) -> Vec<Vec<Row>> {
    vec![vec![name(1, text)], vec![name(2, text)]]
}

/// Publishes the due cycles: the voided one and the one after it.
async fn publish_due(world: &World, storage: &Storage, model: &mut Model) {
    world.succeed(storage, &TestRun::due(Table::Visits)).await;
    model.publish(&visits(DAY));
    model.publish(&visits(DAY_AFTER));
    assert_whole(storage, &model.truth);
}

fn kinds(log: &[Value]) -> Vec<&str> {
    log.iter()
        .map(|entry| entry["action"]["kind"].as_str().unwrap())
        .collect()
}

async fn the_run_itself_voids_its_commit(factory: StorageFactory) {
    let mut model = Model::default();
    let (world, storage) = world_with_published_cycle(&factory, &mut model).await;
    let before = StorageContents::of(&storage);

    let injector = FaultInjector::when(
        |call| call.is_commit(),
        FaultTiming::After,
        FaultKind::Pause,
    );
    let running = world.start(storage.with_faults(&injector), &visits(DAY));
    injector.reached().await;
    storage.sweep();
    injector.resume();
    let finished = running.end().await;

    assert_eq!(finished.exit_code(), 75);
    assert!(finished.failures()[0].contains("the cycle is due again"));
    let contents = StorageContents::of(&storage);
    assert!(contents.published() == before.published());
    assert_eq!(
        kinds(&contents.log(Table::Visits)),
        ["publish", "publish", "void"]
    );
    assert_whole(&storage, &model.truth);
    publish_due(&world, &storage, &mut model).await;
}

async fn visible_files_are_removed_by_name(factory: StorageFactory) {
    let mut model = Model::default();
    let (world, storage) = world_with_published_cycle(&factory, &mut model).await;
    world.die_after_commit(&storage, &visits(DAY), 1).await;
    storage.sweep();
    let visible: Vec<String> = StorageContents::of(&storage)
        .published()
        .keys()
        .filter(|key| key.starts_with("data/"))
        .map(|key| (*key).to_owned())
        .collect();
    assert_eq!(visible.len(), 1);

    publish_due(&world, &storage, &mut model).await;

    let contents = StorageContents::of(&storage);
    let log = contents.log(Table::Visits);
    let all = ["publish", "publish", "void", "publish", "publish"];
    assert_eq!(kinds(&log), all);
    assert_eq!(log[2]["action"]["delete"], serde_json::json!(visible));
    // Its names are not reused: another run that still deletes them would delete the new files.
    let paths = |entry: &Value| -> BTreeSet<String> {
        let files = entry["action"]["manifest"]["files"].as_array().unwrap();
        let paths = files.iter().map(|file| file["path"].as_str().unwrap());
        paths.map(str::to_owned).collect()
    };
    assert!(paths(&log[1]).is_disjoint(&paths(&log[3])));
}

async fn a_half_visible_rerun_is_repeated(factory: StorageFactory) {
    let mut model = Model::default();
    let (world, storage) = world_with_published_cycle(&factory, &mut model).await;
    let steps = [
        Step::new(two("old"), visits(DAY)),
        Step::new(two("new"), visits(DAY).again()).ending(Ending::DiesAndIsSwept { visible: 1 }),
    ];
    run_steps(&world, &storage, &mut model, &steps).await;

    // The file that it replaced is gone: the cycle is due although it has a manifest.
    publish_due(&world, &storage, &mut model).await;
    let contents = StorageContents::of(&storage);
    assert!(
        contents
            .bytes("manifests/visits/2020-01-15.r1.json")
            .is_some()
    );
}

async fn an_invisible_rerun_leaves_the_old_rows(factory: StorageFactory) {
    let mut model = Model::default();
    let (world, storage) = world_with_published_cycle(&factory, &mut model).await;
    let steps = [
        Step::new(two("old"), visits(DAY)),
        // The rerun would also delete a file.
        Step::new(vec![vec![visit(1, "new", DAY, 15)]], visits(DAY).again())
            .ending(Ending::DiesAndIsSwept { visible: 0 }),
    ];
    run_steps(&world, &storage, &mut model, &steps).await;

    publish_due(&world, &storage, &mut model).await;
    let contents = StorageContents::of(&storage);
    assert!(
        contents
            .bytes("manifests/visits/2020-01-15.r1.json")
            .is_none()
    );
}

/// Kills a run that voids a half visible rerun, then one that has committed the cycle again.
async fn replacement_dies(world: &World, storage: &Storage, cycle: &TestRun) {
    world.die_after_commit(storage, cycle, 0).await;
    world.die_after_commit(storage, cycle, 0).await;
    storage.sweep();
}

async fn a_damaged_cycle_stays_due_when_its_replacement_is_voided(factory: StorageFactory) {
    let mut model = Model::default();
    let (world, storage) = world_with_published_cycle(&factory, &mut model).await;
    let steps = [
        Step::new(two("old"), visits(DAY)),
        Step::new(two("new"), visits(DAY).again()).ending(Ending::DiesAndIsSwept { visible: 1 }),
    ];
    run_steps(&world, &storage, &mut model, &steps).await;
    replacement_dies(&world, &storage, &visits(DAY)).await;

    publish_due(&world, &storage, &mut model).await;
    let log = StorageContents::of(&storage).log(Table::Visits);
    let all = [
        "publish", "publish", "publish", "void", "publish", "void", "publish", "publish",
    ];
    assert_eq!(kinds(&log), all);
}

async fn a_damaged_snapshot_stays_due_when_its_replacement_is_voided(factory: StorageFactory) {
    let mut model = Model::default();
    let world = World::new().await;
    let storage = factory.create();
    let steps = [
        Step::new(two_names("old"), names(DAY)),
        Step::new(two_names("new"), names(DAY).again())
            .ending(Ending::DiesAndIsSwept { visible: 1 }),
    ];
    run_steps(&world, &storage, &mut model, &steps).await;
    replacement_dies(&world, &storage, &names(DAY)).await;

    world.succeed(&storage, &names(DAY)).await;
    model.publish(&names(DAY));
    assert_whole(&storage, &model.truth);
}

/// A run on a later day comes back to the voided cycle although nothing is published before it.
async fn the_first_cycle_is_due_again(factory: StorageFactory) {
    let mut model = Model::default();
    let world = World::new().await;
    let storage = factory.create();
    let step = Step::new(two("a"), visits(DAY)).ending(Ending::DiesAndIsSwept { visible: 1 });
    model.apply(&step);
    run_step(&world, &storage, &step).await;

    publish_due(&world, &storage, &mut model).await;
}

/// Its manifest does not count, since files of it are gone.
async fn the_first_cycle_is_due_again_after_a_half_visible_rerun(factory: StorageFactory) {
    let mut model = Model::default();
    let world = World::new().await;
    let storage = factory.create();
    let steps = [
        Step::new(two("old"), visits(DAY)),
        Step::new(two("new"), visits(DAY).again()).ending(Ending::DiesAndIsSwept { visible: 1 }),
    ];
    run_steps(&world, &storage, &mut model, &steps).await;

    publish_due(&world, &storage, &mut model).await;
}

/// The files that it replaced under their own names belong to the earlier cycle: that one is due again.
async fn a_half_visible_snapshot_damages_the_one_before(factory: StorageFactory) {
    let mut model = Model::default();
    let world = World::new().await;
    let storage = factory.create();
    let steps = [
        Step::new(two_names("old"), names(DAY)),
        Step::new(two_names("new"), names(DAY_AFTER)).ending(Ending::DiesAndIsSwept { visible: 1 }),
    ];
    run_steps(&world, &storage, &mut model, &steps).await;

    world.succeed(&storage, &names(DAY)).await;
    model.publish(&names(DAY));
    assert_whole(&storage, &model.truth);
    let contents = StorageContents::of(&storage);
    let again = contents.bytes("manifests/names/2020-01-15.r1.json");
    assert!(again.is_some(), "the earlier snapshot is published again");
    world.succeed(&storage, &names(DAY_AFTER)).await;
    model.publish(&names(DAY_AFTER));
    assert_whole(&storage, &model.truth);
}
