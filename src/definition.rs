//! The definition of one table, `sql/<table>.sql`: one `COPY` statement of DataFusion SQL, checked.

mod audit_rule;
mod audits;
mod table_options;

pub use audit_rule::{AuditRule, RowCountRule};
pub use audits::{Audit, Audits};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::sql::parser::{CopyToSource, CopyToStatement, Statement};
use datafusion::sql::sqlparser::ast::Query;
use sha2::{Digest, Sha256};

use crate::cycle::SyncMode;
use crate::definition::table_options::TableOptions;
use crate::error::{Error, Result};
use crate::layout::{FileFormat, NullPartitions, TableName};
use crate::sql_file::{SqlFile, parse_files, parse_folder};

/// The parameter that is bound to the first instant of the cycle.
pub const WINDOW_START: &str = "window_start";
/// The parameter that is bound to the first instant after the cycle.
pub const WINDOW_END: &str = "window_end";

/// The folder of the sources, among the definitions.
pub const SOURCES: &str = "sources";

/// The folder of the test cases, among the definitions.
pub const TESTS: &str = "tests";

/// The folder of the audits, among the definitions.
pub const AUDITS: &str = "audits";

/// The folders among the definitions that have no definitions.
const SUB_FOLDERS: [&str; 3] = [SOURCES, TESTS, AUDITS];

/// The definition of one table export.
///
/// Invariants: the statement's target is the table's name, and its source is a query; the query uses
/// both window parameters or none; with none the table is not partitioned.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The table, named like the file.
    pub table: TableName,
    /// The file, which complaints name.
    pub sql: Arc<SqlFile>,
    /// The leading comment of the file.
    pub description: String,
    /// The SHA-256 of the file's text, in hexadecimal.
    pub sha256: String,
    /// The sync mode: cycles append to the table, or replace it.
    pub sync_mode: SyncMode,
    /// The format of `STORED AS`, if the file has that clause.
    pub format: Option<FileFormat>,
    /// The parameters besides those of the window, with the line of their first use.
    pub parameters: BTreeMap<String, u64>,
    /// True if a cycle without source files is published without rows.
    pub allow_empty: bool,
    /// The folders of rows that have NULL in a partition column.
    pub null_partitions: NullPartitions,
    /// The rules that its rows obey before they are published, if there is a file of them.
    pub audits: Option<Arc<Audits>>,
    statement: CopyToStatement,
}

impl Definition {
    /// Parses the text of `file`, whose stem is the table's name.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line, with what to write instead.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let stem = Path::new(file).file_stem().unwrap_or_default();
        let table: TableName = stem
            .to_string_lossy()
            .parse()
            .map_err(|error: Error| error.context(file))?;
        let sql = SqlFile::new(file.to_owned(), text.to_owned())?;

        let mut statement = copy_statement(&sql, &table)?;
        let options = TableOptions::take(&sql, &mut statement)?;
        let format = statement
            .stored_as
            .as_deref()
            .map(|name| stored_as(&sql, name))
            .transpose()?;
        let mut parameters = sql.parameters();
        let window = (
            parameters.remove(WINDOW_START),
            parameters.remove(WINDOW_END),
        );
        let sync_mode = sync_mode(&sql, window, &statement.partitioned_by)?;
        Ok(Self {
            table,
            description: sql.leading_comment().unwrap_or_default(),
            sha256: format!("{:x}", Sha256::digest(text.as_bytes())),
            sync_mode,
            format,
            parameters,
            allow_empty: options.allow_empty,
            null_partitions: options.null_partitions,
            audits: None,
            statement,
            sql: Arc::new(sql),
        })
    }

    /// Returns the statement as written, without the options that are about the table and not about its
    /// files.
    pub fn statement(&self) -> &CopyToStatement {
        &self.statement
    }

    /// Returns the `SELECT` of the statement.
    pub fn query(&self) -> Result<&Query> {
        match &self.statement.source {
            CopyToSource::Query(query) => Ok(query),
            CopyToSource::Relation(_) => Err(Error::internal(format!(
                "{}: a definition without a query",
                self.sql.name()
            ))),
        }
    }
}

/// Reads every `*.sql` of a folder, in the order of their names.
///
/// # Errors
/// [`Error::invalid`] if the folder cannot be read or has no such file, or with the complaints about
/// all files.
pub fn load(folder: &Path) -> Result<Vec<Definition>> {
    let definitions = load_any(folder)?;
    if definitions.is_empty() {
        let shown = folder.display();
        return Err(
            Error::invalid(format!("there is no definition in `{shown}`"))
                .with_hint("a definition is a file such as `pageview_events.sql`"),
        );
    }
    Ok(definitions)
}

/// Reads every `*.sql` of a folder, which may have none.
///
/// # Errors
/// As [`load`], but for a folder without definitions.
pub fn load_any(folder: &Path) -> Result<Vec<Definition>> {
    let shown = folder.display();
    let unreadable = |error: std::io::Error| {
        Error::invalid(format!("cannot read the definitions in `{shown}`"))
            .with_source(error)
            .with_hint("name the folder with --sql or DAYPORT_SQL")
    };
    let definitions = parse_folder(folder, &SUB_FOLDERS, unreadable, |path, text| {
        Definition::parse(&path.to_string_lossy(), &text)
    });
    let mut errors = Vec::new();
    let definitions = definitions.map_err(|error| errors.push(error));
    let audits = load_audits(&folder.join(AUDITS)).map_err(|error| errors.push(error));
    Error::all(errors)?;
    with_audits(definitions.unwrap_or_default(), audits.unwrap_or_default())
}

/// Reads the audits of all tables, if there is a folder of them.
fn load_audits(folder: &Path) -> Result<Vec<(TableName, Audits)>> {
    if !folder.is_dir() {
        return match folder.symlink_metadata() {
            Err(_) => Ok(Vec::new()),
            Ok(_) => Err(
                Error::invalid(format!("`{}` is not a folder", folder.display()))
                    .with_hint("the audits of a table are in `<table>.sql` of that folder"),
            ),
        };
    }
    let unreadable = |error: std::io::Error| {
        Error::invalid(format!("cannot read the audits in `{}`", folder.display()))
            .with_source(error)
    };
    parse_folder(folder, &[], unreadable, |path, text| {
        Audits::parse(&path.to_string_lossy(), text)
    })
}

/// Gives each definition its audits.
///
/// # Errors
/// [`Error::invalid`] for each file of audits whose table has no definition.
fn with_audits(
    mut definitions: Vec<Definition>,
    audits: Vec<(TableName, Audits)>,
) -> Result<Vec<Definition>> {
    let mut complaints = Vec::new();
    for (table, audits) in audits {
        let mut named = definitions.iter_mut();
        match named.find(|definition| definition.table == table) {
            Some(definition) => definition.audits = Some(Arc::new(audits)),
            None => complaints.push(
                Error::invalid(format!(
                    "{}: there is no definition of a table `{table}`",
                    audits.file
                ))
                .with_hint("the audits of a table are in the file of its name"),
            ),
        }
    }
    Error::all(complaints)?;
    Ok(definitions)
}

/// Parses the definitions among files that are not on a disk, by their paths below the folder of
/// definitions. Messages call a file what `shown` makes of its path.
///
/// # Errors
/// As [`load_any`].
pub(crate) fn parse_all(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    shown: impl Fn(&Path) -> PathBuf,
) -> Result<Vec<Definition>> {
    parse_files(files, &SUB_FOLDERS, shown, |path, text| {
        Definition::parse(&path.to_string_lossy(), &text)
    })
}

/// Parses the one `COPY (query) TO '<table>'` of the file.
fn copy_statement(sql: &SqlFile, table: &TableName) -> Result<CopyToStatement> {
    let expected = format!("write one statement: `COPY (SELECT …) TO '{table}' …`");
    let statement = sql
        .statement()
        .map_err(|error| error.with_hint(&expected))?;
    let Statement::CopyTo(copy) = statement else {
        let complaint = sql.complaint(sql.first_line(), "not a COPY statement");
        return Err(complaint.with_hint(expected));
    };
    if let CopyToSource::Relation(relation) = &copy.source {
        let complaint = sql.complaint(sql.first_line(), "COPY takes a table, not a query");
        return Err(complaint.with_hint(format!(
            "write `COPY (SELECT … FROM {relation}) TO '{table}'`"
        )));
    }
    let target = &copy.target;
    if target != table.as_str() {
        let complaint = sql.complaint(
            sql.last_line_of(target),
            format!("COPY goes TO '{target}', but the file is called `{table}`"),
        );
        return Err(complaint.with_hint(format!(
            "write `TO '{table}'`; the destination is given by --to"
        )));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = copy.partitioned_by.iter().find(|c| !seen.insert(*c)) {
        let line = sql.last_line_of(twice);
        return Err(sql.complaint(line, format!("PARTITIONED BY names `{twice}` twice")));
    }
    Ok(copy)
}

fn stored_as(sql: &SqlFile, name: &str) -> Result<FileFormat> {
    FileFormat::from_sql_name(name).ok_or_else(|| {
        let complaint = sql.complaint(
            sql.last_line_of(name),
            format!("STORED AS {name} is not a format of an export"),
        );
        complaint.with_hint("write STORED AS PARQUET or STORED AS JSON, or leave it to --format")
    })
}

fn sync_mode(
    sql: &SqlFile,
    window: (Option<u64>, Option<u64>),
    partitioned_by: &[String],
) -> Result<SyncMode> {
    let half = |line: u64, used: &str, missing: &str| {
        let complaint = sql.complaint(
            line,
            format!("the query uses `${used}` but not `${missing}`"),
        );
        Err(complaint.with_hint(
            "an incremental table needs both: `time >= $window_start AND time < $window_end`; \
             a snapshot uses neither",
        ))
    };
    match window {
        (Some(_), Some(_)) => Ok(SyncMode::Incremental),
        (Some(line), None) => half(line, WINDOW_START, WINDOW_END),
        (None, Some(line)) => half(line, WINDOW_END, WINDOW_START),
        (None, None) if partitioned_by.is_empty() => Ok(SyncMode::Snapshot),
        (None, None) => {
            let complaint = sql.complaint(
                sql.last_line_of("partitioned"),
                "a query without window is a snapshot, and a snapshot is not partitioned",
            );
            Err(complaint.with_hint(
                "bind the query to the cycle with \
                 `time >= $window_start AND time < $window_end`, or drop PARTITIONED BY",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCREMENTAL: &str = "-- Views.\nCOPY (\n  SELECT time, 'a;b $no' AS x, 1 AS day\n  FROM events -- $neither\n  WHERE time >= $window_start\n    AND time < $window_end AND site = $site\n) TO 'views'\nPARTITIONED BY (day);\n";

    fn complaint(file: &str, text: &str) -> String {
        Definition::parse(file, text).unwrap_err().render()
    }

    #[test]
    fn an_incremental_definition() {
        let definition = Definition::parse("sql/views.sql", INCREMENTAL).unwrap();
        assert_eq!(definition.table.as_str(), "views");
        assert_eq!(definition.description, "Views.");
        assert_eq!(definition.sync_mode, SyncMode::Incremental);
        assert_eq!(definition.statement().partitioned_by, ["day"]);
        assert_eq!(definition.parameters, BTreeMap::from([("site".into(), 6)]));
        assert_eq!(definition.format, None);
    }

    #[test]
    fn a_snapshot_definition_with_a_pinned_format() {
        let text = "COPY (SELECT 1 AS a) TO 'domains' STORED AS JSON OPTIONS (compression 'gzip')";
        let definition = Definition::parse("domains.sql", text).unwrap();
        assert_eq!(definition.sync_mode, SyncMode::Snapshot);
        assert_eq!(definition.format, Some(FileFormat::Json));
    }

    #[test]
    fn the_option_empty_is_taken_out_of_the_statement() {
        let text = "COPY (SELECT 1 AS a) TO 'a' OPTIONS ('empty' 'allowed', compression 'gzip')";
        let definition = Definition::parse("a.sql", text).unwrap();
        assert!(definition.allow_empty);
        let options = &definition.statement().options;
        assert_eq!(options.len(), 1);
        assert_eq!(options[0].0, "compression");
        assert!(
            !Definition::parse("views.sql", INCREMENTAL)
                .unwrap()
                .allow_empty
        );
    }

    #[test]
    fn complaints_name_file_line_and_remedy() {
        let cases = [
            (
                "COPY (SELECT 1) TO 'b'",
                "a.sql:1: COPY goes TO 'b', but the file is called `a`",
            ),
            (
                "COPY (SELECT 1)\nTO 's3://x/a'",
                "a.sql:2: COPY goes TO 's3://x/a'",
            ),
            (
                "COPY (SELECT 1) TO 'a';\nSELECT 2",
                "a.sql:2: a second statement",
            ),
            ("\nSELECT 1", "a.sql:2: not a COPY statement"),
            ("-- nothing", "a.sql:1: there is no statement in this file"),
            ("COPY (\nSELEC 1) TO 'a'", "a.sql:2: "),
            (
                "COPY events TO 'a'",
                "a.sql:1: COPY takes a table, not a query",
            ),
            (
                "COPY (SELECT 1)\nTO 'a' STORED AS AVRO",
                "a.sql:2: STORED AS AVRO is not a format",
            ),
            (
                "COPY (SELECT 1 FROM e\nWHERE t > $window_start) TO 'a'",
                "a.sql:2: the query uses `$window_start` but not `$window_end`",
            ),
            (
                "COPY (SELECT 1 AS x) TO 'a'\nOPTIONS ('empty' 'yes')",
                "a.sql:2: the option 'empty' is not 'yes'",
            ),
            (
                "COPY (SELECT 1 AS x) TO 'a' PARTITIONED BY (x)",
                "a.sql:1: a query without window is a snapshot",
            ),
        ];
        for (text, expected) in cases {
            let complaint = complaint("a.sql", text);
            assert!(complaint.contains(expected), "{complaint}");
            assert!(complaint.contains("\nhint: "), "{complaint}");
        }
        assert!(complaint("sql/A-b.sql", "SELECT 1").contains("`A-b` is not a table name"));
    }
}
