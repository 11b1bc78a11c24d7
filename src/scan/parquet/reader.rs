//! The reader of the bytes of one file, which names the file in its errors and prepares its footer.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ArrowReaderOptions;
use ::parquet::arrow::async_reader::AsyncFileReader;
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::ParquetMetaData;
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::footer::prepared;
use super::open_file::OpenFile;
use super::row_group_memory::{ReaderMemory, RowGroupMemory};

/// A factory of the readers of one file.
pub(super) struct FileReaders {
    readers: Arc<dyn ParquetFileReaderFactory>,
    file: Arc<OpenFile>,
    memory: Option<ReaderMemory>,
}

impl FileReaders {
    /// Wraps the factory of the readers that read the bytes.
    pub(super) fn new(
        readers: Arc<dyn ParquetFileReaderFactory>,
        file: Arc<OpenFile>,
        memory: Option<ReaderMemory>,
    ) -> Self {
        Self {
            readers,
            file,
            memory,
        }
    }
}

impl fmt::Debug for FileReaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileReaders").field(&self.file).finish()
    }
}

impl ParquetFileReaderFactory for FileReaders {
    fn create_reader(
        &self,
        task: usize,
        file: PartitionedFile,
        footer_bytes: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let size = file.object_meta.size;
        let bytes = self
            .readers
            .create_reader(task, file, footer_bytes, metrics)?;
        let file = Arc::clone(&self.file);
        let memory = self.memory.as_ref().map(ReaderMemory::reader);
        Ok(Box::new(FileReader {
            bytes,
            file,
            size,
            memory,
        }))
    }
}

struct FileReader {
    bytes: Box<dyn AsyncFileReader + Send>,
    file: Arc<OpenFile>,
    /// The size of the file in bytes, as it was listed.
    size: u64,
    memory: Option<RowGroupMemory>,
}

impl FileReader {
    /// Checks that the file has the bytes that its footer names: a store would take the request for a
    /// wrong one, and a retry would not help.
    fn check_range(&self, range: &Range<u64>) -> ParquetResult<()> {
        if range.end <= self.size {
            return Ok(());
        }
        let fault = ParquetError::General(format!(
            "the footer refers to byte {}, and the file has {}",
            range.end, self.size
        ));
        Err(self.file.name_parquet(fault))
    }
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        if let Err(fault) = self.check_range(&range) {
            return ready(Err(fault)).boxed();
        }
        let Self { bytes, file, .. } = self;
        let fetch = bytes.get_bytes(range);
        async move { fetch.await.map_err(|error| file.name_parquet(error)) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        if let Err(fault) = ranges.iter().try_for_each(|range| self.check_range(range)) {
            return ready(Err(fault)).boxed();
        }
        let Self {
            bytes,
            file,
            memory,
            ..
        } = self;
        file.set_fetched(&ranges);
        if let Some(memory) = memory
            && let Err(error) = file.reserve(memory, &ranges)
        {
            return futures::future::err(error).boxed();
        }
        let fetch = bytes.get_byte_ranges(ranges);
        async move { fetch.await.map_err(|error| file.name_parquet(error)) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let Self { bytes, file, .. } = self;
        let fetch = bytes.get_metadata(options);
        async move {
            let footer = fetch.await.and_then(prepared);
            let footer = footer.map_err(|error| file.name_parquet(error))?;
            file.set_footer(&footer);
            Ok(footer)
        }
        .boxed()
    }
}
