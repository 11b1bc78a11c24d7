//! Names, texts and addresses in SQL.

use object_store::path::Path;

use crate::store::{Location, Place};

/// `"name"`: DuckDB, Snowflake, and the queries of Athena.
pub fn in_double_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `` `name` ``: Spark, BigQuery, and the tables of Athena.
pub fn in_backticks(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// `'text'` where a backslash means nothing: DuckDB, and the queries of Athena.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `'text'` where a backslash escapes: Spark, BigQuery, Snowflake, and the tables of Athena.
pub fn escaped_literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{}'", escaped.replace('\n', "\\n").replace('\r', "\\r"))
}

/// Text on one line: catalogues show descriptions in tables.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every line a comment.
pub fn comment(text: &str) -> String {
    let lines = text.lines().map(|line| format!("-- {line}"));
    lines
        .flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()])
        .collect()
}

/// Items in parentheses, one a line.
pub fn block(items: &[String]) -> String {
    format!("(\n  {}\n)", items.join(",\n  "))
}

/// Where `path`, which is relative to the prefix, is: `<scheme>://bucket/prefix/path` in a bucket;
/// on disk an absolute path behind `local`. The prefix itself, for an empty path, ends with `/`.
pub fn address(location: &Location, scheme: &str, local: &str, path: &str) -> String {
    let root = match location.place() {
        Place::S3 { bucket, prefix } => match prefix.as_ref() {
            "" => format!("{scheme}://{bucket}"),
            prefix => format!("{scheme}://{bucket}/{prefix}"),
        },
        Place::Local(folder) => {
            let folder = folder.display().to_string();
            format!("{local}{}", folder.trim_end_matches('/'))
        }
    };
    format!("{root}/{path}")
}

/// The same for a folder: it ends with `/`.
pub fn folder_address(location: &Location, scheme: &str, local: &str, folder: &Path) -> String {
    format!("{}/", address(location, scheme, local, folder.as_ref()))
}
