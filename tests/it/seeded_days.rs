//! Some of the seeded worlds and landing schedules of `benches/days`.

use crate::days::{Counts, DAYS, RULES, play_schedule, play_world};

/// The number of days that are played.
const PLAYED: u32 = 200;

/// The number of schedules of each set of rules.
const SCHEDULES: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_follows_manifests_has_every_row_once() {
    let mut counts = Counts::default();
    for seed in 0..u64::from(PLAYED / DAYS) {
        match play_world(seed).await {
            Ok(world) => counts.add(&world),
            Err(problem) => panic!("{problem}"),
        }
    }
    eprintln!("{counts}");
    assert!(counts.late_revisions > 0 && counts.same_rows > 0 && counts.gone > 0);
    assert!(counts.deaths > 0 && counts.pairs > 0 && counts.late_after_final > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_day_is_published_before_its_last_file() {
    for (index, rules) in RULES.iter().enumerate() {
        for seed in 0..SCHEDULES {
            let seed = seed * 100 + index as u64;
            if let Err(problem) = play_schedule(seed, rules).await {
                panic!("{problem}");
            }
        }
    }
}
