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
use crate::visible::{visible_json, visible_line};

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
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let line_form = match arguments.log_format {
        LogFormat::Json => LineForm::Json,
        LogFormat::Text if is_terminal => LineForm::ColoredText,
        LogFormat::Text => LineForm::Text,
    };
    let layer = fmt::layer()
        .with_writer(move || StderrLines(line_form))
        .with_timer(WallClock)
        .with_target(false);
    // Tests in one process start it more than once: the first start stays.
    let _ = match arguments.log_format {
        LogFormat::Json => {
            let json_layer = layer.json().flatten_event(true);
            registry().with(targets).with(json_layer).try_init()
        }
        LogFormat::Text => {
            let text_layer = layer.with_ansi(is_terminal);
            registry().with(targets).with(text_layer).try_init()
        }
    };
}

/// Writes to stderr without disturbing the progress bars. Control characters of data are escaped.
struct StderrLines(LineForm);

/// The form of the lines that are written.
#[derive(Debug, Clone, Copy)]
enum LineForm {
    Json,
    Text,
    /// Text with escape sequences for colours. `tracing` escapes those of data.
    ColoredText,
}

impl io::Write for StderrLines {
    /// Writes one event, which is one call: a line with its newline.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let shown = match self.0 {
            LineForm::Json => visible_json(line).into_owned(),
            LineForm::Text => visible_line(line).into_owned(),
            LineForm::ColoredText => {
                let parts: Vec<_> = line.split('\u{1b}').map(visible_line).collect();
                parts.join("\u{1b}")
            }
        };
        suspend_bars(|| io::stderr().write_all(format!("{shown}\n").as_bytes()))?;
        Ok(event.len())
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
