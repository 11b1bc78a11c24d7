//! What a verification found.

use std::fmt;

use serde::Serialize;

use crate::cycle::Cycle;
use crate::error::ExitCode;

/// What is wrong with an object. The names are published: scripts branch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A manifest cannot be read, or does not belong under its name.
    Manifest,
    /// The newest commit has no manifest yet: for the operator, whose next run finishes it.
    Unfinished,
    /// The rows or bytes of a manifest are not the sums over its files.
    Sum,
    /// A file's recorded instants are outside the window of its cycle.
    Window,
    /// A path does not say what its record says.
    Partition,
    /// Two current records name one path: its rows would be counted twice.
    Duplicate,
    /// A manifest names it, and it is not there.
    Missing,
    /// It is under `data/`, and no current manifest names it.
    Extra,
    /// The store has it but does not give it to these credentials.
    Unreadable,
    Size,
    /// Written again since it was published, though its size (in full mode: every byte) is as
    /// recorded.
    Etag,
    /// Its bytes are not the recorded ones.
    Sha256,
    /// It does not hold the recorded number of rows.
    Rows,
    /// Its columns or values are not of the manifest's schema.
    Schema,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Manifest => "manifest",
            Kind::Unfinished => "unfinished",
            Kind::Sum => "sum",
            Kind::Window => "window",
            Kind::Partition => "partition",
            Kind::Duplicate => "duplicate",
            Kind::Missing => "missing",
            Kind::Extra => "extra",
            Kind::Unreadable => "unreadable",
            Kind::Size => "size",
            Kind::Etag => "etag",
            Kind::Sha256 => "sha256",
            Kind::Rows => "rows",
            Kind::Schema => "schema",
        })
    }
}

/// One thing that is not as published. Ordered by table, cycle and object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The folder below `data/` for an object that belongs to no table.
    pub table: String,
    /// Absent where no manifest names the object.
    pub cycle: Option<Cycle>,
    /// The object, relative to the prefix.
    pub key: String,
    pub kind: Kind,
    pub detail: String,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub destination: String,
    /// Metadata only: no file was opened.
    pub quick: bool,
    /// Tables with something published, or with anything under `data/`.
    pub tables: u64,
    /// Manifests checked.
    pub cycles: u64,
    /// Files that these manifests name and that are there.
    pub files: u64,
    /// Decoded; in quick mode as recorded.
    pub rows: u64,
    /// Read; in quick mode as listed.
    pub bytes: u64,
    pub findings: Vec<Finding>,
}

impl Report {
    /// 0 if everything is as published, else 1.
    pub fn exit_code(&self) -> ExitCode {
        if self.findings.is_empty() {
            ExitCode::Done
        } else {
            ExitCode::Failed
        }
    }
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub cycles: u64,
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
}

impl Totals {
    pub fn add(&mut self, other: Totals) {
        self.cycles += other.cycles;
        self.files += other.files;
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}
