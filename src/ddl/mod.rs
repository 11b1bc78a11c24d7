//! The statements that let a receiver read the export, in the dialect of the receiver's engine.
//!
//! ```text
//! manifests of a table ─┐
//!                       ├→ DdlTable (no dialect) ─<dialect>.rs→ SQL text
//! definition, bound ────┘
//! ```
//! Pure: the tables are read by the caller, and nothing is executed.
//!
//! Every name is quoted: `time`, `date` and `order` are columns of real exports and keywords of every
//! dialect. Binary columns are hexadecimal text in JSON files; where a dialect cannot decode that
//! while reading, the column is text.

mod athena;
mod bigquery;
mod duckdb;
mod format_clauses;
mod quoting;
mod snowflake;
mod spark;
mod table;
mod type_names;

#[cfg(test)]
mod tests;

pub(crate) use table::DdlTable;

use crate::error::{Error, Result};
use crate::store::Location;

/// A family of engines that read the same statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Athena, with the Glue catalog.
    Athena,
    BigQuery,
    DuckDb,
    Snowflake,
    Spark,
}

impl Dialect {
    fn name(self) -> &'static str {
        match self {
            Dialect::Athena => "Athena",
            Dialect::BigQuery => "BigQuery",
            Dialect::DuckDb => "DuckDB",
            Dialect::Snowflake => "Snowflake",
            Dialect::Spark => "Spark",
        }
    }

    /// Returns true if the engine is a service, which cannot see the folders of this machine.
    fn needs_bucket(self) -> bool {
        matches!(
            self,
            Dialect::Athena | Dialect::BigQuery | Dialect::Snowflake
        )
    }
}

/// Returns one script for all `tables` of the destination at `location`.
///
/// # Errors
/// Fails if the engine cannot read the location.
pub(crate) fn script(dialect: Dialect, location: &Location, tables: &[DdlTable]) -> Result<String> {
    if dialect.needs_bucket() && location.is_folder() {
        return Err(Error::invalid(format!(
            "{} cannot read the folder `{location}`",
            dialect.name()
        ))
        .with_hint("give the s3:// address of the export; DuckDB and Spark read folders"));
    }
    let header = match dialect {
        Dialect::Athena => athena::HEADER.to_owned(),
        Dialect::BigQuery => bigquery::HEADER.to_owned(),
        Dialect::DuckDb => duckdb::header(location),
        Dialect::Snowflake => snowflake::header(location, tables),
        Dialect::Spark => spark::HEADER.to_owned(),
    };
    let statements = tables.iter().map(|table| {
        let text = match dialect {
            Dialect::Athena => athena::table(table, location),
            Dialect::BigQuery => bigquery::table(table, location),
            Dialect::DuckDb => duckdb::table(table, location),
            Dialect::Snowflake => snowflake::table(table),
            Dialect::Spark => spark::table(table, location),
        };
        format!("{}{text}", quoting::comment(&table.summary()))
    });
    let parts: Vec<String> = [header].into_iter().chain(statements).collect();
    Ok(parts.join("\n"))
}
