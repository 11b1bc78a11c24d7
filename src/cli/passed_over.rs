//! The folders and files that listings passed over, for people.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::manifest::PassedOverRecord;
use crate::visible::visible_line;

/// Returns a line for each different record of a source.
pub(super) fn lines<'a>(
    sources: impl Iterator<Item = (&'a str, &'a Option<PassedOverRecord>)>,
) -> String {
    let records: BTreeSet<(&str, &PassedOverRecord)> = sources
        .filter_map(|(name, record)| Some((name, record.as_ref()?)))
        .collect();
    let mut text = String::new();
    for (name, record) in records {
        let _ = writeln!(
            text,
            "source {}: {}",
            visible_line(name),
            visible_line(&record.describe())
        );
    }
    text
}
