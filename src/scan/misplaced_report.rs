//! The misplaced rows of a source, for reports, and the limit of their number.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::manifest::MisplacedRecord;
use crate::scan::limit::Limit;
use crate::scan::scan_log::SourceScan;

/// The maximum slack that is suggested, in seconds: rows further away have a wrong time, or are in a
/// wrong folder.
const MAX_SUGGESTED_SECONDS: u64 = 7 * 24 * 3600;

/// The maximum of misplaced rows that a source may have; above it, the tables that read it fail.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum MaxMisplaced {
    /// Any number of rows.
    #[default]
    Unlimited,
    /// A number of rows.
    Rows(u64),
    /// A percentage of the rows that are read.
    Percent(f64),
}

impl MaxMisplaced {
    fn allows(self, misplaced: u64, read: u64) -> bool {
        match self {
            MaxMisplaced::Unlimited => true,
            MaxMisplaced::Rows(rows) => misplaced <= rows,
            MaxMisplaced::Percent(percent) => misplaced as f64 <= read as f64 * percent / 100.0,
        }
    }
}

impl fmt::Display for MaxMisplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaxMisplaced::Unlimited => f.write_str("100%"),
            MaxMisplaced::Rows(rows) => write!(f, "{rows}"),
            MaxMisplaced::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for MaxMisplaced {
    type Err = Error;

    /// Parses `0`, `25` or `0.1%`.
    fn from_str(text: &str) -> Result<Self> {
        Ok(match Limit::parse(text, "rows")? {
            Limit::Number(number) => MaxMisplaced::Rows(number),
            Limit::Percent(percent) => MaxMisplaced::Percent(percent),
        })
    }
}

/// Checks the misplaced rows of a source.
///
/// # Errors
/// [`Error::data`] if there are too many.
pub(crate) fn check_misplaced(source: &SourceScan, max_misplaced: MaxMisplaced) -> Result<()> {
    let Some(misplaced) = &source.misplaced else {
        return Ok(());
    };
    // The reader of Parquet files may have skipped them: whether it did is not known.
    let is_parquet = source.text_bytes == 0;
    let skipped = if is_parquet { misplaced.rows } else { 0 };
    let read = source.rows_read + skipped;
    if max_misplaced.allows(misplaced.rows, read) {
        return Ok(());
    }
    Err(Error::data(format!(
        "{}, more than --max-misplaced {max_misplaced}",
        misplaced.describe(&source.name)
    ))
    .with_hint(format!("{}, or raise --max-misplaced", misplaced.remedy())))
}

impl MisplacedRecord {
    /// Describes the rows in one line.
    pub(crate) fn describe(&self, source: &str) -> String {
        let first = self.files.first().map_or("", |file| file.file.as_str());
        let (are, their) = match self.rows {
            1 => ("is", "its"),
            _ => ("are", "their"),
        };
        let more = match self.file_count.saturating_sub(1) {
            0 => String::new(),
            1 => " and 1 more file".to_owned(),
            files => format!(" and {files} more files"),
        };
        format!(
            "{} of the source `{source}` {are} in no cycle, up to {} outside of the time of {their} \
             folder, in `{first}`{more}",
            counted(self.rows, "row"),
            duration(self.slack_seconds),
        )
    }

    /// Says what to do about them.
    pub(crate) fn remedy(&self) -> String {
        if self.slack_seconds > MAX_SUGGESTED_SECONDS {
            return "move the rows to the folders of their time, or correct their time".to_owned();
        }
        format!(
            "declare OPTIONS ('time_slack' '{}') in the source, and run the cycles again with --rerun",
            duration(self.slack_seconds)
        )
    }
}

/// Formats a duration as the option `time_slack` takes it, rounded up to a whole unit.
fn duration(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..=120 => (seconds, "second"),
        121..=7200 => (seconds.div_ceil(60), "minute"),
        7201..=172_800 => (seconds.div_ceil(3600), "hour"),
        _ => (seconds.div_ceil(86_400), "day"),
    };
    counted(number, unit)
}

fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inclusive() {
        let limit = |text: &str| text.parse::<MaxMisplaced>().unwrap();
        assert!(MaxMisplaced::default().allows(9, 9));
        assert!(limit("0").allows(0, 9) && !limit("0").allows(1, 9));
        assert!(limit("10%").allows(1, 10) && !limit("10%").allows(1, 9));
        for text in ["", "-1", "101%", "x", "1.5"] {
            assert!(text.parse::<MaxMisplaced>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_rounded_up() {
        let texts = [1, 120, 121, 7200, 7201, 172_801].map(duration);
        let expected = [
            "1 second",
            "120 seconds",
            "3 minutes",
            "120 minutes",
            "3 hours",
            "3 days",
        ];
        assert_eq!(texts, expected);
    }
}
