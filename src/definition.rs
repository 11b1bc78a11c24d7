//! `sql/<table>.sql` → [`Definition`]: one `COPY` statement of DataFusion SQL, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use datafusion::sql::parser::{CopyToSource, CopyToStatement, DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::tokenizer::Token;
use sha2::{Digest, Sha256};

use crate::cycle::SyncMode;
use crate::error::{Error, Result};
use crate::layout::{FileFormat, TableName};
use crate::sqltext;

/// Bound to the first instant of the cycle.
pub const WINDOW_START: &str = "window_start";
/// Bound to the first instant after the cycle.
pub const WINDOW_END: &str = "window_end";

/// One table export.
///
/// Invariants: the statement's target is the table's name and its source a query; the query uses
/// both window parameters or none; with none the table is not partitioned.
#[derive(Debug, Clone)]
pub struct Definition {
    pub table: TableName,
    /// For messages and the manifest: `sql/pageview_events.sql`.
    pub file: String,
    /// The leading comment.
    pub description: String,
    /// Of the file's text, hexadecimal.
    pub sha256: String,
    pub sync_mode: SyncMode,
    /// `STORED AS`, where the file pins the format.
    pub format: Option<FileFormat>,
    pub partition_by: Vec<String>,
    /// Parameters beyond the window, with the line of their first use.
    pub parameters: BTreeMap<String, u64>,
    statement: CopyToStatement,
}

impl Definition {
    /// Parses the text of `file`, whose stem is the table's name.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let stem = Path::new(file)
            .file_stem()
            .map_or_else(Default::default, |stem| stem.to_string_lossy());
        let table: TableName = stem.parse().map_err(|error: Error| error.context(file))?;

        let statement = one_copy(file, text, &table)?;
        if !matches!(statement.source, CopyToSource::Query(_)) {
            return Err(
                Error::invalid(format!("{file}: COPY takes a table, not a query")).with_hint(
                    format!(
                        "write `COPY (SELECT … FROM {}) TO '{table}'`",
                        statement.source
                    ),
                ),
            );
        }
        check_target(file, text, &table, &statement)?;
        let format = statement
            .stored_as
            .as_deref()
            .map(|name| stored_as(file, text, name))
            .transpose()?;

        let mut parameters = parameter_lines(text);
        let window = (
            parameters.remove(WINDOW_START),
            parameters.remove(WINDOW_END),
        );
        let sync_mode = sync_mode(file, window, &statement.partitioned_by)?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = statement.partitioned_by.iter().find(|c| !seen.insert(*c)) {
            return Err(Error::invalid(format!(
                "{file}: PARTITIONED BY names `{twice}` twice"
            )));
        }
        Ok(Self {
            table,
            file: file.to_owned(),
            description: sqltext::leading_comment(text),
            sha256: hex(&Sha256::digest(text.as_bytes())),
            sync_mode,
            format,
            partition_by: statement.partitioned_by.clone(),
            parameters,
            statement,
        })
    }

    /// The statement as written.
    pub fn statement(&self) -> &CopyToStatement {
        &self.statement
    }

    /// The `SELECT` of the statement.
    pub fn query(&self) -> Result<&Query> {
        match &self.statement.source {
            CopyToSource::Query(query) => Ok(query),
            CopyToSource::Relation(_) => Err(Error::internal(format!(
                "{}: a definition without a query",
                self.file
            ))),
        }
    }
}

/// Reads every `*.sql` of a folder, in the order of their names. All complaints come at once.
pub fn load(folder: &Path) -> Result<Vec<Definition>> {
    let cannot = |error: std::io::Error| {
        Error::invalid(format!(
            "cannot read the definitions in `{}`",
            folder.display()
        ))
        .with_source(error)
        .with_hint("name the folder with --sql or DAYPORT_SQL")
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "sql") && !hidden {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(
            Error::invalid(format!("there is no definition in `{}`", folder.display()))
                .with_hint("a definition is a file such as `pageview_events.sql`"),
        );
    }
    let (mut definitions, mut complaints) = (Vec::new(), Vec::new());
    for path in files {
        let text = std::fs::read_to_string(&path).map_err(cannot)?;
        match Definition::parse(&path.to_string_lossy(), &text) {
            Ok(definition) => definitions.push(definition),
            Err(complaint) => complaints.push(complaint),
        }
    }
    Error::all(complaints)?;
    Ok(definitions)
}

fn one_copy(file: &str, text: &str, table: &TableName) -> Result<CopyToStatement> {
    let expected = format!("write one statement: `COPY (SELECT …) TO '{table}' …`");
    let mut statements = DFParserBuilder::new(text)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| sqltext::complaint(file, &error).with_hint(&expected))?;
    if statements.len() > 1 {
        let line = sqltext::second_statement_line(text).unwrap_or(1);
        return Err(
            Error::invalid(format!("{file}:{line}: a second statement")).with_hint(expected)
        );
    }
    match statements.pop_front() {
        Some(Statement::CopyTo(statement)) => Ok(statement),
        Some(_) => {
            let line = sqltext::tokens(text)
                .first()
                .map_or(1, |token| token.span.start.line);
            Err(Error::invalid(format!("{file}:{line}: not a COPY statement")).with_hint(expected))
        }
        None => Err(Error::invalid(format!("{file}: no statement in it")).with_hint(expected)),
    }
}

fn check_target(
    file: &str,
    text: &str,
    table: &TableName,
    statement: &CopyToStatement,
) -> Result<()> {
    if statement.target == table.as_str() {
        return Ok(());
    }
    let target = &statement.target;
    let line = sqltext::tokens(text)
        .iter()
        .rev()
        .find(|token| matches!(&token.token, Token::SingleQuotedString(text) if text == target))
        .map_or(1, |token| token.span.start.line);
    Err(Error::invalid(format!(
        "{file}:{line}: COPY goes TO '{target}', but the file is called `{table}`"
    ))
    .with_hint(format!(
        "write `TO '{table}'`; where that is comes from --to"
    )))
}

fn stored_as(file: &str, text: &str, name: &str) -> Result<FileFormat> {
    match name.to_ascii_uppercase().as_str() {
        "PARQUET" => Ok(FileFormat::Parquet),
        "JSON" | "NDJSON" => Ok(FileFormat::Json),
        _ => {
            let line = sqltext::tokens(text)
                .iter()
                .find(|token| matches!(&token.token, Token::Word(word) if word.value == name))
                .map_or(1, |token| token.span.start.line);
            Err(Error::invalid(format!(
                "{file}:{line}: STORED AS {name} is not a format of an export"
            ))
            .with_hint("write STORED AS PARQUET or STORED AS JSON, or leave it to --format"))
        }
    }
}

/// `$name` parameters and the lines of their first use.
fn parameter_lines(text: &str) -> BTreeMap<String, u64> {
    let mut lines = BTreeMap::new();
    for token in sqltext::tokens(text) {
        if let Token::Placeholder(name) = token.token {
            let name = name.trim_start_matches('$').to_owned();
            lines.entry(name).or_insert(token.span.start.line);
        }
    }
    lines
}

fn sync_mode(
    file: &str,
    window: (Option<u64>, Option<u64>),
    partitioned_by: &[String],
) -> Result<SyncMode> {
    let half = |line: u64, used: &str, missing: &str| {
        Err(Error::invalid(format!(
            "{file}:{line}: the query uses `${used}` but not `${missing}`"
        ))
        .with_hint(
            "an incremental table needs both: `time >= $window_start AND time < $window_end`; \
             a snapshot uses neither",
        ))
    };
    match window {
        (Some(_), Some(_)) => Ok(SyncMode::Incremental),
        (Some(line), None) => half(line, WINDOW_START, WINDOW_END),
        (None, Some(line)) => half(line, WINDOW_END, WINDOW_START),
        (None, None) if partitioned_by.is_empty() => Ok(SyncMode::Snapshot),
        (None, None) => Err(Error::invalid(format!(
            "{file}: a query without window is a snapshot, and a snapshot is not partitioned"
        ))
        .with_hint(
            "bind the query to the cycle with `time >= $window_start AND time < $window_end`, \
             or drop PARTITIONED BY",
        )),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
        assert_eq!(definition.partition_by, ["day"]);
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
            ("-- nothing", "a.sql: no statement in it"),
            ("COPY (\nSELEC 1) TO 'a'", "a.sql:2: "),
            (
                "COPY events TO 'a'",
                "a.sql: COPY takes a table, not a query",
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
                "COPY (SELECT 1 AS x) TO 'a' PARTITIONED BY (x)",
                "a.sql: a query without window is a snapshot",
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
