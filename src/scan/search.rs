//! The search for rows that have a given value in a column, and for their files and lines.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::datatypes::{Field, Fields, Schema, SchemaRef};
use datafusion::arrow::json::LineDelimitedWriter;
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
use crate::jsonl::{Compression, FoundLine, LineSchema, decode_line, find_lines};
use crate::listing::location::key_url;
use crate::listing::snapshot::{SourceFile, digest, snapshot};
use crate::scan::columns_read::ColumnsRead;
use crate::scan::fixed_table::FixedTable;
use crate::scan::json::columns::ScanColumns;
use crate::scan::json::error::read_error;
use crate::scan::plan::TableFiles;
use crate::scan::spec::SourceFormat;
use crate::scan::table::SourceTable;
use crate::store::CONCURRENCY;

/// Returns the name of a table, if it is a declared source.
pub(crate) fn declared_name(table: &dyn TableProvider) -> Option<&str> {
    source_table(table).map(SourceTable::name)
}

fn source_table(table: &dyn TableProvider) -> Option<&SourceTable> {
    let table: &dyn Any = table;
    table.downcast_ref()
}

/// The files that one scan of a declared source reads.
#[derive(Debug, Clone)]
pub(crate) struct SourceFiles {
    source: String,
    table: TableFiles,
    files: Vec<SourceFile>,
}

/// The position of a row in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum RowPosition {
    /// The number of a line, from 1, and the offset of its first byte in the decompressed file,
    /// from 0.
    Line { line: u64, offset: u64 },
    /// The index of a record of a JSON document, from 1, and the offset of its first byte.
    Record { record: u64, offset: u64 },
    /// The number of a row of a Parquet file, from 1.
    Row { row: u64 },
}

/// A row with the value, or a malformed line that mentions it.
#[derive(Debug, Clone)]
pub(crate) struct FoundRow {
    /// The source's name.
    pub source: String,
    /// The file's URL.
    pub file: String,
    pub position: RowPosition,
    content: FoundContent,
    partition: Vec<ScalarValue>,
    table: TableFiles,
}

#[derive(Debug, Clone)]
enum FoundContent {
    Line(Vec<u8>),
    /// One row with all columns of the table.
    Row(RecordBatch),
}

impl SourceFiles {
    /// Lists the files that a scan of `table` with these filters reads; `None` if it is not a
    /// declared source.
    pub(crate) async fn of(
        table: &dyn TableProvider,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Option<Self>> {
        let Some(table) = source_table(table) else {
            return Ok(None);
        };
        let files = table.list(state, filters).await.map_err(from_datafusion)?;
        Ok(Some(Self {
            source: table.name().to_owned(),
            table: table.table_files().clone(),
            files,
        }))
    }

    /// Returns the source's name.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Returns the URLs of the files.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        self.files.iter().map(|file| self.key(file)).collect()
    }

    /// Returns the compressed bytes of the files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.meta.size).sum()
    }

    /// Computes the digest of the file list, as a manifest records it.
    pub(crate) fn digest(&self) -> String {
        digest(&snapshot(&self.table.store, &self.files))
    }

    /// Adds the files of another scan of the same source.
    pub(crate) fn merge(&mut self, other: Self) {
        let known = self.keys();
        for file in other.files {
            if !known.contains(&self.key(&file)) {
                self.files.push(file);
            }
        }
    }

    /// Finds every row whose `column` has `value`, and every malformed line with `value` in its
    /// text, in the order of files and lines.
    ///
    /// The result is empty if the source has no such column.
    pub(crate) async fn search(
        &self,
        context: &SessionContext,
        column: &str,
        value: &str,
    ) -> Result<Vec<FoundRow>> {
        let schema = self.table.schema.file_schema();
        let Some((index, field)) = schema.column_with_name(column) else {
            return Ok(Vec::new());
        };
        let line_schema = LineSchema::project(schema, &[index], None, &self.table.leaf_rules);
        let value = &SearchValue::new(field, line_schema, value);
        let found: Vec<Vec<FoundRow>> = stream::iter(&self.files)
            .map(|file| async move {
                match self.table.format {
                    SourceFormat::Json(compression) => {
                        self.search_lines(context, file, compression, value).await
                    }
                    SourceFormat::Parquet => self.search_rows(context, file, value).await,
                }
            })
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
        value: &SearchValue,
    ) -> Result<Vec<FoundRow>> {
        let key = self.key(file);
        let store = context
            .runtime_env()
            .object_store(&self.table.store)
            .map_err(from_datafusion)?;
        let stored = fetch(store.as_ref(), file, &key).await?;
        let search = {
            let (key, value) = (key.clone(), value.clone());
            let framing = self.table.framing.clone();
            move || {
                let form = (compression, &framing);
                find_lines(&key, &stored, form, |line| value.is_in(line))
            }
        };
        let lines = tokio::task::spawn_blocking(search)
            .await
            .map_err(|error| Error::internal("a search ended").with_source(error))?
            .map_err(|error| read_error(&key, error))?;
        let found = lines.into_iter().map(|found| {
            let FoundLine { line, offset, .. } = found;
            let position = match found.is_record {
                true => RowPosition::Record {
                    record: line,
                    offset,
                },
                false => RowPosition::Line { line, offset },
            };
            self.found(file, position, FoundContent::Line(found.text))
        });
        Ok(found.collect())
    }

    /// Searches a Parquet file with DataFusion's reader, which skips it by its statistics and bloom
    /// filters if these exclude the value.
    async fn search_rows(
        &self,
        context: &SessionContext,
        file: &SourceFile,
        value: &SearchValue,
    ) -> Result<Vec<FoundRow>> {
        let Some(typed) = &value.typed else {
            return Ok(Vec::new());
        };
        // One task returns the rows in the order of the file.
        let mut state = context.state();
        state.config_mut().options_mut().execution.target_partitions = 1;
        let single_task = SessionContext::new_with_state(state);
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
        let has_value = ident(value.column.schema().field(0).name()).eq(lit(typed.clone()));
        let batches = single_task
            .read_table(Arc::<FixedTable>::clone(&table))
            .and_then(|rows| rows.filter(has_value.clone()))
            .map_err(from_datafusion)?
            .collect()
            .await
            .map_err(from_datafusion)?;
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(Vec::new());
        }
        let mut conditions = single_task
            .read_table(table)
            .and_then(|rows| rows.select([has_value]))
            .map_err(from_datafusion)?
            .execute_stream()
            .await
            .map_err(from_datafusion)?;
        let mut numbers = Vec::new();
        let mut rows_before = 0;
        while let Some(batch) = conditions.next().await {
            let batch = batch.map_err(from_datafusion)?;
            for row in 0..batch.num_rows() {
                let is_found = ScalarValue::try_from_array(batch.column(0), row);
                if is_found.map_err(from_datafusion)? == ScalarValue::from(true) {
                    numbers.push(rows_before + row as u64 + 1);
                }
            }
            rows_before += batch.num_rows() as u64;
        }
        let rows = batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(|row| batch.slice(row, 1)));
        let found = numbers.into_iter().zip(rows).map(|(number, row)| {
            let position = RowPosition::Row { row: number };
            self.found(file, position, FoundContent::Row(row))
        });
        Ok(found.collect())
    }

    fn key(&self, file: &SourceFile) -> String {
        key_url(&self.table.store, &file.meta.location)
    }

    fn found(&self, file: &SourceFile, position: RowPosition, content: FoundContent) -> FoundRow {
        FoundRow {
            source: self.source.clone(),
            file: self.key(file),
            position,
            content,
            partition: file.partition.clone(),
            table: self.table.clone(),
        }
    }
}

/// A value that is searched for in one column.
#[derive(Debug, Clone)]
struct SearchValue {
    column: LineSchema,
    /// The value with the column's type; `None` if the text is not a value of that type.
    typed: Option<ScalarValue>,
    text: Finder<'static>,
    /// True if a line with the value must contain its text: no writer of JSON escapes these
    /// characters.
    is_plain: bool,
}

impl SearchValue {
    fn new(field: &Field, column: LineSchema, text: &str) -> Self {
        let is_plain = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'));
        Self {
            column,
            is_plain: is_plain && field.data_type().is_string(),
            text: Finder::new(text).into_owned(),
            typed: ScalarValue::try_from_string(text.to_owned(), field.data_type()).ok(),
        }
    }

    /// Returns true if a line has the value in the column, or is malformed and mentions it.
    fn is_in(&self, line: &[u8]) -> bool {
        let is_mentioned = self.text.find(line).is_some();
        if self.is_plain && !is_mentioned {
            return false;
        }
        match decode_line(&self.column, line) {
            Err(_) => is_mentioned,
            Ok(row) => {
                let value = ScalarValue::try_from_array(row.column(0), 0);
                self.typed.is_some() && value.ok() == self.typed
            }
        }
    }
}

impl FoundRow {
    /// Decodes the row as the scans do that read these columns; all other columns are NULL.
    ///
    /// # Errors
    /// The reason why the line is malformed.
    pub(crate) fn row(&self, columns_read: Option<&ColumnsRead>) -> Result<RecordBatch, String> {
        let schema = self.table.schema.table_schema();
        let in_files = self.table.schema.file_schema().fields().len();
        let is_read = |index: usize| columns_read.is_none_or(|read| read.contains(index));
        let line = match &self.content {
            FoundContent::Row(row) => return Ok(row.clone()),
            FoundContent::Line(line) => line,
        };
        let projection: Vec<usize> = (0..in_files).filter(|index| is_read(*index)).collect();
        let leaves = columns_read.map(ColumnsRead::leaves);
        let columns = ScanColumns::new(
            &self.table.schema,
            &projection,
            leaves,
            &self.table.leaf_rules,
        )
        .map_err(|error| error.to_string())?;
        let decoded = decode_line(columns.decoded(), line)?;

        let mut decoded_columns = decoded.columns().iter();
        let mut values: Vec<ArrayRef> = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let value = match (index.checked_sub(in_files), is_read(index)) {
                (None, true) => decoded_columns.next().map(Arc::clone),
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

impl FoundRow {
    /// Returns the row as one line of JSON, with the values of its folders. A line of a file is otherwise left as
    /// it is.
    ///
    /// # Errors
    /// [`Error::data`] if the line is no text, or a value has no form in JSON.
    pub(crate) fn json_line(&self) -> Result<String> {
        let line = match &self.content {
            FoundContent::Row(row) => return json_object(row),
            FoundContent::Line(line) => line,
        };
        let line = String::from_utf8(line.clone()).map_err(|error| {
            Error::data(format!("a line of `{}` is not UTF-8", self.file)).with_source(error)
        })?;
        let fields = self.table.schema.table_partition_cols();
        let members = serde_json::from_str::<BTreeMap<String, serde::de::IgnoredAny>>(&line);
        let (Ok(members), false) = (members, fields.is_empty()) else {
            return Ok(line);
        };
        let columns = self.partition.iter().map(|value| value.to_array_of_size(1));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>().map_err(from_datafusion)?;
        let schema = Schema::new(fields.iter().cloned().collect::<Fields>());
        let folders = RecordBatch::try_new(nullable(&Arc::new(schema)), columns)
            .map_err(|error| Error::internal("folders are no row").with_source(error))?;
        let folders = json_object(&folders)?;
        let (Some((before, after)), Some(folders)) =
            (line.rsplit_once('}'), folders.strip_prefix('{'))
        else {
            return Ok(line);
        };
        let comma = if members.is_empty() { "" } else { "," };
        Ok(format!("{before}{comma}{folders}{after}"))
    }
}

/// Returns a batch of one row as an object.
fn json_object(row: &RecordBatch) -> Result<String> {
    Ok(json_lines(row)?.concat())
}

/// Returns rows as lines of JSON, without members that are NULL.
///
/// # Errors
/// [`Error::data`] if a value has no form in JSON.
pub(crate) fn json_lines(rows: &RecordBatch) -> Result<Vec<String>> {
    let unwritable = |error| Error::data("a row cannot be written as JSON").with_source(error);
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows).map_err(unwritable)?;
    writer.finish().map_err(unwritable)?;
    let text = String::from_utf8(writer.into_inner())
        .map_err(|error| Error::internal("JSON that is no UTF-8").with_source(error))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Returns the schema with every column nullable.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// Fetches a whole file, if it has not changed since it was listed.
async fn fetch(store: &dyn ObjectStore, file: &SourceFile, key: &str) -> Result<bytes::Bytes> {
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
