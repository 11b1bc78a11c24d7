//! The line editor: history, completion, and statements that go on over several lines.

use std::fs;
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Helper};

use crate::env;
use crate::error::{Error, Result};
use crate::query::{Catalog, split};

const PROMPT: &str = "dayport> ";

/// The words that queries are made of.
const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COUNT",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN ANALYZE",
    "FALSE",
    "FROM",
    "FULL",
    "GROUP BY",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER BY",
    "OUTER",
    "OVER",
    "PARTITION BY",
    "RIGHT",
    "SELECT",
    "THEN",
    "TIMESTAMP",
    "TRUE",
    "UNION",
    "UNNEST",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Reads statements and commands from the terminal.
pub struct Editor {
    editor: rustyline::Editor<Names, FileHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    pub fn open(catalog: &Catalog) -> Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .auto_add_history(true)
            .build();
        let mut editor = rustyline::Editor::with_default(config)
            .map_err(|error| Error::unavailable("cannot use the terminal").with_source(error))?;
        editor.set_helper(Some(Names::new(catalog)));
        // A shell without history is better than none.
        let history = env::state_folder().filter(|folder| fs::create_dir_all(folder).is_ok());
        let history = history.map(|folder| folder.join("history"));
        if let Some(path) = &history {
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history })
    }

    /// The next statement or command, all of its lines.
    pub fn read(&mut self) -> Result<String, ReadlineError> {
        let text = self.editor.readline(PROMPT);
        if let (Some(path), Ok(_)) = (&self.history, &text) {
            let _ = self.editor.append_history(path);
        }
        text
    }
}

/// The names that can be completed.
#[derive(Default)]
struct Names {
    tables: Vec<String>,
    /// With the table that has it.
    columns: Vec<(String, String)>,
}

impl Names {
    fn new(catalog: &Catalog) -> Self {
        let columns = catalog.entries.iter().flat_map(|entry| {
            let columns = entry.columns.iter();
            columns.map(|column| (entry.name.clone(), quoted(column.name())))
        });
        Self {
            columns: columns.collect(),
            tables: catalog
                .entries
                .iter()
                .map(|entry| entry.name.clone())
                .collect(),
        }
    }

    /// What the word at the end of `line` can become, and where it begins.
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"');
        let start = line.trim_end_matches(is_name).len();
        let (before, word) = line.split_at(start);
        let is_command = line.trim_start().starts_with('\\');
        let tables = self.tables.iter().filter(|table| table.starts_with(word));
        let mut candidates: Vec<String> = tables.cloned().collect();
        if !is_command && !word.is_empty() {
            let is_read = |table: &str| before.contains(table);
            let knows_table = self.tables.iter().any(|table| is_read(table));
            let columns = self.columns.iter().filter(|(table, column)| {
                column.starts_with(word) && (!knows_table || is_read(table))
            });
            candidates.extend(columns.map(|(_, column)| column.clone()));
            candidates.extend(
                KEYWORDS
                    .iter()
                    .filter_map(|keyword| completed(keyword, word)),
            );
        }
        candidates.sort();
        candidates.dedup();
        (start, candidates)
    }
}

/// A keyword in the case of what was typed of it.
fn completed(keyword: &str, typed: &str) -> Option<String> {
    if typed.chars().all(char::is_lowercase) {
        let keyword = keyword.to_lowercase();
        return keyword.starts_with(typed).then_some(keyword);
    }
    keyword.starts_with(typed).then(|| keyword.to_owned())
}

/// A name as SQL takes it: what has capitals needs quotes.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line.get(..position).unwrap_or(line)))
    }
}

impl Validator for Names {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

/// Whether nothing more has to be typed.
fn is_whole(text: &str) -> bool {
    text.trim_start().starts_with('\\') || split(text).open.is_empty()
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let column = |table: &str, column: &str| (table.to_owned(), column.to_owned());
        Names {
            tables: vec!["events".to_owned(), "exported.views".to_owned()],
            columns: vec![
                column("events", "event_id"),
                column("events", "time"),
                column("exported.views", "\"Label\""),
                column("exported.views", "view_id"),
            ],
        }
    }

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        assert_eq!(names().candidates(line).1, expected, "{line:?}");
    }

    #[test]
    fn words_are_completed() {
        check("SELECT * FROM ev", &["event_id", "events"]);
        check("SELECT * FROM exported.v", &["exported.views"]);
        check(
            "SELECT * FROM exported.views WHERE v",
            &["values", "view_id"],
        );
        check("SELECT * FROM exported.views WHERE ti", &["timestamp"]);
        check("SELECT \"L", &["\"Label\""]);
        check("SEL", &["SELECT"]);
        check("sel", &["select"]);
        check("\\d e", &["events", "exported.views"]);
        check("SELECT ", &["events", "exported.views"]);
        assert_eq!(names().candidates("SELECT tim").0, 7);
    }

    #[test]
    fn a_statement_goes_on_until_its_semicolon() {
        for whole in ["SELECT 1;", "", "  ", "\\d views", "SELECT ';';", "-- note"] {
            assert!(is_whole(whole), "{whole:?}");
        }
        for part in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "SELECT 1 -- ;"] {
            assert!(!is_whole(part), "{part:?}");
        }
    }
}
