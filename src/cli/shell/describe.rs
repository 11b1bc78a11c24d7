//! What `\d` prints.

use std::fmt::Write;

use crate::query::{Catalog, Entry};

/// Every table with the first line of its comment.
pub fn list(catalog: &Catalog) -> String {
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

/// The columns of the tables of this name; `None` if there is none.
pub fn table(catalog: &Catalog, name: &str) -> Option<String> {
    let found = catalog.find(name);
    let texts: Vec<String> = found.into_iter().map(columns).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn columns(entry: &Entry) -> String {
    let mut text = format!("{} {}\n", entry.kind, entry.name);
    for line in entry.comment.lines() {
        let _ = writeln!(text, "-- {line}");
    }
    let width = entry.columns.iter().map(|column| column.name().len()).max();
    let width = width.unwrap_or(0);
    for column in &entry.columns {
        let never_null = match column.is_nullable() {
            true => "",
            false => "  NOT NULL",
        };
        let (name, kind) = (column.name(), column.data_type());
        let _ = writeln!(text, "  {name:<width$}  {kind}{never_null}");
    }
    text
}
