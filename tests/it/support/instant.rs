//! Instants as the export formats them.

use chrono::{DateTime, SecondsFormat, Utc};

/// Formats microseconds since 1970 as RFC 3339 in UTC, with as few digits as possible.
pub(crate) fn instant(microseconds: i64) -> String {
    let instant: DateTime<Utc> =
        DateTime::from_timestamp_micros(microseconds).expect("a microsecond of this era");
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
