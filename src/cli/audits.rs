//! Tells the operator which audits do not hold, and where the rows that break them are.

use std::fmt::Write;

use crate::human;
use crate::manifest::{AuditSeverity, AuditVerdict};
use crate::run::{AuditResult, FailingRows, FailingRowsFile, TableReport};
use crate::visible::visible_line;

/// The advice if the rows were not written.
pub(super) const NOT_WRITTEN_HINT: &str =
    "the table does not depend on them; make --rejects-to writable, and run again with --rerun";

/// Renders the audits of a table that do not keep it from being published, though they do not hold, and where
/// rows that break audits are. `of` names table and cycle.
pub(super) fn audits(of: &str, table: &TableReport) -> String {
    let mut text = String::new();
    for result in &table.audits {
        if let Some(warning) = warning(result) {
            let _ = writeln!(text, "warning: {of}: {}", visible_line(&warning));
        }
        if result.record.result == AuditVerdict::Skipped {
            let _ = writeln!(
                text,
                "note: {of}: the audit {}",
                visible_line(&result.describe())
            );
        }
    }
    match &table.failing_rows {
        None => {}
        Some(FailingRows {
            file: Some(FailingRowsFile { path, rows, .. }),
            ..
        }) => {
            let (first, are) = match rows {
                1 => ("first row that breaks", "is"),
                _ => ("first rows that break", "are"),
            };
            let _ = writeln!(
                text,
                "note: {of}: the {} {first} audits {are} in `{}`",
                human::count(*rows),
                visible_line(path)
            );
        }
        Some(FailingRows { error, .. }) => {
            let error = visible_line(error.as_deref().unwrap_or_default());
            let _ = writeln!(
                text,
                "warning: {of}: the rows that break audits are not written to --rejects-to: {error}\n\
                 hint: {NOT_WRITTEN_HINT}"
            );
        }
    }
    text
}

/// Returns the warning about an audit that does not hold and does not block.
pub(super) fn warning(result: &AuditResult) -> Option<String> {
    if !result.is_broken() || result.blocks() {
        return None;
    }
    let accepted = match (result.record.accepted, result.record.severity) {
        (true, AuditSeverity::Fail) => "; it is accepted by --accept-audit",
        _ => "",
    };
    Some(format!(
        "the cycle breaks the audit {}{accepted}",
        result.describe()
    ))
}
