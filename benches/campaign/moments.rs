//! Chooses the moments at which runs are killed or stopped.

use std::time::Duration;

use fastrand::Rng;

use crate::faults::{Hold, Kind, Side};
use crate::program::Moment;

/// Returns true if the moment is at a commit or while it is published: mostly, if it has to be
/// `committed`.
fn is_at_commit(random: &mut Rng, is_committed: bool) -> bool {
    let percent = if is_committed { 85 } else { 50 };
    random.u32(..100) < percent
}

/// Chooses a time within the duration of a run.
fn any_time(random: &mut Rng, run_time: Duration) -> Moment {
    Moment::Time(run_time * random.u32(..1_000) / 1_000)
}

/// Chooses a moment of a run to a folder.
pub(crate) fn in_folder(random: &mut Rng, run_time: Duration, is_committed: bool) -> Moment {
    match is_at_commit(random, is_committed) {
        true => Moment::LogEntry(Duration::from_micros(random.u64(..4_000))),
        false => any_time(random, run_time),
    }
}

/// Chooses a moment of a run to a bucket, mostly a request.
pub(crate) fn in_bucket(
    random: &mut Rng,
    run_time: Duration,
    is_committed: bool,
) -> (Moment, Option<Hold>) {
    let side = match random.bool() {
        true => Side::Before,
        false => Side::After,
    };
    // A run commits up to three tables, and completes about six uploads.
    let (kind, nth, side) = match (is_at_commit(random, is_committed), random.u32(..5)) {
        (true, 0..2) => (Kind::Commit, 2, Side::After),
        (true, 2) if !is_committed => (Kind::Commit, 2, Side::Before),
        (true, 2..4) => (Kind::Completion, 5, side),
        (true, _) => (Kind::Manifest, 2, side),
        // A run of one cycle makes about 40 requests; a higher number lets the run end.
        (false, 0..3) => (Kind::Any, 45, side),
        (false, _) => return (any_time(random, run_time), None),
    };
    let hold = Hold {
        kind,
        nth: random.u64(1..=nth),
        side,
    };
    (Moment::Held, Some(hold))
}
