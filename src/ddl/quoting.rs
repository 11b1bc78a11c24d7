//! Quotes names, texts and addresses for SQL.

use object_store::path::Path;

use crate::store::Location;

/// Quotes a name as `"name"`, for DuckDB, Snowflake, and the queries of Athena.
pub(super) fn in_double_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a name as `` `name` ``, for Spark, BigQuery, and the tables of Athena.
pub(super) fn in_backticks(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Quotes a text as `'text'` where a backslash does not escape, for DuckDB and the queries of Athena.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Quotes a text as `'text'` where a backslash escapes, for Spark, BigQuery, Snowflake, and the tables
/// of Athena.
pub(super) fn escaped_literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{}'", escaped.replace('\n', "\\n").replace('\r', "\\r"))
}

/// Puts text on one line: catalogues show descriptions in tables.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes every line a comment.
pub(super) fn comment(text: &str) -> String {
    let lines = text.lines().map(|line| format!("-- {line}"));
    lines
        .flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()])
        .collect()
}

/// Encloses items in parentheses, one item a line.
pub(super) fn block(items: &[String]) -> String {
    format!("(\n  {}\n)", items.join(",\n  "))
}

/// Returns the address of `path`, which is relative to the prefix: `s3://bucket/prefix/path`, or an
/// absolute path on disk. The prefix itself, for an empty path, ends with `/`.
pub(super) fn address(location: &Location, path: &str) -> String {
    format!("{}/{path}", location.root())
}

/// Returns the address of a folder, which ends with `/`.
pub(super) fn folder_address(location: &Location, folder: &Path) -> String {
    format!("{}/", address(location, folder.as_ref()))
}

/// Returns the address of a folder for Hadoop's file systems, `s3a://…` or `file://…`, which ends with
/// `/`.
pub(super) fn hadoop_folder_address(location: &Location, folder: &Path) -> String {
    format!("{}/{folder}/", location.hadoop_root())
}
