//! The planning of a scan: from a file-list snapshot to the operator that reads the files.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, project_schema};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use crate::jsonl::{Framing, LeafRules};
use crate::listing::file_groups::group_files_by_size;
use crate::listing::passed_over::PassedOver;
use crate::listing::snapshot::{SourceFile, snapshot};
use crate::scan::absent::AbsentRules;
use crate::scan::json::columns::ScanColumns;
use crate::scan::json::exec::JsonLinesExec;
use crate::scan::json::pipeline::ReadSettings;
use crate::scan::misplaced::CheckedFiles;
use crate::scan::missing::CycleFiles;
use crate::scan::parquet::row_group_memory::ReaderMemory;
use crate::scan::parquet::source::CheckedParquetSource;
use crate::scan::record::{Scan, ScanCounts, ScanTag, UnverifiedFiles};
use crate::scan::reject_log::RejectLog;
use crate::scan::rejects::KeepRejects;
use crate::scan::shared::parquet::SharedParquetExec;
use crate::scan::shared::request::{RequestKind, ScanRequest, ScanRequests};
use crate::scan::spec::SourceFormat;

/// The store, format and schema of a table's files.
#[derive(Debug, Clone)]
pub(super) struct TableFiles {
    pub(super) store: ObjectStoreUrl,
    pub(super) format: SourceFormat,
    /// The layout of the records in the files, if they are JSON.
    pub(super) framing: Framing,
    /// The columns of the files, then those of the folders.
    pub(super) schema: TableSchema,
    /// The declared rules of the leaves of the files' columns.
    pub(super) leaf_rules: LeafRules,
    /// The rules for columns without any value.
    pub(super) absent_rules: AbsentRules,
}

impl TableFiles {
    /// Creates the record of a scan of `files`, with a snapshot of their list.
    ///
    /// `keep` says whether malformed lines are rejected or fail the scan.
    pub(super) fn new_scan(&self, source: &str, files: &[SourceFile], keep: KeepRejects) -> Scan {
        Scan {
            source: source.to_owned(),
            files: snapshot(&self.store, files),
            newest: files.iter().map(|file| file.meta.last_modified).max(),
            counts: ScanCounts::default(),
            absent_rules: self.absent_rules.clone(),
            rejects: match keep {
                KeepRejects::Nothing => None,
                KeepRejects::Positions => Some(Arc::default()),
                KeepRejects::Texts => Some(Arc::new(RejectLog::with_texts())),
            },
            unverified: match self.format {
                SourceFormat::Json(_) => None,
                SourceFormat::Parquet => Some(UnverifiedFiles {
                    store: self.store.clone(),
                    files: files.iter().map(|file| file.meta.clone()).collect(),
                }),
            },
            filters: String::new(),
            filter_columns: BTreeSet::new(),
            cycle_files: CycleFiles::default(),
            time_check: None,
            checked_files: None,
            passed_over: PassedOver::default(),
        }
    }

    /// Returns the files that are searched for misplaced rows after the run.
    pub(super) fn checked_files(&self, files: &[SourceFile]) -> Option<CheckedFiles> {
        (self.format == SourceFormat::Parquet).then(|| CheckedFiles {
            store: self.store.clone(),
            schema: Arc::clone(self.schema.file_schema()),
            files: files.to_vec(),
        })
    }

    /// Plans the operator that does a scan, in at most the session's `target_partitions` partitions.
    ///
    /// Empty files are left out: they hold no rows in either format. If the session collects
    /// [`ScanRequests`], the scan may become part of a shared scan with those of other tables.
    ///
    /// # Errors
    /// A column of the projection does not exist.
    pub(super) async fn plan(
        &self,
        state: &dyn Session,
        mut files: Vec<SourceFile>,
        args: ScanArgs<'_>,
        scan: Arc<Scan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        files.retain(|file| file.meta.size > 0);
        if files.is_empty() {
            let schema = project_schema(self.schema.table_schema(), args.projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        // A scan with a limit needs only some rows, and is faster by itself.
        let requests = match args.limit {
            None => state.config().get_extension::<ScanRequests>(),
            Some(_) => None,
        };
        let request_shared_scan = |requests: &ScanRequests, kind| {
            let request = Arc::new(ScanRequest::new(Arc::clone(&scan), files.clone(), kind));
            requests.add(Arc::clone(&request));
            request
        };
        let tasks = state.config().target_partitions();
        let groups = group_files_by_size(files.clone(), tasks);
        match self.format {
            SourceFormat::Json(compression) => {
                let columns = self.columns(&args)?;
                let settings = ReadSettings {
                    store: self.store.clone(),
                    compression,
                    framing: self.framing.clone(),
                    schema: self.schema.clone(),
                    tasks,
                };
                let request = requests.map(|requests| {
                    let kind = RequestKind::Json {
                        settings: settings.clone(),
                        columns: Box::new(columns.clone()),
                    };
                    request_shared_scan(&requests, kind)
                });
                Ok(Arc::new(JsonLinesExec::new(
                    groups, settings, columns, scan, request,
                )))
            }
            SourceFormat::Parquet => {
                // Two sources, since clones of one would share their row counts.
                let all = self.parquet(state, groups.clone(), &scan)?;
                let own = self
                    .parquet(state, groups, &scan)?
                    .with_projection_indices(args.projection.cloned())?
                    .with_limit(args.limit);
                let input = DataSourceExec::from_data_source(own.build());
                let Some(requests) = requests else {
                    return Ok(input);
                };
                let kind = RequestKind::Parquet {
                    plan: DataSourceExec::from_data_source(all.build()),
                    projection: self.projection(&args),
                    predicate: self.predicate(state, args.filters)?,
                };
                let columns = self.columns(&args)?;
                let request = request_shared_scan(&requests, kind);
                Ok(Arc::new(SharedParquetExec::new(
                    input,
                    request,
                    columns.output_mask(),
                )))
            }
        }
    }

    fn columns(&self, args: &ScanArgs<'_>) -> Result<ScanColumns> {
        let projection = self.projection(args);
        ScanColumns::new(&self.schema, &projection, args.leaves, &self.leaf_rules)
    }

    fn projection(&self, args: &ScanArgs<'_>) -> Vec<usize> {
        let all = || (0..self.schema.table_schema().fields().len()).collect();
        args.projection.cloned().unwrap_or_else(all)
    }

    /// Plans the conjunction of `filters`, by which the reader skips row groups.
    fn predicate(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(all) = conjunction(filters.to_vec()) else {
            return Ok(None);
        };
        let schema = DFSchema::try_from(Arc::clone(self.schema.table_schema()))?;
        state.create_physical_expr(all, &schema).map(Some)
    }

    /// Plans DataFusion's Parquet reader with our checks, whose files are tagged with their scan. DataFusion's
    /// optimizer pushes the filters down into it, so that it skips row groups.
    fn parquet(
        &self,
        state: &dyn Session,
        groups: Vec<Vec<SourceFile>>,
        scan: &Arc<Scan>,
    ) -> Result<FileScanConfigBuilder> {
        let file_groups = groups.into_iter().map(|files| {
            let tagged = files.into_iter().map(|file| {
                PartitionedFile::new_from_meta(file.meta)
                    .with_partition_values(file.partition)
                    .with_extension(ScanTag(Arc::clone(scan)))
            });
            FileGroup::new(tagged.collect())
        });
        let options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let runtime = state.runtime_env();
        let readers = CachedParquetFileReaderFactory::new(
            runtime.object_store(&self.store)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let batch_rows = state.config().batch_size();
        let memory = ReaderMemory::new(&runtime.memory_pool, batch_rows);
        let parquet = ParquetSource::new(self.schema.clone()).with_table_parquet_options(options);
        let source = CheckedParquetSource::new(parquet, Some(Arc::new(readers)), Some(memory))
            .for_scans(vec![Arc::clone(scan)]);
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source));
        Ok(config.with_file_groups(file_groups.collect()))
    }
}

/// The arguments of a scan, as DataFusion passes them, and the leaves that the query uses.
#[derive(Clone, Copy)]
pub(super) struct ScanArgs<'a> {
    /// Indexes of the columns of the files, then those of the folders; `None` means all.
    pub(super) projection: Option<&'a Vec<usize>>,
    /// One flag for each leaf of the files' columns: those that are not used may be NULL; `None`
    /// means that all are used.
    pub(super) leaves: Option<&'a [bool]>,
    /// Conditions of the rows that are needed. The scan may return others, too.
    pub(super) filters: &'a [Expr],
    /// The maximum number of rows that are needed.
    pub(super) limit: Option<usize>,
}
