//! Rejects: the record of a malformed line, and the guard on their number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::scan::limit::Limit;
use crate::scan::line_text::LineText;

/// One malformed line of a source file, as it is on record in the destination: without any value, since
/// values may be personal, and the destination is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reject {
    /// The file's URL.
    pub file: String,
    /// The number of the line in the file, from 1; of a record of a JSON document, its index.
    pub line: u64,
    /// The offset of the line in the decompressed file, in bytes.
    pub offset: u64,
    /// The path of the field that is rejected, such as `client.title`; `None` if no field is. Files of
    /// rejects from before there were fields lack it.
    #[serde(default)]
    pub field: Option<String>,
    /// The reason why the line is malformed, which quotes no value.
    pub reason: String,
    /// The index of the record in its file, from 1, if the file is JSON documents; `None` if it is lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
}

impl Reject {
    /// Returns the position in the file, for messages.
    pub fn position(&self) -> String {
        match self.record {
            Some(record) => format!("record {record} at byte {}", self.offset),
            None => format!("line {}", self.line),
        }
    }
}

/// A malformed line with its text, which only the operator sees.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RejectedLine {
    /// The line as it is on record in the destination.
    pub reject: Reject,
    /// The length of the line without its newline, in bytes.
    pub length: u64,
    /// The text of the line; `None` if the scan does not keep texts, or no more of them.
    pub text: Option<LineText>,
}

/// What scans keep of malformed lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeepRejects {
    /// Nothing: the first malformed line fails the scan.
    #[default]
    Nothing,
    /// Where the lines are and why they are malformed.
    Positions,
    /// The same, and their texts.
    Texts,
}

/// The maximum of malformed lines that a source may have; above it, the tables that read it fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxRejects {
    /// A number of lines. With 0, the first malformed line ends the scan.
    Lines(u64),
    /// A percentage of the lines that are read, and of their bytes.
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

    /// Returns true if any number of malformed lines is allowed, in files without a good line, too.
    pub(super) fn allows_all(self) -> bool {
        matches!(self, MaxRejects::Percent(percent) if percent >= 100.0)
    }

    /// Returns true if malformed lines of `rejected` bytes in `text` bytes are allowed. A number of
    /// lines does not limit their length.
    pub fn allows_bytes(self, rejected: u64, text: u64) -> bool {
        match self {
            MaxRejects::Lines(_) => true,
            MaxRejects::Percent(percent) => rejected as f64 <= text as f64 * percent / 100.0,
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
        Ok(match Limit::parse(text, "lines")? {
            Limit::Number(number) => MaxRejects::Lines(number),
            Limit::Percent(percent) => MaxRejects::Percent(percent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_from_before_there_were_fields_are_read() {
        let old = r#"{"file":"s3://raw/a.json","line":2,"offset":10,"reason":"more than one record on the line"}"#;
        let reject: Reject = serde_json::from_str(old).unwrap();
        assert_eq!((reject.line, reject.field), (2, None));
    }

    #[test]
    fn limits_are_inclusive() {
        let limit = |text: &str| text.parse::<MaxRejects>().unwrap();
        assert!(limit("0").is_strict() && limit("0%").is_strict());
        assert!(limit("2").allows(2, 0) && !limit("2").allows(3, 1_000_000));
        assert!(limit("0.1%").allows(1, 999) && !limit("0.1%").allows(1, 998));
        assert!(limit("100%").allows(5, 0));
        assert!(limit("25%").allows_bytes(25, 100) && !limit("25%").allows_bytes(26, 100));
        assert!(limit("1").allows_bytes(100, 100) && limit("0.1%").allows_bytes(0, 0));
        assert!(limit("100%").allows_all() && !limit("99.9%").allows_all());
        assert!(!limit("1000000").allows_all());
        for text in ["", "-1", "1.5", "101%", "x%", "NaN%"] {
            assert!(text.parse::<MaxRejects>().is_err(), "{text}");
        }
        assert_eq!(limit("0.1%"), MaxRejects::default());
        assert_eq!(limit("0.1%").to_string(), "0.1%");
    }
}
