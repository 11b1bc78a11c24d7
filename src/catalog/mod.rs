//! The catalog of declared sources: `sql/sources/*.sql` as tables and views of DataFusion.
//!
//! ```text
//! sql/sources/events.sql ─declare, options→ Declaration ─plan→ TableSpec ┐
//!                                LOCATION ─resolve→ SourceLocation ──────┴→ SourceTable
//!                        ─declare→ ViewDeclaration ─views→ a view over the tables
//! ```

mod absent_rules;
mod column_option;
mod declare;
mod leaf_rules;
pub(crate) mod lines;
mod options;
#[cfg(test)]
mod tests;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::prelude::SessionContext;
use url::Url;

use crate::catalog::declare::{Declaration, DeclarationKind, TableDeclaration};
use crate::catalog::views::View;
use crate::error::{Error, Result};
use crate::layout::is_table_name;
use crate::listing::location::SourceLocation;
use crate::scan::nested_projection::NestedProjectionPushdown;
use crate::scan::table::SourceTable;
use crate::sql_file::{parse_files, parse_folder};
use crate::store::{Location, shown_url};

/// All declared sources, sorted by name. Names are unique, since they are file names.
#[derive(Debug)]
pub struct Sources {
    declarations: Vec<Declaration>,
}

impl Sources {
    /// Reads and checks every `*.sql` of a folder.
    ///
    /// # Errors
    /// [`Error::invalid`] if the folder is missing or has no such file, if a file cannot be read, or
    /// if its declaration is wrong (with file and line).
    pub fn load(dir: &Path) -> Result<Self> {
        let sources = Self::read(dir)?;
        if sources.declarations.is_empty() {
            return Err(Error::invalid(format!("no `*.sql` in `{}`", dir.display()))
                .with_hint("declare each source there: CREATE EXTERNAL TABLE …"));
        }
        Ok(sources)
    }

    /// Reads and checks every `*.sql` of a folder, which may have none or be missing.
    ///
    /// # Errors
    /// As [`Self::load`], but for a folder that is missing or has no such file.
    pub fn load_any(dir: &Path) -> Result<Self> {
        match dir.try_exists() {
            Ok(false) => Ok(Self::none()),
            // Reading it says what is wrong.
            Ok(true) | Err(_) => Self::read(dir),
        }
    }

    fn read(dir: &Path) -> Result<Self> {
        let unreadable = |error: std::io::Error| {
            Error::invalid(format!("cannot read `{}`", dir.display())).with_source(error)
        };
        let declarations = parse_folder(dir, &[], unreadable, declaration)?;
        Ok(Self { declarations })
    }

    /// Parses the declarations among files that are not on a disk, by their paths below the folder of
    /// sources. Messages call a file what `shown` makes of its path.
    ///
    /// # Errors
    /// As [`Self::load_any`].
    pub(crate) fn parse_all(
        files: &BTreeMap<PathBuf, Vec<u8>>,
        shown: impl Fn(&Path) -> PathBuf,
    ) -> Result<Self> {
        let declarations = parse_files(files, &[], shown, declaration)?;
        Ok(Self { declarations })
    }

    /// Returns an empty catalog.
    pub fn none() -> Self {
        Self {
            declarations: Vec::new(),
        }
    }

    /// Returns the root URL (`scheme://authority`) of every object store that the sources are in,
    /// each once.
    ///
    /// The stores must be registered with the session's runtime before a query runs.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line if a LOCATION is not usable, or is relative and there is
    /// no `base`.
    pub fn locations(&self, base: Option<&Url>) -> Result<Vec<Url>> {
        let (mut roots, mut complaints) = (BTreeSet::<Url>::new(), Vec::new());
        for (declaration, table) in self.tables() {
            match resolve(declaration, table, base) {
                Ok(location) => {
                    roots.insert(AsRef::<Url>::as_ref(&location.store).clone());
                }
                Err(complaint) => complaints.push(complaint),
            }
            if table.needs_base() {
                match base.map(|base| SourceLocation::resolve("./", Some(base))) {
                    Some(Ok(location)) => {
                        roots.insert(AsRef::<Url>::as_ref(&location.store).clone());
                    }
                    Some(Err(complaint)) => complaints.push(complaint),
                    None => {
                        let file = &declaration.file;
                        let what = "`ready` has an object, which is looked for below `--from`: give `--from`";
                        complaints.push(file.complaint(file.last_line_of("ready"), what));
                    }
                }
            }
        }
        Error::all(complaints)?;
        Ok(roots.into_iter().collect())
    }

    /// Checks that a destination is in no folder of a source: the next run would read what this one
    /// exports.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line of each such source, and as [`Self::locations`].
    pub fn check_destination(&self, destination: &Url, base: Option<&Url>) -> Result<()> {
        let complaints = self.tables().filter_map(|(declaration, table)| {
            let location = resolve(declaration, table, base).ok()?;
            location.contains(destination).then(|| {
                let file = &declaration.file;
                let inside = format!(
                    "the destination `{}` is inside of the source `{}`, whose files are in `{location}`",
                    shown_url(destination.as_str()),
                    declaration.name
                );
                Error::invalid(inside)
                    .with_hint("export to a folder that no source reads: the next run would read the export")
                    .context(file.position(file.last_line_of("location")))
            })
        });
        Error::all(complaints.collect())
    }

    /// Registers the tables, then the views, in the session's default catalog and schema.
    ///
    /// Nothing is listed or read before a query is planned. The session's optimizer gets a rule that
    /// must stay its last one.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line as in [`Self::locations`], and if a type, partition
    /// column, option or view is wrong.
    pub async fn register(&self, ctx: &SessionContext, base: Option<&Url>) -> Result<()> {
        let mut complaints = Vec::new();
        for (declaration, table) in self.tables() {
            complaints.extend(register(ctx, base, declaration, table).await.err());
        }
        Error::all(complaints)?;
        self.register_views(ctx).await
    }

    /// Registers the views, whose tables are registered already, and the optimizer rule that must stay the last one.
    async fn register_views(&self, ctx: &SessionContext) -> Result<()> {
        let views = self
            .declarations
            .iter()
            .filter_map(|declaration| match &declaration.kind {
                DeclarationKind::View(view) => Some(View {
                    name: &declaration.name,
                    file: &declaration.file,
                    declaration: view,
                }),
                DeclarationKind::Table(_) => None,
            });
        ctx.add_optimizer_rule(Arc::new(NestedProjectionPushdown));
        views::register(ctx, views.collect()).await
    }

    /// Returns the name and the location of the first source that overlaps a folder: what is written to
    /// the folder would be read as lines of the source. Locations that are not usable are left out; see
    /// [`Self::locations`].
    pub fn overlapping(&self, base: Option<&Url>, folder: &Location) -> Option<(&str, String)> {
        self.tables().find_map(|(declaration, table)| {
            let location = resolve(declaration, table, base).ok()?;
            let is_overlapping = folder.overlaps_key(location.store.as_str(), &location.path);
            is_overlapping.then(|| (declaration.name.as_str(), location.to_string()))
        })
    }

    /// Returns the names of all sources, tables and views, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.declarations
            .iter()
            .map(|declaration| declaration.name.as_str())
    }

    /// Returns the names of the declared tables, sorted.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.tables()
            .map(|(declaration, _)| declaration.name.as_str())
    }

    /// Returns the comment in front of a source's statement, if there is one.
    pub fn description(&self, name: &str) -> Option<&str> {
        self.declarations
            .iter()
            .find(|declaration| declaration.name == name)?
            .description
            .as_deref()
    }

    fn tables(&self) -> impl Iterator<Item = (&Declaration, &TableDeclaration)> {
        self.declarations
            .iter()
            .filter_map(|declaration| match &declaration.kind {
                DeclarationKind::Table(table) => Some((declaration, table.as_ref())),
                DeclarationKind::View(_) => None,
            })
    }
}

fn declaration(path: &Path, text: String) -> Result<Declaration> {
    Declaration::parse(source_name(path)?, path.display().to_string(), text)
}

async fn register(
    ctx: &SessionContext,
    base: Option<&Url>,
    declaration: &Declaration,
    table: &TableDeclaration,
) -> Result<()> {
    let location = resolve(declaration, table, base)?;
    let mut spec = table.plan(&declaration.file, &ctx.state()).await?;
    spec.ready.base = base.cloned();
    let provider = Arc::new(SourceTable::new(declaration.name.clone(), location, spec));
    ctx.register_table(TableReference::bare(declaration.name.as_str()), provider)
        .map_err(|error| declaration.file.rejected(&error))?;
    Ok(())
}

/// Returns the stem of a file, which must follow the rule for table names, as a source's name.
fn source_name(path: &Path) -> Result<&str> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.filter(|stem| is_table_name(stem)).ok_or_else(|| {
        Error::invalid(format!("`{}` is not named like a source", path.display()))
            .with_hint("name it with start with a letter, and use only lower-case letters, digits and `_`: `events.sql`")
    })
}

fn resolve(
    declaration: &Declaration,
    table: &TableDeclaration,
    base: Option<&Url>,
) -> Result<SourceLocation> {
    SourceLocation::resolve(&table.location, base).map_err(|error| {
        let file = &declaration.file;
        error.context(file.position(file.last_line_of("location")))
    })
}
