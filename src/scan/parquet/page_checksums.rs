//! Finds the files whose pages have no checksums: a byte of them that changes is not noticed.
//!
//! ```text
//! footer ─first column chunk→ the first bytes of its first page ─header→ with or without a checksum
//! ```
//! A writer gives all pages checksums, or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::parquet::file::metadata::ParquetMetaData;
use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::lone_footer::read_footer;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::listing::location::key_url;
use crate::scan::scan_log::ScanLog;
use crate::store::CONCURRENCY;

/// The maximum number of files that are looked at.
const MAX_FILES: usize = 100;

/// The bytes of the header that are read. The fields before the checksum are three numbers.
const HEADER_BYTES: u64 = 32;

/// The number of files whose pages have no checksums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PageChecksums {
    /// The number of files with pages that were looked at.
    pub(crate) files: u64,
    /// The number of those without checksums.
    pub(crate) without: u64,
}

impl PageChecksums {
    /// Looks at the Parquet files of all scans, up to a number.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) async fn of(log: &ScanLog, runtime: &RuntimeEnv) -> Result<Self> {
        let mut files = BTreeMap::new();
        let scans = log.scans();
        for unverified in scans.iter().filter_map(|scan| scan.unverified.as_ref()) {
            for file in unverified.files.iter().filter(|file| file.size > 0) {
                files.insert(&file.location, (&unverified.store, file));
            }
        }
        let looks: Vec<_> = files
            .into_values()
            .take(MAX_FILES)
            .map(|(url, file)| has_checksum(runtime, url, file))
            .collect();
        let looked_at: Vec<Option<bool>> = futures::stream::iter(looks)
            .buffer_unordered(CONCURRENCY.parquet_footers)
            .try_collect()
            .await?;
        let with_pages = looked_at.into_iter().flatten();
        Ok(
            with_pages.fold(Self::default(), |counted, has_checksum| Self {
                files: counted.files + 1,
                without: counted.without + u64::from(!has_checksum),
            }),
        )
    }
}

/// Returns true if the first page of a file has a checksum; `None` for a file without pages.
async fn has_checksum(
    runtime: &RuntimeEnv,
    url: &ObjectStoreUrl,
    file: &ObjectMeta,
) -> Result<Option<bool>> {
    let store = runtime.object_store(url).map_err(from_datafusion)?;
    let read = read_footer(url, store.as_ref(), file).await;
    let footer = read.map_err(from_datafusion)?;
    let Some(start) = first_page(&footer) else {
        return Ok(None);
    };
    let header = read_header(&store, file, start).await;
    let header =
        header.map_err(|error| Error::store("read", key_url(url, &file.location), error))?;
    header_has_checksum(&header).map(Some).ok_or_else(|| {
        Error::data(format!(
            "source file `{}`: there is no page at byte {start}",
            key_url(url, &file.location)
        ))
        .with_hint("the file is damaged")
    })
}

/// Returns the position of the first page.
fn first_page(footer: &ParquetMetaData) -> Option<u64> {
    let row_groups = footer.row_groups().iter();
    let mut chunks = row_groups.flat_map(|group| group.columns());
    let chunk = chunks.find(|chunk| chunk.num_values() > 0)?;
    Some(chunk.byte_range().0)
}

async fn read_header(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    start: u64,
) -> object_store::Result<Bytes> {
    let end = file.size.min(start.saturating_add(HEADER_BYTES));
    store.get_range(&file.location, start.min(end)..end).await
}

/// Returns true if a page header has a checksum; `None` if these bytes are no page header.
///
/// The header is a struct in Thrift's compact protocol: `1: type, 2: uncompressed size,
/// 3: compressed size, 4: optional crc`, each of them an `i32`
/// (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>). The crate
/// `parquet` keeps its parser to itself.
fn header_has_checksum(header: &[u8]) -> Option<bool> {
    /// The type `i32` of a field whose number is one more than that of the field before.
    const NEXT_I32: u8 = 0x15;
    let mut rest = header;
    for _ in 0..3 {
        let (NEXT_I32, number) = rest.split_first().map(|(field, number)| (*field, number))? else {
            return None;
        };
        let length = number.iter().position(|byte| byte & 0x80 == 0)? + 1;
        rest = number.get(length..)?;
    }
    rest.first().map(|field| *field == NEXT_I32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_checksum_or_another_field_in_its_place() {
        let sizes = [0x15, 0x00, 0x15, 0xa0, 0x8d, 0x06, 0x15, 0x90, 0x02];
        let with = [&sizes[..], &[0x15, 0x81, 0x02, 0x2c]].concat();
        // The fifth field, a struct, has a number that is two more.
        let without = [&sizes[..], &[0x2c, 0x15]].concat();
        assert_eq!(header_has_checksum(&with), Some(true));
        assert_eq!(header_has_checksum(&without), Some(false));
        for damaged in [&b"PAR1"[..], &[], &sizes, &sizes[..4], &[0x15; 3]] {
            assert_eq!(header_has_checksum(damaged), None, "{damaged:?}");
        }
    }
}
