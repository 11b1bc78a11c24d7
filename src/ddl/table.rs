//! A table, independent of dialects.

use chrono::Datelike;

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::format::FileFormat;
use crate::layout::{HIVE_NULL, NullPartitions, Partition, TableName};
use crate::manifest::{self, Manifest};
use crate::schema::{ColumnType, ExportColumn, ExportSchema};
use crate::stage::StageSpec;

/// The number of years by which a range of partitions exceeds the newest one.
const YEARS_AHEAD: i64 = 10;

/// The comment in place of a view of the complete table.
pub(super) const NO_COMPLETE_VIEW: &str =
    "There is no view of the complete table: it would lack the rows of the older files.";

/// A table of the export: its files and the types of its rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DdlTable {
    pub name: TableName,
    pub description: String,
    pub sync_mode: SyncMode,
    /// The format of the newest manifest.
    pub format: FileFormat,
    /// The partition columns in the order of the folders.
    pub partition_by: ExportSchema,
    /// The values of folders for rows that have NULL in a partition column.
    pub null_partitions: NullPartitions,
    /// The columns inside the files.
    pub schema: ExportSchema,
    pub origin: TableOrigin,
}

/// The origin of the facts about a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TableOrigin {
    /// The table is published.
    Manifests {
        first: Cycle,
        last: Cycle,
        /// The number of published cycles; of a snapshot only the newest counts.
        cycles: usize,
        /// The files of the current manifests that the statements read, in the order of the manifests.
        files: Vec<TableFile>,
        /// The number of files in another format or partitioning, which the statements do not read.
        unread_files: usize,
    },
    /// The table is only defined. The cycle is the one that a first run would export.
    Definition { first_due: Cycle },
}

/// A published file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableFile {
    /// The path, relative to the prefix of the destination.
    pub path: String,
    pub partition: Partition,
}

impl DdlTable {
    /// Makes a table of the newest manifests of all cycles, oldest cycle first; `None` without any.
    pub(crate) fn published(manifests: &[Manifest]) -> Option<Self> {
        let (first, newest) = (manifests.first()?, manifests.last()?);
        let (read, unread): (Vec<_>, Vec<_>) = manifest::current(manifests.to_vec())
            .into_iter()
            .partition(|manifest| {
                manifest.format == newest.format && manifest.partition_by == newest.partition_by
            });
        let files = read.iter().flat_map(|manifest| &manifest.files);
        Some(Self {
            name: newest.table.clone(),
            description: newest.description.clone(),
            sync_mode: newest.sync_mode,
            format: newest.format,
            partition_by: newest.partition_by.clone(),
            null_partitions: newest.null_partitions.clone(),
            schema: newest.schema.clone(),
            origin: TableOrigin::Manifests {
                first: first.cycle.id,
                last: newest.cycle.id,
                cycles: manifests.len(),
                files: files
                    .map(|file| TableFile {
                        path: file.path.clone(),
                        partition: file.partition.clone(),
                    })
                    .collect(),
                unread_files: unread.iter().map(|manifest| manifest.files.len()).sum(),
            },
        })
    }

    /// Makes a table of a definition that no run has exported yet; `spec` specifies its files.
    pub(crate) fn defined(definition: &Definition, spec: &StageSpec, first_due: Cycle) -> Self {
        Self {
            name: definition.table.clone(),
            description: definition.description.clone(),
            sync_mode: definition.sync_mode,
            format: spec.encoding.format(),
            partition_by: spec.partition_columns.clone(),
            null_partitions: spec.null_partitions.clone(),
            schema: spec.schema.clone(),
            origin: TableOrigin::Definition { first_due },
        }
    }

    /// Returns the comment above the statements.
    pub(crate) fn summary(&self) -> String {
        let (name, mode, format) = (&self.name, self.sync_mode, self.format);
        let known = match &self.origin {
            TableOrigin::Manifests {
                first,
                last,
                cycles,
                files,
                unread_files,
            } => {
                let span = match (self.sync_mode, *cycles) {
                    (SyncMode::Snapshot, _) | (_, 1) => format!("as of {last}"),
                    (_, cycles) => format!("{cycles} cycles from {first} to {last}"),
                };
                let mut known = format!("{span}, {} file(s)", files.len());
                if *unread_files > 0 {
                    known += &format!(
                        ".\n{unread_files} older file(s) are in another format or partitioning, which these \
                         statements do not read:\nthe table lacks their rows until their cycles are exported \
                         again with --rerun"
                    );
                }
                known
            }
            TableOrigin::Definition { .. } => {
                "not published yet: columns and types are those of its definition".to_owned()
            }
        };
        let mut text = format!("{name} ({mode}, {format}): {known}.");
        if !self.description.is_empty() {
            text = format!("{text}\n{}", self.description);
        }
        text
    }

    /// Returns the files that the manifests name; none if the table is only defined.
    pub(crate) fn files(&self) -> &[TableFile] {
        match &self.origin {
            TableOrigin::Manifests { files, .. } => files,
            TableOrigin::Definition { .. } => &[],
        }
    }

    /// Returns true if the statements read every file that makes up the table. Otherwise a view of the
    /// complete table would lack rows.
    pub(crate) fn reads_all_files(&self) -> bool {
        match &self.origin {
            TableOrigin::Manifests { unread_files, .. } => *unread_files == 0,
            TableOrigin::Definition { .. } => true,
        }
    }

    /// Returns the columns inside the files, then the partition columns.
    pub(crate) fn all_columns(&self) -> impl Iterator<Item = &ExportColumn> {
        let partitions = self.partition_by.columns().iter();
        self.schema.columns().iter().chain(partitions)
    }

    /// Returns the first cycle that the table has, or will have.
    pub(crate) fn first_cycle(&self) -> Cycle {
        match &self.origin {
            TableOrigin::Manifests { first, .. } => *first,
            TableOrigin::Definition { first_due } => *first_due,
        }
    }

    /// Returns true if a partition column has, or may get, Hive's value for NULL.
    pub(crate) fn has_hive_null(&self, column: &str) -> bool {
        let is_null = |(name, value): &(String, String)| name == column && value == HIVE_NULL;
        let mut files = self.files().iter();
        self.null_partitions.is_hive_null(column)
            || files.any(|file| file.partition.values().iter().any(is_null))
    }

    /// Returns the first and last year that a partition column may have, both included.
    pub(crate) fn years(&self, column: &str) -> (i64, i64) {
        let values = self.files().iter().filter_map(|file| {
            let mut values = file.partition.values().iter();
            let (_, text) = values.find(|(name, _)| name == column)?;
            text.parse::<i64>().ok()
        });
        let cycle_year = i64::from(self.first_cycle().start().year());
        let (first, last) = values.fold((cycle_year, cycle_year), |(first, last), year| {
            (first.min(year), last.max(year))
        });
        (first, last.saturating_add(YEARS_AHEAD))
    }
}

/// Returns true if files of the format hold the column as hexadecimal text.
pub(super) fn is_hexadecimal(column: &ExportColumn, format: FileFormat) -> bool {
    format.info().binary_is_hex && column.kind == ColumnType::Binary
}
