//! The table of a declared source, as DataFusion sees it.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::arrow_leaves::total_leaf_count;
use crate::cycle::{Cycle, SyncMode};
use crate::listing::cycle_folders::{expected_folders, has_own_file, window};
use crate::listing::expand::{Expansion, Listed, NothingThere, TimePruning};
use crate::listing::location::SourceLocation;
use crate::listing::memo::ListingMemo;
use crate::listing::partition_filter::{PartitionFilters, filter_pushdown};
use crate::listing::passed_over::FileNames;
use crate::listing::path_pattern::PathPattern;
use crate::listing::snapshot::SourceFile;
use crate::listing::time_bounds::TimeBounds;
use crate::listing::time_folders::TimeFolders;
use crate::scan::misplaced::TimeCheck;
use crate::scan::missing::{
    AwaitRule, CycleFiles, MissingSource, columns_of, filters_key, names_any,
};
use crate::scan::plan::{ScanArgs, TableFiles};
use crate::scan::ready_rule::Readiness;
use crate::scan::record::Scan;
use crate::scan::scan_log::ScanLog;
use crate::scan::spec::{TableSpec, TimeRule};

/// The table of a declared source, whose folders are listed for every scan.
#[derive(Debug, Clone)]
pub(crate) struct SourceTable {
    name: String,
    location: SourceLocation,
    table_files: TableFiles,
    pattern: Option<PathPattern>,
    file_names: FileNames,
    time: Option<TimeRule>,
    ready: Readiness,
    /// One flag for each leaf of the files' columns: those that are not used may be NULL. `None`
    /// means that all are used.
    leaves: Option<Vec<bool>>,
}

impl SourceTable {
    /// Creates the table of the source `name`, whose files are at `location`.
    pub(crate) fn new(name: String, location: SourceLocation, spec: TableSpec) -> Self {
        let depth = location.path.parts().count();
        let time = spec.time.map(|time| match time.folders {
            TimeFolders::Hive(_) => time,
            TimeFolders::Pattern(pattern) => TimeRule {
                folders: TimeFolders::Pattern(Box::new(pattern.below(depth))),
                ..time
            },
        });
        let schema = TableSchema::builder(spec.file_schema)
            .with_table_partition_cols(spec.partition_fields)
            .build();
        Self {
            name,
            table_files: TableFiles {
                store: location.store.clone(),
                format: spec.format,
                framing: spec.framing,
                schema,
                leaf_rules: spec.leaf_rules,
                absent_rules: spec.absent_rules,
            },
            location,
            pattern: spec.pattern.map(|pattern| pattern.below(depth)),
            file_names: spec.file_names,
            time,
            ready: spec.ready,
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

    pub(super) fn location(&self) -> &SourceLocation {
        &self.location
    }

    pub(super) fn partition_fields(&self) -> &[FieldRef] {
        self.table_files.schema.table_partition_cols()
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.ready
    }

    /// Returns the folders of times, declared or recognised.
    pub(super) fn time_folders(&self) -> Option<TimeFolders> {
        match &self.time {
            Some(time) => Some(time.folders.clone()),
            None => TimeFolders::recognise(self.partition_fields(), self.pattern.as_ref()),
        }
    }

    /// Returns true unless `filters` leave out the whole cycle, as those of a scan of the day before do.
    pub(super) fn may_read(&self, filters: &[Expr], cycle: Cycle) -> bool {
        let time = self.time_pruning(filters);
        time.is_none_or(|time| time.bounds.may_overlap(&window(cycle)))
    }

    /// Returns true if `filters` limit the folders by time, or by the columns of the folders.
    pub(super) fn is_windowed(&self, filters: &[Expr]) -> bool {
        let by_time = self
            .time_pruning(filters)
            .is_some_and(|time| time.bounds.is_bounded());
        let names = self.partition_fields().iter();
        by_time || names_any(filters, names.map(|field| field.name().as_str()))
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
        let listed = self.list_with(state, filters, NothingThere::Mistake);
        Ok(listed.await?.files)
    }

    async fn list_with(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        nothing: NothingThere,
    ) -> Result<Listed> {
        let time = self.time_pruning(filters);
        self.list_in(state, filters, time, nothing).await
    }

    /// Lists the files in folders of a time, and the names that are passed over.
    pub(super) async fn list_in(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        time: Option<TimePruning<'_>>,
        nothing: NothingThere,
    ) -> Result<Listed> {
        let partition_fields = self.partition_fields();
        let store = state.runtime_env().object_store(&self.location.store)?;
        Expansion {
            source: &self.name,
            store: store.as_ref(),
            location: &self.location,
            pattern: self.pattern.as_ref(),
            file_names: &self.file_names,
            partition_fields,
            filters: &PartitionFilters::new(state, partition_fields, filters)?,
            time,
            nothing,
            memo: state.config().get_extension::<ListingMemo>(),
        }
        .files()
        .await
    }

    pub(super) fn time_pruning(&self, filters: &[Expr]) -> Option<TimePruning<'_>> {
        self.time.as_ref().map(|time| TimePruning {
            folders: &time.folders,
            slack: time.slack,
            bounds: TimeBounds::of(filters, &time.column, &time.data_type),
        })
    }

    /// Returns the rule by which rows of a scan for `cycle` are in no cycle.
    fn time_check(&self, filters: &[Expr], cycle: Cycle) -> Option<TimeCheck> {
        let time = self.time.as_ref()?;
        let bounds = TimeBounds::of(filters, &time.column, &time.data_type);
        TimeCheck::new(time, &bounds, cycle)
    }

    /// Determines what a scan of these files means for the cycle of `rule`.
    ///
    /// `unready` is the reason why the source is not ready.
    fn cycle_files(
        &self,
        listed: &Listed,
        filters: &[Expr],
        rule: AwaitRule,
        unready: Option<String>,
    ) -> CycleFiles {
        let fields = self.table_files.schema.table_partition_cols();
        let is_incremental = rule.sync_mode == SyncMode::Incremental;
        let time = self.time_pruning(filters).filter(|_| is_incremental);
        let by_time = time.as_ref().is_some_and(|time| time.bounds.is_bounded());
        let names = fields.iter().map(|field| field.name().as_str());
        let missing_source = |time: Option<&TimePruning<'_>>| {
            let pattern = self.pattern.as_ref();
            let expected = expected_folders(fields, pattern, filters, time, rule.cycle);
            MissingSource {
                name: self.name.clone(),
                folders: Some(expected.path).filter(|folders| !folders.is_empty()),
                location: self.location.to_string(),
                is_file: expected.is_file,
                unready: None,
                passed_over: listed.passed_over.record(),
            }
        };
        let missing = |time: Option<&TimePruning<'_>>| {
            let has_file = has_own_file(&listed.files, time, rule.cycle);
            (!has_file).then(|| missing_source(time))
        };
        let folders = TimeFolders::recognise(fields, self.pattern.as_ref());
        let folders = folders.filter(|_| is_incremental);
        let undeclared = match (&self.time, &folders) {
            (None, Some(folders)) => self.undeclared_time(folders, filters),
            _ => None,
        };
        CycleFiles {
            is_windowed: is_incremental && (by_time || names_any(filters, names)),
            missing: missing(time.as_ref()),
            doubtful: undeclared.and_then(|time| missing(Some(&time))),
            unready: unready.map(|reason| MissingSource {
                unready: Some(reason),
                ..missing_source(time.as_ref())
            }),
        }
    }

    /// Returns the pruning that folders would allow if they hold the time of the column by which
    /// `filters` limit the rows on both sides.
    fn undeclared_time<'a>(
        &self,
        folders: &'a TimeFolders,
        filters: &[Expr],
    ) -> Option<TimePruning<'a>> {
        let fields = self.file_schema().fields().iter();
        let timestamps =
            fields.filter(|field| matches!(field.data_type(), DataType::Timestamp(_, _)));
        let mut bounds =
            timestamps.map(|field| TimeBounds::of(filters, field.name(), field.data_type()));
        Some(TimePruning {
            folders,
            slack: TimeDelta::zero(),
            bounds: bounds.find(TimeBounds::is_bounded)?,
        })
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
        let log = state.config().get_extension::<ScanLog>();
        let rule = log.as_ref().and_then(|log| log.await_rule());
        let nothing = match rule {
            None => NothingThere::Mistake,
            Some(rule) if rule.published_before => NothingThere::NoFiles,
            Some(_) => NothingThere::MistakeWithoutSiblings,
        };
        let listed = self.list_with(state, filters, nothing).await?;
        let keep = log.as_ref().map(|log| log.keep()).unwrap_or_default();
        let unready = match rule {
            Some(rule) => {
                self.unready(state, &listed.files, filters, rule.cycle)
                    .await?
            }
            None => None,
        };
        let cycle_files = rule.map(|rule| self.cycle_files(&listed, filters, rule, unready));
        let Listed { files, passed_over } = listed;
        let cycle = log.as_ref().and_then(|log| log.time_checked());
        let time_check = cycle.and_then(|cycle| self.time_check(filters, cycle));
        let checked_files = match time_check {
            Some(_) => self.table_files.checked_files(&files),
            None => None,
        };
        let scan = Arc::new(Scan {
            time_check,
            checked_files,
            passed_over,
            filters: filters_key(filters),
            filter_columns: columns_of(filters),
            cycle_files: cycle_files.unwrap_or_default(),
            ..self.table_files.new_scan(&self.name, &files, keep)
        });
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
