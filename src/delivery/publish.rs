//! Makes a committed entry visible: complete its uploads, delete what it replaces, write the file of a
//! new schema version, write its manifest.
//!
//! Every step may have been done before, by this run or by another. So every step is idempotent: it
//! asks the store for the outcome and never guesses it.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::delivery::log::{LogAction, LogEntry, PendingUpload};
use crate::delivery::reread;
use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::manifest::Manifest;
use crate::schema_version::SchemaVersion;
use crate::store::{CONCURRENCY, Completion, Created, Destination, expected_etag, unquoted_etag};

/// The outcome of publishing an entry.
#[derive(Debug)]
pub(crate) enum Publish {
    /// The manifest is written.
    Published(Box<Published>),
    /// Some uploads cannot be completed any more and their files do not exist.
    Impossible {
        /// Keys of the files of this entry that are visible.
        visible: Vec<String>,
        /// Keys of the files of this entry that can never become visible.
        lost: Vec<String>,
    },
}

/// A cycle that is published.
#[derive(Debug)]
pub(crate) struct Published {
    /// The manifest in its final form, with the ETags.
    pub manifest: Manifest,
    /// The reason why the schema file of the table's newest version was not written. The cycle is
    /// published without it, and the next publication tries again.
    pub schema_file_error: Option<Error>,
}

/// A file of an entry that is visible.
struct VisibleFile {
    /// The ETag without quotes, if the store gives one.
    etag: Option<String>,
}

/// The uploads of an entry after their completion.
#[derive(Default)]
struct Uploads {
    /// The ETag of each file that is visible, by its key.
    visible: BTreeMap<String, Option<String>>,
    /// Keys of the files that can never become visible.
    lost: Vec<String>,
}

impl Uploads {
    /// Sorts uploads by what `file_of` says of each.
    async fn collect<'a, F>(
        uploads: &'a [PendingUpload],
        file_of: impl Fn(&'a PendingUpload) -> F,
    ) -> Result<Self>
    where
        F: Future<Output = Result<Option<VisibleFile>>>,
    {
        let files: Vec<F> = uploads.iter().map(file_of).collect();
        let files: Vec<Option<VisibleFile>> = futures::stream::iter(files)
            .buffered(CONCURRENCY.completions)
            .try_collect()
            .await?;
        let mut all = Self::default();
        for (upload, file) in uploads.iter().zip(files) {
            match file {
                Some(file) => {
                    all.visible.insert(upload.path.clone(), file.etag);
                }
                None => all.lost.push(upload.path.clone()),
            }
        }
        Ok(all)
    }
}

/// Publishes an entry of the log, whose keys are checked to be its own table's. Idempotent: any number
/// of runs may call it any number of times.
pub(crate) async fn publish(destination: &Destination, entry: &LogEntry) -> Result<Publish> {
    let LogAction::Publish { manifest, uploads } = &entry.action else {
        return Err(Error::internal("only a publishing entry can be published"));
    };
    let key = manifest.name().path();
    let Uploads { visible, lost } = finish(destination, &manifest.table, uploads).await?;
    if !lost.is_empty() {
        // Another run may have finished this entry, and a later entry replaced its files since.
        return match reread::read(destination, &key, |text| Manifest::parse(&key, text)).await? {
            Some(stored) => Ok(published(stored, None)),
            None => Ok(Publish::Impossible {
                visible: visible.into_keys().collect(),
                lost,
            }),
        };
    }

    let replaced: Vec<Path> = manifest
        .replaced
        .iter()
        .map(|path| layout::parse_own(&manifest.table, path))
        .collect::<Result<_>>()?;
    destination.delete(&replaced).await?;

    let mut published_manifest = manifest.clone();
    for file in &mut published_manifest.files {
        file.etag = visible.get(&file.path).cloned().flatten();
    }
    for file in &mut published_manifest.rejects {
        file.etag = visible.get(&file.path).cloned().flatten();
    }
    // Before the manifest, which names the version.
    let schema_file_error = write_schema_file(destination, entry, manifest).await.err();
    let written = write_manifest(destination, &key, *published_manifest).await?;
    Ok(published(written, schema_file_error))
}

fn published(manifest: Manifest, schema_file_error: Option<Error>) -> Publish {
    Publish::Published(Box::new(Published {
        manifest,
        schema_file_error,
    }))
}

/// Writes the schema file of the newest version, if the entry publishes that version. The file exists
/// already unless the version is new, or its file could not be written before.
async fn write_schema_file(
    destination: &Destination,
    entry: &LogEntry,
    manifest: &Manifest,
) -> Result<()> {
    let newest = entry.state.schema.as_ref();
    let Some(schema) = newest.filter(|newest| manifest.schema_version == Some(newest.version))
    else {
        return Ok(());
    };
    let key = layout::schema_file(&manifest.table, schema.version);
    let text = Bytes::from(schema.to_json(manifest)?);
    match destination.create(&key, text).await {
        Created::Yes => Ok(()),
        Created::Contested => match destination.get(&key).await? {
            Some(stored) if SchemaVersion::is_of(&stored, manifest) => Ok(()),
            _ => Err(Error::data(format!(
                "`{key}` describes another schema than that of the manifest"
            ))),
        },
        Created::Unknown(error) => Err(error),
    }
}

async fn write_manifest(
    destination: &Destination,
    key: &Path,
    manifest: Manifest,
) -> Result<Manifest> {
    let text = Bytes::from(manifest.to_json()?);
    let failure = match destination.create(key, text).await {
        Created::Yes => return Ok(manifest),
        Created::Contested => None,
        Created::Unknown(error) => Some(error),
    };
    match reread::read(destination, key, |text| Manifest::parse(key, text)).await? {
        // This publication's, written by this run or by one that finished it.
        Some(stored) if stored.run_id == manifest.run_id => Ok(stored),
        Some(stored) => Err(Error::data(format!(
            "`{key}` is already there, written by run {}",
            stored.run_id
        ))
        .with_hint("manifests are immutable; nothing but dayport may write there")),
        None => Err(failure
            .unwrap_or_else(|| Error::unavailable(format!("the store refuses to create `{key}`")))),
    }
}

/// Completes uploads and returns which files are visible.
///
/// # Errors
/// Fails if it is not known of some upload whether it can still be completed.
async fn finish(
    destination: &Destination,
    table: &TableName,
    uploads: &[PendingUpload],
) -> Result<Uploads> {
    let completed = |upload| complete(destination, table, upload);
    let finished = Uploads::collect(uploads, completed).await?;
    if finished.lost.is_empty() {
        return Ok(finished);
    }
    // Another run may just have completed what was not visible a moment ago.
    Uploads::collect(uploads, |upload| look_at(destination, table, upload)).await
}

/// Completes an upload. Returns `None` if its file is not visible and can never become so.
async fn complete(
    destination: &Destination,
    table: &TableName,
    upload: &PendingUpload,
) -> Result<Option<VisibleFile>> {
    let key = layout::parse_own(table, &upload.path)?;
    let completion = destination.complete(&key, &upload.token).await;
    let file = look_at(destination, table, upload).await?;
    match completion {
        Completion::Unknown(error) if file.is_none() => {
            if destination.key_fault(&key).is_some() {
                return Ok(None);
            }
            match destination.upload_exists(&key, &upload.token).await {
                Ok(false) => Ok(None),
                Ok(true) => Err(error),
                Err(untold) => Err(error.with_hint(untold.chain())),
            }
        }
        Completion::Completed | Completion::Gone | Completion::Unknown(_) => Ok(file),
    }
}

/// Returns the file of an upload if it is visible.
async fn look_at(
    destination: &Destination,
    table: &TableName,
    upload: &PendingUpload,
) -> Result<Option<VisibleFile>> {
    let key = layout::parse_own(table, &upload.path)?;
    let stored = match destination.head(&key).await {
        Ok(stored) => stored,
        // Committed by a version that did not check it: no retry can make it visible.
        Err(_) if destination.key_fault(&key).is_some() => None,
        Err(error) => return Err(error),
    };
    Ok(stored
        .filter(|stored| is_ours(stored.e_tag.as_deref(), stored.size, upload))
        .map(|stored| VisibleFile {
            etag: stored.e_tag.as_deref().map(unquoted_etag),
        }))
}

/// Returns true if the object at the final key is the uploaded one, and not the one it replaces.
fn is_ours(etag: Option<&str>, size: u64, upload: &PendingUpload) -> bool {
    let found = etag.map(unquoted_etag);
    match (&found, expected_etag(&upload.token)) {
        (Some(found), Some(expected)) if *found == expected => true,
        // The ETags of encrypted objects cannot be predicted.
        _ => {
            let replaces = &upload.replaces_etag;
            size == upload.bytes && (replaces.is_none() || found != *replaces)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::staged::UploadToken;

    #[test]
    fn a_replaced_file_is_not_taken_for_its_replacement() {
        let upload = |replaces: Option<&str>| PendingUpload {
            path: String::new(),
            bytes: 10,
            token: UploadToken::Multipart {
                upload_id: "id".into(),
                part_etags: vec!["opaque".into()],
            },
            replaces_etag: replaces.map(str::to_owned),
        };
        assert!(is_ours(Some("\"new\""), 10, &upload(Some("old"))));
        assert!(!is_ours(Some("\"old\""), 10, &upload(Some("old"))));
        assert!(!is_ours(Some("\"new\""), 11, &upload(Some("old"))));
        assert!(is_ours(Some("\"new\""), 10, &upload(None)));
    }
}
