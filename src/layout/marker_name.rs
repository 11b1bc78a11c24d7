//! The name of a cycle marker, which is its key.

use std::fmt;

use object_store::path::Path;

use crate::cycle::Cycle;
use crate::layout::{CYCLES, LATEST, MARKS, MAX_REVISION, TableName};

/// The name of a cycle marker: a cycle and a revision, which is that of the marker and of no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CycleMarkerName {
    /// The cycle.
    pub cycle: Cycle,
    /// The revision, 0 for the first marker of the cycle and [`MAX_REVISION`] at most.
    pub revision: u32,
}

impl CycleMarkerName {
    /// Returns the key, relative to the prefix.
    pub fn path(&self) -> Path {
        cycles_folder().join(format!("{}.r{}.json", self.cycle, self.revision))
    }

    /// Parses a key built by [`CycleMarkerName::path`]. Returns `None` for every other key.
    pub fn parse(path: &Path) -> Option<Self> {
        let parts: Vec<_> = path.parts().collect();
        let names: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let [CYCLES, name] = names.as_slice() else {
            return None;
        };
        let (cycle, revision) = name.strip_suffix(".json")?.split_once(".r")?;
        let parsed = Self {
            cycle: cycle.parse().ok()?,
            revision: revision.parse().ok()?,
        };
        let is_own = parsed.revision <= MAX_REVISION && parsed.path() == *path;
        is_own.then_some(parsed)
    }
}

impl fmt::Display for CycleMarkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} r{}", self.cycle, self.revision)
    }
}

/// Returns the folder that contains the markers of complete cycles.
pub fn cycles_folder() -> Path {
    Path::from(CYCLES)
}

/// Returns the key of the hint that names the newest complete cycle, which is overwritten.
pub fn latest_file() -> Path {
    Path::from(LATEST)
}

/// Returns the folder of the signs of complete cycles that other systems know.
pub fn marks_folder() -> Path {
    Path::from(MARKS)
}

/// Returns the key of the object that is there while a cycle is complete.
pub fn success_file(cycle: Cycle) -> Path {
    let folder = marks_folder().join("success").join(cycle.to_string());
    folder.join("_SUCCESS")
}

/// Returns the folder of the lists of a table's files.
pub fn symlinks_folder(table: &TableName) -> Path {
    marks_folder().join("symlink").join(table.as_str())
}
