//! Makes a committed entry visible: complete its uploads, delete what it replaces, write its manifest.
//!
//! Every step may have been done before, by this run or by another. So every step is idempotent: it
//! asks the store for the outcome and never guesses it.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::delivery::log::{LogAction, LogEntry, PendingUpload};
use crate::error::{Error, Result};
use crate::layout;
use crate::manifest::Manifest;
use crate::store::{CONCURRENCY, Completion, Created, Destination, expected_etag, unquoted_etag};

/// The outcome of publishing an entry.
#[derive(Debug)]
pub(crate) enum Publish {
    /// The manifest is written; this is its final form, with the ETags.
    Published(Box<Manifest>),
    /// Some uploads cannot be completed any more and their files do not exist.
    Impossible {
        /// Keys of the files of this entry that are visible.
        visible: Vec<String>,
        /// Keys of the files of this entry that can never become visible.
        lost: Vec<String>,
    },
}

/// The outcome of completing one upload.
enum FinishedUpload {
    Visible { path: String, etag: Option<String> },
    Lost { path: String },
}

/// Publishes an entry of the log. Idempotent: any number of runs may call it any number of times.
pub(crate) async fn publish(destination: &Destination, entry: &LogEntry) -> Result<Publish> {
    let LogAction::Publish { manifest, uploads } = &entry.action else {
        return Err(Error::internal("only a publishing entry can be published"));
    };
    let pending: Vec<_> = uploads
        .iter()
        .map(|upload| finish(destination, upload))
        .collect();
    let finished: Vec<FinishedUpload> = futures::stream::iter(pending)
        .buffered(CONCURRENCY.completions)
        .try_collect()
        .await?;

    let (mut visible, mut lost) = (BTreeMap::new(), Vec::new());
    for upload in finished {
        match upload {
            FinishedUpload::Visible { path, etag } => {
                visible.insert(path, etag);
            }
            FinishedUpload::Lost { path } => lost.push(path),
        }
    }
    let key = manifest.name().path();
    if !lost.is_empty() {
        // Another run may have finished this entry, and a later entry replaced its files since.
        return match destination.get(&key).await? {
            Some(text) => Ok(Publish::Published(Box::new(Manifest::parse(&key, &text)?))),
            None => Ok(Publish::Impossible {
                visible: visible.into_keys().collect(),
                lost,
            }),
        };
    }

    let replaced: Vec<Path> = manifest
        .replaced
        .iter()
        .map(|path| layout::parse_recorded(path))
        .collect::<Result<_>>()?;
    destination.delete(&replaced).await?;

    let mut published = manifest.clone();
    for file in &mut published.files {
        file.etag = visible.get(&file.path).cloned().flatten();
    }
    for file in &mut published.rejects {
        file.etag = visible.get(&file.path).cloned().flatten();
    }
    write_manifest(destination, &key, *published).await
}

async fn write_manifest(
    destination: &Destination,
    key: &Path,
    manifest: Manifest,
) -> Result<Publish> {
    let text = Bytes::from(manifest.to_json()?);
    let failure = match destination.create(key, text).await {
        Created::Yes => return Ok(Publish::Published(Box::new(manifest))),
        Created::Contested => None,
        Created::Unknown(error) => Some(error),
    };
    let stored = destination.get(key).await?;
    match stored.map(|text| Manifest::parse(key, &text)).transpose()? {
        // This publication's, written by this run or by one that finished it.
        Some(stored) if stored.run_id == manifest.run_id => {
            Ok(Publish::Published(Box::new(stored)))
        }
        Some(stored) => Err(Error::data(format!(
            "`{key}` is already there, written by run {}",
            stored.run_id
        ))
        .with_hint("manifests are immutable; nothing but dayport may write there")),
        None => Err(failure
            .unwrap_or_else(|| Error::unavailable(format!("the store refuses to create `{key}`")))),
    }
}

async fn finish(destination: &Destination, upload: &PendingUpload) -> Result<FinishedUpload> {
    let key = layout::parse_recorded(&upload.path)?;
    let failure = match destination.complete(&key, &upload.token).await {
        Completion::Completed | Completion::Gone => None,
        Completion::Unknown(error) => Some(error),
    };
    let stored = destination.head(&key).await?;
    let path = upload.path.clone();
    match stored {
        Some(stored) if is_ours(stored.e_tag.as_deref(), stored.size, upload) => {
            Ok(FinishedUpload::Visible {
                path,
                etag: stored.e_tag.as_deref().map(unquoted_etag),
            })
        }
        _ => match failure {
            Some(error) => Err(error),
            None => Ok(FinishedUpload::Lost { path }),
        },
    }
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
