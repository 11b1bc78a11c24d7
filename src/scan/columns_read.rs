//! What the scans of a query read of a source's rows.

use std::collections::BTreeSet;

use datafusion::catalog::TableProvider;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::TableScan;

use crate::jsonl::leaves::count_all;
use crate::scan::table::SourceTable;

/// Columns of a declared source, and of those in its files the leaves that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reads {
    /// Those of the files, then those of the folders.
    columns: BTreeSet<usize>,
    /// One flag for each leaf of the files' columns.
    leaves: Vec<bool>,
}

impl Reads {
    /// What a scan of an optimized plan reads; `None` if it is of no declared source.
    pub fn of(scan: &TableScan) -> Option<Self> {
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider.downcast_ref::<SourceTable>()?;
        let columns = match &scan.projection {
            Some(columns) => columns.iter().copied().collect(),
            None => (0..table.schema().fields().len()).collect(),
        };
        let all = || vec![true; count_all(table.file_schema().fields())];
        Some(Self {
            columns,
            leaves: table.leaves().map_or_else(all, <[bool]>::to_vec),
        })
    }

    /// Adds what another scan of the same source reads.
    pub fn merge(&mut self, other: &Self) {
        self.columns.extend(&other.columns);
        for (leaf, is_used) in self.leaves.iter_mut().zip(&other.leaves) {
            *leaf |= is_used;
        }
    }

    pub(crate) fn has(&self, column: usize) -> bool {
        self.columns.contains(&column)
    }

    pub(crate) fn leaves(&self) -> &[bool] {
        &self.leaves
    }
}
