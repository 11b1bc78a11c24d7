//! A declared source as a table of DataFusion.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::catalog::declare::TableSpec;
use crate::jsonl::compression::Compression;
use crate::jsonl::leaves::count_all;
use crate::listing::expand::{Expansion, TimePruning};
use crate::listing::hive_time::TimeFolders;
use crate::listing::location::Location;
use crate::listing::partition_filter::{PartitionFilters, decided_by_partitions};
use crate::listing::snapshot::SourceFile;
use crate::listing::time_bounds::TimeBounds;
use crate::scan::plan::{Asked, Files};
use crate::scan::scan_log::ScanLog;
use crate::scan::search::SourceFiles;

/// How the files of a table are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    /// One JSON object a line, compressed or not.
    Json(Compression),
    /// Parquet, whatever its compression.
    Parquet,
}

/// Which folders a condition on the time column makes unnecessary.
#[derive(Debug, Clone)]
pub(crate) struct TimeRule {
    pub(crate) column: String,
    /// A timestamp.
    pub(crate) data_type: DataType,
    pub(crate) folders: TimeFolders,
    /// How far a row's time may lie outside its folder's range.
    pub(crate) slack: TimeDelta,
}

/// A declared source: folders that are listed anew for every scan.
#[derive(Debug, Clone)]
pub(crate) struct SourceTable {
    name: String,
    location: Location,
    files: Files,
    time: Option<TimeRule>,
    /// One flag for each leaf of the files' columns: those that are not used may be NULL.
    leaves: Option<Vec<bool>>,
}

impl SourceTable {
    pub(crate) fn new(name: String, location: Location, spec: TableSpec) -> Self {
        let schema = TableSchema::builder(spec.file_schema)
            .with_table_partition_cols(spec.partition_fields)
            .build();
        Self {
            name,
            files: Files {
                store: location.store.clone(),
                format: spec.format,
                schema,
            },
            location,
            time: spec.time,
            leaves: None,
        }
    }

    /// The same table, for a scan that uses only some leaves of its columns; `None` is all. Those
    /// of the folders may follow.
    pub(crate) fn with_leaves(&self, leaves: Option<Vec<bool>>) -> Self {
        let in_files = count_all(self.files.schema.file_schema().fields());
        let leaves = leaves.and_then(|leaves| leaves.get(..in_files).map(<[bool]>::to_vec));
        Self {
            leaves,
            ..self.clone()
        }
    }

    pub(crate) fn leaves(&self) -> Option<&[bool]> {
        self.leaves.as_deref()
    }

    /// The columns that are in the files.
    pub(crate) fn file_schema(&self) -> &SchemaRef {
        self.files.schema.file_schema()
    }

    /// What a scan with these filters reads, to be searched.
    pub(crate) async fn searchable(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<SourceFiles> {
        let files = self.list(state, filters).await?;
        Ok(SourceFiles::new(&self.name, self.files.clone(), files))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The files that rows passing `filters` can be in.
    async fn list(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<SourceFile>> {
        let partition_fields = self.files.schema.table_partition_cols();
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

    /// The column that the folders describe, where the declaration names one.
    pub(crate) fn time_column(&self) -> Option<&str> {
        self.time.as_ref().map(|time| time.column.as_str())
    }
}

#[async_trait]
impl TableProvider for SourceTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.files.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(pushdown(filters, self.files.schema.table_partition_cols()))
    }

    /// Lists, freezes and logs the files, and plans their reading.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.list(state, filters).await?;
        let log = state.config().get_extension::<ScanLog>();
        let set_aside = log.as_ref().is_some_and(|log| log.sets_aside());
        let scan = self.files.freeze(&self.name, &files, set_aside);
        if let Some(log) = log {
            log.add(Arc::clone(&scan));
        }
        let asked = Asked {
            projection,
            leaves: self.leaves(),
            filters,
            limit,
        };
        self.files.plan(state, files, asked, scan).await
    }
}

/// Filters on partition columns are decided by the list of files; others stay in the plan.
pub(crate) fn pushdown(
    filters: &[&Expr],
    partition_fields: &[FieldRef],
) -> Vec<TableProviderFilterPushDown> {
    let each = filters.iter().map(|filter| {
        if decided_by_partitions(filter, partition_fields) {
            TableProviderFilterPushDown::Exact
        } else {
            TableProviderFilterPushDown::Inexact
        }
    });
    each.collect()
}
