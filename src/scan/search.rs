//! In which file and line the rows are that have one value in one column.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{Expr, ident, lit};
use futures::{StreamExt, TryStreamExt, stream};
use memchr::memmem::Finder;
use object_store::{GetOptions, ObjectStore};
use serde::Serialize;

use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::jsonl::compression::Compression;
use crate::listing::location::key_url;
use crate::listing::snapshot::{SourceFile, digest};
use crate::scan::columns_read::Reads;
use crate::scan::fixed_table::FixedTable;
use crate::scan::json::columns::{Columns, LineSchema};
use crate::scan::json::find::{FoundLine, decode_line, find_lines};
use crate::scan::plan::Files;
use crate::scan::table::{SourceFormat, SourceTable};
use crate::store::CONCURRENCY;

/// The name of a table, if it is a declared source.
pub fn declared_name(table: &dyn TableProvider) -> Option<&str> {
    source_table(table).map(SourceTable::name)
}

fn source_table(table: &dyn TableProvider) -> Option<&SourceTable> {
    let table: &dyn Any = table;
    table.downcast_ref()
}

/// The files that one scan of a declared source reads.
#[derive(Debug, Clone)]
pub struct SourceFiles {
    source: String,
    table: Files,
    files: Vec<SourceFile>,
}

/// Where a row is in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Position {
    /// A line of the inflated file, from 1, and its first byte, from 0.
    Line { line: u64, offset: u64 },
    /// A row of a Parquet file, from 1.
    Row { row: u64 },
}

/// A row, or a malformed line that mentions the value.
#[derive(Debug, Clone)]
pub struct Found {
    pub source: String,
    /// The file's URL.
    pub file: String,
    pub position: Position,
    content: Content,
    partition: Vec<ScalarValue>,
    table: Files,
}

#[derive(Debug, Clone)]
enum Content {
    Line(Vec<u8>),
    /// With all columns of the table.
    Row(RecordBatch),
}

impl SourceFiles {
    pub(crate) fn new(source: &str, table: Files, files: Vec<SourceFile>) -> Self {
        Self {
            source: source.to_owned(),
            table,
            files,
        }
    }

    /// What a scan of `table` with these filters reads; `None` if it is no declared source.
    pub async fn of(
        table: &dyn TableProvider,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Option<Self>> {
        let Some(table) = source_table(table) else {
            return Ok(None);
        };
        let files = table.searchable(state, filters).await;
        files.map(Some).map_err(from_datafusion)
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The URLs of the files.
    pub fn keys(&self) -> BTreeSet<String> {
        self.files.iter().map(|file| self.key(file)).collect()
    }

    /// Their size as stored.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.meta.size).sum()
    }

    /// As a manifest records it.
    pub fn digest(&self) -> String {
        digest(&self.table.freeze(&self.source, &self.files, false).files)
    }

    /// Adds the files of another scan of the same source.
    pub fn merge(&mut self, other: Self) {
        let known = self.keys();
        let files = other.files.into_iter();
        let new =
            files.filter(|file| !known.contains(&key_url(&self.table.store, &file.meta.location)));
        let new: Vec<SourceFile> = new.collect();
        self.files.extend(new);
    }

    /// Every row whose `column` is `value`, and every malformed line with `value` in its text, in
    /// the order of files and lines. None where the source has no such column.
    pub async fn search(
        &self,
        context: &SessionContext,
        column: &str,
        value: &str,
    ) -> Result<Vec<Found>> {
        let schema = self.table.schema.file_schema();
        let Ok(field) = schema.field_with_name(column) else {
            return Ok(Vec::new());
        };
        let wanted = &Wanted::new(field, value);
        let searches = self.files.iter().map(|file| async move {
            match self.table.format {
                SourceFormat::Json(compression) => {
                    self.search_lines(context, file, compression, wanted).await
                }
                SourceFormat::Parquet => self.search_rows(context, file, wanted).await,
            }
        });
        let searches: Vec<_> = searches.collect();
        let found: Vec<Vec<Found>> = stream::iter(searches)
            .buffered(CONCURRENCY.searched_files)
            .try_collect()
            .await?;
        Ok(found.concat())
    }

    async fn search_lines(
        &self,
        context: &SessionContext,
        file: &SourceFile,
        compression: Compression,
        wanted: &Wanted,
    ) -> Result<Vec<Found>> {
        let key = self.key(file);
        let runtime = context.runtime_env();
        let store = runtime.object_store(&self.table.store);
        let stored = fetch(store.map_err(from_datafusion)?.as_ref(), file, &key).await?;
        let (name, wanted) = (key.clone(), wanted.clone());
        let search = move || find_lines(&name, &stored, compression, |line| wanted.is_in(line));
        let lines = tokio::task::spawn_blocking(search).await;
        let lines = lines.map_err(|error| Error::internal("a search ended").with_source(error))?;
        let lines = lines.map_err(|error| {
            Error::data(format!("`{key}` cannot be inflated")).with_source(error)
        })?;
        let found = lines.into_iter().map(|FoundLine { line, offset, text }| {
            let position = Position::Line { line, offset };
            self.found(file, position, Content::Line(text))
        });
        Ok(found.collect())
    }

    /// DataFusion's reader skips the file by its statistics and bloom filters, where it can.
    async fn search_rows(
        &self,
        context: &SessionContext,
        file: &SourceFile,
        wanted: &Wanted,
    ) -> Result<Vec<Found>> {
        let Some(value) = &wanted.value else {
            return Ok(Vec::new());
        };
        // One task, so that rows come in the file's order.
        let mut state = context.state();
        state.config_mut().options_mut().execution.target_partitions = 1;
        let context = SessionContext::new_with_state(state);
        let schema = &self.table.schema;
        let partition_fields = schema.table_partition_cols().iter();
        let table = Arc::new(FixedTable::new(
            self.table.store.clone(),
            vec![(file.meta.clone(), file.partition.clone())],
            SourceFormat::Parquet,
            Arc::clone(schema.file_schema()),
            partition_fields
                .map(|field| field.as_ref().clone())
                .collect(),
        ));
        let is_wanted = ident(wanted.column.schema().field(0).name()).eq(lit(value.clone()));
        let rows = context.read_table(Arc::<FixedTable>::clone(&table));
        let rows = rows.and_then(|rows| rows.filter(is_wanted.clone()));
        let rows = rows.map_err(from_datafusion)?.collect().await;
        let rows = rows.map_err(from_datafusion)?;
        if rows.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(Vec::new());
        }
        let all = context.read_table(table);
        let all = all.and_then(|all| all.select([is_wanted]));
        let all = all.map_err(from_datafusion)?.execute_stream().await;
        let mut all = all.map_err(from_datafusion)?;
        let mut numbers = Vec::new();
        let mut before = 0;
        while let Some(batch) = all.next().await {
            let batch = batch.map_err(from_datafusion)?;
            for row in 0..batch.num_rows() {
                let is_wanted = ScalarValue::try_from_array(batch.column(0), row);
                if is_wanted.map_err(from_datafusion)? == ScalarValue::from(true) {
                    numbers.push(before + row as u64 + 1);
                }
            }
            before += batch.num_rows() as u64;
        }
        let rows = rows
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(|row| batch.slice(row, 1)));
        let found = numbers.into_iter().zip(rows);
        Ok(found
            .map(|(number, row)| self.found(file, Position::Row { row: number }, Content::Row(row)))
            .collect())
    }

    fn key(&self, file: &SourceFile) -> String {
        key_url(&self.table.store, &file.meta.location)
    }

    fn found(&self, file: &SourceFile, position: Position, content: Content) -> Found {
        Found {
            source: self.source.clone(),
            file: self.key(file),
            position,
            content,
            partition: file.partition.clone(),
            table: self.table.clone(),
        }
    }
}

/// What is searched for.
#[derive(Debug, Clone)]
struct Wanted {
    column: LineSchema,
    /// `None` where the text is no value of the column.
    value: Option<ScalarValue>,
    text: Finder<'static>,
    /// Whether a line with the value must have its text: no writer of JSON escapes these characters.
    is_plain: bool,
}

impl Wanted {
    fn new(field: &Field, text: &str) -> Self {
        let value = ScalarValue::try_from_string(text.to_owned(), field.data_type()).ok();
        let is_plain = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'));
        Self {
            column: LineSchema::all(Arc::new(Schema::new(vec![field.clone()]))),
            is_plain: is_plain && field.data_type().is_string(),
            text: Finder::new(text).into_owned(),
            value,
        }
    }

    /// Whether a line has the value in its column, or is malformed and mentions it.
    fn is_in(&self, line: &[u8]) -> bool {
        let is_mentioned = self.text.find(line).is_some();
        if self.is_plain && !is_mentioned {
            return false;
        }
        match decode_line(&self.column, line) {
            Err(_) => is_mentioned,
            Ok(row) => {
                let value = ScalarValue::try_from_array(row.column(0), 0);
                self.value.is_some() && value.ok() == self.value
            }
        }
    }
}

impl Found {
    /// The row as scans read it that read `reads` of the table; all else is NULL. `Err` is why the
    /// line is malformed.
    pub fn row(&self, reads: Option<&Reads>) -> Result<RecordBatch, String> {
        let schema = self.table.schema.table_schema();
        let inside = self.table.schema.file_schema().fields().len();
        let is_read = |index: usize| reads.is_none_or(|reads| reads.has(index));
        let line = match &self.content {
            Content::Row(row) => return Ok(row.clone()),
            Content::Line(line) => line,
        };
        let read: Vec<usize> = (0..inside).filter(|index| is_read(*index)).collect();
        let leaves = reads.map(Reads::leaves);
        let columns = Columns::new(&self.table.schema, &read, leaves);
        let columns = columns.map_err(|error| error.to_string())?;
        let decoded = decode_line(columns.decoded(), line)?;

        let mut decoded = decoded.columns().iter();
        let mut values: Vec<ArrayRef> = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let value = match (index.checked_sub(inside), is_read(index)) {
                (None, true) => decoded.next().map(Arc::clone),
                (None, false) => None,
                (Some(partition), _) => {
                    let value = self.partition.get(partition);
                    value.and_then(|value| value.to_array_of_size(1).ok())
                }
            };
            values.push(value.unwrap_or_else(|| new_null_array(field.data_type(), 1)));
        }
        RecordBatch::try_new(nullable(schema), values).map_err(|error| error.to_string())
    }
}

/// The same columns, any of which may be NULL.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

async fn fetch(store: &dyn ObjectStore, file: &SourceFile, key: &str) -> Result<bytes::Bytes> {
    // As it was when it was listed.
    let options = GetOptions {
        if_match: file.meta.e_tag.clone(),
        ..GetOptions::default()
    };
    let read = async {
        store
            .get_opts(&file.meta.location, options)
            .await?
            .bytes()
            .await
    };
    read.await.map_err(|error| Error::store("read", key, error))
}
