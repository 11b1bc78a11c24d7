//! Edits input on the terminal, with history, completion and statements that span lines.

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
use crate::query::{QueryCatalog, quoted_name, split};

const PROMPT: &str = "dayport> ";

/// The keywords of SQL that are completed.
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
pub(super) struct Editor {
    editor: rustyline::Editor<CompletionHelper, FileHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    /// Opens the terminal. The history is kept in the user's state folder if that can be created.
    pub(super) fn open(catalog: &QueryCatalog) -> Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .auto_add_history(true)
            .build();
        let mut editor = rustyline::Editor::with_default(config)
            .map_err(|error| Error::unavailable("cannot use the terminal").with_source(error))?;
        editor.set_helper(Some(CompletionHelper::new(catalog)));
        // Without a folder for it, the shell works without a history.
        let history = env::state_folder()
            .filter(|folder| fs::create_dir_all(folder).is_ok())
            .map(|folder| folder.join("history"));
        if let Some(path) = &history {
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history })
    }

    /// Reads the next statement or command, with all of its lines.
    pub(super) fn read(&mut self) -> Result<String, ReadlineError> {
        let text = self.editor.readline(PROMPT);
        if let (Some(path), Ok(_)) = (&self.history, &text) {
            let _ = self.editor.append_history(path);
        }
        text
    }
}

/// Completes the names of tables and columns, and keywords.
#[derive(Default)]
struct CompletionHelper {
    tables: Vec<String>,
    /// The columns, each after its table's name.
    columns: Vec<(String, String)>,
}

impl CompletionHelper {
    fn new(catalog: &QueryCatalog) -> Self {
        let mut helper = Self::default();
        for entry in &catalog.entries {
            helper.tables.push(entry.name.clone());
            for column in &entry.columns {
                let column = quoted_name(column.name());
                helper.columns.push((entry.name.clone(), column));
            }
        }
        helper
    }

    /// Returns the start of the word at the end of `line`, and its completions.
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"');
        let start = line.trim_end_matches(is_name).len();
        let (before, word) = line.split_at(start);
        let is_command = line.trim_start().starts_with('\\');
        let tables = self.tables.iter().filter(|table| table.starts_with(word));
        let mut candidates: Vec<String> = tables.cloned().collect();
        if !is_command && !word.is_empty() {
            let is_mentioned = |table: &str| before.contains(table);
            let mentions_any = self.tables.iter().any(|table| is_mentioned(table));
            let columns = self.columns.iter().filter(|(table, column)| {
                column.starts_with(word) && (!mentions_any || is_mentioned(table))
            });
            candidates.extend(columns.map(|(_, column)| column.clone()));
            candidates.extend(
                KEYWORDS
                    .iter()
                    .filter_map(|keyword| complete_keyword(keyword, word)),
            );
        }
        candidates.sort();
        candidates.dedup();
        (start, candidates)
    }
}

/// Returns the keyword in the case of `typed`, if it starts with that.
fn complete_keyword(keyword: &str, typed: &str) -> Option<String> {
    let candidate = match typed.chars().all(char::is_lowercase) {
        true => keyword.to_lowercase(),
        false => keyword.to_owned(),
    };
    candidate.starts_with(typed).then_some(candidate)
}

impl Completer for CompletionHelper {
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

impl Validator for CompletionHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_complete(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

/// Returns true if the input is a command or ends with a semicolon, so that no more lines follow.
fn is_complete(text: &str) -> bool {
    text.trim_start().starts_with('\\') || split(text).incomplete.is_empty()
}

impl Hinter for CompletionHelper {
    type Hint = String;
}

impl Highlighter for CompletionHelper {}

impl Helper for CompletionHelper {}

#[cfg(test)]
mod tests {
    use super::*;

    fn helper() -> CompletionHelper {
        let column = |table: &str, column: &str| (table.to_owned(), column.to_owned());
        CompletionHelper {
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
        assert_eq!(helper().candidates(line).1, expected, "{line:?}");
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
        assert_eq!(helper().candidates("SELECT tim").0, 7);
    }

    #[test]
    fn a_statement_is_incomplete_until_its_semicolon() {
        for complete in ["SELECT 1;", "", "  ", "\\d views", "SELECT ';';", "-- note"] {
            assert!(is_complete(complete), "{complete:?}");
        }
        for part in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "SELECT 1 -- ;"] {
            assert!(!is_complete(part), "{part:?}");
        }
    }
}
