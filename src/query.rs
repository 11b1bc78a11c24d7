//! SQL over everything there is: sources, definitions and published tables. For debugging.
//!
//! | name | rows |
//! |---|---|
//! | `<source>` | a source |
//! | `definition.<table>` | what a run of the cycle would export; also `<table>`, unless a source has that name |
//! | `exported.<table>` | what is published, by the newest manifests |

mod catalog;
mod statements;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{DataFrame, SessionContext};

pub use catalog::{Catalog, Entry, Kind};
pub use statements::{Statements, split};

use crate::catalog::Sources;
use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::engine::Engine;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::exported;
use crate::store::Destination;

/// What a query may look at.
pub struct Workbench<'a> {
    pub engine: &'a Engine,
    pub sources: &'a Sources,
    pub definitions: &'a [Definition],
    pub parameters: BTreeMap<String, String>,
    /// The cycle that definitions are bound to.
    pub cycle: Cycle,
    pub destination: Option<&'a Destination>,
}

/// The rows of an SQL query, or of a table given by its name.
pub async fn open(workbench: &Workbench<'_>, sql: &str) -> Result<DataFrame> {
    let context = workbench.engine.session();
    let mentioned = |name: &str| sql.contains(name);
    register_definitions(workbench, &context, mentioned).await?;
    if let Some(destination) = workbench.destination {
        let published = exported::register(&context, destination, mentioned);
        add_schema(&context, "exported", published.await?)?;
    }

    let query = match table_name(workbench, sql) {
        Some(table) => format!("SELECT * FROM {table}"),
        None => sql.to_owned(),
    };
    // Nothing is created and nothing is written: exports go through `run`.
    let options = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    context
        .sql_with_options(&query, options)
        .await
        .map_err(|error| explain(workbench, error))
}

/// A query that is a single word is the name of a table; a definition goes before a source.
fn table_name(workbench: &Workbench<'_>, sql: &str) -> Option<String> {
    let word = sql.trim();
    let is_name = word
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    if !is_name {
        return None;
    }
    let mut definitions = workbench.definitions.iter();
    if definitions.any(|definition| definition.table.as_str() == word) {
        return Some(format!("definition.{word}"));
    }
    Some(word.to_owned())
}

/// Registers the definitions that the query may mean: a broken one must not spoil the others.
async fn register_definitions(
    workbench: &Workbench<'_>,
    context: &SessionContext,
    mentioned: impl Fn(&str) -> bool,
) -> Result<()> {
    let sources: BTreeSet<&str> = workbench.sources.names().collect();
    let schema = MemorySchemaProvider::new();
    for definition in workbench.definitions {
        let table = definition.table.as_str();
        if !mentioned(table) {
            continue;
        }
        let plan = workbench
            .engine
            .bind_query(definition, workbench.cycle, &workbench.parameters)
            .await?;
        let view = Arc::new(ViewTable::new(plan, None));
        schema
            .register_table(table.to_owned(), Arc::<ViewTable>::clone(&view))
            .map_err(from_datafusion)?;
        if !sources.contains(table) {
            context
                .register_table(TableReference::bare(table), view)
                .map_err(from_datafusion)?;
        }
    }
    add_schema(context, "definition", schema)
}

fn add_schema(context: &SessionContext, name: &str, schema: MemorySchemaProvider) -> Result<()> {
    let catalog = context
        .catalog("datafusion")
        .ok_or_else(|| Error::internal("the session has no catalog"))?;
    catalog
        .register_schema(name, Arc::new(schema))
        .map_err(from_datafusion)?;
    Ok(())
}

fn explain(workbench: &Workbench<'_>, error: DataFusionError) -> Error {
    let text = error.to_string();
    let error = from_datafusion(error);
    if !text.contains("not found") {
        return error;
    }
    let sources: Vec<&str> = workbench.sources.names().collect();
    let definitions: Vec<&str> = workbench
        .definitions
        .iter()
        .map(|definition| definition.table.as_str())
        .collect();
    let exported = match workbench.destination {
        Some(_) => "published tables are exported.<table>",
        None => "published tables need --to",
    };
    error.with_hint(format!(
        "sources: {}; definitions: {}; {exported}",
        sources.join(", "),
        definitions.join(", ")
    ))
}
