//! What was published, read again and held against its manifests.
//!
//! ```text
//! manifests, newest log entry ─published→ Published ┐
//!                  data/<table>/ ─one listing→ Listing ┴ plan (pure) → findings, files to read
//!                                                 files ─check, each byte once→ findings → Report
//! ```
//! Checked are the files that make up a table now: of an incremental table those of the newest
//! revision of every cycle, of a snapshot those of its newest cycle alone. Nothing is written, and
//! nothing but listing and reading is asked of the store.

mod check;
mod plan;
mod published;
mod report;
mod stray;

pub use report::{Finding, Kind, Report};

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use tokio::sync::Semaphore;

use crate::cycle::Cycle;
use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::store::{CONCURRENCY, Destination};
use crate::verify::plan::{Listed, Listing, Plan};
use crate::verify::published::Published;
use crate::verify::report::Totals;

/// Looks at a table that is being published while it is verified.
const ATTEMPTS: usize = 5;

/// What is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Empty for all of them; then also what belongs to no table is found.
    pub tables: Vec<TableName>,
    pub cycles: Cycles,
    pub depth: Depth,
    /// Files read at once.
    pub jobs: usize,
}

/// Which cycles are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cycles {
    All,
    /// Both included. Objects that no manifest names are looked for in the folders only that files
    /// of these cycles are in.
    Range {
        first: Cycle,
        last: Cycle,
    },
}

impl Cycles {
    pub fn contains(&self, cycle: Cycle) -> bool {
        match self {
            Cycles::All => true,
            Cycles::Range { first, last } => (*first..=*last).contains(&cycle),
        }
    }
}

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Names, sizes and ETags.
    Quick,
    /// Every byte of every file.
    Full,
}

/// Is told how far the reading has come.
pub trait Progress: Send + Sync {
    /// So many bytes more are to be read.
    fn planned(&self, bytes: u64);
    fn read(&self, bytes: u64);
}

/// Nobody is told.
pub struct Unwatched;

impl Progress for Unwatched {
    fn planned(&self, _: u64) {}
    fn read(&self, _: u64) {}
}

/// Holds a destination against its manifests.
///
/// # Errors
/// The store cannot be read, or a table is asked for of which there is nothing. What is wrong with
/// the export is no error but a [`Finding`].
pub async fn verify(
    destination: &Destination,
    scope: &Scope,
    progress: &dyn Progress,
) -> Result<Report> {
    let (tables, mut findings) = tables(destination, scope).await?;
    let reads = Semaphore::new(scope.jobs.max(1));
    let checks: Vec<_> = tables
        .iter()
        .map(|table| verify_table(destination, scope, table, &reads, progress))
        .collect();
    let checked: Vec<(Vec<Finding>, Totals)> = futures::stream::iter(checks)
        .buffered(CONCURRENCY.tables_with_manifests)
        .try_collect()
        .await?;
    let mut totals = Totals::default();
    for (of_table, counted) in checked {
        findings.extend(of_table);
        totals.add(counted);
    }
    findings.sort();
    Ok(Report {
        destination: destination.to_string(),
        quick: scope.depth == Depth::Quick,
        tables: tables.len() as u64,
        cycles: totals.cycles,
        files: totals.files,
        rows: totals.rows,
        bytes: totals.bytes,
        findings,
    })
}

/// The tables to verify, and what is found on the way to them.
async fn tables(
    destination: &Destination,
    scope: &Scope,
) -> Result<(BTreeSet<TableName>, Vec<Finding>)> {
    let published = destination.folders(&layout::manifests_folder()).await?;
    let published = published.iter().filter_map(|name| name.parse().ok());
    let mut known: BTreeSet<TableName> = published.collect();
    let under_data = stray::look(destination).await?;
    known.extend(under_data.tables);
    if scope.tables.is_empty() {
        let strays = match scope.cycles {
            Cycles::All => under_data.strays,
            Cycles::Range { .. } => Vec::new(),
        };
        return Ok((known, strays));
    }
    let unknown = scope.tables.iter().filter(|table| !known.contains(table));
    let unknown = unknown.map(|table| {
        let known: Vec<&str> = known.iter().map(TableName::as_str).collect();
        let error = Error::invalid(format!("`{destination}` has no table `{table}`"));
        match known.as_slice() {
            [] => error.with_hint("nothing is published there"),
            known => error.with_hint(format!("the tables are {}", known.join(", "))),
        }
    });
    Error::all(unknown.collect())?;
    Ok((scope.tables.iter().cloned().collect(), Vec::new()))
}

/// Verifies one table. If there are findings, but manifests came in the meantime, they may be of
/// a moment between the two: it is verified again.
async fn verify_table(
    destination: &Destination,
    scope: &Scope,
    table: &TableName,
    reads: &Semaphore,
    progress: &dyn Progress,
) -> Result<(Vec<Finding>, Totals)> {
    let mut attempt = 1;
    loop {
        let published = published::read(destination, table).await?;
        let checked = verify_published(destination, scope, &published, reads, progress).await?;
        if checked.0.is_empty()
            || attempt == ATTEMPTS
            || published::is_unchanged(destination, &published).await?
        {
            return Ok(checked);
        }
        attempt += 1;
    }
}

async fn verify_published(
    destination: &Destination,
    scope: &Scope,
    published: &Published,
    reads: &Semaphore,
    progress: &dyn Progress,
) -> Result<(Vec<Finding>, Totals)> {
    let listing = list(destination, published, &scope.cycles).await?;
    let Plan {
        mut findings,
        files,
        cycles,
    } = plan::plan(published, &scope.cycles, &listing);
    let mut totals = Totals {
        cycles,
        ..Totals::default()
    };
    if scope.depth == Depth::Quick {
        for (recorded, listed) in &files {
            findings.extend(check::metadata(recorded, listed));
            totals.add(Totals {
                files: 1,
                rows: recorded.rows,
                bytes: size(listed),
                cycles: 0,
            });
        }
        return Ok((findings, totals));
    }
    progress.planned(files.iter().map(|(_, listed)| size(listed)).sum());
    let checks: Vec<_> = files
        .iter()
        .map(|(recorded, listed)| async move {
            let _one_of_jobs = reads.acquire().await.map_err(|error| {
                Error::internal("the queue of files is closed").with_source(error)
            })?;
            check::file(destination, recorded, listed, progress).await
        })
        .collect();
    // Only as many as hold a permit do any work.
    let checked: Vec<(Vec<Finding>, Totals)> = futures::stream::iter(checks)
        .buffer_unordered(scope.jobs.max(1))
        .try_collect()
        .await?;
    for (of_file, counted) in checked {
        findings.extend(of_file);
        totals.add(counted);
    }
    Ok((findings, totals))
}

fn size(listed: &Listed) -> u64 {
    match listed {
        Listed::There { bytes, .. } => *bytes,
        Listed::Forbidden => 0,
    }
}

/// One listing of the table's data, and a look at each file of malformed lines, which lie by source
/// among those of other tables.
async fn list(
    destination: &Destination,
    published: &Published,
    cycles: &Cycles,
) -> Result<Listing> {
    let there = |meta: object_store::ObjectMeta| Listed::There {
        bytes: meta.size,
        etag: meta.e_tag,
    };
    let folder = layout::table_folder(&published.table);
    let objects = destination.list(&folder).await?.into_iter();
    let mut listing: Listing = objects
        .map(|meta| (meta.location.to_string(), there(meta)))
        .collect();
    for path in plan::rejects(published, cycles) {
        let Ok(key) = Path::parse(path) else {
            continue;
        };
        let listed = match destination.head(&key).await {
            Ok(Some(meta)) => there(meta),
            Ok(None) => continue,
            Err(error) if published::is_forbidden(&error) => Listed::Forbidden,
            Err(error) => return Err(error),
        };
        listing.insert(path.to_owned(), listed);
    }
    Ok(listing)
}
