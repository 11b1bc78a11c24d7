//! Sources: `sql/sources/*.sql` as tables, frozen file lists, and the reading of JSON lines.
//!
//! ```text
//! sql/sources/events.sql ─declare→ Declaration ─plan, location→ SourceTable ─scan→
//!    expand (folders, pruned by prune, bounds and folder_time) ─freeze→ ScanLog
//!    ─scan→ JsonLinesExec | DataFusion's Parquet reader → RecordBatches
//! ```
//! | file | concept |
//! |---|---|
//! | `declare`, `options` | what a file may say, and complaints with its lines |
//! | `location` | `LOCATION` under `--from` |
//! | `table`, `fixed`, `scan` | the tables of DataFusion, and the operator that reads their files |
//! | `parquet` | strings of Parquet files as views |
//! | `expand`, `folder` | Hive folders to files |
//! | `prune`, `bounds`, `folder_time` | which folders a query cannot need |
//! | `frozen`, `scan_log` | what was read, on record |
//! | `rejects` | malformed lines |
//! | `search`, `reads` | in which file and line a row is, and what a query reads of it |
//! | `json` | JSON lines to batches |
//! | `usage`, `leaves` | which parts of a query's columns are used, and so decoded |
//! | `row_filter`, `kept`, `apart` | the conditions of a query on the rows of a scan; rows of one file together |
//! | `share`, `feed` | one pass over a source for many tables |
//! | `elsewhere` | scans in tasks of other machines |
//! | `views` | views over sources |

pub(crate) mod declare;
pub(crate) mod options;
#[cfg(test)]
mod tests;
pub(crate) mod views;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::prelude::SessionContext;
use url::Url;

use crate::catalog::declare::{Declaration, Declared, TableDeclaration};
use crate::catalog::views::View;
use crate::error::{Error, Result};
use crate::listing::location::Location;
use crate::scan::nested_projection::UsedLeaves;
use crate::scan::table::SourceTable;

/// Every declared source, sorted by name. Names are unique, since they are file names.
#[derive(Debug)]
pub struct Sources {
    declarations: Vec<Declaration>,
}

impl Sources {
    /// Reads and checks every `*.sql` of the folder.
    ///
    /// # Errors
    /// [`Error::invalid`]: the folder is missing or has no such file, a file cannot be read, or
    /// its declaration is wrong (with file and line).
    pub fn load(dir: &Path) -> Result<Self> {
        let unreadable = |path: &Path, error: std::io::Error| {
            Error::invalid(format!("cannot read `{}`", path.display())).with_source(error)
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(|error| unreadable(dir, error))? {
            let path = entry.map_err(|error| unreadable(dir, error))?.path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(Error::invalid(format!("no `*.sql` in `{}`", dir.display()))
                .with_hint("declare each source there: CREATE EXTERNAL TABLE …"));
        }
        files.sort();
        let (mut declarations, mut complaints) = (Vec::new(), Vec::new());
        for path in files {
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            let declared = source_name(&path)
                .and_then(|name| Declaration::parse(name, path.display().to_string(), text));
            match declared {
                Ok(declaration) => declarations.push(declaration),
                Err(complaint) => complaints.push(complaint),
            }
        }
        Error::all(complaints)?;
        Ok(Self { declarations })
    }

    /// No sources at all.
    pub fn none() -> Self {
        Self {
            declarations: Vec::new(),
        }
    }

    /// The root (`scheme://authority`) of every object store that the sources are in, each once.
    ///
    /// They have to be registered with the session's runtime before a query runs.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line: a LOCATION that is not usable, or relative where
    /// there is no `base`.
    pub fn locations(&self, base: Option<&Url>) -> Result<Vec<Url>> {
        let (mut roots, mut complaints) = (BTreeSet::<Url>::new(), Vec::new());
        for (declaration, table) in self.tables() {
            match resolve(declaration, table, base) {
                Ok(location) => {
                    roots.insert(AsRef::<Url>::as_ref(&location.store).clone());
                }
                Err(complaint) => complaints.push(complaint),
            }
        }
        Error::all(complaints)?;
        Ok(roots.into_iter().collect())
    }

    /// Registers the tables, then the views, in the session's default catalog and schema.
    ///
    /// Nothing is listed or read before a query is planned. The session's optimizer gets a rule
    /// that has to stay its last.
    ///
    /// # Errors
    /// As [`Self::locations`]; and a type, partition column, option or view that is wrong.
    pub async fn register(&self, ctx: &SessionContext, base: Option<&Url>) -> Result<()> {
        let mut complaints = Vec::new();
        for (declaration, table) in self.tables() {
            complaints.extend(register(ctx, base, declaration, table).await.err());
        }
        Error::all(complaints)?;
        let views = self
            .declarations
            .iter()
            .filter_map(|declaration| match &declaration.kind {
                Declared::View(view) => Some(View {
                    name: &declaration.name,
                    file: &declaration.file,
                    declaration: view,
                }),
                Declared::Table(_) => None,
            });
        ctx.add_optimizer_rule(Arc::new(UsedLeaves));
        views::register(ctx, views.collect()).await
    }

    /// The names of all sources, views included, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.declarations
            .iter()
            .map(|declaration| declaration.name.as_str())
    }

    /// The names of the declared tables, sorted.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.tables()
            .map(|(declaration, _)| declaration.name.as_str())
    }

    /// The comment in front of a source's statement, where there is one.
    pub fn description(&self, name: &str) -> Option<&str> {
        let mut declarations = self.declarations.iter();
        let declaration = declarations.find(|declaration| declaration.name == name)?;
        declaration.description.as_deref()
    }

    fn tables(&self) -> impl Iterator<Item = (&Declaration, &TableDeclaration)> {
        self.declarations
            .iter()
            .filter_map(|declaration| match &declaration.kind {
                Declared::Table(table) => Some((declaration, table.as_ref())),
                Declared::View(_) => None,
            })
    }
}

async fn register(
    ctx: &SessionContext,
    base: Option<&Url>,
    declaration: &Declaration,
    table: &TableDeclaration,
) -> Result<()> {
    let location = resolve(declaration, table, base)?;
    let spec = table.plan(&declaration.file, &ctx.state()).await?;
    let name = declaration.name.clone();
    let table = Arc::new(SourceTable::new(name, location, spec));
    ctx.register_table(TableReference::bare(declaration.name.as_str()), table)
        .map_err(|error| declaration.file.rejected(&error))?;
    Ok(())
}

/// The stem of a file, as a source's name: `[a-z][a-z0-9_]*`.
fn source_name(path: &Path) -> Result<&str> {
    let is_name = |stem: &str| {
        stem.starts_with(|first: char| first.is_ascii_lowercase())
            && stem
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.filter(|stem| is_name(stem)).ok_or_else(|| {
        Error::invalid(format!("`{}` is not named like a source", path.display()))
            .with_hint("name it with small letters, digits and `_`, from a letter on: `events.sql`")
    })
}

fn resolve(
    declaration: &Declaration,
    table: &TableDeclaration,
    base: Option<&Url>,
) -> Result<Location> {
    Location::resolve(&table.location, base).map_err(|error| {
        let file = &declaration.file;
        error.context(file.position(file.last_line_of("location")))
    })
}
