//! Ends many queries and runs early, and checks that nothing of them waits for ever.
//!
//! ```text
//! cargo bench --profile dev --bench early_end -- [COUNT [SEED]]
//! ```
//! Most are queries with a limit over the fixtures; some are read in part and dropped, some have a source
//! whose decoder fails, and some are runs of all definitions that are dropped at a random time. Each has a
//! tokio runtime of its own, as in the program, whose end waits for every thread: one that waits for ever
//! is a hang. A watchdog names the work that does not end within a minute, and exits with 1.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails by panicking"
)]

mod watchdog;
mod work;

use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use watchdog::{Stage, Watchdog};
use work::{KINDS, World};

/// The time after which work is stuck. The slowest takes seconds, on a busy machine too.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The interval of the lines of progress.
const PROGRESS: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .map(|argument| argument.parse().expect("a count, and a seed"))
        .collect();
    let count = numbers.first().copied().unwrap_or(1_000);
    let seed = numbers.get(1).copied().unwrap_or(1);
    let workers = thread::available_parallelism().map_or(2, usize::from);

    let started = Instant::now();
    let world = World::new();
    let watchdog = Watchdog::new(workers, TIMEOUT);
    let next = AtomicU64::new(0);
    let ended: Vec<AtomicU64> = KINDS.iter().map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|worker| {
                let (world, watchdog, next, ended) = (&world, &watchdog, &next, &ended);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return;
                        }
                        let work = world.work(number, seed);
                        watchdog.watch(worker, &work);
                        let runtime = work::runtime();
                        if let Err(problem) = runtime.block_on(world.perform(&work)) {
                            eprintln!("{work}: {problem}");
                            exit(1);
                        }
                        watchdog.enter(worker, Stage::Shutdown);
                        drop(runtime);
                        watchdog.enter(worker, Stage::Ended);
                        ended[work.kind as usize].fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut told = Instant::now();
        while !workers.iter().all(|worker| worker.is_finished()) {
            if let Some(stuck) = watchdog.stuck() {
                eprintln!("{stuck}");
                exit(1);
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                println!("{} of {count}", next.load(Ordering::Relaxed).min(count));
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    let kinds = KINDS.iter().zip(&ended).map(|(kind, ended)| {
        let ended = ended.load(Ordering::Relaxed);
        format!("{ended} {}", kind.name())
    });
    println!(
        "{count} ended: {} (seed {seed}, {} s)",
        kinds.collect::<Vec<_>>().join(", "),
        started.elapsed().as_secs()
    );
    ExitCode::SUCCESS
}
