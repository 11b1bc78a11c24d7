//! Makes a committed entry visible: complete its uploads, delete what it replaces, write its manifest.
//!
//! Every step may have been done before, by this run or by another, so every step asks the store
//! and none guesses.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use object_store::path::Path;

use crate::delivery::log::{Action, LogEntry, PendingUpload};
use crate::error::{Error, Result};
use crate::layout;
use crate::manifest::Manifest;
use crate::staged::UploadToken;
use crate::store::{Completion, Created, Destination};

/// Metadata calls under way at once.
const CONCURRENT_CALLS: usize = 32;

/// What publishing an entry came to.
#[derive(Debug)]
pub enum Publish {
    Published(Box<Manifest>),
    /// Some uploads cannot be completed any more and their files are not there.
    Impossible {
        /// Files of this entry that are visible.
        visible: Vec<String>,
        /// Files of this entry that never will be.
        lost: Vec<String>,
    },
}

/// What became of one upload.
enum Finished {
    Visible { path: String, etag: Option<String> },
    Lost { path: String },
}

/// Publishes an entry of the log. May be called any number of times, by any number of runs.
pub async fn publish(destination: &Destination, entry: &LogEntry) -> Result<Publish> {
    let Action::Publish { manifest, uploads } = &entry.action else {
        return Err(Error::internal("only a publishing entry can be published"));
    };
    let pending: Vec<_> = uploads
        .iter()
        .map(|upload| finish(destination, upload))
        .collect();
    let finished: Vec<Finished> = futures::stream::iter(pending)
        .buffered(CONCURRENT_CALLS)
        .try_collect()
        .await?;

    let (mut visible, mut lost) = (BTreeMap::new(), Vec::new());
    for finished in finished {
        match finished {
            Finished::Visible { path, etag } => {
                visible.insert(path, etag);
            }
            Finished::Lost { path } => lost.push(path),
        }
    }
    let key = manifest.name().path();
    if !lost.is_empty() {
        // Another run may have finished this entry, and a later one replaced its files since.
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
        .map(|path| layout::recorded(path))
        .collect::<Result<_>>()?;
    destination.delete(&replaced).await?;

    let mut manifest = manifest.clone();
    for file in &mut manifest.files {
        file.etag = visible.get(&file.path).cloned().flatten();
    }
    for file in &mut manifest.rejects {
        file.etag = visible.get(&file.path).cloned().flatten();
    }
    write_manifest(destination, &key, *manifest).await
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
    let there = destination.get(key).await?;
    match there.map(|text| Manifest::parse(key, &text)).transpose()? {
        // Ours, written by this run or by one that finished it for us.
        Some(there) if there.run_id == manifest.run_id => Ok(Publish::Published(Box::new(there))),
        Some(there) => Err(Error::data(format!(
            "`{key}` is already there, written by run {}",
            there.run_id
        ))
        .with_hint("manifests are immutable; nothing but dayport may write there")),
        None => Err(failure
            .unwrap_or_else(|| Error::unavailable(format!("the store refuses to create `{key}`")))),
    }
}

async fn finish(destination: &Destination, upload: &PendingUpload) -> Result<Finished> {
    let path = layout::recorded(&upload.path)?;
    let failure = match destination.complete(&path, &upload.token).await {
        Completion::Completed | Completion::Gone => None,
        Completion::Unknown(error) => Some(error),
    };
    let there = destination.head(&path).await?;
    let path = upload.path.clone();
    match there {
        Some(there) if is_ours(there.e_tag.as_deref(), there.size, upload) => {
            Ok(Finished::Visible {
                path,
                etag: there.e_tag.as_deref().map(unquoted),
            })
        }
        _ => match failure {
            Some(error) => Err(error),
            None => Ok(Finished::Lost { path }),
        },
    }
}

/// Whether the object at the final key is the uploaded one, and not the one it replaces.
fn is_ours(etag: Option<&str>, size: u64, upload: &PendingUpload) -> bool {
    let etag = etag.map(unquoted);
    match (&etag, expected_etag(&upload.token)) {
        (Some(etag), Some(expected)) if *etag == expected => true,
        // Encrypted objects have ETags that cannot be foretold.
        _ => {
            size == upload.bytes && (upload.replaces_etag.is_none() || etag != upload.replaces_etag)
        }
    }
}

/// The ETag that the finished object will have, where that can be told.
fn expected_etag(token: &UploadToken) -> Option<String> {
    match token {
        UploadToken::Rename { etag, .. } => etag.as_deref().map(unquoted),
        UploadToken::Multipart { part_etags, .. } => {
            let mut digest = Md5::new();
            for etag in part_etags {
                digest.update(md5_bytes(&unquoted(etag))?);
            }
            Some(format!("{:x}-{}", digest.finalize(), part_etags.len()))
        }
    }
}

fn md5_bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    if hexadecimal.len() != 32 || !hexadecimal.is_ascii() {
        return None;
    }
    (0..32)
        .step_by(2)
        .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).ok())
        .collect()
}

fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multipart(part_etags: &[&str]) -> UploadToken {
        UploadToken::Multipart {
            upload_id: "id".into(),
            part_etags: part_etags.iter().map(|etag| (*etag).to_owned()).collect(),
        }
    }

    /// The figures are those of a real two-part upload of `a` and `b`.
    #[test]
    fn the_etag_of_a_multipart_object_can_be_foretold() {
        let token = multipart(&[
            "\"0cc175b9c0f1b6a831c399e269772661\"",
            "\"92eb5ffee6ae2fec3ad71c777531578f\"",
        ]);
        let mut digest = Md5::new();
        digest.update(Md5::digest(b"a"));
        digest.update(Md5::digest(b"b"));
        let expected = format!("{:x}-2", digest.finalize());
        assert_eq!(expected_etag(&token), Some(expected));
        assert_eq!(expected_etag(&multipart(&["\"not-an-md5\""])), None);
    }

    #[test]
    fn a_replaced_file_is_not_taken_for_its_replacement() {
        let upload = |replaces: Option<&str>| PendingUpload {
            path: String::new(),
            bytes: 10,
            token: multipart(&["opaque"]),
            replaces_etag: replaces.map(str::to_owned),
        };
        assert!(is_ours(Some("\"new\""), 10, &upload(Some("old"))));
        assert!(!is_ours(Some("\"old\""), 10, &upload(Some("old"))));
        assert!(!is_ours(Some("\"new\""), 11, &upload(Some("old"))));
        assert!(is_ours(Some("\"new\""), 10, &upload(None)));
    }
}
