//! Guards: conditions that must hold before a commit.

use crate::engine::Staged;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::run::request::RunRequest;
use crate::scan::planned::PlannedSource;

/// Checks the guards of a request against the staged files.
///
/// # Errors
/// Fails if a source has too many malformed lines, or if the publication shrinks too much.
pub(super) fn check(
    request: &RunRequest,
    staged: &Staged,
    replaced: Option<&Manifest>,
) -> Result<()> {
    check_rejects(request, staged)?;
    if let Some(replaced) = replaced {
        let rows = staged.files.iter().map(|file| file.rows).sum();
        check_shrink(request, rows, replaced.rows)?;
    }
    Ok(())
}

fn check_rejects(request: &RunRequest, staged: &Staged) -> Result<()> {
    for source in &staged.sources {
        let (rejected, read) = (source.rows_rejected, source.rows_read);
        if request.max_rejects.allows(rejected, read) {
            continue;
        }
        let example = source.rejects.first().map_or_else(String::new, |first| {
            format!(
                "; the first is `{}` line {}: {}",
                first.file, first.line, first.reason
            )
        });
        return Err(Error::data(format!(
            "{rejected} of {} lines of the source `{}` are malformed, more than --max-rejects {}{example}",
            rejected + read,
            source.name,
            request.max_rejects
        ))
        .with_hint("fix the source, or raise --max-rejects"));
    }
    Ok(())
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
    let now: u64 = sources.iter().map(|source| source.bytes).sum();
    let then: u64 = replaced.sources.iter().map(|source| source.bytes).sum();
    if u128::from(now) >= min_kept(request, then) || min_kept(request, replaced.rows) == 0 {
        return Vec::new();
    }
    vec![format!(
        "{now} bytes of sources where the {} rows to be replaced came from {then}: \
         --max-shrink {} may stop it",
        replaced.rows, request.max_shrink
    )]
}

/// Returns the minimum that a replacement has to keep of `replaced` rows or bytes.
fn min_kept(request: &RunRequest, replaced: u64) -> u128 {
    let percent = u128::from(100 - request.max_shrink.min(100));
    u128::from(replaced) * percent / 100
}

fn check_shrink(request: &RunRequest, rows: u64, replaced: u64) -> Result<()> {
    if request.allow_shrink || u128::from(rows) >= min_kept(request, replaced) {
        return Ok(());
    }
    Err(Error::data(format!(
        "{rows} rows would replace {replaced}: more than {} % would be gone",
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
