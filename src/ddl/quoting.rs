//! Quotes names, texts and comments for SQL, by a table of the rules of each dialect.
//!
//! | dialect | text | name | replaced before parsing |
//! |---|---|---|---|
//! | Athena, tables | `'a\'b'` | `` `a``b` `` | |
//! | Athena, queries | `'a''b'` | `"a""b"` | |
//! | BigQuery | `'a\'b'` | `` `a\`b` `` | |
//! | DuckDB | `'a''b'` | `"a""b"` | |
//! | Snowflake | `'a\'b'` | `"a""b"` | `&name`, `<% name %>`, by its clients |
//! | Spark | `'a\'b'` | `` `a``b` `` | `${name}`, also in texts and comments |
//!
//! Where a backslash escapes, it is itself escaped, and control characters and other ends of lines are
//! written as `\uXXXX`. A comment ends with its line, and engines do not agree on what ends a line: so
//! no comment has any of them. A name cannot be escaped in every dialect: [`Rules::unusable_in_name`].

use object_store::path::Path;

use crate::store::Location;
use crate::visible::visible_line;

/// The rules by which a dialect reads text.
pub(super) struct Rules {
    text: Quotes,
    name: Quotes,
    /// What begins a text that is replaced before the dialect reads it.
    templates: &'static [&'static str],
    /// Those of them that are replaced by the engine itself, whatever client sends the statement.
    own_templates: &'static [&'static str],
}

/// The quotes around a text, and what stands inside for characters that would end it.
enum Quotes {
    /// The quote is doubled; every other character stands for itself.
    Doubling(char),
    /// A backslash escapes.
    Escaping(char),
}

/// Tables of Athena, which Hive's parser reads.
pub(super) const ATHENA: Rules = Rules {
    text: Quotes::Escaping('\''),
    name: Quotes::Doubling('`'),
    templates: &[],
    own_templates: &[],
};

/// Queries of Athena, which Trino's parser reads.
pub(super) const ATHENA_QUERY: Rules = Rules {
    text: Quotes::Doubling('\''),
    name: Quotes::Doubling('"'),
    templates: &[],
    own_templates: &[],
};

/// <https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical>
pub(super) const BIGQUERY: Rules = Rules {
    text: Quotes::Escaping('\''),
    name: Quotes::Escaping('`'),
    templates: &[],
    own_templates: &[],
};

/// <https://duckdb.org/docs/stable/sql/data_types/literal_types>
pub(super) const DUCKDB: Rules = Rules {
    text: Quotes::Doubling('\''),
    name: Quotes::Doubling('"'),
    templates: &[],
    own_templates: &[],
};

/// <https://docs.snowflake.com/en/sql-reference/data-types-text>
pub(super) const SNOWFLAKE: Rules = Rules {
    text: Quotes::Escaping('\''),
    name: Quotes::Doubling('"'),
    templates: &["&", "<%"],
    own_templates: &[],
};

/// <https://spark.apache.org/docs/latest/sql-ref-literals.html>
pub(super) const SPARK: Rules = Rules {
    text: Quotes::Escaping('\''),
    name: Quotes::Doubling('`'),
    templates: &["${"],
    own_templates: &["${"],
};

impl Rules {
    /// Quotes a text.
    pub(super) fn text(&self, text: &str) -> String {
        self.text.quote(text, self.templates)
    }

    /// Quotes a name, which has nothing that is [unusable](Self::unusable_in_name).
    pub(super) fn name(&self, name: &str) -> String {
        self.name.quote(name, &[])
    }

    /// Returns what a name has that the dialect's names cannot have, or that a program which splits a
    /// script into statements would stumble over.
    pub(super) fn unusable_in_name(&self, name: &str) -> Option<&'static str> {
        if name.contains(ends_a_line) {
            return Some("a control character");
        }
        let is_template = |template: &&&'static str| name.contains(**template);
        self.own_templates.iter().find(is_template).copied()
    }

    /// Makes every line a comment.
    pub(super) fn comment(&self, text: &str) -> String {
        let lines = text.lines().map(|line| {
            let mut shown = format!("-- {}", visible_line(line));
            for template in self.templates {
                let (first, rest) = template.split_at(1);
                shown = shown.replace(template, &format!("{first} {rest}"));
            }
            // Spark goes on with the comment behind a backslash at the end of its line.
            let backslash = if shown.trim_end().ends_with('\\') {
                " ."
            } else {
                ""
            };
            format!("{}{backslash}\n", shown.trim_end())
        });
        lines.collect()
    }
}

impl Quotes {
    fn quote(&self, text: &str, templates: &[&str]) -> String {
        let quote = match self {
            Quotes::Doubling(quote) | Quotes::Escaping(quote) => *quote,
        };
        let mut quoted = String::with_capacity(text.len() + 2);
        quoted.push(quote);
        for (at, c) in text.char_indices() {
            match self {
                Quotes::Doubling(_) if c == quote => quoted.extend([quote, quote]),
                Quotes::Doubling(_) => quoted.push(c),
                Quotes::Escaping(_) if c == quote || c == '\\' => quoted.extend(['\\', c]),
                Quotes::Escaping(_) => {
                    let rest = text.get(at..).unwrap_or_default();
                    let is_template = templates.iter().any(|begin| rest.starts_with(begin));
                    match c {
                        '\n' => quoted.push_str("\\n"),
                        '\r' => quoted.push_str("\\r"),
                        _ if is_template || ends_a_line(c) => {
                            quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
                        }
                        _ => quoted.push(c),
                    }
                }
            }
        }
        quoted.push(quote);
        quoted
    }
}

/// Returns true for what ends a line or a text somewhere: control characters, NUL and U+0085 among them,
/// and the separators of lines and paragraphs.
fn ends_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Returns true for characters that change the order in which text is shown, or have no width; those
/// that join letters and emoji are not among them.
fn is_layout(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
    )
}

/// Puts text on one line, without control characters and such that change its order: catalogues show
/// descriptions in tables, and terminals show scripts.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.replace(ends_a_line, " ").replace(is_layout, "");
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
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
