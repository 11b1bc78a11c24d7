//! Logs, on stderr: text for people, JSON for machines.
//!
//! Only dayport's own lines, those of the S3 client, and the troubles of a cluster's parts: what
//! others log may hold what nobody is to see.

use std::io;

use clap::{Args, ValueEnum};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::cli::progress::aside;
use crate::env;

/// How much is said on stderr, and how.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// Log each milestone of each table; twice: what led to it too
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Logs")]
    pub verbose: u8,

    /// The form of the log, one line an event
    #[arg(
        long,
        env = "DAYPORT_LOG_FORMAT",
        global = true,
        value_name = "FORM",
        default_value = "text",
        help_heading = "Logs"
    )]
    pub log_format: LogForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    Text,
    Json,
}

/// From here on events are written. `least` is the level without `-v`.
pub fn start(arguments: &LogArguments, least: Level) {
    let level = match arguments.verbose {
        0 => least,
        1 => least.max(Level::INFO),
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    // Its retries say why a run is slow.
    let client = if level > Level::INFO {
        Level::DEBUG
    } else {
        level.min(Level::WARN)
    };
    let targets = Targets::new()
        .with_target("dayport", level)
        .with_target("object_store", client)
        .with_target("ballista_core", client)
        .with_target("ballista_executor", client)
        .with_target("ballista_scheduler", client);
    let lines = fmt::layer().with_writer(|| Lines).with_timer(Wall);
    // A second start is one of a test in the same process: the first one stays.
    let _ = match arguments.log_format {
        LogForm::Json => {
            let lines = lines.json().flatten_event(true).with_target(false);
            registry().with(targets).with(lines).try_init()
        }
        LogForm::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let lines = lines.with_ansi(is_terminal).with_target(false);
            registry().with(targets).with(lines).try_init()
        }
    };
}

/// Stderr, each line beside the progress bars.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        aside(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The real time: a log tells when something happened.
struct Wall;

impl FormatTime for Wall {
    fn format_time(&self, writer: &mut fmt::format::Writer<'_>) -> std::fmt::Result {
        let now = env::wall_clock();
        write!(writer, "{}", now.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}
