//! A table over an explicit list of files, such as those that a manifest names.

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

use crate::listing::partition_filter::PartitionFilters;
use crate::listing::snapshot::SourceFile;
use crate::scan::plan::{Asked, Files};
use crate::scan::table::{SourceFormat, pushdown};

/// A table over files that are known: nothing is listed, and no scan of it is logged.
#[derive(Debug)]
pub struct FixedTable {
    rows: Vec<SourceFile>,
    files: Files,
}

impl FixedTable {
    /// A table of `files` in `store`, each with one value for each of `partition_fields`, of its
    /// type. Where a file's metadata has an ETag, JSON is read only as long as it matches.
    ///
    /// The columns are those of `file_schema`, then `partition_fields`.
    pub fn new(
        store: ObjectStoreUrl,
        files: Vec<(ObjectMeta, Vec<ScalarValue>)>,
        format: SourceFormat,
        file_schema: SchemaRef,
        partition_fields: Vec<Field>,
    ) -> Self {
        let partition_fields: Vec<FieldRef> = partition_fields.into_iter().map(Arc::new).collect();
        let schema = TableSchema::builder(file_schema)
            .with_table_partition_cols(partition_fields)
            .build();
        let rows = files
            .into_iter()
            .map(|(meta, partition)| SourceFile { meta, partition });
        Self {
            rows: rows.collect(),
            files: Files {
                store,
                format,
                schema,
            },
        }
    }
}

#[async_trait]
impl TableProvider for FixedTable {
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

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partition_fields = self.files.schema.table_partition_cols();
        let columns = partition_fields.len();
        if let Some(file) = self
            .rows
            .iter()
            .find(|file| file.partition.len() != columns)
        {
            let key = &file.meta.location;
            return internal_err!("`{key}` needs {columns} partition values");
        }
        let partitions = PartitionFilters::new(state, partition_fields, filters)?;
        let values: Vec<&[ScalarValue]> = self
            .rows
            .iter()
            .map(|file| file.partition.as_slice())
            .collect();
        let keep = partitions.keep_complete(&values)?;
        let kept = self.rows.iter().zip(keep).filter(|(_, keep)| *keep);
        let files: Vec<SourceFile> = kept.map(|(file, _)| file.clone()).collect();
        let scan = self.files.freeze("", &files, false);
        let asked = Asked {
            projection,
            leaves: None,
            filters,
            limit,
        };
        self.files.plan(state, files, asked, scan).await
    }
}
