//! Why an event is in the export, or is not.
//!
//! ```text
//! definition ─bind, optimize→ scans ─SourceFiles→ search: file and line ─FoundRow→
//!    explain: the query over this row alone, and each condition ─┐
//! manifest ─published: files that can hold it → read ────────────┴→ Report
//! ```
//! Nothing is written, and the rights to list and read are enough.

mod explain;
mod published;
mod report;
mod search;

use std::collections::BTreeMap;

use datafusion::prelude::SessionContext;

pub use report::{
    Condition, Occurrence, Operand, Outcome, Published, PublishedFile, Report, Searched, Seen,
    TableTrace, Truth,
};

pub use crate::scan::search::RowPosition;

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::engine::Engine;
use crate::error::Result;
use crate::layout::TableName;
use crate::manifest::Manifest;
use crate::scan::search::FoundRow;
use crate::store::Destination;
use search::{Scanned, Search};

/// What is traced, and where.
pub struct Request<'a> {
    pub engine: &'a Engine,
    /// Those that may have exported the event; empty for a receiver, who has none.
    pub definitions: &'a [&'a Definition],
    pub parameters: BTreeMap<String, String>,
    pub cycle: Cycle,
    pub column: &'a str,
    pub event: &'a str,
    pub destination: Option<&'a Destination>,
    /// Published tables to look into besides those of the definitions.
    pub tables: Vec<TableName>,
}

/// Traces one event through one cycle.
///
/// # Errors
/// A definition that does not bind, or a store that does not answer. A source that cannot be read is
/// part of the report: what is published outlives it.
pub async fn trace(request: &Request<'_>) -> Result<Report> {
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
        let published = published::look(request, &context, manifest.as_ref(), &[]).await?;
        // Such as a list of domains.
        if published != Published::NoColumn {
            tables.push(TableTrace {
                table: table.clone(),
                seen: Vec::new(),
                published,
                notes: Vec::new(),
            });
        }
    }
    Ok(Report {
        event: request.event.to_owned(),
        column: request.column.to_owned(),
        cycle: request.cycle,
        searched: search.searched,
        occurrences: search.found.iter().map(Occurrence::from).collect(),
        tables,
    })
}

async fn trace_table(
    request: &Request<'_>,
    context: &SessionContext,
    scanned: &Scanned<'_>,
    found: &[FoundRow],
) -> Result<TableTrace> {
    let table = &scanned.definition.table;
    let manifest = published::manifest(request, table).await?;
    let rejects = published::rejects(request, manifest.as_ref(), found).await?;
    let (mut seen, mut window) = (Vec::new(), Vec::new());
    for (index, found) in found.iter().enumerate() {
        if !scanned.reads(found) {
            continue;
        }
        let mut explained = explain::explain(context, scanned, found).await?;
        window.extend(explained.window(manifest.as_ref()));
        if let Outcome::Rejected { recorded, .. } = &mut explained.outcome {
            *recorded = rejects.get(&index).cloned();
        }
        seen.push(Seen {
            occurrence: index,
            outcome: explained.outcome,
            conditions: explained.conditions,
        });
    }
    Ok(TableTrace {
        table: table.clone(),
        seen,
        published: published::look(request, context, manifest.as_ref(), &window).await?,
        notes: manifest.map_or_else(Vec::new, |manifest| changes(scanned, &manifest)),
    })
}

/// What is no longer as it was when the cycle was published.
fn changes(scanned: &Scanned<'_>, manifest: &Manifest) -> Vec<String> {
    let mut notes = Vec::new();
    if manifest.definition.sha256 != scanned.definition.sha256 {
        notes.push("the definition has changed since".to_owned());
    }
    for files in &scanned.scans {
        let mut records = manifest.sources.iter();
        let record = records.find(|record| record.name == files.source());
        if record.is_some_and(|record| record.digest != files.digest()) {
            let source = files.source();
            notes.push(format!(
                "the files of the source `{source}` have changed since"
            ));
        }
    }
    notes
}
