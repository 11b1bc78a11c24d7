//! A tap of the rows of a table: they pass it before they are encoded.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;

use crate::error::Result;

/// Sees the rows of a table before they are encoded.
#[async_trait]
pub trait RowTap: fmt::Debug + Send + Sync {
    /// Sees rows: the columns of the files, then the partition columns. Waits until they may go on.
    ///
    /// # Errors
    /// Fails if the rows cannot be seen: nothing may be published then.
    async fn add(&self, rows: &RecordBatch) -> Result<()>;
}

/// The tap of a table's rows: an extension of the session that executes its plan.
#[derive(Debug, Clone)]
pub struct InstalledTap(pub Arc<dyn RowTap>);
