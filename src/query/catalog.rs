//! Lists the tables that can be queried, with their columns and comments.

use std::collections::BTreeSet;
use std::fmt;

use datafusion::arrow::datatypes::FieldRef;
use futures::{StreamExt, TryStreamExt};

use crate::delivery::{History, read_manifest};
use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::layout::{self, TableName};
use crate::query::QueryContext;
use crate::store::{CONCURRENCY, Destination};

/// The tables that can stand after `FROM`.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryCatalog {
    pub entries: Vec<CatalogEntry>,
}

/// A table that can be queried.
#[derive(Debug, Clone)]
pub(crate) struct CatalogEntry {
    pub kind: EntryKind,
    /// The name by which a query refers to it.
    pub name: String,
    /// The comment; empty if the table has none.
    pub comment: String,
    pub columns: Vec<FieldRef>,
}

/// The origin of a table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Source,
    Definition,
    Exported,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntryKind::Source => "source",
            EntryKind::Definition => "definition",
            EntryKind::Exported => "exported",
        })
    }
}

impl QueryCatalog {
    /// Lists sources, definitions and published tables. Reads the newest manifest of each published
    /// table, and no rows.
    pub(crate) async fn load(context: &QueryContext<'_>) -> Result<Self> {
        let mut entries = sources(context).await?;
        entries.extend(definitions(context).await);
        if let Some(destination) = context.destination {
            entries.extend(exported(destination).await?);
        }
        Ok(Self { entries })
    }

    /// Returns the tables of this name, which may be given without its schema.
    pub(crate) fn find(&self, name: &str) -> Vec<&CatalogEntry> {
        let is_named = |entry: &&CatalogEntry| {
            let bare = entry.name.split_once('.').map(|(_, bare)| bare);
            entry.name == name || bare == Some(name)
        };
        self.entries.iter().filter(is_named).collect()
    }
}

async fn sources(context: &QueryContext<'_>) -> Result<Vec<CatalogEntry>> {
    let session = context.engine.session();
    let mut entries = Vec::new();
    for name in context.sources.names() {
        let table = session
            .table_provider(name)
            .await
            .map_err(from_datafusion)?;
        entries.push(CatalogEntry {
            kind: EntryKind::Source,
            name: name.to_owned(),
            comment: context
                .sources
                .description(name)
                .unwrap_or_default()
                .to_owned(),
            columns: table.schema().fields().to_vec(),
        });
    }
    Ok(entries)
}

/// Lists the definitions; a broken one without columns, because a query of it reports the error.
async fn definitions(context: &QueryContext<'_>) -> Vec<CatalogEntry> {
    let sources: BTreeSet<&str> = context.sources.names().collect();
    let mut entries = Vec::new();
    for definition in context.definitions {
        let table = definition.table.as_str();
        let bound = context
            .engine
            .bind_query(definition, context.cycle, &context.parameters)
            .await;
        let columns = bound.map(|plan| plan.schema().fields().to_vec());
        entries.push(CatalogEntry {
            kind: EntryKind::Definition,
            name: match sources.contains(table) {
                true => format!("definition.{table}"),
                false => table.to_owned(),
            },
            comment: definition.description.clone(),
            columns: columns.unwrap_or_default(),
        });
    }
    entries
}

async fn exported(destination: &Destination) -> Result<Vec<CatalogEntry>> {
    let folders = destination.folders(&layout::manifests_folder()).await?;
    let tables: Vec<TableName> = folders
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    let entries: Vec<Option<CatalogEntry>> = futures::stream::iter(tables)
        .map(|table| exported_entry(destination, table))
        .buffered(CONCURRENCY.tables)
        .try_collect()
        .await?;
    Ok(entries.into_iter().flatten().collect())
}

/// Describes a published table by its newest manifest; `None` if it has none.
async fn exported_entry(
    destination: &Destination,
    table: TableName,
) -> Result<Option<CatalogEntry>> {
    let history = History::load(destination, &table, None).await?;
    let Some(newest) = history.newest() else {
        return Ok(None);
    };
    let manifest = read_manifest(destination, &newest).await?;
    let (stored, partitions) = (manifest.schema.arrow(), manifest.partition_by.arrow());
    let columns = stored.fields().iter().chain(partitions.fields());
    Ok(Some(CatalogEntry {
        kind: EntryKind::Exported,
        name: format!("exported.{table}"),
        comment: manifest.description,
        columns: columns.cloned().collect(),
    }))
}
