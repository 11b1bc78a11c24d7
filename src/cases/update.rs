//! Writes the expectations of a case as the definition exports now.

use std::fmt::Write;
use std::path::Path;

use crate::audit::AuditResult;
use crate::cases::cells::{self, Row};
use crate::cases::difference::left_over;
use crate::cases::expected::ExpectedRow;
use crate::cases::expected_rejects::RejectedLine;
use crate::cases::folder::{Case, CaseText, EXPECTED, EXPECTED_REJECTS};
use crate::cases::report::shown;
use crate::error::{Error, Result};

/// The rows and the rejected lines of a case.
pub(super) struct CaseRun {
    pub(super) rows: Vec<Row>,
    pub(super) rejected: Vec<RejectedLine>,
    /// The results of the audits, if the case runs them.
    pub(super) audits: Vec<AuditResult>,
}

/// Writes the files of the expectations that change, and returns their names. Lines of rows that are exported as
/// before stay as they are, in their order; new rows follow, sorted.
pub(super) fn update(
    case: &Case,
    columns: &[String],
    expected: Option<&[ExpectedRow]>,
    run: &CaseRun,
) -> Result<Vec<String>> {
    let expected = expected.unwrap_or_default();
    let (missing, added) = left_over(expected, &run.rows);
    let mut text = String::new();
    for row in expected
        .iter()
        .filter(|row| !missing.iter().any(|gone| gone.line == row.line))
    {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", row.text);
    }
    for row in added {
        let _ = writeln!(text, "{}", cells::object(columns, row));
    }
    let mut rejects = String::new();
    for line in &run.rejected {
        let line = serde_json::to_string(line)
            .map_err(|error| Error::internal("cannot write a reject").with_source(error))?;
        let _ = writeln!(rejects, "{line}");
    }
    let mut files = Vec::new();
    let path = case.folder.join(EXPECTED);
    if case.expected.as_ref().is_none_or(|old| old.text != text) {
        write(&path, &text)?;
        files.push(shown(&path));
    }
    let path = case.folder.join(EXPECTED_REJECTS);
    match &case.expected_rejects {
        Some(CaseText { text: old, .. }) if *old == rejects => {}
        None if rejects.is_empty() => {}
        Some(_) if rejects.is_empty() => {
            std::fs::remove_file(&path).map_err(|error| unwritable(&path, error))?;
            files.push(shown(&path));
        }
        _ => {
            write(&path, &rejects)?;
            files.push(shown(&path));
        }
    }
    Ok(files)
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| unwritable(path, error))
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("cannot write `{}`", path.display())).with_source(error)
}
