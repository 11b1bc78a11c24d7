//! The parts of a time that the names of folders and files have, and the range of time that they bound.

use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::listing::hive::parse_date;
use crate::listing::hive_time::{Nanos, day_range, hour_range, month_range, year_range};

/// The advice of complaints about a pattern.
pub(crate) const TIME_PLACEHOLDERS: &str = "{date}, {year}, {month}, {day}, {hour} and {minute}";

/// One part of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TimePart {
    /// A day such as `2026-01-05`, `2026-1-5` or `20260105`.
    Date,
    /// Four digits.
    Year,
    Month,
    Day,
    Hour,
    Minute,
}

impl TimePart {
    /// Returns the part that a placeholder stands for.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "date" | "dt" => Self::Date,
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" | "hr" => Self::Hour,
            "minute" => Self::Minute,
            _ => return None,
        })
    }

    /// Returns the lengths that its text may have, the longest first.
    pub(super) fn lengths(self, is_padded: bool) -> impl Iterator<Item = usize> {
        let lengths: &[usize] = match (self, is_padded) {
            (Self::Date, false) => &[10, 9, 8],
            (Self::Date, true) => &[10, 8],
            (Self::Year, _) => &[4],
            (_, true) => &[2],
            (_, false) => &[2, 1],
        };
        lengths.iter().copied()
    }

    /// Returns true if a text has the form of this part.
    pub(super) fn is_written_as(self, text: &str) -> bool {
        let are_digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
        match (self, text.split_at_checked(4)) {
            (Self::Date, None) => false,
            (Self::Date, Some((year, rest))) => {
                let is_form = are_digits(rest) || rest.starts_with('-');
                are_digits(year) && is_form && parse_date(text).is_some()
            }
            _ => are_digits(text),
        }
    }

    /// Returns the text of this part for a whole day; `None` for a part of the day.
    pub(super) fn of_day(self, day: DateTime<Utc>) -> Option<String> {
        let format = match self {
            Self::Date => "%Y-%m-%d",
            Self::Year => "%Y",
            Self::Month => "%m",
            Self::Day => "%d",
            Self::Hour | Self::Minute => return None,
        };
        Some(day.format(format).to_string())
    }
}

/// The parts of a time that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TimeParts {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: Option<u32>,
    minute: Option<u32>,
}

impl TimeParts {
    /// Adds a part. Returns `None` if there is no such time, or if it is not the part that was known.
    pub(super) fn add(&mut self, part: TimePart, text: &str) -> Option<()> {
        match part {
            TimePart::Date => {
                let date = parse_date(text)?;
                set(&mut self.year, date.year())?;
                set(&mut self.month, date.month())?;
                set(&mut self.day, date.day())?;
            }
            TimePart::Year => set(&mut self.year, text.parse().ok()?)?,
            TimePart::Month => set(&mut self.month, text.parse().ok()?)?,
            TimePart::Day => set(&mut self.day, text.parse().ok()?)?,
            TimePart::Hour => set(&mut self.hour, text.parse().ok()?)?,
            TimePart::Minute => set(&mut self.minute, text.parse().ok()?)?,
        }
        self.is_time().then_some(())
    }

    /// Returns false if no time has these parts.
    fn is_time(&self) -> bool {
        // A leap year, and a month of 31 days, for what is not known.
        let year = self.year.unwrap_or(2000);
        let date = NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1));
        date.is_some()
            && self.hour.is_none_or(|hour| hour < 24)
            && self.minute.is_none_or(|minute| minute < 60)
    }

    /// Returns the half-open range of the times with these parts; `None` if the year is not known.
    ///
    /// The name of a minute does not say how long its folder goes on: it bounds the time by the end of
    /// the hour.
    pub(super) fn range(&self) -> Option<Range<Nanos>> {
        let year = self.year?;
        let Some(month) = self.month else {
            return year_range(year);
        };
        let Some(day) = self.day else {
            return month_range(year, month);
        };
        let date = NaiveDate::from_ymd_opt(year, month, day)?;
        let Some(hour) = self.hour else {
            return day_range(date);
        };
        let range = hour_range(date, hour)?;
        let minute = Nanos::from(self.minute.unwrap_or(0)) * 60_000_000_000;
        Some(range.start + minute..range.end)
    }
}

fn set<T: PartialEq>(known: &mut Option<T>, value: T) -> Option<()> {
    match known {
        Some(known) => (*known == value).then_some(()),
        None => {
            *known = Some(value);
            Some(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Nanos = 60_000_000_000;

    fn parts(known: &[(TimePart, &str)]) -> Option<TimeParts> {
        let mut parts = TimeParts::default();
        for (part, text) in known {
            parts.add(*part, text)?;
        }
        Some(parts)
    }

    #[test]
    fn ranges_are_those_of_what_is_known() {
        let minutes = |known: &[(TimePart, &str)]| {
            let range = parts(known)?.range()?;
            Some((range.start / MINUTE, range.end / MINUTE))
        };
        let (year, month, day) = (
            (TimePart::Year, "1970"),
            (TimePart::Month, "1"),
            (TimePart::Day, "02"),
        );
        let (hour, minute) = ((TimePart::Hour, "03"), (TimePart::Minute, "15"));
        assert_eq!(minutes(&[month, day]), None);
        assert_eq!(minutes(&[year]), Some((0, 365 * 1440)));
        assert_eq!(minutes(&[year, day]), Some((0, 365 * 1440)));
        assert_eq!(minutes(&[year, month]), Some((0, 31 * 1440)));
        assert_eq!(minutes(&[day, month, year]), Some((1440, 2880)));
        let start = 1440 + 180;
        assert_eq!(
            minutes(&[year, month, day, hour]),
            Some((start, start + 60))
        );
        let date = (TimePart::Date, "19700102");
        assert_eq!(minutes(&[hour, date]), Some((start, start + 60)));
        assert_eq!(
            minutes(&[date, hour, minute]),
            Some((start + 15, start + 60))
        );
        assert_eq!(minutes(&[year, month, date, day]), Some((1440, 2880)));
    }

    #[test]
    fn what_is_no_time_or_contradicts_itself_is_none() {
        for known in [
            &[(TimePart::Month, "13")][..],
            &[(TimePart::Month, "0")],
            &[(TimePart::Month, "02"), (TimePart::Day, "30")],
            &[
                (TimePart::Year, "2025"),
                (TimePart::Month, "2"),
                (TimePart::Day, "29"),
            ],
            &[(TimePart::Hour, "24")],
            &[(TimePart::Minute, "60")],
            &[(TimePart::Year, "2025"), (TimePart::Date, "2026-01-15")],
            &[(TimePart::Day, "1"), (TimePart::Day, "2")],
        ] {
            assert_eq!(parts(known), None, "{known:?}");
        }
        assert!(parts(&[(TimePart::Month, "02"), (TimePart::Day, "29")]).is_some());
        assert!(parts(&[(TimePart::Day, "1"), (TimePart::Day, "01")]).is_some());
    }
}
