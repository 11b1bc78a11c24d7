//! The findings of a verification.

use std::fmt;

use serde::Serialize;

use crate::cycle::Cycle;
use crate::error::ExitCode;

/// The kind of a finding. The names are published: scripts branch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FindingKind {
    /// A manifest cannot be read, or does not belong under its name.
    Manifest,
    /// The newest log entry cannot be read: it is damaged, forged, or of a newer version.
    Log,
    /// A marker of a complete cycle, or the hint of the newest one, contradicts the manifests.
    Marker,
    /// A cycle that was asked for is not published.
    Unpublished,
    /// The newest commit has no manifest yet, or the newest manifest is in no marker yet; the operator's
    /// next run finishes it.
    Unfinished,
    /// The rows or bytes of a manifest are not the sums over its files.
    Sum,
    /// A file's recorded instants are outside the window of its cycle.
    Window,
    /// A path and its record disagree.
    Partition,
    /// Two current records name one path: its rows would be counted twice.
    Duplicate,
    /// A manifest names the object, and it does not exist.
    Missing,
    /// The object is under `data/`, and no current manifest names it.
    Extra,
    /// The store refuses the object to these credentials.
    Unreadable,
    /// The size of the object is not the recorded one.
    Size,
    /// The object was written again since it was published, though its size (in full mode: every byte)
    /// is as recorded.
    Etag,
    /// The bytes of the object are not the recorded ones.
    Sha256,
    /// The file does not have the recorded number of rows.
    Rows,
    /// The columns or values of the file are not of the manifest's schema.
    Schema,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FindingKind::Manifest => "manifest",
            FindingKind::Log => "log",
            FindingKind::Marker => "marker",
            FindingKind::Unpublished => "unpublished",
            FindingKind::Unfinished => "unfinished",
            FindingKind::Sum => "sum",
            FindingKind::Window => "window",
            FindingKind::Partition => "partition",
            FindingKind::Duplicate => "duplicate",
            FindingKind::Missing => "missing",
            FindingKind::Extra => "extra",
            FindingKind::Unreadable => "unreadable",
            FindingKind::Size => "size",
            FindingKind::Etag => "etag",
            FindingKind::Sha256 => "sha256",
            FindingKind::Rows => "rows",
            FindingKind::Schema => "schema",
        })
    }
}

/// One deviation from what is published, ordered by table, cycle and object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    /// The table, or the folder below `data/` of an object that belongs to no table.
    pub table: String,
    /// The cycle; absent if no manifest names the object.
    pub cycle: Option<Cycle>,
    /// The key of the object, relative to the prefix.
    pub key: String,
    pub kind: FindingKind,
    pub detail: String,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct VerifyReport {
    pub destination: String,
    /// True if only metadata was checked, and no file was opened.
    pub quick: bool,
    /// The number of tables with a manifest, or with an object under `data/`.
    pub tables: u64,
    /// The number of manifests checked.
    pub cycles: u64,
    /// The number of existing files that these manifests name.
    pub files: u64,
    /// The number of rows decoded; in quick mode as recorded.
    pub rows: u64,
    /// The number of rejected lines in the files of rejects, likewise.
    pub rejects: u64,
    /// The number of bytes read; in quick mode as listed.
    pub bytes: u64,
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Returns 0 if everything is as published, otherwise 1; also 1 if no cycle was there to compare.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.findings.is_empty() && self.cycles > 0 {
            ExitCode::Done
        } else {
            ExitCode::Failed
        }
    }
}

/// The amounts that were verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct VerifyTotals {
    pub cycles: u64,
    pub files: u64,
    pub rows: u64,
    pub rejects: u64,
    pub bytes: u64,
}

impl VerifyTotals {
    pub(super) fn add(&mut self, other: VerifyTotals) {
        self.cycles += other.cycles;
        self.files += other.files;
        self.rows += other.rows;
        self.rejects += other.rejects;
        self.bytes += other.bytes;
    }
}
