//! Crash points of runs that find late files: those of the revision, of the record of files without other
//! rows, of the lists of source files, and of the markers.

use dayport::layout::FileFormat;

use super::faulty_store::{Call, Verb};
use super::storage::StorageFactory;
use super::world::{DAY_AFTER, Row, World, days, visit};
use super::{Ending, Scenario, Setup, Step, enumerate, fail_each, for_each_storage};

for_each_storage! {
    tokio::test, enumerate =>
    a_late_file
    a_late_file_in_another_partition
    files_that_change_no_row
    finishing_the_late_revision_of_another_run
    voiding_a_late_revision
}

for_each_storage! {
    tokio::test =>
    a_late_revision_that_fails_before_the_commit_leaves_nothing
    the_new_calls_are_among_the_crash_points
}

async fn a_late_revision_that_fails_before_the_commit_leaves_nothing(factory: StorageFactory) {
    fail_each(a_late_file(), &factory).await;
}

/// Checks that the enumeration has what it is for.
async fn the_new_calls_are_among_the_crash_points(factory: StorageFactory) {
    let world = World::new().await;
    for (scenario, expected) in [
        (
            a_late_file(),
            &[
                "_dayport/lists/",
                "_dayport/log/days/00000000000000000002.json",
                "manifests/days/2020-01-16.r1.json",
                "cycles/2020-01-16.r1.json",
                "latest.json",
            ][..],
        ),
        (files_that_change_no_row(), &["_dayport/same-rows/"][..]),
    ] {
        let setup = Setup::prepare(&world, factory.create(), &scenario, FileFormat::Json).await;
        let calls = setup.calls().await;
        let is_put = |call: &&Call| call.verb == Verb::Put;
        for key in expected {
            let mut puts = calls.iter().filter(is_put);
            assert!(puts.any(|call| call.key.contains(key)), "{key}: {calls:#?}");
        }
    }
}

fn row(id: i64, text: &str, day: i64) -> Row {
    visit(id, text, DAY_AFTER, day)
}

fn published(rows: Vec<Vec<Row>>) -> Step {
    Step::new(rows, days(DAY_AFTER))
}

fn late(rows: Vec<Vec<Row>>) -> Step {
    Step::new(rows, days(DAY_AFTER).late())
}

fn a_late_file() -> Scenario {
    let first = vec![row(1, "a", 16)];
    Scenario {
        name: "a late file",
        prepare: vec![published(vec![first.clone()])],
        act: late(vec![first, vec![row(2, "late", 16)]]),
    }
}

fn a_late_file_in_another_partition() -> Scenario {
    let first = vec![row(1, "a", 16), row(2, "b", 15)];
    Scenario {
        name: "a late file in another partition",
        prepare: vec![published(vec![first.clone()])],
        act: late(vec![first, vec![row(3, "late", 14)]]),
    }
}

/// Files that are written again are changed.
fn files_that_change_no_row() -> Scenario {
    let first = vec![row(1, "a", 16), row(2, "b", 15)];
    Scenario {
        name: "files that change no row",
        prepare: vec![published(vec![first.clone()])],
        act: late(vec![first]),
    }
}

fn finishing_the_late_revision_of_another_run() -> Scenario {
    let first = vec![row(1, "a", 16), row(2, "b", 15)];
    let with_late = vec![first.clone(), vec![row(3, "late", 15)]];
    Scenario {
        name: "finishing the late revision of another run",
        prepare: vec![
            published(vec![first]),
            late(with_late.clone()).ending(Ending::Dies { visible: 1 }),
        ],
        act: late(with_late),
    }
}

fn voiding_a_late_revision() -> Scenario {
    let first = vec![row(1, "a", 16), row(2, "b", 15)];
    let with_late = vec![first.clone(), vec![row(3, "late", 15)]];
    Scenario {
        name: "voiding a late revision",
        prepare: vec![
            published(vec![first]),
            late(with_late.clone()).ending(Ending::DiesAndIsSwept { visible: 1 }),
        ],
        act: late(with_late),
    }
}
