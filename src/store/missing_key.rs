//! Tells a missing object from a refusal.

use futures::StreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore};

/// Returns true if a request failed because there is no object with this key.
///
/// For a missing object S3 and Ceph respond 403 to a client that may list only under a condition (the
/// prefixes of our policies): <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>. A
/// listing distinguishes that from a refusal.
pub async fn is_missing(store: &dyn ObjectStore, key: &Path, error: &StoreError) -> bool {
    match error {
        StoreError::NotFound { .. } => return true,
        StoreError::PermissionDenied { .. } => {}
        _ => return false,
    }
    let (mut folder, mut before) = (key.to_string(), key.to_string());
    folder.truncate(folder.rfind('/').unwrap_or(0));
    before.pop();
    let (Ok(folder), Ok(before)) = (Path::parse(folder), Path::parse(before)) else {
        return false;
    };
    let mut listing = store.list_with_offset(Some(&folder), &before);
    while let Some(listed) = listing.next().await {
        match listed {
            Ok(listed) if listed.location < *key => {}
            Ok(listed) => return listed.location != *key,
            Err(_) => return false,
        }
    }
    true
}
