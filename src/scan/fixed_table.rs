//! The table over a fixed list of files, such as those that a manifest names.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, FieldRef, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;

use crate::jsonl::{Framing, LeafRules};
use crate::listing::partition_filter::{PartitionFilters, filter_pushdown};
use crate::listing::snapshot::SourceFile;
use crate::scan::absent::AbsentRules;
use crate::scan::plan::{ScanArgs, TableFiles};
use crate::scan::rejects::KeepRejects;
use crate::scan::spec::SourceFormat;

/// A table over a fixed list of files: a scan of it lists nothing and is not logged.
#[derive(Debug)]
pub(crate) struct FixedTable {
    files: Vec<SourceFile>,
    table_files: TableFiles,
}

impl FixedTable {
    /// Creates a table of `files` in `store`, each with one value for each of `partition_fields`, of
    /// its type.
    ///
    /// The columns are those of `file_schema`, then `partition_fields`. If a file's metadata has an
    /// ETag, reading it as JSON is conditional on that ETag.
    pub(crate) fn new(
        store: ObjectStoreUrl,
        files: Vec<(ObjectMeta, Vec<ScalarValue>)>,
        format: SourceFormat,
        file_schema: SchemaRef,
        partition_fields: Vec<Field>,
    ) -> Self {
        let partition_cols: Vec<FieldRef> = partition_fields.into_iter().map(Arc::new).collect();
        let schema = TableSchema::builder(file_schema)
            .with_table_partition_cols(partition_cols)
            .build();
        let source_files = files
            .into_iter()
            .map(|(meta, partition)| SourceFile { meta, partition });
        Self {
            files: source_files.collect(),
            table_files: TableFiles {
                store,
                format,
                framing: Framing::Lines,
                schema,
                leaf_rules: LeafRules::default(),
                absent_rules: AbsentRules::default(),
            },
        }
    }
}

#[async_trait]
impl TableProvider for FixedTable {
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

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partition_fields = self.table_files.schema.table_partition_cols();
        let columns = partition_fields.len();
        let mut all = self.files.iter();
        if let Some(file) = all.find(|file| file.partition.len() != columns) {
            let key = &file.meta.location;
            return internal_err!("`{key}` needs {columns} partition values");
        }
        let partition_filters = PartitionFilters::new(state, partition_fields, filters)?;
        let partitions: Vec<&[ScalarValue]> = self
            .files
            .iter()
            .map(|file| file.partition.as_slice())
            .collect();
        let matches = partition_filters.matches_complete(&partitions)?;
        let files: Vec<SourceFile> = self
            .files
            .iter()
            .zip(matches)
            .filter(|(_, is_match)| *is_match)
            .map(|(file, _)| file.clone())
            .collect();
        let scan = Arc::new(self.table_files.new_scan("", &files, KeepRejects::Nothing));
        let args = ScanArgs {
            projection,
            leaves: None,
            filters,
            limit,
        };
        self.table_files.plan(state, files, args, scan).await
    }
}
