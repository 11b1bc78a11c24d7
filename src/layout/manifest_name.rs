//! The name of a manifest, which is its key.

use std::fmt;

use object_store::path::Path;

use crate::cycle::Cycle;
use crate::layout::{MANIFESTS, TableName, internal_folder, manifest_folder};

/// The greatest revision of a cycle. Nobody reaches it by counting: the manifest of a greater one is a
/// foreign object.
pub const MAX_REVISION: u32 = 999_999_999;

/// The name of a manifest: a table, a cycle and a revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestName {
    /// The table.
    pub table: TableName,
    /// The cycle.
    pub cycle: Cycle,
    /// The revision of the cycle, 0 for the first publication and [`MAX_REVISION`] at most.
    pub revision: u32,
}

impl ManifestName {
    /// Returns the key, relative to the prefix.
    pub fn path(&self) -> Path {
        manifest_folder(&self.table).join(format!("{}.r{}.json", self.cycle, self.revision))
    }

    /// Returns the key of the record that other source files, with lists of this digest, give the rows of this
    /// revision.
    pub fn same_rows(&self, digest: &str) -> Path {
        self.note("same-rows", digest)
    }

    /// Returns the key of the record that this revision lacks source files, with lists of this digest.
    pub fn late(&self, digest: &str) -> Path {
        self.note("late", digest)
    }

    fn note(&self, kind: &str, digest: &str) -> Path {
        let (cycle, revision) = (self.cycle, self.revision);
        notes(kind, &self.table).join(format!("{cycle}.r{revision}.{digest}.json"))
    }

    /// Parses a key built by [`ManifestName::path`]. Returns `None` for every other key.
    pub fn parse(path: &Path) -> Option<Self> {
        let parts: Vec<_> = path.parts().collect();
        let names: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let [MANIFESTS, table, name] = names.as_slice() else {
            return None;
        };
        let (cycle, revision) = name.strip_suffix(".json")?.split_once(".r")?;
        let parsed = Self {
            table: table.parse().ok()?,
            cycle: cycle.parse().ok()?,
            revision: revision.parse().ok()?,
        };
        let is_own = parsed.revision <= MAX_REVISION && parsed.path() == *path;
        is_own.then_some(parsed)
    }
}

fn notes(kind: &str, table: &TableName) -> Path {
    internal_folder().join(kind).join(table.as_str())
}

/// Returns the folder of the records that revisions of a table lack source files.
pub fn late_folder(table: &TableName) -> Path {
    notes("late", table)
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} r{}", self.table, self.cycle, self.revision)
    }
}
