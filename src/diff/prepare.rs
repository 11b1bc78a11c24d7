//! Decides what is compared of each table, before anything is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::Dependency;
use datafusion::logical_expr::LogicalPlan;

use crate::delivery::{History, read_manifest};
use crate::diff::columns::{AlignedColumns, ComparedColumn, LeftOut};
use crate::diff::report::{KeyOrigin, NotCompared, SchemaChange};
use crate::diff::side::{DiffSide, TableSide, definition_of};
use crate::error::{Error, Result};
use crate::layout::{self, TableName};

/// The columns that match rows, as the caller names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyChoice {
    /// For all tables.
    pub of_all: Vec<String>,
    /// For one table.
    pub of_table: BTreeMap<TableName, Vec<String>>,
}

/// The options of a comparison.
#[derive(Debug, Clone, Default)]
pub(crate) struct DiffOptions {
    /// The tables to compare; all if empty.
    pub tables: BTreeSet<TableName>,
    pub key: KeyChoice,
    pub ignored: Vec<String>,
    /// The maximum number of sample rows of each kind.
    pub samples: usize,
}

/// The sides of one table.
pub(super) enum PairedTable<'a> {
    Both {
        left: TableSide<'a>,
        right: TableSide<'a>,
        plan: Box<TablePlan>,
    },
    OnlyLeft {
        reason: String,
    },
    OnlyRight {
        reason: String,
    },
}

/// The columns of a table that are compared, and their key.
#[derive(Debug)]
pub(super) struct TablePlan {
    pub columns: Arc<[ComparedColumn]>,
    pub changes: Vec<SchemaChange>,
    pub not_compared: Vec<NotCompared>,
    /// The indexes of the key's columns.
    pub key: Vec<usize>,
    pub key_from: Option<KeyOrigin>,
    /// The complaint about a key for all tables that is none of this one: an error if it is one of no table.
    pub absent_key: Option<Error>,
    pub notes: Vec<String>,
}

/// Returns the names of all tables of a side.
pub(super) async fn table_names(side: &DiffSide<'_>) -> Result<BTreeSet<TableName>> {
    match side {
        DiffSide::Defined(side) => {
            let definitions = side.definitions.iter();
            Ok(definitions
                .map(|definition| definition.table.clone())
                .collect())
        }
        DiffSide::Published(side) => {
            let folders = side
                .destination
                .folders(&layout::manifests_folder())
                .await?;
            let tables = folders.iter().filter_map(|name| name.parse().ok());
            let mut published = BTreeSet::new();
            for table in tables {
                let history = History::load(side.destination, &table, None).await?;
                if history.newest_of(side.cycle).is_some() {
                    published.insert(table);
                }
            }
            Ok(published)
        }
    }
}

/// Returns a table of a side, or the reason why it has none.
async fn table_side<'a>(
    side: &'a DiffSide<'a>,
    table: &TableName,
) -> Result<Result<TableSide<'a>, String>> {
    match side {
        DiffSide::Defined(side) => match definition_of(side.definitions, table) {
            Some(definition) => TableSide::query(side, definition).await.map(Ok),
            None => Ok(Err("there is no definition".to_owned())),
        },
        DiffSide::Published(side) => {
            let history = History::load(side.destination, table, None).await?;
            match history.newest_of(side.cycle) {
                Some(name) => {
                    let manifest = read_manifest(side.destination, &name).await?;
                    TableSide::files(side, manifest).map(Ok)
                }
                None => Ok(Err(format!("{} is not published", side.cycle))),
            }
        }
    }
}

/// Pairs the sides of a table.
///
/// # Errors
/// A definition does not compile, or a column that is named does not exist.
pub(super) async fn pair<'a>(
    table: &TableName,
    left: &'a DiffSide<'a>,
    right: &'a DiffSide<'a>,
    options: &DiffOptions,
) -> Result<PairedTable<'a>> {
    let are_of_one_cycle = left.cycle() == right.cycle();
    let (left, right) = (
        table_side(left, table).await?,
        table_side(right, table).await?,
    );
    match (left, right) {
        (Ok(left), Ok(right)) => {
            let plan = plan(table, &left, &right, are_of_one_cycle, options)?;
            Ok(PairedTable::Both {
                left,
                right,
                plan: Box::new(plan),
            })
        }
        (Ok(_), Err(reason)) => Ok(PairedTable::OnlyLeft { reason }),
        (Err(reason), Ok(_)) => Ok(PairedTable::OnlyRight { reason }),
        (Err(left), Err(right)) => Err(Error::invalid(format!(
            "the table `{table}` is on neither side: {left} on the left, {right} on the right"
        ))),
    }
}

fn plan(
    table: &TableName,
    left: &TableSide<'_>,
    right: &TableSide<'_>,
    are_of_one_cycle: bool,
    options: &DiffOptions,
) -> Result<TablePlan> {
    let named = options.key.of_table.get(table);
    let chosen = named.unwrap_or(&options.key.of_all);
    let mut left_out = Vec::new();
    if !are_of_one_cycle {
        let folders = left.partition_by().into_iter().chain(right.partition_by());
        left_out.extend(folders.map(|path| LeftOut {
            path,
            reason: "it makes folders of cycles, and the cycles differ",
        }));
        let windows = [left.window_column(), right.window_column()];
        left_out.extend(windows.into_iter().flatten().map(|path| LeftOut {
            path: path.to_owned(),
            reason: "cycles select their rows by it, and the cycles differ",
        }));
        left_out.retain(|left_out| !chosen.contains(&left_out.path));
    }
    left_out.extend(options.ignored.iter().map(|path| LeftOut {
        path: path.clone(),
        reason: "--ignore-columns",
    }));
    let mut aligned = AlignedColumns::new(left.schema(), right.schema(), &left_out);
    for ignored in &options.ignored {
        aligned.ignore_changes(ignored);
    }
    let mut changes = aligned.changes;
    if left.partition_by() != right.partition_by() {
        changes.push(SchemaChange::Partitioning {
            left: left.partition_by(),
            right: right.partition_by(),
        });
    }
    if left.sync_mode() != right.sync_mode() {
        changes.push(SchemaChange::SyncMode {
            left: left.sync_mode().to_string(),
            right: right.sync_mode().to_string(),
        });
    }
    let mut notes = Vec::new();
    for side in [left, right] {
        let functions: Vec<String> = side.volatile_functions()?.into_iter().collect();
        if !functions.is_empty() {
            notes.push(format!(
                "the definition uses {}, which gives other values each time: rows may differ for no other \
                 reason",
                functions.join(", ")
            ));
        }
    }
    notes.dedup();
    let columns = aligned.compared;
    let mut absent_key = None;
    let (key, key_from) = if chosen.is_empty() {
        match default_key([right, left], &columns) {
            Some(key) => (key, Some(KeyOrigin::Definition)),
            None => (Vec::new(), None),
        }
    } else {
        let absent: Vec<&String> = chosen
            .iter()
            .filter(|name| index_of(&columns, name).is_none())
            .collect();
        // A key for all tables need not be one of each.
        let is_for_others = named.is_none() && options.tables.is_empty();
        match absent.first() {
            None => {
                let key = chosen.iter().filter_map(|name| index_of(&columns, name));
                (key.collect(), Some(KeyOrigin::Option))
            }
            Some(name) if is_for_others => {
                absent_key = Some(no_such_key(table, [left, right], name, &columns));
                notes.push(format!(
                    "it has no column `{name}`: whole rows are compared"
                ));
                (Vec::new(), None)
            }
            Some(name) => return Err(no_such_key(table, [left, right], name, &columns)),
        }
    };
    let mut not_compared = aligned.not_compared;
    not_compared.dedup();
    Ok(TablePlan {
        columns: columns.into(),
        changes,
        not_compared,
        key,
        key_from,
        absent_key,
        notes,
    })
}

fn index_of(columns: &[ComparedColumn], name: &str) -> Option<usize> {
    let is_named = |column: &ComparedColumn| column.path() == name && !column.is_presence();
    columns.iter().position(is_named)
}

fn no_such_key(
    table: &TableName,
    sides: [&TableSide<'_>; 2],
    name: &str,
    columns: &[ComparedColumn],
) -> Error {
    let has = |side: &TableSide<'_>| {
        let mut columns = side.schema().columns().iter();
        columns.any(|column| column.name == name)
    };
    let what = match sides.map(has) {
        [true, true] => format!("`{name}` of --key is not compared, so it cannot match rows"),
        [true, false] => format!("`{name}` of --key is a column of the left side only"),
        [false, true] => format!("`{name}` of --key is a column of the right side only"),
        [false, false] => format!("there is no column `{name}` for --key"),
    };
    let names: Vec<String> = columns
        .iter()
        .filter(|column| !column.is_presence())
        .map(ComparedColumn::path)
        .collect();
    let error = match definition_file(sides) {
        Some(definition) => {
            let line = definition.find_line_of(name);
            definition.complaint(line.unwrap_or_else(|| definition.first_line()), what)
        }
        None => Error::invalid(format!("the table `{table}`: {what}")),
    };
    error.with_hint(format!("columns that are compared: {}", names.join(", ")))
}

fn definition_file<'a>(sides: [&'a TableSide<'_>; 2]) -> Option<&'a crate::sql_file::SqlFile> {
    sides.into_iter().rev().find_map(|side| match side {
        TableSide::Query(query) => Some(query.definition.sql.as_ref()),
        TableSide::Files(_) => None,
    })
}

/// Returns the position in a definition of one of the sides of a column, as file and line.
pub(super) fn position_of(side: &TableSide<'_>, column: &ComparedColumn) -> Option<String> {
    let TableSide::Query(query) = side else {
        return None;
    };
    let file = &query.definition.sql;
    let name = column.steps.first()?;
    let line = file.find_line_of(name);
    Some(file.position(line.unwrap_or_else(|| file.first_line())))
}

/// Returns the columns that DataFusion knows to be unique in the rows of a definition, because it groups by
/// them.
fn default_key(sides: [&TableSide<'_>; 2], columns: &[ComparedColumn]) -> Option<Vec<usize>> {
    sides.into_iter().find_map(|side| {
        let TableSide::Query(query) = side else {
            return None;
        };
        let LogicalPlan::Copy(copy) = &query.bound.plan else {
            return None;
        };
        let schema = copy.input.schema();
        let dependencies = schema.functional_dependencies().iter();
        dependencies
            .filter(|dependency| {
                let covers_all = dependency.target_indices.len() == schema.fields().len();
                let is_all = dependency.source_indices.len() == schema.fields().len();
                covers_all && !is_all && dependency.mode == Dependency::Single
            })
            .find_map(|dependency| {
                let indexes = dependency.source_indices.iter();
                let names = indexes.map(|index| schema.field(*index).name());
                let key: Option<Vec<usize>> = names.map(|name| index_of(columns, name)).collect();
                key.filter(|key| !key.is_empty())
            })
    })
}
