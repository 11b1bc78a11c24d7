//! Recognizes the objects that killed checks left behind.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use object_store::path::Path;

/// The maximum duration of a check.
const MAX_DURATION: TimeDelta = TimeDelta::hours(1);

/// Returns true if an object in the folder of checks belongs to a check that can no longer run.
pub(super) fn is_leftover(path: &Path, now: DateTime<Utc>) -> bool {
    let start = path.filename().and_then(start);
    start.is_some_and(|start| now - start > MAX_DURATION)
}

/// Returns the start of the check that put an object of this name; `None` if it is no check's.
fn start(name: &str) -> Option<DateTime<Utc>> {
    let id = name.strip_suffix("-multipart").unwrap_or(name);
    let (time, random) = id.split_once('-')?;
    let is_random = random.len() == 12 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    let start = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ").ok()?;
    is_random.then(|| start.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_objects_of_checks_are_leftovers() {
        let now = "2026-01-17T03:00:00Z".parse().unwrap();
        let is_leftover = |name: &str| is_leftover(&Path::from(format!("p/{name}")), now);
        assert!(is_leftover("20260117T015959Z-0123456789ab"));
        assert!(is_leftover("20250117T015959Z-0123456789ab-multipart"));
        assert!(!is_leftover("20260117T020000Z-0123456789ab"));
        assert!(!is_leftover("20260118T020000Z-0123456789ab"));
        for foreign in [
            "readme",
            "20250117T015959Z",
            "20250117T015959Z-x",
            "2025-0123456789ab",
        ] {
            assert!(!is_leftover(foreign), "{foreign}");
        }
    }
}
