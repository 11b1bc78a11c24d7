//! Explains why an event is in the export, or is not.
//!
//! ```text
//! definition ─bind, optimize→ scans ─SourceFiles→ search: file and line ─FoundRow→
//!    explain: the query over this row alone, and each condition ─┐
//! manifest ─published: files that can hold it → read ────────────┴→ TraceReport
//! ```
//! A trace writes nothing, and needs only the rights to list and read.

mod explain;
mod published;
mod report;
mod request;
mod search;

use datafusion::prelude::SessionContext;

pub(crate) use report::{
    Evaluation, ExportState, Occurrence, RowOutcome, TableTrace, TraceReport, Truth,
};
pub(crate) use request::TraceRequest;

pub(crate) use crate::scan::search::RowPosition;

use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::scan::search::FoundRow;
use search::{Scanned, Search};

/// Traces one event through one cycle.
///
/// # Errors
/// A definition does not compile, or a store is unavailable. A source that cannot be read is not an
/// error but part of the report: the published files may outlive it.
pub(crate) async fn trace(request: &TraceRequest<'_>) -> Result<TraceReport> {
    let context = request.engine.session();
    let search = Search::run(request, &context).await?;
    let mut tables = Vec::new();
    for scanned in search
        .definitions
        .iter()
        .filter(|scanned| scanned.has_column)
    {
        tables.push(trace_table(request, &context, scanned, &search.found).await?);
    }
    for table in &request.tables {
        let manifest = published::manifest(request, table).await?;
        let published = published::search(request, &context, manifest.as_ref(), &[]).await?;
        // A table without the column, such as a list of domains, cannot hold the event.
        if published != ExportState::NoColumn {
            tables.push(TableTrace {
                table: table.clone(),
                evaluations: Vec::new(),
                published,
                notes: Vec::new(),
            });
        }
    }
    Ok(TraceReport {
        event: request.event.to_owned(),
        column: request.column.to_owned(),
        cycle: request.cycle,
        searched: search.searched,
        occurrences: search.found.iter().map(Occurrence::from).collect(),
        tables,
    })
}

/// Finds the rows of an event in the sources that the definitions read.
///
/// # Errors
/// As [`trace`], and if a source cannot be searched.
pub(crate) async fn find(request: &TraceRequest<'_>) -> Result<Vec<FoundRow>> {
    let search = Search::run(request, &request.engine.session()).await?;
    let mut searched = search.searched.iter();
    if let Some((source, failure)) =
        searched.find_map(|source| Some((&source.source, source.failure.as_ref()?)))
    {
        return Err(Error::data(format!(
            "the source `{source}` was not searched: {failure}"
        )));
    }
    Ok(search.found)
}

async fn trace_table(
    request: &TraceRequest<'_>,
    context: &SessionContext,
    scanned: &Scanned<'_>,
    found: &[FoundRow],
) -> Result<TableTrace> {
    let table = &scanned.definition.table;
    let manifest = published::manifest(request, table).await?;
    let rejects = published::rejects(request, manifest.as_ref(), found).await?;
    let (mut evaluations, mut window) = (Vec::new(), Vec::new());
    for (index, found) in found.iter().enumerate() {
        if !scanned.reads(found) {
            continue;
        }
        let mut explained = explain::explain(context, scanned, found).await?;
        window.extend(explained.window(manifest.as_ref()));
        if let RowOutcome::Rejected { recorded, .. } = &mut explained.outcome {
            *recorded = rejects.get(&index).cloned();
        }
        evaluations.push(Evaluation {
            occurrence: index,
            outcome: explained.outcome,
            conditions: explained.conditions,
        });
    }
    Ok(TableTrace {
        table: table.clone(),
        evaluations,
        published: published::search(request, context, manifest.as_ref(), &window).await?,
        notes: manifest.map_or_else(Vec::new, |manifest| changes(scanned, &manifest)),
    })
}

/// Describes the differences between the definition and sources of today and those of the published
/// run.
fn changes(scanned: &Scanned<'_>, manifest: &Manifest) -> Vec<String> {
    let mut notes = Vec::new();
    if manifest.definition.sha256 != scanned.definition.sha256 {
        notes.push("the definition has changed since".to_owned());
    }
    let audits = scanned.definition.audits.as_ref();
    if manifest.definition.audits_sha256.as_ref() != audits.map(|audits| &audits.sha256) {
        notes.push("the audits of the table have changed since".to_owned());
    }
    for files in &scanned.scans {
        let source = files.source();
        let recorded = manifest.sources.iter().find(|known| known.name == source);
        if recorded.is_some_and(|recorded| recorded.digest != files.digest()) {
            notes.push(format!(
                "the files of the source `{source}` have changed since"
            ));
        }
    }
    notes
}
