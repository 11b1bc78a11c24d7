//! Views over sources, registered after the tables and views that they read.

use std::collections::BTreeSet;

use datafusion::common::TableReference;
use datafusion::prelude::SessionContext;

use crate::catalog::declare::ViewDeclaration;
use crate::error::{Error, Result};
use crate::refusal::refuse_wrong_results;
use crate::sql_file::SqlFile;

/// A view that is to be registered.
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    pub(super) file: &'a SqlFile,
    pub(super) declaration: &'a ViewDeclaration,
}

/// Registers views, each after the views that it reads. The tables must have been registered.
///
/// # Errors
/// [`Error::invalid`] with file and line if a view reads a table that does not exist, if views read
/// each other in a circle, or if DataFusion rejects a query.
pub(super) async fn register(ctx: &SessionContext, views: Vec<View<'_>>) -> Result<()> {
    let mut pending = views;
    while !pending.is_empty() {
        let names: BTreeSet<&str> = pending.iter().map(|view| view.name).collect();
        let mut blocked = Vec::new();
        let mut ready = Vec::new();
        for view in pending {
            let tables = tables_read(ctx, &view)?;
            if tables.iter().any(|table| names.contains(table.table())) {
                blocked.push(view);
            } else {
                ready.push(view);
            }
        }
        if ready.is_empty() {
            return Err(circle(&blocked));
        }
        for view in ready {
            create(ctx, &view).await?;
        }
        pending = blocked;
    }
    Ok(())
}

/// Returns the tables and views that a view names, without those of its own `WITH`.
fn tables_read(ctx: &SessionContext, view: &View<'_>) -> Result<Vec<TableReference>> {
    ctx.state()
        .resolve_table_references(&view.declaration.query)
        .map_err(|error| view.file.rejected(&error))
}

async fn create(ctx: &SessionContext, view: &View<'_>) -> Result<()> {
    for table in tables_read(ctx, view)? {
        let exists = ctx
            .table_exist(table.clone())
            .map_err(|error| view.file.rejected(&error))?;
        if !exists {
            let what = format!("there is no source `{table}`");
            return Err(view
                .file
                .complaint(view.file.last_line_of(table.table()), what));
        }
    }
    let plan = ctx
        .state()
        .statement_to_plan(view.declaration.statement.clone())
        .await
        .map_err(|error| view.file.rejected(&error))?;
    refuse_wrong_results(view.file, &plan)?;
    ctx.execute_logical_plan(plan)
        .await
        .map_err(|error| view.file.rejected(&error))?;
    Ok(())
}

fn circle(views: &[View<'_>]) -> Error {
    let names: Vec<String> = views
        .iter()
        .map(|view| format!("`{}`", view.name))
        .collect();
    let what = format!("the views {} read each other in a circle", names.join(", "));
    match views.first() {
        Some(view) => view.file.complaint(view.file.first_line(), what),
        None => Error::internal(what),
    }
}
