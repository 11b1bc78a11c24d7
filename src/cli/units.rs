//! Parses sizes and durations. Every option takes the same units.

use std::time::Duration;

use crate::error::{Error, Result};

/// The units of sizes: those of 1024 and those of 1000.
const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Parses the size that is given to `option`, in bytes: `512MiB`, `100MB`, `1024`.
pub(super) fn size(option: &str, text: &str, min: u64) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let factor = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|(_, factor)| *factor);
    let number: Option<u64> = digits.trim_end().parse().ok();
    let bytes = number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| {
            Error::invalid(format!("{option}: `{text}` is not a size"))
                .with_hint("write it like 512MiB, 100MB or 4GiB")
        })?;
    if bytes < min {
        return Err(Error::invalid(format!(
            "{option}: `{text}` is less than {min} bytes"
        )));
    }
    Ok(bytes)
}

/// Parses a duration: `90s`, `2m`, `1h 30m`, or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 90s, 2m or 6h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024_and_of_1000() {
        for (text, bytes) in [
            ("1024", 1 << 10),
            ("64KiB", 64 << 10),
            ("512MiB", 512 << 20),
            ("4GiB", 4 << 30),
            ("100MB", 100_000_000),
            ("4GB", 4_000_000_000),
            ("1gib", 1 << 30),
        ] {
            assert_eq!(size("--x", text, 1).unwrap(), bytes, "{text}");
        }
        for text in [
            "",
            "4G",
            "MiB",
            "-1",
            "1.5GiB",
            "99999999999GiB",
            "1",
            "4µB",
        ] {
            assert!(size("--x", text, 2).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        for (text, seconds) in [
            ("120", 120),
            ("0", 0),
            ("90s", 90),
            ("2m", 120),
            ("6h", 21_600),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "-1", "2 weeks ago", "1.5"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
