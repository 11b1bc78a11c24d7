//! Guards: conditions that must hold before a commit.

use std::collections::BTreeSet;

use crate::definition::Definition;
use crate::delivery::TableState;
use crate::engine::Staged;
use crate::error::{Error, Result};
use crate::human;
use crate::manifest::Manifest;
use crate::run::request::RunRequest;
use crate::scan::absent::{AbsentColumn, AbsentRule};
use crate::scan::misplaced_report::check_misplaced;
use crate::scan::planned::PlannedSource;
use crate::scan::reject_limit::check_rejects;
use crate::schema_evolution::{Change, Severity, changes};
use crate::stage::StageSpec;

/// Compares a table as it would be published with the manifest that it is held against. Returns the
/// changes, which are all accepted or harmless.
///
/// # Errors
/// Fails if a change needs a flag that is not given.
pub(super) fn check_changes(
    request: &RunRequest,
    definition: &Definition,
    spec: &StageSpec,
    published: &Manifest,
) -> Result<Vec<Change>> {
    let found = changes(&published.into(), &spec.table_shape(definition.sync_mode));
    let is_accepted = |severity| match severity {
        Severity::Announced => true,
        Severity::BreaksSchema => request.accept_schema,
        Severity::BreaksTable => request.accept_change,
    };
    let refused: Vec<&Change> = found
        .iter()
        .filter(|change| !is_accepted(change.severity))
        .collect();
    if refused.is_empty() {
        return Ok(found);
    }
    let flags: BTreeSet<&str> = refused
        .iter()
        .filter_map(|change| change.severity.flag())
        .collect();
    let texts: Vec<String> = refused.iter().map(ToString::to_string).collect();
    let flags: Vec<&str> = flags.into_iter().collect();
    Err(Error::invalid(format!(
        "`{}`: {}, against `{}`",
        definition.table,
        texts.join("; "),
        published.name().path()
    ))
    .with_hint(format!(
        "receivers may break: undo the change in `{}`, or run again with {}",
        definition.sql.name(),
        flags.join(" ")
    )))
}

/// Checks the guards of a request against the staged files.
///
/// # Errors
/// Fails if rows were lost or duplicated, if a source has too many malformed lines, a file without a good
/// line, or too many misplaced rows, or if the publication shrinks too much.
pub(super) fn check(
    request: &RunRequest,
    staged: &Staged,
    replaced: Option<&Manifest>,
) -> Result<()> {
    staged.balance.check()?;
    for source in &staged.sources {
        check_rejects(source, request.max_rejects)?;
        check_misplaced(source, request.max_misplaced)?;
    }
    if let Some(replaced) = replaced {
        let rows = staged.files.iter().map(|file| file.rows).sum();
        check_shrink(request, rows, replaced.rows)?;
    }
    Ok(())
}

/// Returns the columns to warn of: no line had a value, neither in this cycle nor in an earlier one.
///
/// # Errors
/// Fails if no line of this cycle had a value of a column that must have some.
pub(super) fn check_absent(staged: &Staged, state: &TableState) -> Result<Vec<AbsentColumn>> {
    let is_empty = staged.files.iter().all(|file| file.rows == 0);
    let mut warnings = Vec::new();
    for source in &staged.sources {
        for (column, rule) in &source.columns.without_values {
            match rule {
                AbsentRule::Null => {}
                AbsentRule::Warn if state.had_values(&source.name, column) => {}
                // No row is exported, for another reason than this column.
                AbsentRule::Warn if is_empty && !source.columns.filtered.contains(column) => {}
                AbsentRule::Warn => warnings.push(AbsentColumn {
                    source: source.name.clone(),
                    column: column.clone(),
                }),
                AbsentRule::Error => {
                    return Err(Error::data(format!(
                        "no line of the source `{}` has a value of the column `{column}`",
                        source.name
                    ))
                    .with_hint(
                        "check how the lines spell it; without the option 'missing' 'error' of the \
                         source, the column is NULL",
                    ));
                }
            }
        }
    }
    Ok(warnings)
}

/// Predicts from the sizes of the sources which guards are likely to stop a replacement. The function does no I/O.
pub(super) fn predict(
    request: &RunRequest,
    sources: &[PlannedSource],
    replaced: Option<&Manifest>,
) -> Vec<String> {
    let Some(replaced) = replaced.filter(|_| !request.allow_shrink) else {
        return Vec::new();
    };
    let now = total(sources.iter().map(|source| source.bytes));
    let then = total(replaced.sources.iter().map(|source| source.bytes));
    if now >= min_kept(request, then) || min_kept(request, replaced.rows.into()) == 0 {
        return Vec::new();
    }
    vec![format!(
        "{now} bytes of sources where the {} to be replaced came from {then}: \
         --max-shrink {} may stop it",
        human::counted(replaced.rows, "row"),
        request.max_shrink
    )]
}

/// Returns the minimum that a replacement has to keep of `replaced` rows or bytes.
fn min_kept(request: &RunRequest, replaced: u128) -> u128 {
    let percent = u128::from(100 - request.max_shrink.min(100));
    replaced * percent / 100
}

/// Returns the sum of numbers from records, which may be any.
pub(super) fn total(numbers: impl Iterator<Item = u64>) -> u128 {
    numbers.map(u128::from).sum()
}

fn check_shrink(request: &RunRequest, rows: u64, replaced: u64) -> Result<()> {
    if request.allow_shrink || u128::from(rows) >= min_kept(request, replaced.into()) {
        return Ok(());
    }
    Err(Error::data(format!(
        "{} would replace {replaced}: more than {} % would be gone",
        human::counted(rows, "row"),
        request.max_shrink
    ))
    .with_hint("if that is right, run again with --allow-shrink"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_keeps_at_least_half() {
        let check = |rows, replaced, allow_shrink| {
            let request = RunRequest {
                allow_shrink,
                ..RunRequest::default()
            };
            check_shrink(&request, rows, replaced)
        };
        assert!(check(50, 100, false).is_ok());
        assert!(check(0, 0, false).is_ok());
        assert!(check(0, 1, false).is_ok(), "half a row is no row");
        let error = check(49, 100, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "49 rows would replace 100: more than 50 % would be gone"
        );
        assert!(check(0, 100, true).is_ok());
    }
}
