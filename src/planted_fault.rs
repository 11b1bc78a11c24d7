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
#[inline(always)]
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

/// Cuts all files below a folder in half.
#[cfg(debug_assertions)]
pub(crate) fn cut_files(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            cut_files(&path);
            continue;
        }
        let cut = std::fs::File::options().write(true).open(&path);
        let result = cut.and_then(|file| file.set_len(file.metadata()?.len() / 2));
        if let Err(error) = result {
            tracing::warn!(%error, "a file is not cut");
        }
    }
}

/// Does nothing: there are no faults.
#[cfg(not(debug_assertions))]
pub(crate) const fn cut_files(_: &Path) {}
