//! The search for the column that makes a file unreadable: the reader's errors do not name it.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use ::parquet::errors::ParquetError;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{FutureExt, TryStreamExt};

type BatchesBuilder = ParquetRecordBatchStreamBuilder<Box<dyn AsyncFileReader>>;

/// Reads a file again, column by column, after it could not be read.
pub(super) struct DamageSearch {
    readers: Arc<dyn ParquetFileReaderFactory>,
    file: PartitionedFile,
    partition: usize,
}

impl fmt::Debug for DamageSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DamageSearch").finish_non_exhaustive()
    }
}

impl DamageSearch {
    pub(super) fn new(
        readers: Arc<dyn ParquetFileReaderFactory>,
        file: PartitionedFile,
        partition: usize,
    ) -> Self {
        Self {
            readers,
            file,
            partition,
        }
    }

    /// Returns the path of the first column that cannot be read.
    pub(super) async fn first_column(&self) -> Option<String> {
        let columns = self.builder().await.ok()?;
        let schema = columns.parquet_schema();
        for (index, column) in schema.columns().iter().enumerate() {
            // The reader panics on some damaged files.
            let read = AssertUnwindSafe(self.read(index)).catch_unwind().await;
            if !matches!(read, Ok(Ok(()))) {
                return Some(column.path().string());
            }
        }
        None
    }

    async fn read(&self, column: usize) -> Result<()> {
        let builder = self.builder().await?;
        let mask = ProjectionMask::leaves(builder.parquet_schema(), [column]);
        let mut batches = builder.with_projection(mask).build()?;
        while batches.try_next().await?.is_some() {}
        Ok(())
    }

    async fn builder(&self) -> Result<BatchesBuilder> {
        let metrics = ExecutionPlanMetricsSet::new();
        let (file, partition) = (self.file.clone(), self.partition);
        let reader: Box<dyn AsyncFileReader> = self
            .readers
            .create_reader(partition, file, None, &metrics)?;
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await;
        builder.map_err(|error: ParquetError| error.into())
    }
}
