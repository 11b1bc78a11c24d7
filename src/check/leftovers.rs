//! What checks that were killed left behind.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use object_store::path::Path;

/// No check takes as long.
const OLD: TimeDelta = TimeDelta::hours(1);

/// Whether an object in the folder of checks is of one that began longer than an hour before `now`.
pub fn is_leftover(path: &Path, now: DateTime<Utc>) -> bool {
    let began = path.filename().and_then(began);
    began.is_some_and(|began| now - began > OLD)
}

/// When the check began that put an object of this name; `None` if no check did.
fn began(name: &str) -> Option<DateTime<Utc>> {
    let id = name.strip_suffix("-multipart").unwrap_or(name);
    let (began, random) = id.split_once('-')?;
    let is_random = random.len() == 12 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    let began = NaiveDateTime::parse_from_str(began, "%Y%m%dT%H%M%SZ").ok()?;
    is_random.then(|| began.and_utc())
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
