//! What must hold before a commit.

use crate::engine::Staged;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::run::Request;
use crate::scan::planned::PlannedSource;

/// Fails if what was staged must not be published.
pub fn check(request: &Request, staged: &Staged, replaced: Option<&Manifest>) -> Result<()> {
    check_rejects(request, staged)?;
    if let Some(replaced) = replaced {
        let rows = staged.files.iter().map(|file| file.rows).sum();
        check_shrink(request, rows, replaced.rows)?;
    }
    Ok(())
}

fn check_rejects(request: &Request, staged: &Staged) -> Result<()> {
    for source in &staged.sources {
        let (rejected, read) = (source.rows_rejected, source.rows_read);
        if request.max_rejects.allows(rejected, read) {
            continue;
        }
        let first = source.rejects.first();
        let first = first.map_or_else(String::new, |first| {
            format!(
                "; the first is `{}` line {}: {}",
                first.file, first.line, first.reason
            )
        });
        return Err(Error::data(format!(
            "{rejected} of {} lines of the source `{}` are malformed, more than --max-rejects {}{first}",
            rejected + read,
            source.name,
            request.max_rejects
        ))
        .with_hint("mend the source, or raise --max-rejects"));
    }
    Ok(())
}

/// What is likely to stop a replacement, told by what would be read. Pure.
pub fn foresee(
    request: &Request,
    sources: &[PlannedSource],
    replaced: Option<&Manifest>,
) -> Vec<String> {
    let Some(replaced) = replaced.filter(|_| !request.allow_shrink) else {
        return Vec::new();
    };
    let now: u64 = sources.iter().map(|source| source.bytes).sum();
    let then: u64 = replaced.sources.iter().map(|source| source.bytes).sum();
    if u128::from(now) >= least(request, then) || least(request, replaced.rows) == 0 {
        return Vec::new();
    }
    vec![format!(
        "{now} bytes of sources where the {} rows to be replaced came from {then}: \
         --max-shrink {} may stop it",
        replaced.rows, request.max_shrink
    )]
}

/// What a replacement has to keep.
fn least(request: &Request, replaced: u64) -> u128 {
    let kept = u128::from(100 - request.max_shrink.min(100));
    u128::from(replaced) * kept / 100
}

fn check_shrink(request: &Request, rows: u64, replaced: u64) -> Result<()> {
    if request.allow_shrink || u128::from(rows) >= least(request, replaced) {
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
            let request = Request {
                allow_shrink,
                ..Request::default()
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
