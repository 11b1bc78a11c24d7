//! Prints text, JSON, streams of rows and aligned columns to stdout, and messages to stderr.
//!
//! Whatever people read passes through here, and control characters of data are escaped.

use std::borrow::Cow;
use std::fmt::Write;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::visible::{visible, visible_json, visible_line};

/// Prints a report as pretty JSON, for scripts.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::internal("cannot print the report").with_source(error))?;
    raw(&(visible_json(&text) + "\n"));
    Ok(())
}

/// Prints text for people to stdout.
pub(super) fn text(text: &str) {
    raw(&visible(text));
}

/// Prints a message to stderr: whole lines, with their newlines. There is no way to report that stderr
/// cannot be written.
pub(super) fn message(text: &str) {
    let _ = std::io::stderr().write_all(visible(text).as_bytes());
}

/// Prints text for programs to stdout, as it is. A reader that stops reading, such as `head`, is not an
/// error; any other is kept for [`check_written`].
pub(super) fn raw(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // The first error is the cause of the others.
        let _ = WRITE_ERROR.set(error.to_string());
    }
}

/// The error of the first text that could not be written to stdout.
static WRITE_ERROR: OnceLock<String> = OnceLock::new();

/// Checks that everything that was printed to stdout has been written.
///
/// # Errors
/// [`Error::data`] with the reason, such as a full disk.
pub(super) fn check_written() -> Result<()> {
    match WRITE_ERROR.get() {
        None => Ok(()),
        Some(reason) => Err(Error::data(format!(
            "the output cannot be written: {reason}"
        ))),
    }
}

/// Writes a stream of rows to stdout, and knows when its reader has closed the pipe.
#[derive(Debug, Clone, Default)]
pub(super) struct RowWriter {
    is_closed: Arc<AtomicBool>,
}

impl RowWriter {
    /// Returns true once the reader has closed the pipe; further rows are discarded.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Turns a broken pipe into `fallback`, and remembers it.
    fn tolerate_broken_pipe<T>(&self, result: io::Result<T>, fallback: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed.store(true, Ordering::Relaxed);
                Ok(fallback)
            }
            result => result,
        }
    }
}

impl io::Write for RowWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.tolerate_broken_pipe(io::stdout().write(text), text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tolerate_broken_pipe(io::stdout().flush(), ())
    }
}

/// Aligns lines of cells in columns; those columns for which `align_right` is true are aligned to
/// the right.
pub(super) fn table<const N: usize>(lines: &[[String; N]], align_right: [bool; N]) -> String {
    let lines: Vec<[Cow<'_, str>; N]> = lines
        .iter()
        .map(|line| line.each_ref().map(|cell| visible_line(cell)))
        .collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or(0)
    });
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for ((cell, width), to_right) in line.iter().zip(widths).zip(align_right) {
            let _ = if to_right {
                write!(row, "{cell:>width$}  ")
            } else {
                write!(row, "{cell:<width$}  ")
            };
        }
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}
