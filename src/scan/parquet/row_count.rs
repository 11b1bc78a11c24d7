//! The number of rows that a file's footer states.

use std::panic::AssertUnwindSafe;

use datafusion::common::Result;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::FutureExt;
use object_store::{ObjectMeta, ObjectStore};

use super::open_file::OpenFile;
use crate::listing::location::key_url;

/// Returns the number of rows of a file. `url` is that of its store.
///
/// # Errors
/// The footer cannot be read; the error names the file.
pub(crate) async fn row_count(
    url: &ObjectStoreUrl,
    store: &dyn ObjectStore,
    file: &ObjectMeta,
) -> Result<u64> {
    let open = OpenFile::new(key_url(url, &file.location));
    let footer = DFParquetMetadata::new(store, file);
    // The reader panics on some damaged files.
    let read = AssertUnwindSafe(footer.fetch_metadata())
        .catch_unwind()
        .await;
    let footer = read
        .unwrap_or_else(|panic| Err(open.panicked(panic)))
        .map_err(|error| open.name(error))?;
    Ok(u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0))
}
