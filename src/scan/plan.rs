//! From a frozen list to the operator that reads it.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex};

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

use crate::listing::location::key_url;
use crate::listing::snapshot::{FrozenFile, SourceFile};
use crate::scan::json::columns::Columns;
use crate::scan::json::exec::JsonLinesExec;
use crate::scan::json::pipeline::ReadSettings;
use crate::scan::parquet_views::ViewReaders;
use crate::scan::scan_log::{Scan, ScanCounts, ScanMark, Unpinned};
use crate::scan::shared::parquet::SharedParquetExec;
use crate::scan::shared::request::{How, Offer, Offers};
use crate::scan::table::SourceFormat;

/// What both kinds of table know of their files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) store: ObjectStoreUrl,
    pub(crate) format: SourceFormat,
    /// The files' columns, then those of the folders.
    pub(crate) schema: TableSchema,
}

impl Files {
    /// The scan of `files`, all of them on record, before it runs.
    ///
    /// With `set_aside`, malformed lines do not fail it.
    pub(crate) fn freeze(&self, source: &str, files: &[SourceFile], set_aside: bool) -> Arc<Scan> {
        let frozen = files.iter().map(|file| FrozenFile {
            key: key_url(&self.store, &file.meta.location),
            size: file.meta.size,
            etag: file.meta.e_tag.clone(),
        });
        Arc::new(Scan {
            source: source.to_owned(),
            files: frozen.collect(),
            newest: files.iter().map(|file| file.meta.last_modified).max(),
            counts: ScanCounts::default(),
            rejects: set_aside.then(Mutex::default),
            unpinned: match self.format {
                SourceFormat::Json(_) => None,
                SourceFormat::Parquet => Some(Unpinned {
                    store: self.store.clone(),
                    files: files.iter().map(|file| file.meta.clone()).collect(),
                }),
            },
        })
    }

    /// The operator that does a scan, in at most the session's `target_partitions` partitions.
    ///
    /// Empty files are left out: they hold no rows in either format. Where the session collects
    /// [`Offers`], the scan may be done in a pass with those of other tables.
    ///
    /// # Errors
    /// Where a column of the projection does not exist.
    pub(crate) async fn plan(
        &self,
        state: &dyn Session,
        files: Vec<SourceFile>,
        asked: Asked<'_>,
        scan: Arc<Scan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files: Vec<SourceFile> = files
            .into_iter()
            .filter(|file| file.meta.size > 0)
            .collect();
        if files.is_empty() {
            let schema = project_schema(self.schema.table_schema(), asked.projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        // A scan that needs only some rows is better off alone.
        let offers = state.config().get_extension::<Offers>();
        let offers = offers.filter(|_| asked.limit.is_none());
        let offer = |how| {
            let offer = Arc::new(Offer::new(Arc::clone(&scan), files.clone(), how));
            if let Some(offers) = &offers {
                offers.add(Arc::clone(&offer));
            }
            offer
        };
        let tasks = state.config().target_partitions();
        let groups = spread(files.clone(), tasks);
        match self.format {
            SourceFormat::Json(compression) => {
                let columns = Columns::new(&self.schema, &self.projection(&asked), asked.leaves)?;
                let settings = ReadSettings {
                    store: self.store.clone(),
                    compression,
                    schema: self.schema.clone(),
                    tasks,
                };
                let offer = offers.is_some().then(|| {
                    offer(How::Json {
                        settings: settings.clone(),
                        columns: Box::new(columns.clone()),
                    })
                });
                Ok(Arc::new(JsonLinesExec::new(
                    groups, settings, columns, scan, offer,
                )))
            }
            SourceFormat::Parquet => {
                // Two sources, since clones of one would count their rows together.
                let all = self.parquet(state, groups.clone(), &scan)?;
                let own = self
                    .parquet(state, groups, &scan)?
                    .with_projection_indices(asked.projection.cloned())?
                    .with_limit(asked.limit);
                let input = DataSourceExec::from_data_source(own.build());
                if offers.is_none() {
                    return Ok(input);
                }
                let how = How::Parquet {
                    plan: DataSourceExec::from_data_source(all.build()),
                    projection: self.projection(&asked),
                    predicate: self.predicate(state, asked.filters)?,
                };
                let columns = Columns::new(&self.schema, &self.projection(&asked), asked.leaves)?;
                let used = columns.used();
                Ok(Arc::new(SharedParquetExec::new(input, offer(how), used)))
            }
        }
    }

    fn projection(&self, asked: &Asked<'_>) -> Vec<usize> {
        let all = || (0..self.schema.table_schema().fields().len()).collect();
        asked.projection.cloned().unwrap_or_else(all)
    }

    /// What all of `filters` come to, for the reader to skip row groups with.
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

    /// DataFusion's own reader. Its optimizer gives it the filters to skip row groups with.
    fn parquet(
        &self,
        state: &dyn Session,
        groups: Vec<Vec<SourceFile>>,
        scan: &Arc<Scan>,
    ) -> Result<FileScanConfigBuilder> {
        let groups = groups.into_iter().map(|files| {
            let files = files.into_iter().map(|file| {
                PartitionedFile::new_from_meta(file.meta)
                    .with_partition_values(file.partition)
                    .with_extension(ScanMark(Arc::clone(scan)))
            });
            FileGroup::new(files.collect())
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
        let source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(ViewReaders::new(Arc::new(readers))));
        let scan = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source));
        Ok(scan.with_file_groups(groups.collect()))
    }
}

/// What a query asks of a table.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The columns of the files, then those of the folders; `None` is all.
    pub(crate) projection: Option<&'a Vec<usize>>,
    /// One flag for each leaf of the files' columns: those that are not used may be NULL; `None`
    /// is all.
    pub(crate) leaves: Option<&'a [bool]>,
    /// Rows that fail them are not needed, but may come.
    pub(crate) filters: &'a [Expr],
    pub(crate) limit: Option<usize>,
}

/// Spreads whole files over at most `partitions` groups of about the same size.
///
/// The same files always give the same groups; each group is in the order of keys.
pub(crate) fn spread(mut files: Vec<SourceFile>, partitions: usize) -> Vec<Vec<SourceFile>> {
    let count = partitions.min(files.len()).max(1);
    files.sort_by(|one, other| {
        let key = |file: &SourceFile| (Reverse(file.meta.size), file.meta.location.clone());
        key(one).cmp(&key(other))
    });
    let mut groups: Vec<(u64, Vec<SourceFile>)> = vec![(0, Vec::new()); count];
    for file in files {
        // The largest file that is left goes to the group that has least.
        if let Some((size, group)) = groups.iter_mut().min_by_key(|(size, _)| *size) {
            *size += file.meta.size;
            group.push(file);
        }
    }
    let mut groups: Vec<Vec<SourceFile>> = groups.into_iter().map(|(_, group)| group).collect();
    for group in &mut groups {
        group.sort_by(|one, other| one.meta.location.cmp(&other.meta.location));
    }
    groups
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use object_store::ObjectMeta;

    use super::*;

    fn file(key: &str, size: u64) -> SourceFile {
        SourceFile {
            meta: ObjectMeta {
                location: key.into(),
                last_modified: DateTime::UNIX_EPOCH,
                size,
                e_tag: None,
                version: None,
            },
            partition: Vec::new(),
        }
    }

    #[test]
    fn files_are_spread_by_size_and_always_alike() {
        let sizes = [("a", 10), ("b", 70), ("c", 40), ("d", 40), ("e", 10)];
        let keys = |files: Vec<SourceFile>, partitions| -> Vec<String> {
            let groups = spread(files, partitions).into_iter();
            let keys = groups.map(|group| {
                group
                    .iter()
                    .map(|file| file.meta.location.to_string())
                    .collect()
            });
            keys.collect()
        };
        let files = || sizes.iter().map(|(key, size)| file(key, *size));
        assert_eq!(keys(files().collect(), 2), ["abe", "cd"]);
        assert_eq!(keys(files().rev().collect(), 2), ["abe", "cd"]);
        assert_eq!(keys(files().collect(), 1), ["abcde"]);
        assert_eq!(keys(files().collect(), 9).len(), 5);
    }
}
