//! Runs SQL over sources, definitions and published tables, for debugging.
//!
//! | name | rows |
//! |---|---|
//! | `<source>` | a source |
//! | `definition.<table>` | what a run of the cycle would export; also `<table>`, unless a source has that name |
//! | `exported.<table>` | the published rows, by the newest manifests |

mod catalog;
mod scans;
mod sql_type;
mod statements;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};

pub(crate) use catalog::{CatalogEntry, QueryCatalog};
pub(crate) use scans::{QueryScans, SetAside};
pub(crate) use sql_type::{column_lines, quoted_name};
pub(crate) use statements::split;

use crate::catalog::Sources;
use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::engine::Engine;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::exported;
use crate::query::sql_type::sql_type;
use crate::scan::rejects::MaxRejects;
use crate::sql_file::SqlFile;
use crate::store::Destination;

/// The inputs of a query: everything that its tables can refer to.
pub(crate) struct QueryContext<'a> {
    pub engine: &'a Engine,
    pub sources: &'a Sources,
    pub definitions: &'a [Definition],
    /// The reason why there are neither sources nor definitions although there are files of some.
    pub left_out: Option<&'a Error>,
    /// The limit of malformed lines of each source.
    pub max_rejects: MaxRejects,
    pub parameters: BTreeMap<String, String>,
    /// The cycle that definitions are bound to.
    pub cycle: Cycle,
    /// The destination whose published tables can be queried, if any.
    pub destination: Option<&'a Destination>,
}

/// A planned query, whose scans are recorded while it runs.
pub(crate) struct OpenQuery {
    pub frame: DataFrame,
    pub scans: QueryScans,
}

/// Plans an SQL query, or the whole of a table given by its name.
///
/// # Errors
/// The query does not compile, or would create or write something. A table that is not found comes
/// with a hint that lists the tables.
pub(crate) async fn open(context: &QueryContext<'_>, sql: &str) -> Result<OpenQuery> {
    let scans = QueryScans::new(context.max_rejects);
    let session = context.engine.recorded_session(&scans.log);
    let is_mentioned = |name: &str| sql.contains(name);
    register_definitions(context, &session, is_mentioned).await?;
    if let Some(destination) = context.destination {
        let published = exported::register(&session, destination, is_mentioned);
        add_schema(&session, "exported", published.await?)?;
    }

    let query = match table_name(context, sql) {
        Some(table) => format!("SELECT * FROM {table}"),
        None => sql.to_owned(),
    };
    // A query creates and writes nothing: exports go through `run`.
    let options = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let frame = session
        .sql_with_options(&query, options)
        .await
        .map_err(|error| explain(context, error))?;
    let file = SqlFile::new("the query".to_owned(), query)?;
    context
        .engine
        .check_query(&file, frame.logical_plan(), context.cycle)?;
    let frame = match frame.logical_plan() {
        LogicalPlan::DescribeTable(described) => {
            let columns = columns_of(&described.schema)?;
            session.read_batch(columns).map_err(from_datafusion)?
        }
        _ => frame,
    };
    Ok(OpenQuery { frame, scans })
}

/// Returns the rows of `DESCRIBE`: DataFusion's, but with the types as SQL writes them.
fn columns_of(schema: &Schema) -> Result<RecordBatch> {
    let column = |value: fn(&FieldRef) -> String| -> ArrayRef {
        let values = schema.fields().iter().map(value);
        Arc::new(StringArray::from_iter_values(values))
    };
    let is_nullable = |field: &FieldRef| match field.is_nullable() {
        true => "YES".to_owned(),
        false => "NO".to_owned(),
    };
    RecordBatch::try_from_iter([
        ("column_name", column(|field| field.name().clone())),
        ("data_type", column(|field| sql_type(field.data_type(), 0))),
        ("is_nullable", column(is_nullable)),
    ])
    .map_err(|error| Error::internal("the columns are no rows").with_source(error))
}

/// Returns the table that a query of a single word names. A definition takes precedence over a
/// source of the same name.
fn table_name(context: &QueryContext<'_>, sql: &str) -> Option<String> {
    let word = sql.trim();
    let is_name = word
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    if !is_name {
        return None;
    }
    let mut definitions = context.definitions.iter();
    if definitions.any(|definition| definition.table.as_str() == word) {
        return Some(format!("definition.{word}"));
    }
    Some(word.to_owned())
}

/// Registers the definitions that the query may mention, so that a broken definition fails only the
/// queries of itself.
async fn register_definitions(
    context: &QueryContext<'_>,
    session: &SessionContext,
    is_mentioned: impl Fn(&str) -> bool,
) -> Result<()> {
    let sources: BTreeSet<&str> = context.sources.names().collect();
    let schema = MemorySchemaProvider::new();
    for definition in context.definitions {
        let table = definition.table.as_str();
        if !is_mentioned(table) {
            continue;
        }
        let plan = context
            .engine
            .bind_query(definition, context.cycle, &context.parameters)
            .await?;
        let view = Arc::new(ViewTable::new(plan, None));
        schema
            .register_table(table.to_owned(), Arc::<ViewTable>::clone(&view))
            .map_err(from_datafusion)?;
        if !sources.contains(table) {
            session
                .register_table(TableReference::bare(table), view)
                .map_err(from_datafusion)?;
        }
    }
    add_schema(session, "definition", schema)
}

fn add_schema(session: &SessionContext, name: &str, schema: MemorySchemaProvider) -> Result<()> {
    let catalog = session
        .catalog("datafusion")
        .ok_or_else(|| Error::internal("the session has no catalog"))?;
    catalog
        .register_schema(name, Arc::new(schema))
        .map_err(from_datafusion)?;
    Ok(())
}

/// Adds the names of all tables as a hint, if the error is that a table is not found. Without a destination
/// whose tables can be meant, the reason why there are no others is the error.
fn explain(context: &QueryContext<'_>, cause: DataFusionError) -> Error {
    let is_not_found = cause.to_string().contains("not found");
    let error = from_datafusion(cause);
    if !is_not_found {
        return error;
    }
    let exported = match (context.destination, context.left_out) {
        (None, Some(reason)) => return reason.detached(),
        (Some(_), Some(reason)) => {
            let reason = reason.chain();
            return error.with_hint(format!(
                "published tables are exported.<table>; there are neither sources nor definitions: {reason}"
            ));
        }
        (Some(_), None) => "published tables are exported.<table>",
        (None, None) => "published tables need --to",
    };
    let definitions = context.definitions.iter();
    error.with_hint(format!(
        "sources: {}; definitions: {}; {exported}",
        listed(context.sources.names()),
        listed(definitions.map(|definition| definition.table.as_str()))
    ))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}
