//! Searches the published files for the event, and the recorded rejects for its line.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::SessionContext;
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt, stream};

use crate::delivery::{History, read_manifest};
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::exported;
use crate::layout::{self, TableName};
use crate::manifest::{DataFile, Manifest};
use crate::scan::rejects::Reject;
use crate::scan::search::{FoundRow, RowPosition};
use crate::store::{CONCURRENCY, Destination};
use crate::trace::report::{ExportState, MatchingFile};
use crate::trace::request::TraceRequest;

/// Reads the newest manifest of the cycle, if the table has one.
pub(super) async fn manifest(
    request: &TraceRequest<'_>,
    table: &TableName,
) -> Result<Option<Manifest>> {
    let Some(destination) = request.destination else {
        return Ok(None);
    };
    let history = History::load(destination, table, None).await?;
    match history.newest_of(request.cycle) {
        Some(name) => read_manifest(destination, &name).await.map(Some),
        None => Ok(None),
    }
}

/// Searches the files of the manifest for the event. `window` holds the event's values of the window
/// column, as far as they are known; files outside of them are skipped.
pub(super) async fn search(
    request: &TraceRequest<'_>,
    context: &SessionContext,
    manifest: Option<&Manifest>,
    window: &[DateTime<Utc>],
) -> Result<ExportState> {
    let Some(destination) = request.destination else {
        return Ok(ExportState::NoDestination);
    };
    let Some(manifest) = manifest else {
        return Ok(ExportState::NoManifest);
    };
    let columns = manifest.schema.arrow();
    let Ok(column) = columns.field_with_name(request.column) else {
        return Ok(ExportState::NoColumn);
    };
    let value = ScalarValue::try_from_string(request.event.to_owned(), column.data_type()).ok();
    let files = manifest.files.iter().filter(|file| may_hold(file, window));
    let searches: Vec<_> = files
        .map(|file| async {
            let rows = match &value {
                Some(value) => count(request, context, destination, manifest, file, value).await?,
                None => 0,
            };
            Ok::<_, Error>(MatchingFile {
                path: file.path.clone(),
                rows,
            })
        })
        .collect();
    let mut searched: Vec<MatchingFile> = stream::iter(searches)
        .buffered(CONCURRENCY.searched_files)
        .try_collect()
        .await?;
    searched.retain(|file| file.rows > 0);
    Ok(ExportState::Searched {
        manifest: manifest.name().path().to_string(),
        files: searched,
    })
}

/// Returns true if one of the instants lies within the file's bounds of the window column, or if
/// either is unknown.
fn may_hold(file: &DataFile, window: &[DateTime<Utc>]) -> bool {
    match (file.window_min, file.window_max) {
        (Some(min), Some(max)) if !window.is_empty() => {
            window.iter().any(|instant| (min..=max).contains(instant))
        }
        _ => true,
    }
}

/// Counts the rows of a file that have the value. The reader skips row groups of Parquet that
/// statistics or bloom filters exclude.
async fn count(
    request: &TraceRequest<'_>,
    context: &SessionContext,
    destination: &Destination,
    manifest: &Manifest,
    file: &DataFile,
    value: &ScalarValue,
) -> Result<u64> {
    let table = exported::file(context, destination, manifest, file)?;
    let is_event = ident(request.column).eq(lit(value.clone()));
    let rows = context
        .read_table(Arc::new(table))
        .and_then(|rows| rows.filter(is_event))
        .map_err(from_datafusion)?;
    let count = rows.count().await.map_err(from_datafusion)?;
    Ok(count as u64)
}

/// Finds the malformed lines that the published run recorded: returns the file of rejects by the
/// index of the line in `found`.
pub(super) async fn rejects(
    request: &TraceRequest<'_>,
    manifest: Option<&Manifest>,
    found: &[FoundRow],
) -> Result<BTreeMap<usize, String>> {
    let mut recorded = BTreeMap::new();
    let (Some(destination), Some(manifest)) = (request.destination, manifest) else {
        return Ok(recorded);
    };
    for file in &manifest.rejects {
        if found.iter().all(|found| found.source != file.source) {
            continue;
        }
        for reject in read_rejects(destination, &file.path).await? {
            let index = found.iter().position(|found| {
                let is_line = match found.position {
                    RowPosition::Line { line, .. } => line == reject.line,
                    RowPosition::Record { record, .. } => Some(record) == reject.record,
                    RowPosition::Row { .. } => false,
                };
                is_line && found.source == file.source && found.file == reject.file
            });
            if let Some(index) = index {
                recorded.insert(index, file.path.clone());
            }
        }
    }
    Ok(recorded)
}

async fn read_rejects(destination: &Destination, path: &str) -> Result<Vec<Reject>> {
    let not_rejects = || Error::data(format!("`{path}` is not a file of rejects"));
    let Some(stored) = destination.get(&layout::parse_recorded(path)?).await? else {
        return Err(Error::data(format!("`{path}` does not exist")));
    };
    let mut text = String::new();
    MultiGzDecoder::new(stored.as_ref())
        .read_to_string(&mut text)
        .map_err(|error| not_rejects().with_source(error))?;
    text.lines()
        .map(serde_json::from_str)
        .collect::<serde_json::Result<_>>()
        .map_err(|error| not_rejects().with_source(error))
}
