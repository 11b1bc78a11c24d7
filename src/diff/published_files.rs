//! Published files, checked against the digests of their manifest before their rows are read.

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::layout;
use crate::manifest::{DataFile, Manifest};
use crate::store::{CONCURRENCY, Destination};

/// Checks that each file of a manifest has the recorded size and SHA-256.
///
/// # Errors
/// [`Error::data`] for a file that is not as it was published.
pub(super) async fn check_files(destination: &Destination, manifest: &Manifest) -> Result<()> {
    let checks: Vec<_> = manifest
        .files
        .iter()
        .map(|file| check_file(destination, file))
        .collect();
    stream::iter(checks)
        .buffer_unordered(CONCURRENCY.searched_files)
        .try_collect()
        .await
}

async fn check_file(destination: &Destination, file: &DataFile) -> Result<()> {
    let path = &file.path;
    let not_published = |what: String| {
        Error::data(format!("`{path}` is not as it was published: {what}"))
            .with_hint("`dayport verify` checks all files of the export")
    };
    let key = destination.absolute(&layout::parse_recorded(path)?);
    let failed = |error: object_store::Error| match error {
        object_store::Error::NotFound { .. } => not_published(
            "it does not exist; a rerun or a later snapshot replaces the files of a cycle"
                .to_owned(),
        ),
        error => Error::store("read", path, error),
    };
    let store = destination.object_store();
    let mut bytes = store.get(&key).await.map_err(failed)?.into_stream();
    let (mut size, mut digest) = (0, Sha256::new());
    while let Some(chunk) = bytes.try_next().await.map_err(failed)? {
        size += chunk.len() as u64;
        digest.update(&chunk);
    }
    let sha256 = format!("{:x}", digest.finalize());
    if size != file.bytes {
        let recorded = file.bytes;
        return Err(not_published(format!(
            "{size} bytes, recorded as {recorded}"
        )));
    }
    if sha256 != file.sha256 {
        let recorded = &file.sha256;
        return Err(not_published(format!(
            "SHA-256 {sha256}, recorded as {recorded}"
        )));
    }
    Ok(())
}
