//! Writes partitions with many rows, and forwards the rows of the others.

use datafusion::arrow::array::RecordBatch;

use crate::cluster::write::small_partitions::SmallPartitionBuffer;
use crate::error::{Error, Result};
use crate::stage::{PartitionRows, PartitionedWriter};
use crate::staged::StagedFile;

/// A writer that may forward the rows of small partitions to another writer.
pub(super) struct ForwardingWriter {
    writer: PartitionedWriter,
    /// The rows of partitions without a file; `None` if every row is written here.
    small: Option<SmallPartitionBuffer>,
    /// The number of rows taken, to be compared with the rows written and forwarded.
    rows: u64,
}

/// The result of a writer.
pub(super) struct Written {
    pub files: Vec<StagedFile>,
    /// The rows of small partitions, with their partition columns.
    pub forwarded: Vec<RecordBatch>,
}

impl ForwardingWriter {
    /// Creates a writer that forwards the rows of partitions that have few, compared with the size of
    /// a file.
    pub(super) fn new(writer: PartitionedWriter, target_file_size: u64) -> Self {
        Self {
            writer,
            small: Some(SmallPartitionBuffer::new(target_file_size)),
            rows: 0,
        }
    }

    /// Creates a writer that forwards nothing.
    pub(super) fn without_forwarding(writer: PartitionedWriter) -> Self {
        Self {
            writer,
            small: None,
            rows: 0,
        }
    }

    /// Takes a batch of the query.
    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        let Some(small) = &mut self.small else {
            return self.writer.write(batch).await;
        };
        let combined = self.writer.schema().combine(batch)?;
        for PartitionRows { partition, rows } in self.writer.schema().split(&combined)? {
            if self.writer.is_open(&partition) {
                let selected = rows.select(&combined)?;
                self.writer.write_partition(&partition, &selected).await?;
                continue;
            }
            // Copied: buffered rows must not keep the whole batch.
            let copied = rows.copy(&combined)?;
            if let Some((large, batches)) = small.add(partition, copied) {
                for rows in &batches {
                    self.writer.write_partition(&large, rows).await?;
                }
            }
        }
        Ok(())
    }

    /// Ends all files.
    ///
    /// # Errors
    /// [`Error::internal`] if the files and the forwarded batches do not have as many rows as were
    /// taken.
    pub(super) async fn finish(self) -> Result<Written> {
        let files = self.writer.finish().await?;
        let forwarded = self
            .small
            .map_or_else(Vec::new, SmallPartitionBuffer::finish);
        let written: u64 = files.iter().map(|file| file.rows).sum();
        let rest: u64 = forwarded.iter().map(|rows| rows.num_rows() as u64).sum();
        if written + rest != self.rows {
            return Err(Error::internal(format!(
                "the query gave {} rows, the files have {written}, and {rest} are forwarded",
                self.rows
            )));
        }
        Ok(Written { files, forwarded })
    }
}
