//! Verifies the tables of a destination.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use tokio::sync::Semaphore;

use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::store::{CONCURRENCY, Destination, shown};
use crate::verify::plan::{self, Listing, ObjectState, VerifyPlan};
use crate::verify::progress::VerifyProgress;
use crate::verify::published::{self, PublishedTable};
use crate::verify::report::{Finding, VerifyReport, VerifyTotals};
use crate::verify::scope::{VerifyCycles, VerifyDepth, VerifyScope};
use crate::verify::{check, markers, stray};

/// The attempts to read a table that is being published while it is verified.
const MAX_ATTEMPTS: usize = 5;

/// Verifies the files of a destination against its manifests.
///
/// # Errors
/// Fails if the store cannot be read, or if a table of the scope does not exist. A deviation of the
/// export is not an error but a [`Finding`].
pub(crate) async fn verify(
    destination: &Destination,
    scope: &VerifyScope,
    progress: &dyn VerifyProgress,
) -> Result<VerifyReport> {
    let (tables, mut findings) = tables(destination, scope).await?;
    let reads = Semaphore::new(scope.jobs.max(1));
    let checks: Vec<_> = tables
        .iter()
        .map(|table| verify_table(destination, scope, table, &reads, progress))
        .collect();
    let checked: Vec<(Vec<Finding>, VerifyTotals)> = futures::stream::iter(checks)
        .buffered(CONCURRENCY.tables_with_manifests)
        .try_collect()
        .await?;
    let mut totals = VerifyTotals::default();
    for (table_findings, counted) in checked {
        findings.extend(table_findings);
        totals.add(counted);
    }
    if scope.tables.is_empty() {
        findings.extend(markers::check(destination, &scope.cycles, scope.depth).await?);
    }
    findings.sort();
    Ok(VerifyReport {
        destination: destination.to_string(),
        quick: scope.depth == VerifyDepth::Quick,
        tables: tables.len() as u64,
        cycles: totals.cycles,
        files: totals.files,
        rows: totals.rows,
        rejects: totals.rejects,
        bytes: totals.bytes,
        findings,
    })
}

/// Returns the tables to verify, and the findings of objects that belong to no table.
async fn tables(
    destination: &Destination,
    scope: &VerifyScope,
) -> Result<(BTreeSet<TableName>, Vec<Finding>)> {
    let folders = destination.folders(&layout::manifests_folder()).await?;
    let published = folders.iter().filter_map(|name| name.parse().ok());
    let mut known: BTreeSet<TableName> = published.collect();
    let under_data = stray::list(destination).await?;
    known.extend(under_data.tables);
    if scope.tables.is_empty() {
        let strays = match scope.cycles {
            VerifyCycles::All => under_data.strays,
            VerifyCycles::Range { .. } => Vec::new(),
        };
        return Ok((known, strays));
    }
    let names: Vec<&str> = known.iter().map(TableName::as_str).collect();
    let hint = match names.as_slice() {
        [] => "nothing is published there".to_owned(),
        names => format!("the tables are {}", names.join(", ")),
    };
    let unknown = scope.tables.iter().filter(|table| !known.contains(table));
    let errors = unknown.map(|table| {
        Error::invalid(format!("`{destination}` has no table `{table}`")).with_hint(hint.clone())
    });
    Error::all(errors.collect())?;
    Ok((scope.tables.iter().cloned().collect(), Vec::new()))
}

/// Verifies one table.
///
/// It is verified again if there are findings but manifests were published in the meantime: the
/// findings may be of a moment in between.
async fn verify_table(
    destination: &Destination,
    scope: &VerifyScope,
    table: &TableName,
    reads: &Semaphore,
    progress: &dyn VerifyProgress,
) -> Result<(Vec<Finding>, VerifyTotals)> {
    let mut attempt = 1;
    loop {
        let published = published::read(destination, table).await?;
        let checked = verify_published(destination, scope, &published, reads, progress).await?;
        if checked.0.is_empty()
            || attempt == MAX_ATTEMPTS
            || published::is_unchanged(destination, &published).await?
        {
            return Ok(checked);
        }
        attempt += 1;
    }
}

/// Verifies the published files of one table.
async fn verify_published(
    destination: &Destination,
    scope: &VerifyScope,
    published: &PublishedTable,
    reads: &Semaphore,
    progress: &dyn VerifyProgress,
) -> Result<(Vec<Finding>, VerifyTotals)> {
    let listing = list(destination, published, &scope.cycles).await?;
    let VerifyPlan {
        mut findings,
        mut files,
        cycles,
    } = plan::plan(published, &scope.cycles, &listing);
    let is_named = scope.tables.contains(&published.table);
    findings.extend(plan::unpublished(published, &scope.cycles, is_named));
    if scope.ignores_etags {
        for (recorded, _) in &mut files {
            recorded.etag = None;
        }
    }
    let mut totals = VerifyTotals {
        cycles,
        ..VerifyTotals::default()
    };
    if scope.depth == VerifyDepth::Quick {
        for (recorded, state) in &files {
            findings.extend(check::metadata(recorded, state));
            totals.add(recorded.totals(recorded.rows, size(state)));
        }
        return Ok((findings, totals));
    }
    progress.planned(files.iter().map(|(_, state)| size(state)).sum());
    let checks: Vec<_> = files
        .iter()
        .map(|(recorded, state)| async move {
            let _one_of_jobs = reads.acquire().await.map_err(|error| {
                Error::internal("the queue of files is closed").with_source(error)
            })?;
            check::file(destination, recorded, state, progress).await
        })
        .collect();
    // Only the checks that hold a permit do any work.
    let checked: Vec<(Vec<Finding>, VerifyTotals)> = futures::stream::iter(checks)
        .buffer_unordered(scope.jobs.max(1))
        .try_collect()
        .await?;
    for (file_findings, counted) in checked {
        findings.extend(file_findings);
        totals.add(counted);
    }
    Ok((findings, totals))
}

fn size(state: &ObjectState) -> u64 {
    match state {
        ObjectState::Present { bytes, .. } => *bytes,
        ObjectState::Forbidden => 0,
    }
}

/// Lists the table's data once, and requests each file of malformed lines by itself, as they stand by
/// source among those of other tables.
async fn list(
    destination: &Destination,
    published: &PublishedTable,
    cycles: &VerifyCycles,
) -> Result<Listing> {
    let present = |meta: object_store::ObjectMeta| ObjectState::Present {
        bytes: meta.size,
        etag: meta.e_tag,
    };
    let folder = layout::table_folder(&published.table);
    let objects = destination.list(&folder).await?.into_iter();
    let mut listing: Listing = objects
        .map(|meta| (shown(meta.location.as_ref()).into_owned(), present(meta)))
        .collect();
    for path in plan::rejects(published, cycles) {
        let Ok(key) = Path::parse(path) else {
            continue;
        };
        let state = match destination.head(&key).await {
            Ok(Some(meta)) => present(meta),
            Ok(None) => continue,
            Err(error) if error.is_forbidden() => ObjectState::Forbidden,
            Err(error) => return Err(error),
        };
        listing.insert(path.to_owned(), state);
    }
    Ok(listing)
}
