//! A scheduler and executors as real processes on loopback.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::Sandbox;

/// Nothing here takes so long unless it is broken.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What an executor that is silent is given, as text.
const EXECUTOR_TIMEOUT: &str = "3s";

/// A process that says on stderr how far it is. It is killed with its owner.
pub(super) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Process {
        let mut child = sandbox
            .command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start dayport");
        let stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    // Nobody listens any more; the pipe is emptied all the same.
                    continue;
                }
            }
        });
        Process { child, lines }
    }

    /// Waits for a line with `text`, and gives what follows it.
    pub(super) fn says(&self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        let mut said = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("{error}: no `{text}` in\n{said}"));
            if let Some((_, rest)) = line.split_once(text) {
                return rest.to_owned();
            }
            said.push_str(&line);
            said.push('\n');
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        kill(pid, signal).expect("a process");
    }

    /// Its exit code, once it has ended.
    pub(super) fn ended(mut self) -> Option<i32> {
        let deadline = Instant::now() + LIMIT;
        // The lines end with the process.
        while let Ok(line) = {
            let left = deadline.saturating_duration_since(Instant::now());
            self.lines.recv_timeout(left)
        } {
            eprintln!("{line}");
        }
        assert!(Instant::now() < deadline, "the process does not end");
        self.child.wait().expect("an exit status").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One scheduler, and the executors that were started.
pub(super) struct Cluster {
    pub(super) url: String,
    pub(super) scheduler: Process,
    /// Each with one slot, so that all of them get tasks.
    pub(super) executors: Vec<Process>,
}

impl Cluster {
    pub(super) fn start(sandbox: &Sandbox, executors: usize) -> Cluster {
        let scheduler = Process::start(
            sandbox,
            &[
                "cluster",
                "scheduler",
                "--listen",
                "127.0.0.1:0",
                "--executor-timeout",
                EXECUTOR_TIMEOUT,
            ],
        );
        let address = scheduler.says("listening address=");
        let mut cluster = Cluster {
            url: format!("df://{address}"),
            scheduler,
            executors: Vec::new(),
        };
        cluster.add(sandbox, executors);
        cluster
    }

    /// Returns when the scheduler knows them.
    pub(super) fn add(&mut self, sandbox: &Sandbox, executors: usize) {
        let first = self.executors.len();
        for number in first..first + executors {
            let work_dir = sandbox.folder().join(format!("executor-{number}"));
            let work_dir = work_dir.to_str().expect("UTF-8");
            let args = [
                "cluster",
                "executor",
                "--scheduler",
                &self.url,
                "--work-dir",
                work_dir,
                "--slots",
                "1",
                "--memory-limit",
                "256MiB",
                "--heartbeat",
                "1s",
            ];
            self.executors.push(Process::start(sandbox, &args));
        }
        for executor in &self.executors[first..] {
            executor.says("registered");
        }
    }
}

/// A run that is under way.
pub(super) fn run(sandbox: &Sandbox, cluster: &Cluster, args: &[&str]) -> Process {
    let to = sandbox.place.url();
    let run = [
        "run",
        "--from",
        "raw",
        "--to",
        &to,
        "--cluster",
        &cluster.url,
    ];
    Process::start(sandbox, &[&run, args].concat())
}
