//! Kills the real program many times, and checks the export.
//!
//! ```text
//! cargo bench --profile dev --bench kill -- [KILLS [SEED]]
//! ```
//! Starts `dayport run` on an S3 server in this process and kills it with SIGKILL: at a random
//! time, or at a random request, which was applied without a response or was not applied. The clock
//! advances, so that new cycles become due; some runs replace a published cycle by changed rows.
//! After every kill, tables without pending work must be complete for readers. At the end the program
//! runs to completion, and everything must be published exactly once. The exit code is 1 if it is not.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails by panicking"
)]

#[allow(dead_code, reason = "the campaign uses more of it")]
#[path = "../export/mod.rs"]
mod export;
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests of the server use more of it"
)]
#[path = "../../tests/it/s3/mod.rs"]
mod s3;

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use export::{FIRST_DAY, Raw, Reader, date};
use fastrand::Rng;
use s3::{Action, Failure, Fault, On, TestS3};

const BUCKET: &str = "exports";
const PREFIX: &str = "org";

/// The timeout of a run.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .map(|argument| argument.parse().expect("a number of kills, and a seed"))
        .collect();
    let kills = numbers.first().copied().unwrap_or(200);
    let seed = numbers.get(1).copied().unwrap_or(1);

    let started = Instant::now();
    let mut test = Test::new(seed);
    test.first_publication();
    for _ in 0..kills {
        test.kill_one();
        test.check_readers();
    }
    test.finish();
    println!(
        "{kills} kills, {} landed while the process lived; {} cycles, {} reruns, {} commits; \
         {} violations (seed {seed}, {} s)",
        test.landed,
        test.raw.last_day() - FIRST_DAY + 1,
        test.reruns,
        test.reader().commits(),
        test.violations,
        started.elapsed().as_secs()
    );
    match test.violations {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

struct Test {
    server: TestS3,
    raw: Raw,
    random: Rng,
    /// The duration of the last undisturbed run.
    run_time: Duration,
    landed: u64,
    reruns: u64,
    violations: u64,
}

impl Test {
    fn new(seed: u64) -> Self {
        let server = TestS3::start();
        server.create_bucket(BUCKET);
        Self {
            server,
            raw: Raw::new(FIRST_DAY),
            random: Rng::with_seed(seed),
            run_time: Duration::ZERO,
            landed: 0,
            reruns: 0,
            violations: 0,
        }
    }

    fn reader(&self) -> Reader {
        let objects = self.server.keys(BUCKET).into_iter().filter_map(|key| {
            let object = self.server.object(BUCKET, &key)?;
            let key = key.strip_prefix(&format!("{PREFIX}/"))?.to_owned();
            Some((key, object.data))
        });
        Reader::new(objects.collect())
    }

    fn start(&self, rerun_of: Option<u32>) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dayport"));
        command
            .env_clear()
            .envs(self.server.env())
            .env("DAYPORT_NOW", self.raw.now())
            .args(["run", "--quiet", "--allow-shrink", "--format", "json"])
            .args(["--target-file-size", "1KiB", "--to"])
            .arg(format!("s3://{BUCKET}/{PREFIX}/"))
            .arg("--from")
            .arg(self.raw.folder())
            .arg("--sql")
            .arg(self.raw.sql())
            .stdin(Stdio::null());
        if let Some(day) = rerun_of {
            command.args(["--rerun", "--date", &date(day), "visits", "clicks"]);
        }
        command.spawn().expect("start the program")
    }

    /// Runs the due cycles undisturbed.
    fn run(&mut self) {
        let started = Instant::now();
        let mut child = self.start(None);
        let status = child.wait().expect("wait for the program");
        self.run_time = started.elapsed();
        if !status.success() {
            self.report(&[format!("an undisturbed run ended with {status}")]);
        }
    }

    fn first_publication(&mut self) {
        self.run();
        self.check_readers();
    }

    /// Starts a run of due cycles or a rerun, and kills it.
    fn kill_one(&mut self) {
        if self.random.u32(..100) < 30 {
            self.raw.next_day();
        }
        let rerun_of = (self.random.u32(..100) < 25).then(|| {
            let day = self.random.u32(FIRST_DAY..=self.raw.last_day());
            self.raw.change(day);
            self.reruns += 1;
            day
        });
        let before = self.server.calls().len();
        let kill_at = self.random.usize(..4);
        // A run of one cycle makes about 40 requests.
        let request = self.spread(50);
        if kill_at < 2 {
            let failure = Failure::Silence;
            let action = [Action::Before(failure), Action::After(failure)][kill_at];
            self.server.inject(Fault::on(On::Any, action).nth(request));
        }
        let started = Instant::now();
        let mut child = self.start(rerun_of);
        let mut is_running = true;
        if kill_at < 2 {
            while is_running && !self.server.wait_for_faults(1, Duration::from_millis(5)) {
                is_running = child.try_wait().expect("get the status").is_none();
                assert!(started.elapsed() < TIMEOUT, "a run hangs");
            }
        } else {
            let thousandths = u32::try_from(self.spread(1_000)).expect("a small number");
            std::thread::sleep(self.run_time * thousandths / 1_000);
            is_running = child.try_wait().expect("get the status").is_none();
        }
        child.kill().expect("kill the program");
        let status = child.wait().expect("wait for the program");
        self.server.clear_faults();
        if status.code() == Some(2) {
            self.report(&["a run ended with exit status 2".to_owned()]);
        }
        self.landed += u64::from(is_running);
        assert!(
            kill_at != 1 || !is_running || self.server.calls().len() > before,
            "no request was recorded"
        );
    }

    /// Returns a number up to eight times that of a run of one cycle. Kills leave cycles to later runs,
    /// which then have more to do: some of them have to end.
    fn spread(&mut self, of_one_cycle: u64) -> u64 {
        let most = of_one_cycle << self.random.u32(..4);
        self.random.u64(1..=most)
    }

    /// Checks what readers see now.
    fn check_readers(&mut self) {
        let problems = self.reader().problems(&self.raw, false);
        self.report(&problems);
    }

    /// Runs the program to completion, and checks everything.
    fn finish(&mut self) {
        self.run();
        let problems = self.reader().problems(&self.raw, true);
        self.report(&problems);
        let pending = self.reader().committed_uploads();
        let left: Vec<String> = self
            .server
            .uploads(BUCKET)
            .into_iter()
            .filter(|(_, id)| pending.contains(id))
            .map(|(key, _)| format!("a committed upload of `{key}` is left"))
            .collect();
        self.report(&left);

        let settled = self.reader();
        self.run();
        if self.reader() != settled {
            self.report(&["another run changed something".to_owned()]);
        }
    }

    fn report(&mut self, problems: &[String]) {
        for problem in problems {
            eprintln!("violation: {problem}");
        }
        self.violations += problems.len() as u64;
    }
}
