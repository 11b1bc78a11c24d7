//! Rejects: the record of malformed lines, and the limit on their number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The maximum number of rejects that are recorded for one scan. More do not come from accidents in
/// single lines: the source is wrong.
pub(super) const MAX_REJECT_RECORDS: usize = 100_000;

/// One malformed line of a source file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reject {
    /// The file's URL.
    pub file: String,
    /// The number of the line in the file, from 1.
    pub line: u64,
    /// The offset of the line in the decompressed file, in bytes.
    pub offset: u64,
    /// The reason why the line is malformed.
    pub reason: String,
}

/// The maximum of malformed lines that a source may have; above it, the tables that read it fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxRejects {
    /// A number of lines. With 0, the first malformed line ends the scan.
    Lines(u64),
    /// A percentage of the lines that are read.
    Percent(f64),
}

impl Default for MaxRejects {
    fn default() -> Self {
        MaxRejects::Percent(0.1)
    }
}

impl MaxRejects {
    /// Returns true if no malformed line is allowed.
    pub fn is_strict(self) -> bool {
        match self {
            MaxRejects::Lines(lines) => lines == 0,
            MaxRejects::Percent(percent) => percent <= 0.0,
        }
    }

    /// Returns true if `rejected` of `read + rejected` lines are allowed.
    pub fn allows(self, rejected: u64, read: u64) -> bool {
        match self {
            MaxRejects::Lines(lines) => rejected <= lines,
            MaxRejects::Percent(percent) => {
                rejected as f64 <= (rejected + read) as f64 * percent / 100.0
            }
        }
    }
}

impl fmt::Display for MaxRejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaxRejects::Lines(lines) => write!(f, "{lines}"),
            MaxRejects::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for MaxRejects {
    type Err = Error;

    /// Parses `0`, `25` or `0.1%`.
    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(MaxRejects::Percent),
            None => text.parse().ok().map(MaxRejects::Lines),
        };
        parsed.ok_or_else(|| {
            Error::invalid(format!("`{text}` is not a number of lines"))
                .with_hint("write it like 0, 25 or 0.1%")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inclusive() {
        let limit = |text: &str| text.parse::<MaxRejects>().unwrap();
        assert!(limit("0").is_strict() && limit("0%").is_strict());
        assert!(limit("2").allows(2, 0) && !limit("2").allows(3, 1_000_000));
        assert!(limit("0.1%").allows(1, 999) && !limit("0.1%").allows(1, 998));
        assert!(limit("100%").allows(5, 0));
        for text in ["", "-1", "1.5", "101%", "x%", "NaN%"] {
            assert!(text.parse::<MaxRejects>().is_err(), "{text}");
        }
        assert_eq!(limit("0.1%"), MaxRejects::default());
        assert_eq!(limit("0.1%").to_string(), "0.1%");
    }
}
