//! The audits that a case expects its rows to break: `broken_audits` of `case.toml`.

use std::collections::BTreeSet;

use datafusion::arrow::array::RecordBatch;

use crate::audit::{AuditResult, AuditScope, AuditedCycle, BoundAudits};
use crate::cases::folder::{Case, SETTINGS};
use crate::cases::report::shown;
use crate::cases::settings::line_of;
use crate::definition::Definition;
use crate::error::{Error, Result};
use crate::stage::RowTap;

/// Checks that the audits which a case names exist.
///
/// # Errors
/// [`Error::invalid`] with file and line.
pub(super) fn check(case: &Case, definition: &Definition) -> Result<()> {
    let Some(expected) = &case.settings.broken_audits else {
        return Ok(());
    };
    let file = shown(&case.folder.join(SETTINGS));
    let line = line_of(&case.settings.text, "broken_audits");
    let complaint = |what: String| Error::invalid(format!("{file}:{line}: {what}"));
    let Some(audits) = &definition.audits else {
        return Err(
            complaint(format!("`{}` has no audits", case.table)).with_hint(format!(
                "write them into `sql/audits/{}.sql`, or leave out `broken_audits`",
                case.table
            )),
        );
    };
    let names: Vec<&str> = audits
        .audits
        .iter()
        .map(|audit| audit.name.as_str())
        .collect();
    match expected.iter().find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(complaint(format!("`{}` has no audit `{name}`", case.table))
            .with_hint(format!("its audits are {}", names.join(", ")))),
    }
}

/// Runs the audits of a definition over its rows.
pub(super) async fn results(
    scope: &AuditScope<'_>,
    rows: &[RecordBatch],
) -> Result<Vec<AuditResult>> {
    let Some(audits) = BoundAudits::bind(scope).await? else {
        return Ok(Vec::new());
    };
    let run = audits.start(scope.engine, 1, false).await?;
    for batch in rows {
        run.add(batch).await?;
    }
    let facts = AuditedCycle {
        rows: rows.iter().map(|batch| batch.num_rows() as u64).sum(),
        earlier_rows: Vec::new(),
    };
    Ok(run.finish(&facts).await?.0)
}

/// Returns a line for each audit that is broken and should hold, or holds and should be broken.
pub(super) fn compare(expected: &BTreeSet<String>, results: &[AuditResult]) -> Vec<String> {
    let mut lines = Vec::new();
    for result in results {
        let name = &result.record.name;
        match (result.is_broken(), expected.contains(name)) {
            (true, false) => lines.push(format!("broken: {}", result.describe())),
            (false, true) => lines.push(format!("not broken: `{name}` ({})", result.position)),
            (true, true) | (false, false) => {}
        }
    }
    lines
}
