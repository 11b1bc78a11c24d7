//! Where the event is in the sources: every file that the cycle reads, each searched once.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

use super::Request;
use super::report::Searched;
use crate::definition::Definition;
use crate::engine_error::from_datafusion;
use crate::error::{Error, ErrorKind, Result};
use crate::scan::columns_read::ColumnsRead;
use crate::scan::search::{FoundRow, SourceFiles, declared_name};

/// A definition and what it reads in the cycle.
pub struct Scanned<'a> {
    pub definition: &'a Definition,
    /// As written.
    pub plan: LogicalPlan,
    /// As it would run: filters are as near to the scans as they can be.
    pub optimized: LogicalPlan,
    pub scans: Vec<SourceFiles>,
    /// What it reads of each source; all where there is no entry.
    pub reads: BTreeMap<String, ColumnsRead>,
    /// Whether any of its sources has the column.
    pub has_column: bool,
    /// Source and URL of every file.
    files: BTreeSet<(String, String)>,
}

impl Scanned<'_> {
    pub fn reads(&self, found: &FoundRow) -> bool {
        let file = (found.source.clone(), found.file.clone());
        self.files.contains(&file)
    }
}

/// What the search came to.
pub struct Search<'a> {
    pub definitions: Vec<Scanned<'a>>,
    pub searched: Vec<Searched>,
    pub found: Vec<FoundRow>,
}

impl<'a> Search<'a> {
    pub async fn run(request: &Request<'a>, context: &SessionContext) -> Result<Self> {
        let mut sources = Sources::default();
        let mut definitions = Vec::new();
        for definition in request.definitions {
            definitions.push(sources.scan(request, context, definition).await?);
        }
        let mut found = Vec::new();
        let mut searched = sources.failed;
        for files in sources.files.values() {
            found.extend(files.search(context, request.column, request.event).await?);
            searched.push(Searched {
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

/// The sources that have the column.
#[derive(Default)]
struct Sources {
    files: BTreeMap<String, SourceFiles>,
    failed: Vec<Searched>,
}

impl Sources {
    /// Lists what the definition reads.
    async fn scan<'a>(
        &mut self,
        request: &Request<'_>,
        context: &SessionContext,
        definition: &'a Definition,
    ) -> Result<Scanned<'a>> {
        let bound = request
            .engine
            .bind_query(definition, request.cycle, &request.parameters);
        let plan = bound.await?;
        // Only the optimizer knows which filters and columns reach the scans.
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

    /// A source that is gone is no reason not to look at what is published.
    fn failed(&mut self, source: &str, error: Error) -> Result<()> {
        if error.kind() == ErrorKind::Unavailable {
            return Err(error);
        }
        if self.failed.iter().all(|failed| failed.source != source) {
            self.failed.push(Searched {
                source: source.to_owned(),
                files: 0,
                bytes: 0,
                failure: Some(error.chain()),
            });
        }
        Ok(())
    }
}

/// Every scan of a plan, those of subqueries too.
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
