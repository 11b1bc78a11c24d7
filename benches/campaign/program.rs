//! Runs of the real program: started, watched, killed, stopped and continued.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::export::{Raw, date};
use crate::faults::{FaultPlan, Hold};
use crate::proxy::Proxy;
use crate::store::Place;

/// The timeout of a run; what takes longer hangs.
const TIMEOUT: Duration = Duration::from_secs(240);

/// The interval at which a process is polled.
const POLL: Duration = Duration::from_micros(300);

/// What a run is asked to do.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// Publish the due cycles of all tables.
    Due,
    /// Replace the cycle of a day.
    Rerun(u32),
}

/// The disturbances of the requests of a run; a folder has none.
#[derive(Default)]
pub(crate) struct Wire {
    pub faults: Option<FaultPlan>,
    pub hold: Option<Hold>,
}

/// The moment at which a run is killed or stopped.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    /// After a time.
    Time(Duration),
    /// As soon as a request is held.
    Held,
    /// After a time from the next log entry.
    LogEntry(Duration),
}

/// A process of the program.
pub(crate) struct Run {
    child: Child,
    pub proxy: Option<Proxy>,
    output: PathBuf,
    log_entries: usize,
}

/// The end of a run.
pub(crate) enum End {
    Exit(i32),
    /// A signal that the campaign did not send.
    Signal,
    Hang,
}

impl Run {
    /// Starts a run with the clock of `raw`. Its messages are written to `output`.
    pub(crate) fn start(
        place: &Place<'_>,
        raw: &Raw,
        order: Order,
        wire: Wire,
        output: PathBuf,
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dayport"));
        let messages = File::create(&output).expect("create a file");
        command
            .env_clear()
            .env("DAYPORT_NOW", raw.now())
            // Faults last shorter; some servers answer 500 every time.
            .env("DAYPORT_RETRY_TIMEOUT", "4")
            .args(["run", "--allow-shrink", "--format", "json"])
            .args(["--target-file-size", "1KiB", "--to", &place.address()])
            .arg("--from")
            .arg(raw.folder())
            .arg("--sql")
            .arg(raw.sql())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages);
        let proxy = place.store.bucket().map(|store| {
            let proxy = store.network.proxy(wire.faults, wire.hold);
            command.envs(store.bucket.variables(&proxy.endpoint()));
            proxy
        });
        if let Order::Rerun(day) = order {
            command.args(["--rerun", "--date", &date(day), "visits", "clicks"]);
            // An older snapshot is superseded.
            command.args((day == raw.last_day()).then_some("names"));
        }
        let log_entries = place.log_entries();
        Self {
            child: command.spawn().expect("start the program"),
            proxy,
            output,
            log_entries,
        }
    }

    /// Returns true if the process has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("get the status").is_none()
    }

    /// Waits for a moment, or for the end of the run.
    pub(crate) fn wait_for(&mut self, moment: Moment, place: &Place<'_>) {
        let started = Instant::now();
        while self.is_running() && started.elapsed() < TIMEOUT {
            let is_now = match moment {
                Moment::Time(time) => started.elapsed() >= time,
                Moment::Held => self.proxy.as_ref().is_none_or(Proxy::is_held),
                Moment::LogEntry(_) => place.log_entries() > self.log_entries,
            };
            if is_now {
                if let Moment::LogEntry(time) = moment {
                    std::thread::sleep(time);
                }
                return;
            }
            std::thread::sleep(POLL);
        }
    }

    fn send(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        // It may have ended.
        let _ = kill(Pid::from_raw(id), signal);
    }

    /// Kills the process. Returns true if it was running.
    pub(crate) fn kill(&mut self) -> bool {
        let is_running = self.is_running();
        self.child.kill().expect("kill the program");
        self.child.wait().expect("wait for the program");
        is_running
    }

    /// Stops the process. Returns true if it was running.
    pub(crate) fn stop(&mut self) -> bool {
        self.send(Signal::SIGSTOP);
        self.is_running()
    }

    pub(crate) fn proceed(&self) {
        self.send(Signal::SIGCONT);
    }

    /// Waits until the run ends. A run that hangs is killed.
    pub(crate) fn wait(&mut self) -> End {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("get the status") {
                return status.code().map_or(End::Signal, End::Exit);
            }
            if started.elapsed() > TIMEOUT {
                self.kill();
                return End::Hang;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Returns what the run wrote to stderr.
    pub(crate) fn messages(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }
}
