//! What it costs to write to S3 instead of a folder.
//!
//! ```text
//! cargo bench --bench places -- FROM SQL DATE [RUNS] [FLAG…]
//! ```
//! Runs `dayport run` in turn into a fresh folder and to an S3 server in this process, and prints
//! the wall times. The server shares the processors with the program, so the figure for S3 is an
//! upper bound of what the program itself adds.

#[allow(
    dead_code,
    unused_imports,
    reason = "the tests of the server use more of it"
)]
#[path = "../tests/it/s3/mod.rs"]
mod s3;

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use s3::TestS3;

const BUCKET: &str = "exports";

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let [from, sql, date, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: cargo bench --bench places -- FROM SQL DATE [RUNS] [FLAG…]");
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
        let begun = Instant::now();
        let status = command.status().expect("start the program");
        assert!(status.success(), "a run to {to} failed");
        begun.elapsed()
    };
    let (mut folders, mut buckets) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let folder = tempfile::tempdir().expect("a temporary folder");
        folders.push(run(&folder.path().display().to_string(), Vec::new()));
        let server = TestS3::start();
        server.create_bucket(BUCKET);
        buckets.push(run(&format!("s3://{BUCKET}/"), server.env()));
    }
    let (folder, bucket) = (least(&folders), least(&buckets));
    println!(
        "least of {runs}: folder {:.2} s, S3 {:.2} s: {:+.1} %",
        folder.as_secs_f64(),
        bucket.as_secs_f64(),
        (bucket.as_secs_f64() / folder.as_secs_f64() - 1.0) * 100.0
    );
    ExitCode::SUCCESS
}

fn least(times: &[Duration]) -> Duration {
    times.iter().min().copied().unwrap_or_default()
}
