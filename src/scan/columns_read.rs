//! The columns and leaves that the scans of a query read of a source.

use std::collections::BTreeSet;

use datafusion::catalog::TableProvider;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::TableScan;

use crate::arrow_leaves::total_leaf_count;
use crate::scan::table::SourceTable;

/// The columns of a declared source that a query reads, and the leaves that it uses of those in the
/// files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnsRead {
    /// Indexes among the columns of the files, then those of the folders.
    columns: BTreeSet<usize>,
    /// One flag for each leaf of the files' columns.
    leaves: Vec<bool>,
}

impl ColumnsRead {
    /// Finds the columns that a scan of an optimized plan reads; `None` if its table is not a
    /// declared source.
    pub(crate) fn of(scan: &TableScan) -> Option<Self> {
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider.downcast_ref::<SourceTable>()?;
        let columns = match &scan.projection {
            Some(columns) => columns.iter().copied().collect(),
            None => (0..table.schema().fields().len()).collect(),
        };
        let all = || vec![true; total_leaf_count(table.file_schema().fields())];
        Some(Self {
            columns,
            leaves: table.leaves().map_or_else(all, <[bool]>::to_vec),
        })
    }

    /// Adds the columns and leaves that another scan of the same source reads.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.columns.extend(&other.columns);
        for (leaf, is_used) in self.leaves.iter_mut().zip(&other.leaves) {
            *leaf |= is_used;
        }
    }

    /// Returns true if the column with this index is read.
    pub(crate) fn contains(&self, column: usize) -> bool {
        self.columns.contains(&column)
    }

    /// Returns one flag for each leaf of the files' columns.
    pub(crate) fn leaves(&self) -> &[bool] {
        &self.leaves
    }
}
