//! Builds and parses every object key in the destination.
//!
//! ```text
//! <prefix>/data/<table>/year=2026/month=1/day=15/data-000000000000.parquet
//! <prefix>/data/<table>/data-000000000000.json.gz
//! <prefix>/manifests/<table>/2026-01-15.r0.json
//! <prefix>/cycles/2026-01-15.r0.json
//! <prefix>/latest.json
//! <prefix>/schema/<table>/v1.json
//! <prefix>/rejects/<source>/2026-01-15/<table>.<run>.json.gz
//! <prefix>/rejects/<source>/2026-01-15/<table>.<run>.2.json.gz
//! <prefix>/_dayport/log/<table>/00000000000000000001.json
//! <prefix>/_dayport/staging/<staging>/000000000000
//! <prefix>/_dayport/check/<check>
//! ```
//! In the operator's place for the texts of malformed lines:
//! ```text
//! <rejects-to>/<source>/2026-01-15/<table>.<run>.json.gz
//! <rejects-to>/<source>/2026-01-15/<table>.<run>.2.json.gz
//! <rejects-to>/_dayport/check/<check>
//! ```
//! All keys in this crate are relative to the prefix, unless called absolute; [`Layout`] converts
//! between the two.

mod manifest_name;
mod marker_name;
mod null_partitions;
mod recorded;
mod reject_files;

pub use manifest_name::{MAX_REVISION, ManifestName, late_folder};
pub use marker_name::{
    CycleMarkerName, cycles_folder, latest_file, marks_folder, success_file, symlinks_folder,
};
pub use null_partitions::{HIVE_NULL, NullPartitions};
pub use recorded::{is_beyond_range, is_record, parse_own, parse_own_staged, parse_recorded};
pub use reject_files::{failing_rows_file, rejected_lines_file, rejects_file};

use std::fmt;
use std::str::FromStr;

use object_store::path::{Path, PathPart};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cycle::Cycle;
use crate::error::{Error, Result};

/// The hint about rows without a value in a partition column.
pub(crate) const NO_NULL: &str = "give such rows a value in the query, leave them out with WHERE, or \
                                  declare a folder for them: OPTIONS ('null_partition' '…')";

/// The name of a table: `[a-z][a-z0-9_]*`, so it is a safe path segment and an SQL identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName(String);

impl TableName {
    /// Returns the name as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns true if `text` follows the rule for the names of tables and sources: `[a-z][a-z0-9_]*`.
pub(crate) fn is_table_name(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(is_allowed)
}

impl FromStr for TableName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if is_table_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid(format!("`{text}` is not a table name"))
                .with_hint("a table name is a lower-case letter, then letters, digits and `_`"))
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The format of the files of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// JSON lines, compressed with gzip.
    Json,
    /// Parquet, compressed with Snappy unless the definition sets another compression.
    Parquet,
}

impl FileFormat {
    /// All formats.
    pub const ALL: [Self; 2] = [FileFormat::Json, FileFormat::Parquet];

    /// Returns the name in commands and manifests.
    pub fn name(self) -> &'static str {
        match self {
            FileFormat::Json => "json",
            FileFormat::Parquet => "parquet",
        }
    }

    /// Returns the file name extension, without the leading dot.
    pub fn extension(self) -> &'static str {
        match self {
            FileFormat::Json => "json.gz",
            FileFormat::Parquet => "parquet",
        }
    }

    fn from_extension(extension: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.extension() == extension)
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A Hive partition: the partition columns in the order of the folders, with their values as text.
///
/// Empty for a table without partitions. Displayed as `year=2026/month=1/day=15`; in JSON an object
/// whose members are in the order of the folders.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(Vec<(String, String)>);

impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(column, value)| (column, value)))
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Partition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of partition columns and their values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Partition, A::Error> {
                let mut values = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    values.push(entry);
                }
                Ok(Partition(values))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

impl Partition {
    /// Creates a partition of columns and their values, none of which is NULL.
    ///
    /// # Errors
    /// Fails on a value that readers cannot distinguish from NULL: an empty one, and Hive's name for
    /// NULL.
    pub fn new(values: Vec<(String, String)>) -> Result<Self> {
        let values = values.into_iter();
        let values = values.map(|(column, value)| (column, Some(value)));
        Self::with_nulls(values.collect(), &NullPartitions::default())
    }

    /// Creates a partition of columns and their values; NULL has the value that `nulls` declares.
    ///
    /// # Errors
    /// Fails on a NULL without such a value, and on a value that readers cannot distinguish from NULL: an
    /// empty one, Hive's name for NULL, and the value that is declared for NULL.
    pub fn with_nulls(
        values: Vec<(String, Option<String>)>,
        nulls: &NullPartitions,
    ) -> Result<Self> {
        let named = values.into_iter().map(|(column, value)| {
            let for_null = nulls.value_of(&column);
            let (fault, hint) = match (value, for_null) {
                (None, Some(for_null)) => {
                    let for_null = for_null.to_owned();
                    return Ok((column, for_null));
                }
                (None, None) => (format!("partition column `{column}` has NULL"), NO_NULL),
                (Some(value), _) if value.is_empty() || value == HIVE_NULL => (
                    format!(
                        "partition column `{column}` has the value `{value}`, which readers take for NULL"
                    ),
                    NO_NULL,
                ),
                (Some(value), Some(for_null)) if value == for_null => (
                    format!(
                        "partition column `{column}` has the value `{value}`, which is declared for NULL"
                    ),
                    "declare another 'null_partition': rows of both would be in one folder",
                ),
                (Some(value), _) => return Ok((column, value)),
            };
            Err(Error::data(fault).with_hint(hint))
        });
        named.collect::<Result<_>>().map(Self)
    }

    /// Returns the columns and their values as text, in the order of the folders.
    pub fn values(&self) -> &[(String, String)] {
        &self.0
    }

    /// Returns the names of the folders, escaped: `=` in a name or value as `%3D`, as by Hive.
    fn segments(&self) -> impl Iterator<Item = String> + '_ {
        let escaped = |text: &str| {
            // Behind `=`, a value of dots alone is no relative path.
            let part = format!("={text}");
            let part = PathPart::from(part.as_str());
            part.as_ref().replace('=', "%3D").split_off("%3D".len())
        };
        self.0
            .iter()
            .map(move |(column, value)| format!("{}={}", escaped(column), escaped(value)))
    }

    /// Returns the names of the folders as dayport 0.1 wrote them, with `=` in values as it is.
    fn unescaped_segments(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(column, value)| {
            let segment = format!("{column}={value}");
            PathPart::from(segment.as_str()).as_ref().to_owned()
        })
    }

    fn parse_segments<'a>(segments: impl Iterator<Item = &'a str>) -> Option<Self> {
        segments
            .map(|segment| {
                let (column, value) = segment.split_once('=')?;
                Some((percent_decode(column)?, percent_decode(value)?))
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments().enumerate() {
            let separator = if index == 0 { "" } else { "/" };
            write!(f, "{separator}{segment}")?;
        }
        Ok(())
    }
}

fn percent_decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .ok()
        .map(|decoded| decoded.into_owned())
}

/// A shard, one data file of a partition: `data-<12 digits>.<ext>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    /// The table.
    pub table: TableName,
    /// The Hive partition; empty if the table is not partitioned.
    pub partition: Partition,
    /// The number, from 0, which is part of the file name.
    pub number: u64,
    /// The format, which sets the extension.
    pub format: FileFormat,
}

impl Shard {
    /// Returns the key, relative to the prefix.
    pub fn path(&self) -> Path {
        partition_folder(&self.table, &self.partition).join(self.file_name())
    }

    fn file_name(&self) -> String {
        format!("data-{:012}.{}", self.number, self.format.extension())
    }

    /// Parses a key built by [`Shard::path`], also by that of dayport 0.1. Returns `None` for every
    /// other key.
    pub fn parse(path: &Path) -> Option<Self> {
        let parts: Vec<_> = path.parts().collect();
        let names: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let [DATA, table, folders @ .., name] = names.as_slice() else {
            return None;
        };
        let (digits, extension) = name.strip_prefix("data-")?.split_once('.')?;
        let shard = Self {
            table: table.parse().ok()?,
            partition: Partition::parse_segments(folders.iter().copied())?,
            number: digits.parse().ok()?,
            format: FileFormat::from_extension(extension)?,
        };
        let old_folder = folder_of(&shard.table, shard.partition.unescaped_segments());
        let is_own = shard.path() == *path || old_folder.join(shard.file_name()) == *path;
        is_own.then_some(shard)
    }
}

const DATA: &str = "data";
const MANIFESTS: &str = "manifests";
const CYCLES: &str = "cycles";
const LATEST: &str = "latest.json";
const MARKS: &str = "marks";
const SCHEMA: &str = "schema";
const REJECTS: &str = "rejects";
const INTERNAL: &str = "_dayport";

/// Returns the folder that contains one folder of data for each table, and nothing else.
pub fn data_folder() -> Path {
    Path::from(DATA)
}

/// Returns the folder that contains one folder of schema files for each table.
pub fn schemas_folder() -> Path {
    Path::from(SCHEMA)
}

/// Returns the key of the file that describes one version of a table's schema. Versions begin at 1.
pub fn schema_file(table: &TableName, version: u32) -> Path {
    schemas_folder()
        .join(table.as_str())
        .join(format!("v{version}.json"))
}

/// Returns the folder that contains one folder of rejects for each source.
pub fn rejects_folder() -> Path {
    Path::from(REJECTS)
}

/// Returns the folder of dayport's internal objects: the log, staging and checks.
pub fn internal_folder() -> Path {
    Path::from(INTERNAL)
}

/// Returns the folder for the temporary objects of checks.
pub fn checks_folder() -> Path {
    Path::from_iter([INTERNAL, "check"])
}

/// Returns the folder of a table's data.
pub fn table_folder(table: &TableName) -> Path {
    data_folder().join(table.as_str())
}

/// Returns the folder of one partition.
pub fn partition_folder(table: &TableName, partition: &Partition) -> Path {
    folder_of(table, partition.segments())
}

/// Returns the folder below that of a table whose segments, which are escaped, have these names.
fn folder_of(table: &TableName, segments: impl Iterator<Item = String>) -> Path {
    let names = [DATA.to_owned(), table.to_string()]
        .into_iter()
        .chain(segments);
    let key = names.collect::<Vec<_>>().join("/");
    // An escaped key parses, and is not escaped again.
    Path::parse(&key).unwrap_or_else(|_| Path::from(key))
}

/// Returns the folder of a table's manifests.
pub fn manifest_folder(table: &TableName) -> Path {
    manifests_folder().join(table.as_str())
}

/// Returns the folder that contains one folder of manifests for each table.
pub fn manifests_folder() -> Path {
    Path::from(MANIFESTS)
}

/// The greatest sequence number of a log. Nobody reaches it by counting: the entry of a greater one is
/// a foreign object.
pub const MAX_SEQUENCE: u64 = 999_999_999_999_999_999;

/// Returns the folder that contains one folder for each table's commit log.
pub fn logs_folder() -> Path {
    Path::from_iter([INTERNAL, "log"])
}

/// Returns the folder of a table's commit log.
pub fn log_folder(table: &TableName) -> Path {
    logs_folder().join(table.as_str())
}

/// Returns the key of one log entry. Sequence numbers begin at 1 and end at [`MAX_SEQUENCE`].
pub fn log_entry(table: &TableName, sequence: u64) -> Path {
    log_folder(table).join(format!("{sequence:020}.json"))
}

/// Parses a key built by [`log_entry`]. Returns `None` for every other key.
pub fn parse_log_entry(path: &Path) -> Option<(TableName, u64)> {
    let parts: Vec<_> = path.parts().collect();
    let names: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    let [INTERNAL, "log", table, name] = names.as_slice() else {
        return None;
    };
    let table: TableName = table.parse().ok()?;
    let sequence = name.strip_suffix(".json")?.parse().ok()?;
    let is_own = sequence <= MAX_SEQUENCE && log_entry(&table, sequence) == *path;
    is_own.then_some((table, sequence))
}

/// Returns the key of a list of source files, which manifests name by this digest.
pub fn file_list(digest: &str) -> Path {
    lists_folder().join(format!("{digest}.gz"))
}

/// Returns the folder of the lists of source files.
pub fn lists_folder() -> Path {
    internal_folder().join("lists")
}

/// Returns the name of a staging session: one run's work on one table and cycle.
pub fn staging_name(run_id: &str, table: &TableName, cycle: Cycle) -> String {
    format!("{run_id}-{table}-{cycle}")
}

/// Returns the key at which a store without multipart uploads keeps a file until it is published.
///
/// `staging` is the name of the staging session, as by [`staging_name`].
pub fn staging_file(staging: &str, index: u64) -> Path {
    staging_folder(staging).join(format!("{index:012}"))
}

/// Returns the key of [`staging_file`] for one of several processes that write to one staging session.
/// `attempt` identifies the process.
pub fn attempt_file(staging: &str, attempt: &str, index: u64) -> Path {
    staging_folder(staging).join(format!("{attempt}-{index:012}"))
}

/// Returns the folder of the files of one staging session.
pub fn staging_folder(staging: &str) -> Path {
    stagings_folder().join(staging)
}

/// Returns the folder that contains one folder for each staging session.
pub fn stagings_folder() -> Path {
    Path::from_iter([INTERNAL, "staging"])
}

/// The prefix of a destination, which is joined to relative keys and stripped from absolute ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    prefix: Path,
}

impl Layout {
    /// Creates the layout of a destination at `prefix`, which may be empty.
    pub fn new(prefix: Path) -> Self {
        Self { prefix }
    }

    /// Returns the absolute key in the store of a key relative to the prefix.
    pub fn absolute(&self, relative: &Path) -> Path {
        self.prefix.parts().chain(relative.parts()).collect()
    }

    /// Strips the prefix from an absolute key. Returns `None` for a key outside the prefix.
    pub fn relative(&self, absolute: &Path) -> Option<Path> {
        absolute
            .prefix_match(&self.prefix)
            .map(|parts| parts.collect())
    }
}

#[cfg(test)]
mod tests;
