//! Compares the definitions with what is published, as the next run will.

use crate::check::list::{CheckArea, CheckList};
use crate::delivery::{self, InspectedTable, PendingWork};
use crate::error::Result;
use crate::human;
use crate::layout::TableName;
use crate::schema_evolution::{TableShape, changes};
use crate::store::Destination;

const AREA: CheckArea = CheckArea::Destination;

const NAME: &str = "changes";

/// A table as its definition exports it.
#[derive(Debug, Clone)]
pub(crate) struct DefinedTable {
    pub name: TableName,
    pub shape: TableShape,
}

/// Adds the changes of each table from its newest publication to the list. Changes that a run
/// accepts without a flag are notes.
pub(crate) async fn check_changes(
    destination: &Destination,
    tables: &[DefinedTable],
    list: &mut CheckList,
) {
    let (mut compared, before) = (0, list.items.len());
    for table in tables {
        match published(destination, &table.name).await {
            Ok(Some(shape)) => {
                compared += 1;
                compare(table, &shape, list);
            }
            Ok(None) => {}
            Err(error) => {
                let detail = format!("{} is not compared: {}", table.name, error.chain());
                return list.unknown(AREA, NAME, detail);
            }
        }
    }
    if compared > 0 && list.items.len() == before {
        let detail = format!("none from {}", human::counted(compared, "published table"));
        list.passed(AREA, NAME, detail);
    }
}

fn compare(table: &DefinedTable, published: &TableShape, list: &mut CheckList) {
    for change in changes(published, &table.shape) {
        let detail = format!("{}: {change}", table.name);
        match change.severity.flag() {
            None => {
                let hint = "receivers see it from the next cycle on";
                list.note(AREA, NAME, detail, hint);
            }
            Some(flag) => {
                let hint = format!("undo the change, or run with {flag}: receivers may break");
                list.finding(AREA, NAME, detail, Some(&hint));
            }
        }
    }
}

/// Returns the shape of the newest publication of a table, also of one that is committed and not yet
/// finished.
async fn published(destination: &Destination, table: &TableName) -> Result<Option<TableShape>> {
    let InspectedTable { history, pending } = delivery::inspect(destination, table).await?;
    if let PendingWork::Publication(entry) = &pending
        && let Some(manifest) = entry.manifest()
    {
        return Ok(Some(manifest.into()));
    }
    match history.newest() {
        Some(name) => {
            let manifest = delivery::read_manifest(destination, &name).await?;
            Ok(Some((&manifest).into()))
        }
        None => Ok(None),
    }
}
