//! One of the two sides of a comparison, and its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::execution::memory_pool::MemoryPool;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::diff::columns::whole_schema;
use crate::diff::published_files::check_files;
use crate::diff::report::{SideCounts, SideRecord};
use crate::engine::{BoundDefinition, Engine, OpenRows, ScannedRows};
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::exported;
use crate::format::value_range::check_values;
use crate::layout::{FileFormat, TableName};
use crate::manifest::Manifest;
use crate::scan::reject_limit::check_rejects;
use crate::scan::scan_log::ScanLog;
use crate::scan::{AwaitRule, KeepRejects, MaxRejects, MissingSource, NotReady};
use crate::schema::ExportSchema;
use crate::store::Destination;

/// The definitions of one side, run over the sources.
pub(crate) struct DefinedSide<'a> {
    pub engine: &'a Engine,
    pub definitions: &'a [Definition],
    /// Equal for equal declarations of sources.
    pub sources_digest: String,
    pub parameters: &'a BTreeMap<String, String>,
    pub max_rejects: MaxRejects,
    pub cycle: Cycle,
}

/// The published tables of one side.
pub(crate) struct PublishedSide<'a> {
    /// The engine whose session reads the files.
    pub engine: &'a Engine,
    pub destination: &'a Destination,
    pub cycle: Cycle,
}

/// One of the two sides.
pub(crate) enum DiffSide<'a> {
    Defined(DefinedSide<'a>),
    Published(PublishedSide<'a>),
}

impl DiffSide<'_> {
    pub(super) fn cycle(&self) -> Cycle {
        match self {
            Self::Defined(side) => side.cycle,
            Self::Published(side) => side.cycle,
        }
    }
}

/// A table of one side.
pub(super) enum TableSide<'a> {
    Query(Box<QuerySide<'a>>),
    Files(Box<FilesSide<'a>>),
}

/// A definition that is run.
pub(super) struct QuerySide<'a> {
    side: &'a DefinedSide<'a>,
    pub definition: &'a Definition,
    pub bound: BoundDefinition,
    pub schema: ExportSchema,
}

/// Published files that are read.
pub(super) struct FilesSide<'a> {
    side: &'a PublishedSide<'a>,
    pub manifest: Manifest,
    pub schema: ExportSchema,
}

/// The rows of a table, as they would be exported or as they were.
pub(super) struct SideRows<'a> {
    pub stream: BoxStream<'static, Result<RecordBatch>>,
    scanned: Option<(ScannedRows, &'a QuerySide<'a>)>,
}

impl<'a> TableSide<'a> {
    /// Binds a definition.
    ///
    /// # Errors
    /// As for a run: with file and line.
    pub(super) async fn query(
        side: &'a DefinedSide<'a>,
        definition: &'a Definition,
    ) -> Result<Self> {
        // The format of the files does not matter to their rows.
        let bound = side
            .engine
            .bind(definition, side.cycle, side.parameters, FileFormat::Parquet)
            .await?;
        let schema = whole_schema(&bound.spec.schema, &bound.spec.partition_columns)?;
        Ok(Self::Query(Box::new(QuerySide {
            side,
            definition,
            bound,
            schema,
        })))
    }

    /// Names what is published.
    pub(super) fn files(side: &'a PublishedSide<'a>, manifest: Manifest) -> Result<Self> {
        let schema = whole_schema(&manifest.schema, &manifest.partition_by)?;
        Ok(Self::Files(Box::new(FilesSide {
            side,
            manifest,
            schema,
        })))
    }

    /// Returns all columns, those of folders last.
    pub(super) fn schema(&self) -> &ExportSchema {
        match self {
            Self::Query(query) => &query.schema,
            Self::Files(files) => &files.schema,
        }
    }

    pub(super) fn sync_mode(&self) -> SyncMode {
        match self {
            Self::Query(query) => query.definition.sync_mode,
            Self::Files(files) => files.manifest.sync_mode,
        }
    }

    /// Returns the names of the columns that make the folders.
    pub(super) fn partition_by(&self) -> Vec<String> {
        let columns = match self {
            Self::Query(query) => &query.bound.spec.partition_columns,
            Self::Files(files) => &files.manifest.partition_by,
        };
        let columns = columns.columns().iter();
        columns.map(|column| column.name.clone()).collect()
    }

    /// Returns the column that the window selects by.
    pub(super) fn window_column(&self) -> Option<&str> {
        match self {
            Self::Query(query) => query.bound.spec.window.as_ref().map(|w| w.name.as_str()),
            Self::Files(files) => files.manifest.window_column.as_deref(),
        }
    }

    /// Returns the memory pool that its rows are read within.
    pub(super) fn pool(&self) -> Arc<dyn MemoryPool> {
        let engine = match self {
            Self::Query(query) => query.side.engine,
            Self::Files(files) => files.side.engine,
        };
        Arc::clone(&engine.session().runtime_env().memory_pool)
    }

    /// Returns true for a definition, whose rows take more to read than published ones.
    pub(super) fn is_query(&self) -> bool {
        matches!(self, Self::Query(_))
    }

    /// Returns the functions whose values are other ones each time.
    pub(super) fn volatile_functions(&self) -> Result<BTreeSet<String>> {
        match self {
            Self::Query(query) => query.bound.volatile_functions(),
            Self::Files(_) => Ok(BTreeSet::new()),
        }
    }

    /// Returns a digest of everything that the rows of a query depend on, besides the source files.
    pub(super) fn query_digest(&self) -> Option<(&str, &str, Cycle)> {
        match self {
            Self::Query(query) => Some((
                query.definition.sha256.as_str(),
                query.side.sources_digest.as_str(),
                query.side.cycle,
            )),
            Self::Files(_) => None,
        }
    }

    /// Returns the counts that are known before anything is read.
    pub(super) fn recorded_counts(&self) -> SideCounts {
        match self {
            Self::Query(_) => SideCounts::default(),
            Self::Files(files) => {
                let manifest = &files.manifest;
                let rejected = manifest.sources.iter().map(|source| source.rows_rejected);
                SideCounts {
                    rows: Some(manifest.rows),
                    rejected: Some(rejected.sum()),
                    revision: Some(manifest.revision),
                    ..SideCounts::default()
                }
            }
        }
    }

    /// Checks what can be checked before its rows are read: published files are those of the manifest.
    pub(super) async fn check(&self) -> Result<()> {
        match self {
            Self::Query(_) => Ok(()),
            Self::Files(files) => check_files(files.side.destination, &files.manifest).await,
        }
    }

    /// Begins to read its rows, with at least the columns `names`.
    pub(super) async fn open(&'a self, names: &BTreeSet<String>) -> Result<SideRows<'a>> {
        match self {
            Self::Query(query) => query.open().await,
            Self::Files(files) => files.open(names).await,
        }
    }
}

impl QuerySide<'_> {
    async fn open(&self) -> Result<SideRows<'_>> {
        let keep = match self.side.max_rejects.is_strict() {
            true => KeepRejects::Nothing,
            false => KeepRejects::Positions,
        };
        let rule = AwaitRule {
            cycle: self.side.cycle,
            sync_mode: self.definition.sync_mode,
            published_before: false,
            allow_empty: self.definition.allow_empty,
            not_ready: NotReady::Publish,
        };
        let scans = ScanLog::for_cycle(rule, keep);
        let OpenRows { stream, scanned } = self.side.engine.open_rows(&self.bound, scans).await?;
        let schema = self.schema.arrow();
        let rows = stream
            .map_err(from_datafusion)
            .map(move |batch| exported_batch(&batch?, &schema));
        Ok(SideRows {
            stream: rows.boxed(),
            scanned: Some((scanned, self)),
        })
    }
}

/// Returns rows of a query as they would be exported.
fn exported_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name());
        let absent = || Error::internal(format!("the query gives no `{}`", field.name()));
        column.map(ArrayRef::clone).ok_or_else(absent)
    });
    let rows = ExportSchema::cast(schema, columns.collect::<Result<_>>()?)?;
    check_values(&rows)?;
    Ok(rows)
}

impl FilesSide<'_> {
    async fn open(&self, names: &BTreeSet<String>) -> Result<SideRows<'_>> {
        let session = self.side.engine.session();
        let (frame, _) = exported::rows(&session, self.side.destination, &self.manifest)?;
        let schema = self.schema.arrow();
        let picked: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .filter(|name| names.contains(*name))
            .collect();
        let frame = match picked.is_empty() {
            true => frame,
            false => frame.select_columns(&picked).map_err(from_datafusion)?,
        };
        let stream = frame.execute_stream().await.map_err(from_datafusion)?;
        let rows = stream
            .map_err(from_datafusion)
            .map(move |batch| in_types(&batch?, &schema));
        Ok(SideRows {
            stream: rows.boxed(),
            scanned: None,
        })
    }
}

/// Returns published rows in the types of the export. Values of folders may be read in others.
fn in_types(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let fields = batch.schema_ref().fields().iter().zip(batch.columns());
    let columns = fields.map(|(field, array)| {
        let wanted = schema.field_with_name(field.name()).map_or_else(
            |_| array.data_type().clone(),
            |known| known.data_type().clone(),
        );
        let converted = match *array.data_type() == wanted {
            true => Ok(ArrayRef::clone(array)),
            false => cast(array, &wanted),
        };
        Ok((field.name().as_str(), converted?, true))
    });
    columns
        .collect::<Result<Vec<_>, arrow::error::ArrowError>>()
        .and_then(RecordBatch::try_from_iter_with_nullable)
        .map_err(|error| Error::data("published rows are not of their schema").with_source(error))
}

/// The counts of a side that are known after its rows have been read.
pub(super) struct ReadSide {
    /// The number of malformed lines, unless only the manifest knows.
    pub rejected: Option<u64>,
    /// The sources without files for the cycle.
    pub missing: Vec<MissingSource>,
}

impl SideRows<'_> {
    /// Checks what was read.
    ///
    /// # Errors
    /// As for a run: a source changed, or has too many malformed lines.
    pub(super) async fn finish(self) -> Result<ReadSide> {
        let Some((scanned, query)) = self.scanned else {
            return Ok(ReadSide {
                rejected: None,
                missing: Vec::new(),
            });
        };
        let mut missing = scanned.missing.sources.clone();
        missing.extend(scanned.missing.doubtful.iter().cloned());
        let sources = scanned.finish().await?;
        for source in &sources {
            check_rejects(source, query.side.max_rejects)?;
        }
        let rejected = sources.iter().map(|source| source.rows_rejected);
        Ok(ReadSide {
            rejected: Some(rejected.sum()),
            missing,
        })
    }
}

/// Returns the definition of a table.
pub(super) fn definition_of<'a>(
    definitions: &'a [Definition],
    table: &TableName,
) -> Option<&'a Definition> {
    definitions
        .iter()
        .find(|definition| definition.table == *table)
}

/// The two sides with their names in the report.
pub(crate) struct DiffSides<'a> {
    pub left: DiffSide<'a>,
    pub right: DiffSide<'a>,
    pub left_record: SideRecord,
    pub right_record: SideRecord,
}
