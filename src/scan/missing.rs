//! The sources of a scan that have no file for a cycle.

use std::collections::BTreeSet;
use std::fmt;

use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use serde::Serialize;

use crate::cycle::{Cycle, SyncMode};
use crate::manifest::PassedOverRecord;

/// The rule by which scans tell whether files of a cycle are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AwaitRule {
    /// The cycle.
    pub cycle: Cycle,
    /// The sync mode: only incremental tables expect files in the folders of the cycle.
    pub sync_mode: SyncMode,
    /// True if the table was published before: its sources had files then.
    pub published_before: bool,
    /// True if a cycle without source files is published without rows.
    pub allow_empty: bool,
    /// What becomes of a cycle whose sources are not ready.
    pub not_ready: NotReady,
}

/// What becomes of a cycle whose sources are not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// It waits for them.
    Await,
    /// It waited for long enough, and fails.
    Fail,
    /// It waited for long enough, and is published as provisional.
    Publish,
}

/// A source without a file for the cycle, or one that is not ready.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MissingSource {
    /// The source's name.
    pub name: String,
    /// The folders below the location that were expected to have a file, such as `date=2026-01-15`;
    /// absent if no folder is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folders: Option<String>,
    /// The URL of the source's location.
    pub location: String,
    /// True if the last part of `folders` is the name of files.
    #[serde(skip)]
    pub is_file: bool,
    /// The reason why the source is not ready; absent if it has no file for the cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unready: Option<String>,
    /// The folders and files that the listing passed over; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<PassedOverRecord>,
}

impl fmt::Display for MissingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(folders) = &self.folders {
            write!(f, " {folders}")?;
        }
        match &self.unready {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

impl MissingSource {
    /// Formats sources for one line.
    pub fn list(sources: &[Self]) -> String {
        let names: Vec<String> = sources.iter().map(ToString::to_string).collect();
        names.join(", ")
    }

    /// Returns the URL of the folders that were expected to have a file.
    pub fn url(&self) -> String {
        let location = &self.location;
        match &self.folders {
            Some(folders) => {
                let slash = if self.is_file { "" } else { "/" };
                format!("{}/{folders}{slash}", location.trim_end_matches('/'))
            }
            None => location.clone(),
        }
    }
}

/// The meaning of a scan's files for the cycle that is exported.
#[derive(Debug, Default)]
pub(super) struct CycleFiles {
    /// True if the query limits the folders of the scan.
    pub(super) is_windowed: bool,
    /// The source, if it has no file for the cycle.
    pub(super) missing: Option<MissingSource>,
    /// The source, if its folders look like those of times, which its declaration does not say, and
    /// none of the cycle has a file.
    pub(super) doubtful: Option<MissingSource>,
    /// The source, if it is not ready for the cycle.
    pub(super) unready: Option<MissingSource>,
}

/// Returns a text that is the same for the same filters of a source.
pub(super) fn filters_key(filters: &[Expr]) -> String {
    let texts: BTreeSet<String> = filters.iter().map(ToString::to_string).collect();
    texts.into_iter().collect::<Vec<_>>().join(" AND ")
}

/// Returns the names of the columns that filters use.
pub(super) fn columns_of(filters: &[Expr]) -> BTreeSet<String> {
    let columns = filters.iter().flat_map(Expr::column_refs);
    columns.map(|column| column.name.clone()).collect()
}

/// Returns true if a filter names one of these columns.
pub(super) fn names_any<'a>(filters: &[Expr], mut columns: impl Iterator<Item = &'a str>) -> bool {
    let named: BTreeSet<&Column> = filters.iter().flat_map(Expr::column_refs).collect();
    columns.any(|name| named.iter().any(|column| column.name == name))
}
