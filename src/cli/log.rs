//! Logs events to stderr: as text for people, as JSON for machines.
//!
//! Only events of dayport itself, of the S3 client and of Ballista are logged: other crates may log
//! secrets.

use std::io;

use clap::{Args, ValueEnum};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::cli::progress::suspend_bars;
use crate::env;

/// The arguments of the log, which every command takes.
#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// Log each milestone of each table; give it twice for more detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Logs")]
    pub verbose: u8,

    /// The format of the log, which has one line per event
    #[arg(
        long,
        env = "DAYPORT_LOG_FORMAT",
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Logs"
    )]
    pub log_format: LogFormat,
}

/// The values of `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// Starts logging. `default` is the level without `-v`.
pub(super) fn start(arguments: &LogArguments, default: Level) {
    let level = match arguments.verbose {
        0 => default,
        1 => default.max(Level::INFO),
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    // The retries of the S3 client explain why a run is slow.
    let client_level = if level > Level::INFO {
        Level::DEBUG
    } else {
        level.min(Level::WARN)
    };
    let targets = Targets::new()
        .with_target("dayport", level)
        .with_target("object_store", client_level)
        .with_target("ballista_core", client_level)
        .with_target("ballista_executor", client_level)
        .with_target("ballista_scheduler", client_level);
    let layer = fmt::layer()
        .with_writer(|| StderrLines)
        .with_timer(WallClock)
        .with_target(false);
    // Tests in one process start it more than once: the first start stays.
    let _ = match arguments.log_format {
        LogFormat::Json => {
            let json_layer = layer.json().flatten_event(true);
            registry().with(targets).with(json_layer).try_init()
        }
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let text_layer = layer.with_ansi(is_terminal);
            registry().with(targets).with(text_layer).try_init()
        }
    };
}

/// Writes to stderr without disturbing the progress bars.
struct StderrLines;

impl io::Write for StderrLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        suspend_bars(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Formats the real time, never a pinned one: a log records when something happened.
struct WallClock;

impl FormatTime for WallClock {
    fn format_time(&self, writer: &mut fmt::format::Writer<'_>) -> std::fmt::Result {
        let now = env::wall_clock();
        write!(writer, "{}", now.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}
