//! Sources over given JSON lines: the declared tables and views, with a small text for each table in place of
//! its files.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::SessionContext;
use object_store::path::Path;

use crate::catalog::Sources;
use crate::catalog::declare::{Declaration, TableDeclaration};
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::jsonl::{Compression, Framing};
use crate::listing::hive_time::HiveTime;
use crate::listing::location::SourceLocation;
use crate::listing::passed_over::FileNames;
use crate::scan::ready_rule::Readiness;
use crate::scan::spec::{SourceFormat, TableSpec};
use crate::scan::table::SourceTable;

/// The URL of the store of the lines, which no source can have.
const STORE_URL: &str = "dayport-lines://sources/";

/// The columns of a source whose rows are given as lines.
#[derive(Debug, Clone)]
pub(crate) struct LineSource {
    /// The source's name.
    pub(crate) name: String,
    /// The columns of its files, then those of its folders: a line has all of them.
    pub(crate) columns: SchemaRef,
    /// The columns of its folders.
    pub(crate) folder_columns: Vec<FieldRef>,
    /// The folder columns that are parts of a time, by their index among the folder columns.
    pub(crate) time_folders: Option<HiveTime>,
}

/// Returns the URL of the store that the lines are put into, by [`key`].
pub(crate) fn store_url() -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(STORE_URL).map_err(from_datafusion)
}

/// Returns the key of the lines of a source.
pub(crate) fn key(source: &str) -> Path {
    Path::from(format!("{source}.jsonl"))
}

impl Sources {
    /// Registers the tables, then the views, as [`Sources::register`] does, but each table reads JSON lines from
    /// the store of [`store_url`]. The columns of its folders are members of the lines.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line if a declaration is wrong.
    pub(crate) async fn register_lines(&self, ctx: &SessionContext) -> Result<Vec<LineSource>> {
        let (mut sources, mut complaints) = (Vec::new(), Vec::new());
        for (declaration, table) in self.tables() {
            match register_lines(ctx, declaration, table).await {
                Ok(source) => sources.push(source),
                Err(complaint) => complaints.push(complaint),
            }
        }
        Error::all(complaints)?;
        self.register_views(ctx).await?;
        Ok(sources)
    }
}

async fn register_lines(
    ctx: &SessionContext,
    declaration: &Declaration,
    table: &TableDeclaration,
) -> Result<LineSource> {
    let declared = table.plan(&declaration.file, &ctx.state()).await?;
    // A folder always has a value.
    let folder_columns: Vec<FieldRef> = declared
        .partition_fields
        .iter()
        .map(|field| Arc::new(Field::clone(field).with_nullable(false)))
        .collect();
    let in_files = declared.file_schema.fields().iter().cloned();
    let columns: Vec<FieldRef> = in_files.chain(folder_columns.clone()).collect();
    let columns = Arc::new(Schema::new(columns));
    let spec = TableSpec {
        file_schema: Arc::clone(&columns),
        partition_fields: Vec::new(),
        format: SourceFormat::Json(Compression::None),
        framing: Framing::Lines,
        time: None,
        pattern: None,
        file_names: FileNames::default(),
        ready: Readiness::default(),
        ..declared
    };
    let location = SourceLocation {
        store: store_url()?,
        path: key(&declaration.name),
        is_folder: false,
    };
    let provider = Arc::new(SourceTable::new(declaration.name.clone(), location, spec));
    ctx.register_table(TableReference::bare(declaration.name.as_str()), provider)
        .map_err(|error| declaration.file.rejected(&error))?;
    Ok(LineSource {
        name: declaration.name.clone(),
        columns,
        time_folders: HiveTime::recognise(&folder_columns),
        folder_columns,
    })
}
