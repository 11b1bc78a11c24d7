//! Rejects by file: which files gave no row, and what they look like.

use std::collections::BTreeMap;

use crate::jsonl::{BadLine, TextShape};

/// The number of different reasons that are counted of a file without a row.
const MAX_REASONS: usize = 32;

/// A file of JSON lines with fewer lines and fewer bytes than both limits may have no good line: a
/// single line may be malformed as it may in any other file.
const MIN_LINES: u64 = 2;
const MIN_BYTES: u64 = 64 << 10;

/// The rejects of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileRejects {
    /// The number of malformed lines.
    pub(crate) lines: u64,
    /// Their length without line ends, in bytes.
    pub(crate) bytes: u64,
    /// The form of the file, if most lines at its start are malformed.
    pub(crate) shape: Option<TextShape>,
    /// The most common reason of a file that has no good line, although it should have one.
    pub(crate) without_row: Option<String>,
    /// The position from which on the file cannot be read, and the reason.
    pub(crate) broken: Option<String>,
}

impl FileRejects {
    /// Adds the rejects of another scan of the same file, which may be the same lines.
    pub(super) fn merge(&mut self, other: Self) {
        self.lines = self.lines.max(other.lines);
        self.bytes = self.bytes.max(other.bytes);
        self.shape = self.shape.take().or(other.shape);
        self.without_row = self.without_row.take().or(other.without_row);
        self.broken = self.broken.take().or(other.broken);
    }
}

/// Counts the lines of one file while it is read, up to its first row.
#[derive(Debug, Default)]
pub(super) struct FileTally {
    lines: u64,
    bytes: u64,
    has_row: bool,
    /// True if the file must have a row, however small it is.
    needs_row: bool,
    reasons: BTreeMap<String, u64>,
}

impl FileTally {
    /// Adds a chunk of `bytes` bytes: `empty_rows` rows in which no column has a value, if they are
    /// taken for malformed, and malformed lines. `has_row` is true if there are other rows.
    pub(super) fn add(&mut self, bytes: u64, has_row: bool, empty_rows: u64, bad: &[BadLine]) {
        if self.has_row || has_row {
            self.has_row = true;
            return;
        }
        self.bytes += bytes;
        self.lines += empty_rows + bad.len() as u64;
        for line in bad {
            if let Some(count) = self.reasons.get_mut(&line.reason) {
                *count += 1;
            } else if self.reasons.len() < MAX_REASONS {
                self.reasons.insert(line.reason.clone(), 1);
            }
        }
    }

    /// Notes that the file must have a row, however small it is.
    pub(super) fn require_row(&mut self) {
        self.needs_row = true;
    }

    /// Returns the most common reason if the file, which was read to its end, has no row and is large
    /// enough to have one.
    pub(super) fn finish(self) -> Option<String> {
        let is_large = self.lines >= MIN_LINES || self.bytes >= MIN_BYTES;
        if self.has_row || self.lines == 0 || !(is_large || self.needs_row) {
            return None;
        }
        // The first of those that are equally common.
        let reasons = self.reasons.into_iter().rev();
        let commonest = reasons.max_by_key(|(_, count)| *count);
        Some(commonest.map_or_else(
            || "no declared key is in it".to_owned(),
            |(reason, _)| reason,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(reasons: &[&str]) -> Vec<BadLine> {
        let line = |reason: &&str| BadLine {
            line: 1,
            offset: 0,
            length: 1,
            reason: (*reason).to_owned(),
            field: None,
            value_at: None,
            is_record: false,
        };
        reasons.iter().map(line).collect()
    }

    fn tally(chunks: &[(u64, bool, &[&str])]) -> Option<String> {
        let mut tally = FileTally::default();
        for (bytes, has_row, reasons) in chunks {
            tally.add(*bytes, *has_row, 0, &bad(reasons));
        }
        tally.finish()
    }

    #[test]
    fn files_of_two_lines_or_64_kib_need_a_row() {
        assert_eq!(tally(&[]), None);
        assert_eq!(tally(&[(9, false, &["x"])]), None);
        assert_eq!(tally(&[(MIN_BYTES - 1, false, &["x"])]), None);
        assert_eq!(tally(&[(MIN_BYTES, false, &["x"])]).as_deref(), Some("x"));
        assert_eq!(tally(&[(MIN_BYTES, false, &[])]), None, "only blank lines");
        assert_eq!(tally(&[(9, false, &["x", "y", "y"])]).as_deref(), Some("y"));
        let in_chunks = tally(&[(9, false, &["b"]), (9, false, &["a"])]);
        assert_eq!(in_chunks.as_deref(), Some("a"));
        assert_eq!(tally(&[(9, false, &["x"; 9]), (9, true, &[])]), None);
        assert_eq!(tally(&[(9, true, &["x"]), (9, false, &["x"; 9])]), None);
    }
}
