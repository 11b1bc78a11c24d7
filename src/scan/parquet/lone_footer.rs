//! The footer of a file alone, without a reader.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::parquet::file::metadata::ParquetMetaData;
use datafusion::common::Result;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::FutureExt;
use object_store::{ObjectMeta, ObjectStore};

use super::footer::prepared;
use super::open_file::OpenFile;
use crate::listing::location::key_url;

/// Reads the footer of a file, as a scan of it would. `url` is that of its store.
///
/// # Errors
/// The footer cannot be read; the error names the file.
pub(crate) async fn read_footer(
    url: &ObjectStoreUrl,
    store: &dyn ObjectStore,
    file: &ObjectMeta,
) -> Result<Arc<ParquetMetaData>> {
    let open = OpenFile::new(key_url(url, &file.location), Vec::new());
    let reader = DFParquetMetadata::new(store, file);
    let read = async { Ok(prepared(reader.fetch_metadata().await?)?) };
    // The reader panics on some damaged files.
    let footer = AssertUnwindSafe(read).catch_unwind().await;
    footer
        .unwrap_or_else(|panic| Err(open.panicked(panic)))
        .map_err(|error| open.name(error))
}

/// Returns the number of rows that a footer states.
pub(crate) fn row_count(footer: &ParquetMetaData) -> u64 {
    u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0)
}
