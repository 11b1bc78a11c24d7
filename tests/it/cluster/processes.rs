//! A scheduler and executors as child processes on the loopback interface.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::Sandbox;

/// The timeout of every wait; a test that reaches it has failed.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// The time after which a silent executor counts as lost.
const EXECUTOR_TIMEOUT: &str = "3s";

/// A child process whose stderr is read line by line; it is killed when dropped.
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
                    // The receiver is gone; the pipe is drained so that the process does not block.
                    continue;
                }
            }
        });
        Process { child, lines }
    }

    /// Waits for a line that contains `text`, and returns the rest of the line.
    pub(super) fn wait_for_line(&self, text: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        let mut log = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("{error}: no `{text}` in\n{log}"));
            if let Some((_, rest)) = line.split_once(text) {
                return rest.to_owned();
            }
            log.push_str(&line);
            log.push('\n');
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        kill(pid, signal).expect("a process");
    }

    /// Waits for the process to exit, and returns its exit code.
    pub(super) fn exit_code(mut self) -> Option<i32> {
        let deadline = Instant::now() + TIMEOUT;
        // The channel closes when the process exits.
        while let Ok(line) = {
            let left = deadline.saturating_duration_since(Instant::now());
            self.lines.recv_timeout(left)
        } {
            eprintln!("{line}");
        }
        assert!(Instant::now() < deadline, "the process does not exit");
        self.child.wait().expect("an exit status").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A scheduler and the executors that were started for it.
pub(super) struct Cluster {
    pub(super) url: String,
    pub(super) scheduler: Process,
    /// Executors with one slot each, so that all of them get tasks.
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
        let address = scheduler.wait_for_line("listening address=");
        let mut cluster = Cluster {
            url: format!("df://{address}"),
            scheduler,
            executors: Vec::new(),
        };
        cluster.add(sandbox, executors);
        cluster
    }

    /// Starts executors and waits until the scheduler has registered them.
    pub(super) fn add(&mut self, sandbox: &Sandbox, executors: usize) {
        let first = self.executors.len();
        for number in first..first + executors {
            let work_dir = sandbox.folder().join(format!("executor-{number}"));

            let args = [
                "cluster",
                "executor",
                "--scheduler",
                &self.url,
                "--work-dir",
                work_dir.to_str().expect("UTF-8"),
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
            executor.wait_for_line("registered");
        }
    }
}

/// Starts `dayport run` on a cluster.
pub(super) fn run(sandbox: &Sandbox, cluster: &Cluster, args: &[&str]) -> Process {
    let to = sandbox.destination.url();
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
