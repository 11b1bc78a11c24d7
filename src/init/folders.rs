//! The meaning of the names of folders and files: Hive partitions, and times.

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};

/// A half-open range of time that a folder or a file is named after.
pub(super) type TimeRange = Range<DateTime<Utc>>;

/// The kind of a folder, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FolderName {
    /// `column=value`; the name of the column is in lower case, as SQL compares it.
    Hive {
        column: String,
        value: String,
    },
    /// A date or a part of one without the name of a column: `2026`, `2026-01-15`, `events_20260115`.
    Dated,
    Plain,
}

impl FolderName {
    pub(super) fn of(name: &str) -> Self {
        if let Some((column, value)) = name.split_once('=')
            && !column.is_empty()
        {
            return Self::Hive {
                column: column.to_lowercase(),
                value: value.to_owned(),
            };
        }
        let is_year = name.len() == 4
            && name
                .parse::<i32>()
                .is_ok_and(|year| (1990..=2100).contains(&year));
        match is_year || time_of_file(name).is_some() {
            true => Self::Dated,
            false => Self::Plain,
        }
    }
}

/// A column of the folders, with the type that all of its values have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FolderColumn {
    pub(super) name: String,
    pub(super) data_type: &'static str,
}

/// Returns the columns of the folders, in their order, with the values that they have in the listing.
pub(super) fn folder_columns(values: &[(String, BTreeSet<String>)]) -> Vec<FolderColumn> {
    let has_year = values.iter().any(|(name, _)| name == "year");
    let column = |(name, values): &(String, BTreeSet<String>)| {
        let all = |is: fn(&str) -> bool| !values.is_empty() && values.iter().all(|value| is(value));
        let is_part = match name.as_str() {
            "year" | "hour" | "hr" | "minute" => true,
            "month" | "day" => has_year,
            _ => false,
        };
        let data_type = if is_part && all(|value| value.parse::<i32>().is_ok()) {
            "INT"
        } else if all(|value| date_of(value).is_some()) {
            "DATE"
        } else {
            "VARCHAR"
        };
        FolderColumn {
            name: name.clone(),
            data_type,
        }
    };
    values.iter().map(column).collect()
}

/// Returns true for the name of a column of folders that has a part of the time.
pub(super) fn is_part_of_time(name: &str) -> bool {
    ["date", "dt", "day", "year", "month", "hour", "hr", "minute"].contains(&name)
}

/// Returns true if the folders contain the time of their rows, as `time_column` needs.
pub(super) fn are_time_folders(columns: &[FolderColumn]) -> bool {
    date_column(columns).is_some() || calendar(columns).is_some()
}

/// Returns the column of the date among those of the folders.
pub(super) fn date_column(columns: &[FolderColumn]) -> Option<&FolderColumn> {
    let is_date = |column: &&FolderColumn| {
        column.data_type == "DATE" && ["date", "dt", "day"].contains(&column.name.as_str())
    };
    columns.iter().find(is_date)
}

/// Returns year, month and day, if the folders have these columns as numbers.
pub(super) fn calendar(columns: &[FolderColumn]) -> Option<[&FolderColumn; 3]> {
    let number = |name: &str| {
        let is_number = |column: &&FolderColumn| column.name == name && column.data_type == "INT";
        columns.iter().find(is_number)
    };
    Some([number("year")?, number("month")?, number("day")?])
}

/// Returns the range of time that the folders of a file are named after.
pub(super) fn time_of_folders(values: &[(String, String)]) -> Option<TimeRange> {
    let value = |names: &[&str]| {
        let mut named = values
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        named.next().map(|(_, value)| value.as_str())
    };
    let date = match value(&["year"]) {
        Some(year) => {
            let month = value(&["month"])?.parse().ok()?;
            let day = value(&["day"])?.parse().ok()?;
            NaiveDate::from_ymd_opt(year.parse().ok()?, month, day)?
        }
        None => date_of(value(&["date", "dt", "day"])?)?,
    };
    range(
        date,
        value(&["hour", "hr"]).and_then(|hour| hour.parse().ok()),
    )
}

/// Returns the range of time that a file is named after: `2015-01-01-15.json.gz`, `events_20260115.json`.
pub(super) fn time_of_file(name: &str) -> Option<TimeRange> {
    let is_start = |index: usize| {
        let before = index
            .checked_sub(1)
            .and_then(|before| name.as_bytes().get(before));
        !before.is_some_and(u8::is_ascii_digit)
    };
    let starts = name
        .char_indices()
        .filter(|(index, c)| c.is_ascii_digit() && is_start(*index));
    let mut times = starts.filter_map(|(index, _)| {
        let rest = name.get(index..)?;
        let dashed = rest.get(..10).and_then(date_of).map(|date| (date, 10));
        let (date, length) = dashed.or_else(|| Some((date_of(rest.get(..8)?)?, 8)))?;
        let rest = rest.get(length..)?;
        let hour = rest.trim_start_matches(['-', '_', 'T']);
        let digits = hour.bytes().take_while(u8::is_ascii_digit).count();
        let has_hour = (1..=2).contains(&digits) && (length == 10) == (hour.len() < rest.len());
        let hour = has_hour.then(|| hour.get(..digits)?.parse().ok()).flatten();
        range(date, hour)
    });
    times.next()
}

/// Parses `2026-01-15`, `2026-1-5` or `20260115`.
pub(super) fn date_of(text: &str) -> Option<NaiveDate> {
    let is_compact = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let format = match is_compact {
        true => "%Y%m%d",
        false if text.matches('-').count() == 2 => "%Y-%m-%d",
        false => return None,
    };
    let date = NaiveDate::parse_from_str(text, format).ok()?;
    let year = date.format("%Y").to_string().parse::<i32>().ok()?;
    (1990..=2100).contains(&year).then_some(date)
}

fn range(date: NaiveDate, hour: Option<u32>) -> Option<TimeRange> {
    let at = |time: NaiveDateTime| time.and_utc();
    match hour {
        Some(hour) => {
            let start = at(date.and_hms_opt(hour, 0, 0)?);
            Some(start..start + TimeDelta::hours(1))
        }
        None => {
            let end = date.checked_add_days(Days::new(1))?;
            Some(at(date.and_hms_opt(0, 0, 0)?)..at(end.and_hms_opt(0, 0, 0)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(range: Option<TimeRange>) -> String {
        range.map_or_else(String::new, |range| {
            format!(
                "{} {}",
                range.start.format("%FT%H"),
                (range.end - range.start).num_hours()
            )
        })
    }

    #[test]
    fn names_of_files_have_times() {
        for (name, expected) in [
            ("2015-01-01-15.json.gz", "2015-01-01T15 1"),
            ("2015-01-01-5.json.gz", "2015-01-01T05 1"),
            ("events_20260115.json", "2026-01-15T00 24"),
            (
                "123_CloudTrail_us-east-1_20260115T0305Z_x.json.gz",
                "2026-01-15T00 24",
            ),
            ("part-2026-01-15.jsonl", "2026-01-15T00 24"),
            ("2026-01-15T03.jsonl", "2026-01-15T03 1"),
            ("2026011503.json", "2026-01-15T03 1"),
            ("a.json", ""),
            ("99999999.json", ""),
        ] {
            assert_eq!(shown(time_of_file(name)), expected, "{name}");
        }
    }

    #[test]
    fn folders_have_columns_and_times() {
        let of = |name: &str| FolderName::of(name);
        let hive = |column: &str, value: &str| FolderName::Hive {
            column: column.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(of("Hour=03"), hive("hour", "03"));
        assert_eq!(
            (of("2026"), of("2026-01-15"), of("20260115")),
            (FolderName::Dated, FolderName::Dated, FolderName::Dated)
        );
        assert_eq!(of("events_20260115"), FolderName::Dated);
        assert_eq!(
            (of("events"), of("15"), of("=x")),
            (FolderName::Plain, FolderName::Plain, FolderName::Plain)
        );

        let values = |columns: &[(&str, &[&str])]| -> Vec<FolderColumn> {
            let owned = |(name, values): &(&str, &[&str])| {
                (
                    (*name).to_owned(),
                    values.iter().map(|value| (*value).to_owned()).collect(),
                )
            };
            folder_columns(&columns.iter().map(owned).collect::<Vec<_>>())
        };
        let types = |columns: &[FolderColumn]| {
            columns
                .iter()
                .map(|column| column.data_type)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let dated = values(&[
            ("org", &["007"]),
            ("dt", &["2026-01-15"]),
            ("hour", &["03"]),
        ]);
        assert_eq!(types(&dated), "VARCHAR DATE INT");
        assert!(are_time_folders(&dated));
        let calendar = values(&[("year", &["2026"]), ("month", &["01"]), ("day", &["15"])]);
        assert_eq!(types(&calendar), "INT INT INT");
        assert!(are_time_folders(&calendar));
        let joined = values(&[("dt", &["2026-01-15-03"])]);
        assert_eq!(
            (types(&joined).as_str(), are_time_folders(&joined)),
            ("VARCHAR", false)
        );
        assert!(!are_time_folders(&values(&[(
            "event_date",
            &["2026-01-15"]
        )])));

        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let hour = pairs(&[("dt", "2026-01-15"), ("hour", "03")]);
        assert_eq!(shown(time_of_folders(&hour)), "2026-01-15T03 1");
        let day = pairs(&[("year", "2026"), ("month", "1"), ("day", "15")]);
        assert_eq!(shown(time_of_folders(&day)), "2026-01-15T00 24");
        assert_eq!(time_of_folders(&pairs(&[("org", "2026-01-15")])), None);
    }
}
