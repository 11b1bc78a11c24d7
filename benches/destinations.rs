//! Measures the cost of writing to S3 instead of a folder.
//!
//! ```text
//! cargo bench --bench destinations -- FROM SQL DATE [RUNS] [FLAG…]
//! ```
//! Runs `dayport run` in turn into a fresh folder and to an S3 server in this process, and prints
//! the wall times, and the CPU times of the program alone. The server shares the processors with
//! it, so the wall time for S3 is an upper bound of what the program itself adds.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails by panicking"
)]

#[allow(
    dead_code,
    unused_imports,
    reason = "the tests of the server use more of it"
)]
#[path = "../tests/it/s3/mod.rs"]
mod s3;

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use s3::TestS3;

const BUCKET: &str = "exports";

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let [from, sql, date, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: cargo bench --bench destinations -- FROM SQL DATE [RUNS] [FLAG…]");
        return ExitCode::from(2);
    };
    let (runs, flags) = match rest {
        [runs, flags @ ..] => (runs.parse().expect("a number of runs"), flags),
        [] => (3, rest),
    };
    let run = |to: &str, env: Vec<(&str, String)>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dayport"));
        command
            .args([
                "run", "--quiet", "--from", from, "--sql", sql, "--date", date,
            ])
            .args(["--to", to])
            .args(flags)
            .envs(env)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let (started, before) = (Instant::now(), cpu_of_programs());
        let status = command.status().expect("start the program");
        assert!(status.success(), "a run to {to} failed");
        Cost {
            wall: started.elapsed(),
            cpu: cpu_of_programs() - before,
        }
    };
    let (mut folders, mut buckets) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let folder = tempfile::tempdir().expect("a temporary folder");
        folders.push(run(&folder.path().display().to_string(), Vec::new()));
        let server = TestS3::start();
        server.create_bucket(BUCKET);
        buckets.push(run(&format!("s3://{BUCKET}/"), server.env()));
    }
    for (what, of) in [
        ("wall", (|cost| cost.wall) as fn(&Cost) -> Duration),
        ("CPU of the program", |cost| cost.cpu),
    ] {
        let [folder, bucket] = [&folders, &buckets].map(|costs| min_seconds(costs, of));
        let more = (bucket / folder - 1.0) * 100.0;
        println!("{what}, minimum of {runs}: folder {folder:.2} s, S3 {bucket:.2} s: {more:+.1} %");
    }
    ExitCode::SUCCESS
}

struct Cost {
    wall: Duration,
    cpu: Duration,
}

/// Returns user and system time of all child processes that have exited.
fn cpu_of_programs() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the usage of the programs");
    let times = [usage.user_time(), usage.system_time()];
    let micros: i64 = times.iter().map(TimeValLike::num_microseconds).sum();
    Duration::from_micros(micros.unsigned_abs())
}

/// Returns the minimum of a cost, in seconds.
fn min_seconds(costs: &[Cost], of: fn(&Cost) -> Duration) -> f64 {
    let min = costs.iter().map(of).min();
    min.unwrap_or_default().as_secs_f64()
}
