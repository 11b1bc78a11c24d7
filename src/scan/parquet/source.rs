//! DataFusion's Parquet source, with a reader and an adapter of our own for each file.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileOpener, FileScanConfig, FileSource, ParquetFileReaderFactory, ParquetSource,
};
#[cfg(any(feature = "cluster", test))]
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
#[cfg(any(feature = "cluster", test))]
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::{MorselPlanner, Morselizer};
use object_store::ObjectStore;

use super::adapter::CheckedAdapterFactory;
use super::damage::DamageSearch;
use super::morsels::FilePlanner;
use super::open_file::OpenFile;
use super::reader::FileReaders;
use super::row_group_memory::ReaderMemory;
use crate::listing::location::key_url;
use crate::scan::record::Scan;

/// Reads Parquet files so that every value is exactly that of the file, or an error names the file.
#[derive(Clone)]
pub(crate) struct CheckedParquetSource {
    parquet: ParquetSource,
    /// The readers of the bytes; `None` for DataFusion's default ones.
    readers: Option<Arc<dyn ParquetFileReaderFactory>>,
    /// The memory that row groups are counted against, if they are.
    memory: Option<ReaderMemory>,
    /// The scans that the rows are read for, which count them.
    scans: Vec<Arc<Scan>>,
}

impl CheckedParquetSource {
    /// Creates a source that reads what `parquet` reads.
    pub(crate) fn new(
        parquet: ParquetSource,
        readers: Option<Arc<dyn ParquetFileReaderFactory>>,
        memory: Option<ReaderMemory>,
    ) -> Self {
        Self {
            parquet,
            readers,
            memory,
            scans: Vec::new(),
        }
    }

    /// Returns the source, whose rows are counted for `scans` where they are decoded.
    pub(crate) fn for_scans(self, scans: Vec<Arc<Scan>>) -> Self {
        Self { scans, ..self }
    }

    /// Returns the source with another condition, by which it skips row groups.
    pub(crate) fn with_predicate(&self, predicate: Arc<dyn PhysicalExpr>) -> Self {
        self.with_parquet(self.parquet.clone().with_predicate(predicate))
    }

    fn with_parquet(&self, parquet: ParquetSource) -> Self {
        Self {
            parquet,
            ..self.clone()
        }
    }

    fn over(&self, parquet: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        match parquet.downcast_ref::<ParquetSource>() {
            Some(parquet) => Arc::new(self.with_parquet(parquet.clone())),
            None => parquet,
        }
    }
}

impl FileSource for CheckedParquetSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.parquet.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let readers = self.readers.clone().unwrap_or_else(|| {
            Arc::new(DefaultParquetFileReaderFactory::new(Arc::clone(&store))) as _
        });
        // It is copied for each file, and may list many.
        let mut without_files = config.clone();
        without_files.file_groups = Vec::new();
        Ok(Box::new(FileMorselizer {
            url: config.object_store_url.clone(),
            parquet: self.parquet.clone(),
            readers,
            memory: self.memory.clone(),
            scans: self.scans.clone(),
            store,
            config: without_files,
            partition,
        }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.parquet.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.over(self.parquet.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.parquet.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.parquet.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.parquet.metrics()
    }

    fn file_type(&self) -> &str {
        self.parquet.file_type()
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parquet.fmt_extra(format, f)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let mut pushed = self.parquet.try_pushdown_filters(filters, config)?;
        pushed.updated_node = pushed.updated_node.map(|parquet| self.over(parquet));
        Ok(pushed)
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        use SortOrderPushdownResult::{Exact, Inexact, Unsupported};
        Ok(match self.parquet.try_pushdown_sort(order, properties)? {
            Exact { inner } => Exact {
                inner: self.over(inner),
            },
            Inexact { inner } => Inexact {
                inner: self.over(inner),
            },
            Unsupported => Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.parquet.reorder_files(files)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let pushed = self.parquet.try_pushdown_projection(projection)?;
        Ok(pushed.map(|parquet| self.over(parquet)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.parquet.apply_expressions(f)
    }
}

/// Plans the reading of files, each with a reader and an adapter of its own.
struct FileMorselizer {
    url: ObjectStoreUrl,
    parquet: ParquetSource,
    readers: Arc<dyn ParquetFileReaderFactory>,
    memory: Option<ReaderMemory>,
    scans: Vec<Arc<Scan>>,
    store: Arc<dyn ObjectStore>,
    /// The scan, without its files.
    config: FileScanConfig,
    partition: usize,
}

impl fmt::Debug for FileMorselizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileMorselizer").finish_non_exhaustive()
    }
}

impl Morselizer for FileMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let key = key_url(&self.url, &file.object_meta.location);
        let open = Arc::new(OpenFile::new(key, self.scans.clone()));
        let readers: Arc<dyn ParquetFileReaderFactory> = Arc::new(FileReaders::new(
            Arc::clone(&self.readers),
            Arc::clone(&open),
            self.memory.clone(),
        ));
        let parquet = self
            .parquet
            .clone()
            .with_parquet_file_reader_factory(Arc::clone(&readers));
        let damage = DamageSearch::new(readers, file.clone(), self.partition);
        let mut config = self.config.clone();
        config.expr_adapter_factory = Some(Arc::new(CheckedAdapterFactory(Arc::clone(&open))));
        let planner = parquet
            .create_morselizer(Arc::clone(&self.store), &config, self.partition)
            .and_then(|morselizer| morselizer.plan_file(file))
            .map_err(|error| open.name(error))?;
        let max_row_bytes = match &self.memory {
            Some(memory) => memory.max_row_bytes(),
            None => usize::MAX,
        };
        Ok(FilePlanner::boxed(
            planner,
            open,
            Arc::new(damage),
            max_row_bytes,
        ))
    }
}

/// Returns DataFusion's own operator in place of one whose source checks values; `None` for any other
/// operator.
#[cfg(any(feature = "cluster", test))]
pub(crate) fn without_checks(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    replace_source(plan, |source| {
        let checked = source.downcast_ref::<CheckedParquetSource>()?;
        Some(Arc::new(checked.parquet.clone()))
    })
}

/// Returns an operator whose source checks values in place of DataFusion's own one for Parquet; `None`
/// for any other operator. Both count into the same metrics.
#[cfg(any(feature = "cluster", test))]
pub(crate) fn with_checks(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    replace_source(plan, |source| {
        let parquet = source.downcast_ref::<ParquetSource>()?;
        Some(Arc::new(CheckedParquetSource::new(
            parquet.clone(),
            None,
            None,
        )))
    })
}

#[cfg(any(feature = "cluster", test))]
fn replace_source(
    plan: &Arc<dyn ExecutionPlan>,
    replace: impl FnOnce(&dyn FileSource) -> Option<Arc<dyn FileSource>>,
) -> Option<Arc<dyn ExecutionPlan>> {
    let exec = plan.downcast_ref::<DataSourceExec>()?;
    let config = exec.data_source().downcast_ref::<FileScanConfig>()?;
    let mut replaced = config.clone();
    replaced.file_source = replace(config.file_source().as_ref())?;
    Some(DataSourceExec::from_data_source(replaced))
}
