//! The scenarios of the crash tests.

use super::storage::StorageFactory;
use super::world::{DAY, DAY_AFTER, DAY_BEFORE, Row, malformed, name, names, visit, visits};
use super::{Ending, Scenario, Step, enumerate, fail_each, for_each_storage};

for_each_storage! {
    tokio::test, enumerate =>
    first_publication
    several_partitions
    snapshot_grows
    snapshot_shrinks
    rerun_of_changed_rows
    rerun_loses_a_partition
    late_rows_of_an_old_day
    rerun_with_malformed_lines
    zero_rows
    empty_snapshot
    finishing_the_commit_of_another_run
    voiding_a_commit_without_uploads
    voiding_a_half_visible_rerun
    voiding_a_half_visible_snapshot
}

for_each_storage! {
    tokio::test =>
    a_call_that_fails_before_the_commit_leaves_nothing
}

async fn a_call_that_fails_before_the_commit_leaves_nothing(factory: StorageFactory) {
    fail_each(rerun_with_malformed_lines(), &factory).await;
    fail_each(late_rows_of_an_old_day(), &factory).await;
}

/// Returns `count` raw files of one name each, with ids from `first`.
fn name_files(first: i64, count: i64, text: &str) -> Vec<Vec<Row>> {
    let ids = first..first + count;
    ids.map(|id| vec![name(id, text)]).collect()
}

fn first_publication() -> Scenario {
    Scenario {
        name: "first publication",
        prepare: vec![],
        act: Step::new(
            vec![vec![visit(1, "a", DAY, 15), visit(2, "b", DAY, 15)]],
            visits(DAY),
        ),
    }
}

fn several_partitions() -> Scenario {
    let rows = (1..=6).map(|id| visit(id, "x", DAY, 13 + id % 3)).collect();
    Scenario {
        name: "several partitions",
        prepare: vec![],
        act: Step::new(vec![rows], visits(DAY)),
    }
}

fn snapshot_grows() -> Scenario {
    Scenario {
        name: "snapshot grows from 1 to 3 files",
        prepare: vec![Step::new(name_files(1, 1, "old"), names(DAY))],
        act: Step::new(name_files(1, 3, "new"), names(DAY_AFTER)),
    }
}

fn snapshot_shrinks() -> Scenario {
    Scenario {
        name: "snapshot shrinks from 3 files to 1",
        prepare: vec![Step::new(name_files(1, 3, "old"), names(DAY))],
        act: Step::new(name_files(2, 1, "new"), names(DAY_AFTER)),
    }
}

fn rerun_of_changed_rows() -> Scenario {
    let rows = |text| {
        let both = [visit(1, text, DAY, 15), visit(2, text, DAY, 14)];
        vec![both.to_vec()]
    };
    Scenario {
        name: "rerun of changed rows",
        // The same number of bytes, so that sizes do not reveal the change.
        prepare: vec![Step::new(rows("old"), visits(DAY))],
        act: Step::new(rows("new"), visits(DAY).again()),
    }
}

fn rerun_loses_a_partition() -> Scenario {
    Scenario {
        name: "rerun loses a partition",
        prepare: vec![Step::new(
            vec![vec![visit(1, "a", DAY, 15), visit(2, "b", DAY, 14)]],
            visits(DAY),
        )],
        act: Step::new(vec![vec![visit(1, "a", DAY, 15)]], visits(DAY).again()),
    }
}

fn late_rows_of_an_old_day() -> Scenario {
    let old = visit(1, "a", DAY_BEFORE, 14);
    Scenario {
        name: "late rows of an old day",
        prepare: vec![Step::new(vec![vec![old.clone()]], visits(DAY_BEFORE))],
        act: Step::new(
            vec![vec![old, visit(2, "late", DAY, 14), visit(3, "c", DAY, 15)]],
            visits(DAY),
        ),
    }
}

fn rerun_with_malformed_lines() -> Scenario {
    let rows = |text| vec![vec![visit(1, text, DAY, 15), malformed()]];
    Scenario {
        name: "rerun with malformed lines",
        prepare: vec![Step::new(rows("old"), visits(DAY))],
        act: Step::new(rows("new"), visits(DAY).again()),
    }
}

fn zero_rows() -> Scenario {
    Scenario {
        name: "zero rows",
        prepare: vec![],
        act: Step::new(vec![vec![visit(1, "a", DAY_BEFORE, 14)]], visits(DAY)),
    }
}

fn empty_snapshot() -> Scenario {
    Scenario {
        name: "empty snapshot after an empty one",
        prepare: vec![Step::new(vec![vec![]], names(DAY))],
        act: Step::new(vec![vec![]], names(DAY_AFTER)),
    }
}

fn finishing_the_commit_of_another_run() -> Scenario {
    Scenario {
        name: "finishing the commit of another run",
        prepare: vec![
            Step::new(name_files(1, 3, "old"), names(DAY)),
            Step::new(name_files(1, 2, "new"), names(DAY_AFTER))
                .ending(Ending::Dies { visible: 1 }),
        ],
        act: Step::new(name_files(1, 2, "new"), names(DAY_AFTER)),
    }
}

fn voiding_a_commit_without_uploads() -> Scenario {
    let rows = || vec![vec![visit(1, "a", DAY, 15), visit(2, "b", DAY, 14)]];
    Scenario {
        name: "voiding a commit without uploads",
        prepare: vec![Step::new(rows(), visits(DAY)).ending(Ending::DiesAndIsSwept { visible: 1 })],
        act: Step::new(rows(), visits(DAY)),
    }
}

fn voiding_a_half_visible_rerun() -> Scenario {
    let rows = |text| {
        let both = [visit(1, text, DAY, 15), visit(2, text, DAY, 14)];
        vec![both.to_vec()]
    };
    Scenario {
        name: "voiding a half visible rerun",
        prepare: vec![
            Step::new(rows("old"), visits(DAY)),
            Step::new(rows("new"), visits(DAY).again())
                .ending(Ending::DiesAndIsSwept { visible: 1 }),
        ],
        act: Step::new(rows("new"), visits(DAY)),
    }
}

fn voiding_a_half_visible_snapshot() -> Scenario {
    Scenario {
        name: "voiding a half visible snapshot",
        prepare: vec![
            Step::new(name_files(1, 2, "old"), names(DAY_BEFORE)),
            Step::new(name_files(1, 2, "new"), names(DAY))
                .ending(Ending::DiesAndIsSwept { visible: 1 }),
        ],
        // The voided cycle is not retried: the next one supersedes it.
        act: Step::new(name_files(1, 2, "new"), names(DAY_AFTER)),
    }
}
