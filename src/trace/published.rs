//! Which published files hold the event, and which rejects name its line.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::SessionContext;
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt, stream};

use super::Request;
use super::report::{Published, PublishedFile};
use crate::delivery::{History, read_manifest};
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::exported;
use crate::layout::{self, TableName};
use crate::manifest::{DataFile, Manifest};
use crate::scan::rejects::Reject;
use crate::scan::search::{FoundRow, RowPosition};
use crate::store::{CONCURRENCY, Destination};

/// The newest manifest of the cycle.
pub async fn manifest(request: &Request<'_>, table: &TableName) -> Result<Option<Manifest>> {
    let Some(destination) = request.destination else {
        return Ok(None);
    };
    let history = History::load(destination, table, None).await?;
    match history.newest_of(request.cycle) {
        Some(name) => read_manifest(destination, &name).await.map(Some),
        None => Ok(None),
    }
}

/// Looks into the files of the manifest. `window` are the event's values of the window column, as far
/// as they are known.
pub async fn look(
    request: &Request<'_>,
    context: &SessionContext,
    manifest: Option<&Manifest>,
    window: &[DateTime<Utc>],
) -> Result<Published> {
    let Some(destination) = request.destination else {
        return Ok(Published::NotAsked);
    };
    let Some(manifest) = manifest else {
        return Ok(Published::NoManifest);
    };
    let columns = manifest.schema.arrow();
    let Ok(column) = columns.field_with_name(request.column) else {
        return Ok(Published::NoColumn);
    };
    let value = ScalarValue::try_from_string(request.event.to_owned(), column.data_type()).ok();
    let files = manifest.files.iter().filter(|file| may_hold(file, window));
    let looks = files.map(|file| async {
        let rows = match &value {
            Some(value) => count(request, context, destination, manifest, file, value).await?,
            None => 0,
        };
        Ok::<_, Error>(PublishedFile {
            path: file.path.clone(),
            rows,
        })
    });
    let looks: Vec<_> = looks.collect();
    let looked: Vec<PublishedFile> = stream::iter(looks)
        .buffered(CONCURRENCY.searched_files)
        .try_collect()
        .await?;
    Ok(Published::Searched {
        manifest: manifest.name().path().to_string(),
        files: looked.into_iter().filter(|file| file.rows > 0).collect(),
    })
}

/// Whether one of the instants is between the least and the greatest of the file.
fn may_hold(file: &DataFile, window: &[DateTime<Utc>]) -> bool {
    match (file.window_min, file.window_max) {
        (Some(min), Some(max)) if !window.is_empty() => {
            window.iter().any(|instant| (min..=max).contains(instant))
        }
        _ => true,
    }
}

/// Of Parquet files the reader skips what statistics and bloom filters exclude.
async fn count(
    request: &Request<'_>,
    context: &SessionContext,
    destination: &Destination,
    manifest: &Manifest,
    file: &DataFile,
    value: &ScalarValue,
) -> Result<u64> {
    let table = exported::file(context, destination, manifest, file)?;
    let rows = context.read_table(Arc::new(table));
    let rows = rows.and_then(|rows| rows.filter(ident(request.column).eq(lit(value.clone()))));
    let count = rows.map_err(from_datafusion)?.count().await;
    count.map(|rows| rows as u64).map_err(from_datafusion)
}

/// By the index of each malformed line that the published run set aside, the file it is on record in.
pub async fn rejects(
    request: &Request<'_>,
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
                let is_line =
                    matches!(found.position, RowPosition::Line { line, .. } if line == reject.line);
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
    let damaged = || Error::data(format!("`{path}` is no file of rejects"));
    let stored = destination.get(&layout::parse_recorded(path)?).await?;
    let stored = stored.ok_or_else(|| Error::data(format!("`{path}` is not there")))?;
    let mut text = String::new();
    MultiGzDecoder::new(stored.as_ref())
        .read_to_string(&mut text)
        .map_err(|error| damaged().with_source(error))?;
    let lines = text.lines().map(serde_json::from_str);
    let rejects: serde_json::Result<_> = lines.collect();
    rejects.map_err(|error| damaged().with_source(error))
}
