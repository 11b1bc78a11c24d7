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

use crate::ddl::quoting::Rules;
use crate::error::{Error, Result};
use crate::schema::{ColumnType, ExportColumn};
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

    /// Returns the rules by which the dialect reads text.
    fn rules(self) -> &'static Rules {
        match self {
            Dialect::Athena => &quoting::ATHENA,
            Dialect::BigQuery => &quoting::BIGQUERY,
            Dialect::DuckDb => &quoting::DUCKDB,
            Dialect::Snowflake => &quoting::SNOWFLAKE,
            Dialect::Spark => &quoting::SPARK,
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
    let rules = dialect.rules();
    let statements = tables.iter().map(|table| {
        let summary = rules.comment(&table.summary());
        if let Some((name, what)) = unusable_name(rules, table) {
            let reason = format!(
                "The column `{name}` has {what} in its name, which {} does not take: nothing can be stated.",
                dialect.name()
            );
            return format!("{summary}{}", rules.comment(&reason.replace('\n', "\\n")));
        }
        let text = match dialect {
            Dialect::Athena => athena::table(table, location),
            Dialect::BigQuery => bigquery::table(table, location),
            Dialect::DuckDb => duckdb::table(table, location),
            Dialect::Snowflake => snowflake::table(table),
            Dialect::Spark => spark::table(table, location),
        };
        format!("{summary}{text}")
    });
    let parts: Vec<String> = [header].into_iter().chain(statements).collect();
    Ok(parts.join("\n"))
}

/// Returns the first name of a column or field that the dialect cannot hold, with what it has that is
/// unusable.
fn unusable_name<'a>(rules: &Rules, table: &'a DdlTable) -> Option<(&'a str, &'static str)> {
    table
        .all_columns()
        .find_map(|column| unusable_in(rules, column))
}

fn unusable_in<'a>(rules: &Rules, column: &'a ExportColumn) -> Option<(&'a str, &'static str)> {
    if let Some(what) = rules.unusable_in_name(&column.name) {
        return Some((&column.name, what));
    }
    unusable_inside(rules, &column.kind)
}

fn unusable_inside<'a>(rules: &Rules, kind: &'a ColumnType) -> Option<(&'a str, &'static str)> {
    match kind {
        // The name of an item is in no statement.
        ColumnType::List(item) => unusable_inside(rules, &item.kind),
        ColumnType::Struct(fields) => fields.iter().find_map(|field| unusable_in(rules, field)),
        _ => None,
    }
}
