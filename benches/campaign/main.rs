//! Disturbs the real program on a real store in many ways, and checks the export.
//!
//! ```text
//! cargo bench --profile dev --bench campaign -- --to FOLDER|s3://BUCKET/PREFIX [--runs N] [--seed N]
//! ```
//! A bucket is that of the AWS environment (`AWS_ENDPOINT_URL` over plain HTTP, and keys). Kinds of
//! disturbances: a kill; a stop during which another run completes; two runs at once; faults on the wire
//! (a bucket only); a sweep of the unfinished uploads of a killed run; two runs that recover at once. The
//! clock advances, so that new cycles become due; reruns replace published cycles by changed rows.
//!
//! After every disturbance readers must see whole cycles, every row once, and no older rows than before.
//! Each round ends with an undisturbed run, after which everything is published exactly once, no upload
//! is left that the log names, and another run changes nothing. The exit code is 1 at a violation.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails by panicking"
)]

mod bucket;
mod counts;
#[allow(dead_code, reason = "`benches/kill` uses more of it")]
#[path = "../export/mod.rs"]
mod export;
mod faults;
mod moments;
mod program;
mod proxy;
mod round;
mod store;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use counts::Counts;
use fastrand::Rng;
use round::Round;
use store::Store;

/// The number of disturbances of a round.
const DISTURBANCES: u32 = 25;

#[derive(Parser)]
struct Arguments {
    /// A folder, or s3://bucket/prefix of the server in AWS_ENDPOINT_URL
    #[arg(long)]
    to: String,

    /// The number of runs after which the last round ends
    #[arg(long, default_value_t = 1_000)]
    runs: u64,

    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Cargo adds it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let Arguments { to, runs, seed, .. } = Arguments::parse();
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let store = Store::open(runtime.handle(), &to);
    let mut counts = Counts::default();
    let mut seeds = Rng::with_seed(seed);
    while counts.runs < runs {
        // Destinations of other campaigns may be there.
        let name = format!("{seed}-{}-{:08x}", counts.rounds + 1, Rng::new().u32(..));
        let place = store.place(name.clone());
        let mut round = Round::start(name, place, seeds.fork(), &mut counts);
        for _ in 0..DISTURBANCES {
            if round.is_clean() && round.runs() < runs {
                round.disturb();
            }
        }
        round.finish();
        let (runs, violations) = (counts.runs, counts.violations);
        let seconds = started.elapsed().as_secs();
        eprintln!("{runs} runs, {violations} violations, {seconds} s");
    }
    println!(
        "{to}: {counts} (seed {seed}, {} s)",
        started.elapsed().as_secs()
    );
    if let Some(bucket) = store.bucket() {
        let (requests, faults) = bucket.network.counts();
        let total: u64 = faults.values().sum();
        println!("{requests} requests, {total} faults on the wire: {faults:?}");
    }
    match counts.violations {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
