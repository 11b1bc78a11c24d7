//! Searches the sources for the event: every file that the cycle reads, each file once.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

use crate::definition::Definition;
use crate::engine_error::from_datafusion;
use crate::error::{Error, ErrorKind, Result};
use crate::scan::columns_read::ColumnsRead;
use crate::scan::search::{FoundRow, SourceFiles, declared_name};
use crate::trace::report::SearchedSource;
use crate::trace::request::TraceRequest;

/// A definition, with the files and columns that it reads in the cycle.
pub(super) struct Scanned<'a> {
    pub definition: &'a Definition,
    /// The query's plan before optimization.
    pub plan: LogicalPlan,
    /// The optimized plan, with filters pushed down as near to the scans as possible.
    pub optimized: LogicalPlan,
    /// The files of each scan of a source that has the column.
    pub scans: Vec<SourceFiles>,
    /// The columns that it reads of each source; a source without an entry is read whole.
    pub reads: BTreeMap<String, ColumnsRead>,
    /// True if any of its sources has the column.
    pub has_column: bool,
    /// The source and the URL of every file.
    files: BTreeSet<(String, String)>,
}

impl Scanned<'_> {
    /// Returns true if the definition reads the file of this occurrence.
    pub(super) fn reads(&self, found: &FoundRow) -> bool {
        let file = (found.source.clone(), found.file.clone());
        self.files.contains(&file)
    }
}

/// The result of searching the sources.
pub(super) struct Search<'a> {
    pub definitions: Vec<Scanned<'a>>,
    pub searched: Vec<SearchedSource>,
    pub found: Vec<FoundRow>,
}

impl<'a> Search<'a> {
    /// Lists and searches the sources that the definitions read.
    pub(super) async fn run(request: &TraceRequest<'a>, context: &SessionContext) -> Result<Self> {
        let mut sources = SearchableSources::default();
        let mut definitions = Vec::new();
        for definition in request.definitions {
            definitions.push(sources.scan(request, context, definition).await?);
        }
        let mut found = Vec::new();
        let mut searched = sources.failed;
        for files in sources.files.values() {
            found.extend(files.search(context, request.column, request.event).await?);
            searched.push(SearchedSource {
                source: files.source().to_owned(),
                files: files.keys().len(),
                bytes: files.bytes(),
                failure: None,
            });
        }
        Ok(Self {
            definitions,
            searched,
            found,
        })
    }
}

/// The sources that have the column, with the files that any definition reads.
#[derive(Default)]
struct SearchableSources {
    files: BTreeMap<String, SourceFiles>,
    failed: Vec<SearchedSource>,
}

impl SearchableSources {
    /// Lists the files that the definition reads.
    async fn scan<'a>(
        &mut self,
        request: &TraceRequest<'_>,
        context: &SessionContext,
        definition: &'a Definition,
    ) -> Result<Scanned<'a>> {
        let plan = request
            .engine
            .bind_query(definition, request.cycle, &request.parameters)
            .await?;
        // Only the optimizer pushes filters and columns down to the scans.
        let optimized = context.state().optimize(&plan).map_err(from_datafusion)?;
        let mut scanned = Scanned {
            definition,
            plan,
            optimized: optimized.clone(),
            scans: Vec::new(),
            reads: BTreeMap::new(),
            has_column: false,
            files: BTreeSet::new(),
        };
        for (scan, table) in scans(&optimized)? {
            if table.schema().field_with_name(request.column).is_err() {
                continue;
            }
            let Some(name) = declared_name(table.as_ref()) else {
                continue;
            };
            scanned.has_column = true;
            if let Some(reads) = ColumnsRead::of(&scan) {
                match scanned.reads.get_mut(name) {
                    Some(known) => known.merge(&reads),
                    None => {
                        scanned.reads.insert(name.to_owned(), reads);
                    }
                }
            }
            let filters = unnormalize_cols(scan.filters);
            match SourceFiles::of(table.as_ref(), &context.state(), &filters).await {
                Ok(Some(files)) => {
                    let keys = files.keys().into_iter();
                    scanned.files.extend(keys.map(|key| (name.to_owned(), key)));
                    self.add(files.clone());
                    scanned.scans.push(files);
                }
                Ok(None) => {}
                Err(error) => self.failed(name, error)?,
            }
        }
        Ok(scanned)
    }

    fn add(&mut self, files: SourceFiles) {
        match self.files.get_mut(files.source()) {
            Some(known) => known.merge(files),
            None => {
                self.files.insert(files.source().to_owned(), files);
            }
        }
    }

    /// Records a source that cannot be listed, for example because it is gone: the published files
    /// are searched anyway.
    ///
    /// # Errors
    /// The error itself, if the store is unavailable.
    fn failed(&mut self, source: &str, error: Error) -> Result<()> {
        if error.kind() == ErrorKind::Unavailable {
            return Err(error);
        }
        if self.failed.iter().all(|failed| failed.source != source) {
            self.failed.push(SearchedSource {
                source: source.to_owned(),
                files: 0,
                bytes: 0,
                failure: Some(error.chain()),
            });
        }
        Ok(())
    }
}

/// Returns every scan of a plan, including those of subqueries.
fn scans(plan: &LogicalPlan) -> Result<Vec<(TableScan, Arc<dyn TableProvider>)>> {
    let mut scans = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            scans.push((scan.clone(), source_as_provider(&scan.source)?));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    Ok(scans)
}
