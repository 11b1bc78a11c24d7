//! What there is to query: names, columns and comments.

use std::collections::BTreeSet;
use std::fmt;

use datafusion::arrow::datatypes::FieldRef;
use futures::{StreamExt, TryStreamExt};

use super::Workbench;
use crate::delivery::{History, read_manifest};
use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::layout::{self, TableName};
use crate::store::{CONCURRENCY, Destination};

/// Everything that can stand behind `FROM`.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub entries: Vec<Entry>,
}

/// One table.
#[derive(Debug, Clone)]
pub struct Entry {
    pub kind: Kind,
    /// As a query names it.
    pub name: String,
    /// Empty where there is none.
    pub comment: String,
    pub columns: Vec<FieldRef>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Source,
    Definition,
    Exported,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Source => "source",
            Kind::Definition => "definition",
            Kind::Exported => "exported",
        })
    }
}

impl Catalog {
    /// Of published tables the newest manifest is read, of nothing a row.
    pub async fn load(workbench: &Workbench<'_>) -> Result<Self> {
        let mut entries = sources(workbench).await?;
        entries.extend(definitions(workbench).await);
        if let Some(destination) = workbench.destination {
            entries.extend(exported(destination).await?);
        }
        Ok(Self { entries })
    }

    /// The tables of this name, with or without its schema.
    pub fn find(&self, name: &str) -> Vec<&Entry> {
        let is_named = |entry: &&Entry| {
            let bare = entry.name.split_once('.').map(|(_, bare)| bare);
            entry.name == name || bare == Some(name)
        };
        self.entries.iter().filter(is_named).collect()
    }
}

async fn sources(workbench: &Workbench<'_>) -> Result<Vec<Entry>> {
    let context = workbench.engine.session();
    let mut entries = Vec::new();
    for name in workbench.sources.names() {
        let table = context
            .table_provider(name)
            .await
            .map_err(from_datafusion)?;
        entries.push(Entry {
            kind: Kind::Source,
            name: name.to_owned(),
            comment: workbench
                .sources
                .description(name)
                .unwrap_or_default()
                .to_owned(),
            columns: table.schema().fields().to_vec(),
        });
    }
    Ok(entries)
}

/// Without columns where the definition is broken: a query of it says why.
async fn definitions(workbench: &Workbench<'_>) -> Vec<Entry> {
    let sources: BTreeSet<&str> = workbench.sources.names().collect();
    let mut entries = Vec::new();
    for definition in workbench.definitions {
        let table = definition.table.as_str();
        let bound = workbench
            .engine
            .bind_query(definition, workbench.cycle, &workbench.parameters)
            .await;
        let columns = bound.map(|plan| plan.schema().fields().to_vec());
        entries.push(Entry {
            kind: Kind::Definition,
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

async fn exported(destination: &Destination) -> Result<Vec<Entry>> {
    let folders = destination.folders(&layout::manifests_folder()).await?;
    let tables = folders.iter().filter_map(|name| name.parse().ok());
    let entries: Vec<_> = tables.map(|table| entry(destination, table)).collect();
    let entries: Vec<Option<Entry>> = futures::stream::iter(entries)
        .buffered(CONCURRENCY.tables)
        .try_collect()
        .await?;
    Ok(entries.into_iter().flatten().collect())
}

async fn entry(destination: &Destination, table: TableName) -> Result<Option<Entry>> {
    let history = History::load(destination, &table, None).await?;
    let Some(newest) = history.newest() else {
        return Ok(None);
    };
    let manifest = read_manifest(destination, &newest).await?;
    let (inside, partitions) = (manifest.schema.arrow(), manifest.partition_by.arrow());
    let columns = inside.fields().iter().chain(partitions.fields());
    Ok(Some(Entry {
        kind: Kind::Exported,
        name: format!("exported.{table}"),
        comment: manifest.description,
        columns: columns.cloned().collect(),
    }))
}
