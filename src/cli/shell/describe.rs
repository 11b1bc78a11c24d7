//! Renders tables and columns for `\d`.

use std::fmt::Write;

use crate::query::{CatalogEntry, QueryCatalog, column_lines};

/// The indentation of columns below their table.
const INDENT: usize = 2;

/// Lists every table with the first line of its comment.
pub(super) fn list(catalog: &QueryCatalog) -> String {
    let widths = catalog.entries.iter().map(|entry| entry.name.len());
    let width = widths.max().unwrap_or(0);
    let mut text = String::new();
    for entry in &catalog.entries {
        let (kind, name) = (entry.kind.to_string(), &entry.name);
        let comment = entry.comment.lines().next().unwrap_or_default();
        let line = format!("{kind:<10}  {name:<width$}  {comment}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Describes the columns of the tables of this name; `None` if there is none.
pub(super) fn table(catalog: &QueryCatalog, name: &str) -> Option<String> {
    let texts: Vec<String> = catalog.find(name).into_iter().map(columns).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn columns(entry: &CatalogEntry) -> String {
    let mut text = format!("{} {}\n", entry.kind, entry.name);
    for line in entry.comment.lines() {
        let _ = writeln!(text, "-- {line}");
    }
    text + &column_lines(&entry.columns, INDENT)
}
