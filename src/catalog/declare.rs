//! The declaration of one source, `sql/sources/<name>.sql`, checked and planned.
//!
//! ```text
//! text ─parse→ Declaration ─plan (DataFusion's types)→ TableSpec
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::arrow::json::ReaderBuilder;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::sql::parser::{CreateExternalTable, Statement};
use datafusion::sql::sqlparser::ast::{self, ColumnDef, Ident, ObjectName};

use crate::catalog::options::SourceOptions;
use crate::error::{Error, Result};
use crate::jsonl::Compression;
use crate::listing::hive::{PARTITION_TYPES, is_partition_type};
use crate::listing::location_split::split_location;
use crate::listing::path_pattern::PathPattern;
use crate::listing::time_folders::TimeFolders;
use crate::scan::ready_rule::{Readiness, ReadyRule};
use crate::scan::spec::{SourceFormat, TableSpec, TimeRule};
use crate::sql_file::SqlFile;

/// A source as its file declares it: one statement of a known kind, named like the file.
#[derive(Debug)]
pub(super) struct Declaration {
    pub(super) name: String,
    /// The comment in front of the statement.
    pub(super) description: Option<String>,
    pub(super) file: SqlFile,
    pub(super) kind: DeclarationKind,
}

#[derive(Debug)]
pub(super) enum DeclarationKind {
    Table(Box<TableDeclaration>),
    View(Box<ViewDeclaration>),
}

/// A `CREATE EXTERNAL TABLE` with a format, a location and options that are supported.
#[derive(Debug)]
pub(super) struct TableDeclaration {
    /// The statement without its options; every partition column is among its columns.
    statement: CreateExternalTable,
    /// The names of the partition columns, folded as in SQL, in the order of the path.
    partition_columns: Vec<String>,
    format: SourceFormat,
    options: SourceOptions,
    /// The plain folder or file of the `LOCATION`.
    pub(super) location: String,
    /// The names below it, if the `LOCATION` has any pattern.
    pattern: Option<PathPattern>,
}

/// A `CREATE VIEW`, which DataFusion plans.
#[derive(Debug)]
pub(super) struct ViewDeclaration {
    pub(super) statement: Statement,
    /// The query of the view, which names the tables that it reads.
    pub(super) query: Statement,
}

impl Declaration {
    /// Parses the text of a file whose stem is `name` and which messages call `file_name`.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line, with what to write instead.
    pub(super) fn parse(name: &str, file_name: String, text: String) -> Result<Self> {
        let file = SqlFile::new(file_name, text)?;
        let kind = match file.statement()? {
            Statement::CreateExternalTable(statement) => {
                check_name(&file, name, &statement.name)?;
                let declaration = TableDeclaration::check(&file, statement)?;
                DeclarationKind::Table(Box::new(declaration))
            }
            Statement::Statement(statement) => {
                let ast::Statement::CreateView(view) = statement.as_ref() else {
                    return Err(other_statement(&file));
                };
                check_name(&file, name, &view.name)?;
                if view.materialized || view.temporary {
                    let what = "write a plain CREATE VIEW, not a materialized or temporary one";
                    return Err(file.complaint(file.first_line(), what));
                }
                let query = ast::Statement::Query(view.query.clone());
                DeclarationKind::View(Box::new(ViewDeclaration {
                    query: Statement::Statement(Box::new(query)),
                    statement: Statement::Statement(statement),
                }))
            }
            _ => return Err(other_statement(&file)),
        };
        Ok(Self {
            name: name.to_owned(),
            description: file.leading_comment(),
            file,
            kind,
        })
    }
}

fn other_statement(file: &SqlFile) -> Error {
    let what = "a source is one CREATE EXTERNAL TABLE or one CREATE VIEW";
    file.complaint(file.first_line(), what)
}

fn check_name(file: &SqlFile, stem: &str, written: &ObjectName) -> Result<()> {
    let simple = match written.0.as_slice() {
        [part] => part.as_ident().map(folded),
        _ => None,
    };
    if simple.as_deref() == Some(stem) {
        return Ok(());
    }
    let what = format!("the source is called `{written}`; name it `{stem}`, as the file is called");
    Err(file.complaint(file.first_line(), what))
}

/// Folds an identifier as SQL does: to lower case, unless it is quoted.
fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

impl TableDeclaration {
    fn check(file: &SqlFile, mut statement: CreateExternalTable) -> Result<Self> {
        refuse_clauses(file, &statement)?;
        let options = SourceOptions::parse(file, &std::mem::take(&mut statement.options))?;
        let format = format(file, &statement.file_type, options.compression)?;
        let columns = statement.table_partition_cols.iter();
        let columns: Vec<String> = columns.map(|written| unquoted(written)).collect();
        refuse_repeated(file, &columns)?;
        let written = statement.locations.join(", ");
        let (location, pattern, partition_columns) =
            bound_location(&written, columns).map_err(|reason| {
                let what = format!("LOCATION `{written}`: {reason}");
                file.complaint(file.last_line_of("location"), what)
            })?;
        if statement.columns.is_empty() {
            let what = "the source has no columns; declare each with its type, none is guessed";
            return Err(file.complaint(file.first_line(), what));
        }
        for column in &partition_columns {
            let mut definitions = statement.columns.iter();
            if !definitions.any(|definition| folded(&definition.name) == *column) {
                statement.columns.push(text_column(column));
            }
        }
        Ok(Self {
            statement,
            partition_columns,
            format,
            options,
            location,
            pattern,
        })
    }

    /// Plans the declaration, so that the columns have the types of DataFusion in this session.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line if a type is unknown or cannot be read from this format
    /// or from a folder's name, or if the time column is not a timestamp of the files.
    pub(super) async fn plan(&self, file: &SqlFile, state: &SessionState) -> Result<TableSpec> {
        let statement = Statement::CreateExternalTable(self.statement.clone());
        let plan = state
            .statement_to_plan(statement)
            .await
            .map_err(|error| file.rejected(&error))?;
        let LogicalPlan::Ddl(DdlStatement::CreateExternalTable(planned)) = plan else {
            return Err(Error::internal(
                "a CREATE EXTERNAL TABLE was planned as something else",
            ));
        };
        let schema = planned.schema.as_arrow();
        let partition_fields = self.partition_fields(file, schema)?;
        let file_fields: Vec<FieldRef> = schema
            .fields()
            .iter()
            .filter(|field| !self.partition_columns.contains(field.name()))
            .cloned()
            .collect();
        if matches!(self.format, SourceFormat::Json(_)) {
            refuse_types_without_json(file, &file_fields)?;
        }
        let time = self.time_rule(file, &file_fields, &partition_fields)?;
        let leaf_rules = self.options.leaf_rules(file, &file_fields)?;
        if self.format == SourceFormat::Parquet {
            self.refuse_time_options(file)?;
        }
        if self.format == SourceFormat::Parquet && self.options.framing.is_some() {
            let what =
                "`records` is an option of JSON sources: each row of a Parquet file is a record";
            return Err(file.complaint(file.last_line_of("records"), what));
        }
        let absent_rules = self.options.absent_rules(file, self.format, &file_fields)?;
        let ready = self.ready_rules(file, &partition_fields)?;
        Ok(TableSpec {
            file_schema: Arc::new(Schema::new(file_fields)),
            partition_fields,
            pattern: self.pattern.clone(),
            file_names: self.options.files.clone(),
            format: self.format,
            framing: self.options.framing.clone().unwrap_or_default(),
            time,
            leaf_rules,
            absent_rules,
            ready: Readiness {
                rules: ready,
                base: None,
            },
        })
    }

    /// Refuses the options about times in text and numbers, of which Parquet files have none.
    fn refuse_time_options(&self, file: &SqlFile) -> Result<()> {
        let options = &self.options;
        let instead = [
            (
                options.time_unit.written("time_unit"),
                "declare the column BIGINT and convert it in the query, for example with to_timestamp_millis",
            ),
            (
                options.time_format.written("time_format"),
                "declare the column VARCHAR and convert it in the query with to_timestamp",
            ),
            (
                options.time_zone.written("time_zone"),
                "times in Parquet files are instants, or are read as UTC",
            ),
        ];
        for (option, instead) in instead {
            if let Some(option) = option {
                let what = format!("`{option}` is an option of JSON sources; {instead}");
                return Err(file.complaint(file.last_line_of(&option), what));
            }
        }
        Ok(())
    }

    fn partition_fields(&self, file: &SqlFile, schema: &Schema) -> Result<Vec<FieldRef>> {
        let mut fields: Vec<FieldRef> = Vec::new();
        for name in &self.partition_columns {
            let (_, field) = schema.fields().find(name).ok_or_else(|| {
                Error::internal(format!("partition column `{name}` was lost in planning"))
            })?;
            if !is_partition_type(field.data_type()) {
                let what = format!(
                    "partition column `{name}` is {}; declare it as {PARTITION_TYPES}",
                    field.data_type()
                );
                return Err(file.complaint(file.first_line_of(name), what));
            }
            fields.push(Arc::clone(field));
        }
        Ok(fields)
    }

    fn ready_rules(&self, file: &SqlFile, partition_fields: &[FieldRef]) -> Result<Vec<ReadyRule>> {
        let rules = &self.options.ready;
        let folders = TimeFolders::recognise(partition_fields, self.pattern.as_ref());
        match rules.iter().find(|rule| rule.needs_time_folders()) {
            Some(rule) if folders.is_none() => {
                let what = format!("`ready` has `{rule}`, which {NEEDS_TIME_FOLDERS}");
                Err(file.complaint(file.last_line_of("ready"), what))
            }
            _ => Ok(rules.clone()),
        }
    }

    /// Returns true if the source is ready once an object below `--from` exists.
    pub(super) fn needs_base(&self) -> bool {
        let mut rules = self.options.ready.iter();
        rules.any(|rule| matches!(rule, ReadyRule::Object(_)))
    }

    fn time_rule(
        &self,
        file: &SqlFile,
        file_fields: &[FieldRef],
        partition_fields: &[FieldRef],
    ) -> Result<Option<TimeRule>> {
        let Some(name) = &self.options.time_column else {
            return Ok(None);
        };
        let complain = |what: String| file.complaint(file.last_line_of("time_column"), what);
        let field = file_fields
            .iter()
            .find(|field| field.name() == name)
            .ok_or_else(|| {
                complain(format!(
                    "`time_column` names `{name}`, which is not a column of the files"
                ))
            })?;
        if !matches!(field.data_type(), DataType::Timestamp(_, _)) {
            let what = format!(
                "`time_column` names `{name}`, which is {}, not a TIMESTAMP",
                field.data_type()
            );
            return Err(complain(what));
        }
        let folders = TimeFolders::recognise(partition_fields, self.pattern.as_ref())
            .ok_or_else(|| complain(format!("`time_column` {NEEDS_TIME_FOLDERS}")))?;
        Ok(Some(TimeRule {
            column: name.clone(),
            data_type: field.data_type().clone(),
            folders,
            slack: self.options.time_slack,
        }))
    }
}

const NEEDS_TIME_FOLDERS: &str = "needs folders that contain the time: PARTITIONED BY (date), \
                                  (date, hour), (year, month, day) or (year, month, day, hour), or a \
                                  LOCATION such as 'events/{year}/{month}/{day}/'";

/// Splits a LOCATION, and returns the partition columns in the order of its path.
fn bound_location(
    written: &str,
    columns: Vec<String>,
) -> Result<(String, Option<PathPattern>, Vec<String>), String> {
    let (location, pattern) = split_location(written)?;
    Ok(match pattern {
        None => (location, None, columns),
        Some(mut pattern) => {
            let ordered = pattern.bind(&columns)?;
            (location, Some(pattern), ordered)
        }
    })
}

fn refuse_repeated(file: &SqlFile, columns: &[String]) -> Result<()> {
    for (index, name) in columns.iter().enumerate() {
        if columns.iter().take(index).any(|earlier| earlier == name) {
            let what = format!("partition column `{name}` is named twice");
            return Err(file.complaint(file.last_line_of(name), what));
        }
    }
    Ok(())
}

/// Refuses clauses that DataFusion parses and that would be ignored here.
fn refuse_clauses(file: &SqlFile, statement: &CreateExternalTable) -> Result<()> {
    let has_default = |column: &ColumnDef| {
        let mut options = column.options.iter().map(|option| &option.option);
        options
            .any(|option| !matches!(option, ast::ColumnOption::NotNull | ast::ColumnOption::Null))
    };
    let refused = if statement.unbounded {
        Some((
            "unbounded",
            "UNBOUNDED is not supported; a source is a set of files",
        ))
    } else if statement.temporary {
        Some(("temporary", "TEMPORARY has no meaning here; leave it out"))
    } else if !statement.order_exprs.is_empty() {
        Some((
            "order",
            "WITH ORDER is not supported; order the rows in the query",
        ))
    } else if statement.locations.len() > 1 {
        Some((
            "location",
            "write one LOCATION; a view can join several sources",
        ))
    } else if !statement.constraints.is_empty() || statement.columns.iter().any(has_default) {
        let what = "constraints and defaults are not checked on files; only NOT NULL is";
        Some(("constraint", what))
    } else {
        None
    };
    match refused {
        Some((word, what)) => Err(file.complaint(file.first_line_of(word), what)),
        None => Ok(()),
    }
}

fn format(
    file: &SqlFile,
    stored_as: &str,
    compression: Option<Compression>,
) -> Result<SourceFormat> {
    match stored_as.to_ascii_uppercase().as_str() {
        "JSON" | "NDJSON" => Ok(SourceFormat::Json(compression.unwrap_or_default())),
        "PARQUET" if compression.is_none() => Ok(SourceFormat::Parquet),
        "PARQUET" => {
            let what = "Parquet files record their own compression; omit `compression`";
            Err(file.complaint(file.last_line_of("compression"), what))
        }
        other => {
            let what = format!("STORED AS {other} is not supported; write JSON or PARQUET");
            Err(file.complaint(file.last_line_of("stored"), what))
        }
    }
}

fn refuse_types_without_json(file: &SqlFile, fields: &[FieldRef]) -> Result<()> {
    for field in fields {
        let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
        if ReaderBuilder::new(schema).build_decoder().is_err() {
            let what = format!(
                "column `{}` is {}, which cannot be read from JSON",
                field.name(),
                field.data_type()
            );
            return Err(file.complaint(file.first_line_of(field.name()), what));
        }
    }
    Ok(())
}

/// Folds a partition column, which DataFusion's parser returns as text with its quotes.
fn unquoted(written: &str) -> String {
    match written
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => written.to_lowercase(),
    }
}

fn text_column(name: &str) -> ColumnDef {
    ColumnDef {
        name: Ident::with_quote('"', name),
        data_type: ast::DataType::Varchar(None),
        options: Vec::new(),
    }
}
