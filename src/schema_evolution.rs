//! Compares a table as it is to be published with the table as it was published. The module does no
//! I/O.
//!
//! | change | verdict |
//! |---|---|
//! | sync mode, format, partitioning | stop: `--accept-change` |
//! | a column dropped, renamed, retyped, of another precision, or no longer required; a new one that is required | stop: `--accept-schema` |
//! | a new column that may be NULL, a column that is required from now on, another order | announce |
//! | compression, description, definition's text | pass |
//!
//! Members of structs and items of lists are columns, too, at any depth.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cycle::SyncMode;
use crate::layout::FileFormat;
use crate::manifest::Manifest;
use crate::schema::{ColumnType, ExportColumn, ExportSchema};

/// The properties of a table that receivers rely on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableShape {
    /// The sync mode.
    pub sync_mode: SyncMode,
    /// The format of the files.
    pub format: FileFormat,
    /// The partition columns, outermost first.
    pub partition_by: ExportSchema,
    /// The columns inside the files.
    pub schema: ExportSchema,
}

impl From<&Manifest> for TableShape {
    fn from(manifest: &Manifest) -> Self {
        Self {
            sync_mode: manifest.sync_mode,
            format: manifest.format,
            partition_by: manifest.partition_by.clone(),
            schema: manifest.schema.clone(),
        }
    }
}

/// The verdict on a change, from harmless to breaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Old and new files are read together. Receivers are told.
    Announced,
    /// Receivers of the columns break: it needs `--accept-schema`.
    BreaksSchema,
    /// Receivers of the table break: it needs `--accept-change`.
    BreaksTable,
}

impl Severity {
    /// Returns the flag that accepts the change, if it needs one.
    pub(crate) fn flag(self) -> Option<&'static str> {
        match self {
            Severity::Announced => None,
            Severity::BreaksSchema => Some("--accept-schema"),
            Severity::BreaksTable => Some("--accept-change"),
        }
    }
}

/// One difference between a table as it was published and as it is to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The property that differs.
    pub kind: ChangeKind,
    /// The verdict.
    pub severity: Severity,
    /// The path of the column, such as `ad.slots[].id`; absent if the table or all columns differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The property as it was published; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The property as it is to be published; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// The property that a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeKind {
    /// The sync mode of the table.
    SyncMode,
    /// The format of the files.
    Format,
    /// The partition columns.
    Partitioning,
    /// A column that is gone.
    ColumnDropped,
    /// A column that is new.
    ColumnAdded,
    /// The type of a column.
    ColumnType,
    /// The nullability of a column.
    Nullability,
    /// The order of the columns of a table, or of the members of a struct.
    ColumnOrder,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (column, from, to) = (text(&self.column), text(&self.from), text(&self.to));
        match self.kind {
            ChangeKind::SyncMode => write!(f, "the sync mode changes from {from} to {to}"),
            ChangeKind::Format => write!(f, "the format changes from {from} to {to}"),
            ChangeKind::Partitioning => {
                write!(f, "the partitioning changes from {from} to {to}")
            }
            ChangeKind::ColumnDropped => write!(f, "the column `{column}` ({from}) is gone"),
            ChangeKind::ColumnAdded if self.severity == Severity::Announced => {
                write!(f, "the column `{column}` ({to}) is new")
            }
            ChangeKind::ColumnAdded => write!(
                f,
                "the column `{column}` ({to}) is new and required, but older files do not have it"
            ),
            ChangeKind::ColumnType | ChangeKind::Nullability => {
                write!(f, "the column `{column}` changes from {from} to {to}")
            }
            ChangeKind::ColumnOrder => match self.column {
                None => f.write_str("the columns have another order"),
                Some(_) => write!(f, "the members of `{column}` have another order"),
            },
        }
    }
}

/// Returns the changes from `old` to `new`; none if receivers cannot notice any.
pub(crate) fn changes(old: &TableShape, new: &TableShape) -> Vec<Change> {
    let mut comparison = Comparison::default();
    comparison.table(ChangeKind::SyncMode, old.sync_mode, new.sync_mode);
    comparison.table(ChangeKind::Format, old.format, new.format);
    let (from, to) = (folders(&old.partition_by), folders(&new.partition_by));
    comparison.table(ChangeKind::Partitioning, from, to);
    // A column that moves between the files and the folders is a change of the partitioning alone.
    let outside = |schema: &ExportSchema, other: &ExportSchema| -> Vec<ExportColumn> {
        let columns = schema.columns().iter();
        let stays = columns.filter(|column| find(other.columns(), &column.name).is_none());
        stays.cloned().collect()
    };
    comparison.columns(
        &outside(&old.schema, &new.partition_by),
        &outside(&new.schema, &old.partition_by),
        "",
    );
    comparison.changes
}

#[derive(Default)]
struct Comparison {
    changes: Vec<Change>,
}

impl Comparison {
    fn add(
        &mut self,
        kind: ChangeKind,
        severity: Severity,
        column: Option<&str>,
        from: Option<String>,
        to: Option<String>,
    ) {
        self.changes.push(Change {
            kind,
            severity,
            column: column.map(str::to_owned),
            from,
            to,
        });
    }

    fn table<T: ToString + PartialEq>(&mut self, kind: ChangeKind, from: T, to: T) {
        if from != to {
            let (from, to) = (from.to_string(), to.to_string());
            self.add(kind, Severity::BreaksTable, None, Some(from), Some(to));
        }
    }

    /// Compares the columns of a table, or the members of the struct at `path`.
    fn columns(&mut self, old: &[ExportColumn], new: &[ExportColumn], path: &str) {
        for column in old {
            let name = format!("{path}{}", column.name);
            match find(new, &column.name) {
                Some(now) => self.column(column, now, &name),
                None => {
                    let (kind, from) = (ChangeKind::ColumnDropped, column.kind.to_string());
                    self.add(kind, Severity::BreaksSchema, Some(&name), Some(from), None);
                }
            }
        }
        for column in new
            .iter()
            .filter(|column| find(old, &column.name).is_none())
        {
            let name = format!("{path}{}", column.name);
            let (kind, to) = (ChangeKind::ColumnAdded, column.kind.to_string());
            let severity = match column.nullable {
                true => Severity::Announced,
                false => Severity::BreaksSchema,
            };
            self.add(kind, severity, Some(&name), None, Some(to));
        }
        let common = |columns: &[ExportColumn], others: &[ExportColumn]| -> Vec<String> {
            let names = columns.iter().map(|column| &column.name);
            let both = names.filter(|name| find(others, name).is_some());
            both.cloned().collect()
        };
        if common(old, new) != common(new, old) {
            let of = Some(path.trim_end_matches('.')).filter(|path| !path.is_empty());
            self.add(ChangeKind::ColumnOrder, Severity::Announced, of, None, None);
        }
    }

    fn column(&mut self, old: &ExportColumn, new: &ExportColumn, name: &str) {
        if old.nullable != new.nullable {
            let severity = match new.nullable {
                true => Severity::BreaksSchema,
                false => Severity::Announced,
            };
            let text = |nullable| Some(if nullable { "nullable" } else { "required" }.to_owned());
            let (from, to) = (text(old.nullable), text(new.nullable));
            self.add(ChangeKind::Nullability, severity, Some(name), from, to);
        }
        match (&old.kind, &new.kind) {
            (ColumnType::Struct(old), ColumnType::Struct(new)) => {
                self.columns(old, new, &format!("{name}."));
            }
            (ColumnType::List(old), ColumnType::List(new)) => {
                self.column(old, new, &format!("{name}[]"));
            }
            (from, to) if from != to => {
                let (from, to) = (Some(from.to_string()), Some(to.to_string()));
                let severity = Severity::BreaksSchema;
                self.add(ChangeKind::ColumnType, severity, Some(name), from, to);
            }
            _ => {}
        }
    }
}

fn find<'a>(columns: &'a [ExportColumn], name: &str) -> Option<&'a ExportColumn> {
    columns.iter().find(|column| column.name == name)
}

/// Formats the partition columns, in the order of the folders.
fn folders(columns: &ExportSchema) -> String {
    let columns = columns.columns().iter();
    let texts: Vec<String> = columns
        .map(|column| format!("{} {}", column.name, column.kind))
        .collect();
    match texts.is_empty() {
        true => "none".to_owned(),
        false => format!("({})", texts.join(", ")),
    }
}

#[cfg(test)]
mod tests;
