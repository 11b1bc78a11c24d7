//! The table of a declared source, as DataFusion sees it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::arrow_leaves::total_leaf_count;
use crate::listing::expand::{Expansion, TimePruning};
use crate::listing::location::SourceLocation;
use crate::listing::partition_filter::{PartitionFilters, filter_pushdown};
use crate::listing::snapshot::SourceFile;
use crate::listing::time_bounds::TimeBounds;
use crate::scan::plan::{ScanArgs, TableFiles};
use crate::scan::scan_log::ScanLog;
use crate::scan::spec::{TableSpec, TimeRule};

/// The table of a declared source, whose folders are listed for every scan.
#[derive(Debug, Clone)]
pub(crate) struct SourceTable {
    name: String,
    location: SourceLocation,
    table_files: TableFiles,
    time: Option<TimeRule>,
    /// One flag for each leaf of the files' columns: those that are not used may be NULL. `None`
    /// means that all are used.
    leaves: Option<Vec<bool>>,
}

impl SourceTable {
    /// Creates the table of the source `name`, whose files are at `location`.
    pub(crate) fn new(name: String, location: SourceLocation, spec: TableSpec) -> Self {
        let schema = TableSchema::builder(spec.file_schema)
            .with_table_partition_cols(spec.partition_fields)
            .build();
        Self {
            name,
            table_files: TableFiles {
                store: location.store.clone(),
                format: spec.format,
                schema,
            },
            location,
            time: spec.time,
            leaves: None,
        }
    }

    /// Returns the same table, for a scan that uses only some leaves of its columns.
    ///
    /// `leaves` has one flag for each leaf of the files' columns, which those of the folders may
    /// follow; `None` means that all are used.
    pub(super) fn with_leaves(&self, leaves: Option<Vec<bool>>) -> Self {
        let in_files = total_leaf_count(self.file_schema().fields());
        Self {
            leaves: leaves.and_then(|leaves| leaves.get(..in_files).map(<[bool]>::to_vec)),
            ..self.clone()
        }
    }

    pub(super) fn leaves(&self) -> Option<&[bool]> {
        self.leaves.as_deref()
    }

    /// Returns the schema of the files, without the columns of the folders.
    pub(super) fn file_schema(&self) -> &SchemaRef {
        self.table_files.schema.file_schema()
    }

    pub(super) fn table_files(&self) -> &TableFiles {
        &self.table_files
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Lists the files that can contain rows for which `filters` are true.
    pub(super) async fn list(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Vec<SourceFile>> {
        let partition_fields = self.table_files.schema.table_partition_cols();
        let store = state.runtime_env().object_store(&self.location.store)?;
        Expansion {
            source: &self.name,
            store: store.as_ref(),
            location: &self.location,
            partition_fields,
            filters: &PartitionFilters::new(state, partition_fields, filters)?,
            time: self.time.as_ref().map(|time| TimePruning {
                folders: &time.folders,
                slack: time.slack,
                bounds: TimeBounds::of(filters, &time.column, &time.data_type),
            }),
        }
        .files()
        .await
    }

    /// Returns the name of the column whose time the folders describe, if the declaration has one.
    pub(super) fn time_column(&self) -> Option<&str> {
        self.time.as_ref().map(|time| time.column.as_str())
    }
}

#[async_trait]
impl TableProvider for SourceTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table_files.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filter_pushdown(
            filters,
            self.table_files.schema.table_partition_cols(),
        ))
    }

    /// Lists the files, logs a snapshot of the list, and plans the operator that reads them.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.list(state, filters).await?;
        let log = state.config().get_extension::<ScanLog>();
        let keep_rejects = log.as_ref().is_some_and(|log| log.keeps_rejects());
        let scan = self.table_files.new_scan(&self.name, &files, keep_rejects);
        if let Some(log) = log {
            log.add(Arc::clone(&scan));
        }
        let args = ScanArgs {
            projection,
            leaves: self.leaves(),
            filters,
            limit,
        };
        self.table_files.plan(state, files, args, scan).await
    }
}
