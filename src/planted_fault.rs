//! Faults that tests plant between decoders and encoders, to see that they are noticed.
//!
//! They exist in builds with debug assertions only. In a release build the functions are constant, and
//! the compiler removes what depends on them.

use std::path::Path;
#[cfg(debug_assertions)]
use std::sync::OnceLock;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{BooleanArray, RecordBatch};

/// The environment variable with the name of the fault that is planted.
#[cfg(debug_assertions)]
const PLANTED: &str = "DAYPORT_PLANTED_FAULT";

/// Returns true at the first call for the fault that is planted, and never again in the process.
#[cfg(debug_assertions)]
pub(crate) fn strikes(fault: &str) -> bool {
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    static HAS_STRUCK: AtomicBool = AtomicBool::new(false);
    let name = NAME.get_or_init(|| crate::env::var(PLANTED));
    let is_planted = name.as_deref() == Some(fault);
    let strikes = is_planted && !HAS_STRUCK.swap(true, Ordering::Relaxed);
    if strikes {
        tracing::warn!(fault, "a planted fault strikes");
    }
    strikes
}

/// Returns false: there are no faults.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) const fn strikes(_: &str) -> bool {
    false
}

/// Returns a batch of rows, without the last one if the fault strikes.
#[inline]
pub(crate) fn without_last_row(fault: &str, batch: RecordBatch) -> RecordBatch {
    match batch.num_rows().checked_sub(1) {
        Some(rest) if strikes(fault) => batch.slice(0, rest),
        _ => batch,
    }
}

/// Returns true if there are rows and the fault strikes.
#[inline]
pub(crate) fn strikes_rows(fault: &str, batch: &RecordBatch) -> bool {
    batch.num_rows() > 0 && strikes(fault)
}

/// Returns flags with the first one of a value turned into the other.
pub(crate) fn with_one_flipped(flags: &BooleanArray, from: bool) -> BooleanArray {
    let mut flipped: Vec<bool> = flags.iter().map(|flag| flag == Some(true)).collect();
    if let Some(flag) = flipped.iter_mut().find(|flag| **flag == from) {
        *flag = !from;
    }
    BooleanArray::from(flipped)
}

/// A position to cut a file at.
#[derive(Clone, Copy)]
pub(crate) enum CutAt {
    /// The middle of the file.
    Middle,
    /// The end of a message of an Arrow IPC stream, about the middle: a reader takes it for the end.
    Message,
}

/// Cuts all files below a folder.
#[cfg(debug_assertions)]
pub(crate) fn cut_files(folder: &Path, at: CutAt) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            cut_files(&path, at);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        let middle = bytes.len() / 2;
        let length = match at {
            CutAt::Middle => middle,
            CutAt::Message => end_of_message(&bytes, middle).unwrap_or(bytes.len()),
        };
        let cut = std::fs::File::options().write(true).open(&path);
        if let Err(error) = cut.and_then(|file| file.set_len(length as u64)) {
            tracing::warn!(%error, "a file is not cut");
        }
    }
}

/// Returns the end of the first message of an Arrow IPC stream that ends at `least` or later.
#[cfg(debug_assertions)]
fn end_of_message(stream: &[u8], least: usize) -> Option<usize> {
    let mut end = 0;
    while end < least {
        let length = stream.get(end + 4..end + 8)?.try_into().ok()?;
        let body = end + 8 + usize::try_from(i32::from_le_bytes(length)).ok()?;
        let message = arrow::ipc::root_as_message(stream.get(end + 8..body)?).ok()?;
        end = body + usize::try_from(message.bodyLength()).ok()?;
    }
    Some(end)
}

/// Does nothing: there are no faults.
#[cfg(not(debug_assertions))]
pub(crate) const fn cut_files(_: &Path, _: CutAt) {}
