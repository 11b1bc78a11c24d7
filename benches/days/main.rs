//! Plays seeded days and landing schedules in this process, and checks what a receiver gets.
//!
//! ```text
//! cargo bench --bench days -- [--days N] [--schedules N] [--seed N] [--world SEED] [--schedule SEED]
//! ```
//! Days are played in worlds of 20: `tests/it/days` says how. Schedules are that many for each set of rules by
//! which sources are ready. `--world` replays a world, and `--schedule` the schedules of a seed. A problem is
//! printed with its seed, and the exit code is 1.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails by panicking"
)]

#[path = "../../tests/it/days/mod.rs"]
mod days;
#[allow(dead_code, reason = "the crash tests use more of it")]
#[path = "../../tests/it/crash/faulty_store.rs"]
mod faulty_store;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::Parser;
use days::{Counts, DAYS, RULES, play_schedule, play_world};
use tokio::runtime::{Builder, Runtime};

#[derive(Parser)]
struct Arguments {
    /// The number of days
    #[arg(long, default_value_t = 10_000)]
    days: u64,

    /// The number of schedules of each set of rules
    #[arg(long, default_value_t = 1_000)]
    schedules: u64,

    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Plays the world of this seed alone
    #[arg(long)]
    world: Option<u64>,

    /// Plays the schedules of this seed alone; may be given several times
    #[arg(long)]
    schedule: Vec<u64>,

    /// Cargo adds it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let problems = AtomicU64::new(0);
    let complain = |problem: &str| {
        problems.fetch_add(1, Ordering::Relaxed);
        eprintln!("{problem}\n");
    };
    if let Some(seed) = arguments.world {
        match runtime().block_on(play_world(seed)) {
            Ok(counts) => println!("{counts}"),
            Err(problem) => complain(&problem),
        }
    } else if !arguments.schedule.is_empty() {
        for (seed, rules) in arguments
            .schedule
            .iter()
            .flat_map(|seed| RULES.map(|rules| (*seed, rules)))
        {
            match runtime().block_on(play_schedule(seed, rules)) {
                Ok(made) => println!("schedule {seed} of {rules:?}: {made} runs"),
                Err(problem) => complain(&problem),
            }
        }
    } else {
        play_worlds(&arguments, &complain);
        play_schedules(&arguments, &complain);
    }
    match problems.into_inner() {
        0 => ExitCode::SUCCESS,
        problems => {
            println!("{problems} problems");
            ExitCode::FAILURE
        }
    }
}

fn play_worlds(arguments: &Arguments, complain: &(dyn Fn(&str) + Sync)) {
    let started = Instant::now();
    let total = Mutex::new(Counts::default());
    let worlds = arguments.days.div_ceil(DAYS.into());
    concurrently(worlds, |number| {
        let seed = arguments.seed.wrapping_mul(1_000_003).wrapping_add(number);
        match runtime().block_on(play_world(seed)) {
            Ok(counts) => total
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(&counts),
            Err(problem) => complain(&problem),
        }
    });
    let counts = *total.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{worlds} worlds of seed {}: {counts} ({} s)",
        arguments.seed,
        started.elapsed().as_secs()
    );
}

fn play_schedules(arguments: &Arguments, complain: &(dyn Fn(&str) + Sync)) {
    for rules in RULES {
        let started = Instant::now();
        let runs = AtomicU64::new(0);
        concurrently(arguments.schedules, |number| {
            let seed = arguments.seed.wrapping_mul(1_000_003).wrapping_add(number);
            match runtime().block_on(play_schedule(seed, rules)) {
                Ok(made) => _ = runs.fetch_add(made, Ordering::Relaxed),
                Err(problem) => complain(&problem),
            }
        });
        println!(
            "{} schedules of {rules:?}: {} runs ({} s)",
            arguments.schedules,
            runs.into_inner(),
            started.elapsed().as_secs()
        );
    }
}

/// Calls a function with each number below `count`, on all processors.
fn concurrently(count: u64, play: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    play(number);
                }
            });
        }
    });
}

/// Returns a runtime for one world. What of it is dead goes with it.
fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}
