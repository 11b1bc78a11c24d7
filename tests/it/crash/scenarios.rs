//! What is being published when the run is struck.

use super::world::{Ask, DAY, DAY_AFTER, DAY_BEFORE, Row, Site, Table, malformed, name, visit};
use super::{Fate, Scenario, Step, enumerate, fail_each};

/// One test for each scenario and kind of place.
macro_rules! tests {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            #[tokio::test]
            async fn on_s3() {
                super::enumerate(super::$scenario(), super::Site::s3()).await;
            }

            #[tokio::test]
            async fn in_a_folder() {
                super::enumerate(super::$scenario(), super::Site::folders()).await;
            }
        })*
    };
}

tests! {
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
    finishing_what_another_run_committed
    voiding_what_was_swept_away
    voiding_a_rerun_that_was_half_visible
    voiding_a_snapshot_that_was_half_visible
}

#[tokio::test]
async fn a_call_that_fails_before_the_commit_leaves_nothing_on_s3() {
    fail_each(rerun_with_malformed_lines(), Site::s3()).await;
    fail_each(late_rows_of_an_old_day(), Site::s3()).await;
}

#[tokio::test]
async fn a_call_that_fails_before_the_commit_leaves_nothing_in_a_folder() {
    fail_each(rerun_with_malformed_lines(), Site::folders()).await;
    fail_each(late_rows_of_an_old_day(), Site::folders()).await;
}

fn visits(cycle: &'static str) -> Ask {
    Ask::new(Table::Visits, cycle)
}

fn names(cycle: &'static str) -> Ask {
    Ask::new(Table::Names, cycle)
}

/// So many raw files of one name each; the ids begin at `first`.
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
        // As many bytes as before, so that the size tells nothing.
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

fn finishing_what_another_run_committed() -> Scenario {
    Scenario {
        name: "finishing what another run committed",
        prepare: vec![
            Step::new(name_files(1, 3, "old"), names(DAY)),
            Step::new(name_files(1, 2, "new"), names(DAY_AFTER)).fate(Fate::Dies { visible: 1 }),
        ],
        act: Step::new(name_files(1, 2, "new"), names(DAY_AFTER)),
    }
}

fn voiding_what_was_swept_away() -> Scenario {
    let rows = || vec![vec![visit(1, "a", DAY, 15), visit(2, "b", DAY, 14)]];
    Scenario {
        name: "voiding what was swept away",
        prepare: vec![Step::new(rows(), visits(DAY)).fate(Fate::DiesAndIsSwept { visible: 1 })],
        act: Step::new(rows(), visits(DAY)),
    }
}

fn voiding_a_rerun_that_was_half_visible() -> Scenario {
    let rows = |text| {
        let both = [visit(1, text, DAY, 15), visit(2, text, DAY, 14)];
        vec![both.to_vec()]
    };
    Scenario {
        name: "voiding a rerun that was half visible",
        prepare: vec![
            Step::new(rows("old"), visits(DAY)),
            Step::new(rows("new"), visits(DAY).again()).fate(Fate::DiesAndIsSwept { visible: 1 }),
        ],
        act: Step::new(rows("new"), visits(DAY)),
    }
}

fn voiding_a_snapshot_that_was_half_visible() -> Scenario {
    Scenario {
        name: "voiding a snapshot that was half visible",
        prepare: vec![
            Step::new(name_files(1, 2, "old"), names(DAY_BEFORE)),
            Step::new(name_files(1, 2, "new"), names(DAY))
                .fate(Fate::DiesAndIsSwept { visible: 1 }),
        ],
        // The cycle that was voided is not tried again: the next one takes its place.
        act: Step::new(name_files(1, 2, "new"), names(DAY_AFTER)),
    }
}
