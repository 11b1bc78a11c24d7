//! Parses days and ranges of days: `2026-01-15`, `yesterday`, `-3d`.

use std::ops::RangeInclusive;

use crate::cycle::Cycle;
use crate::env::Clock;
use crate::error::{Error, Result};

const HINT: &str = "write it as year-month-day, for example `2026-01-15`, as `yesterday`, or as `-3d` for \
                    three days ago";

/// Returns the cycle of `--date`, or the last closed one.
pub(super) fn date_or_last_closed(date: Option<&str>) -> Result<Cycle> {
    match date {
        Some(date) => day("--date", date),
        None => Cycle::last_closed(Clock::from_environment()?.now()),
    }
}

/// Returns the cycles from the first to the last one that `--date`, or `--since` and `--through`,
/// select; `None` if none of these options is given. A range without an end goes through the last closed
/// day.
pub(super) fn cycle_range(
    date: Option<&str>,
    since: Option<&str>,
    through: Option<&str>,
) -> Result<Option<RangeInclusive<Cycle>>> {
    let (since, through) = match (date, since) {
        (Some(date), _) => {
            let cycle = day("--date", date)?;
            return Ok(Some(cycle..=cycle));
        }
        (None, None) => return Ok(None),
        (None, Some(since)) => (since, through),
    };
    let first = day("--since", since)?;
    let (last, end) = match through {
        Some(through) => (day("--through", through)?, "--through"),
        None => {
            let now = Clock::from_environment()?.now();
            (Cycle::last_closed(now)?, "the last closed day")
        }
    };
    if first > last {
        return Err(Error::invalid(format!(
            "--since {first} is later than {end} {last}"
        )));
    }
    Ok(Some(first..=last))
}

/// Parses the day that is given to `option`.
///
/// # Errors
/// It is no day, or another option stands in its place: days may begin with a hyphen, so that the
/// command line is parsed with that as the value.
pub(super) fn day(option: &str, text: &str) -> Result<Cycle> {
    if text.starts_with('-') && days_of(text).is_none() {
        return Err(
            Error::invalid(format!("a day is missing between `{option}` and `{text}`"))
                .with_hint(HINT),
        );
    }
    let now = Clock::from_environment()?.now();
    let yesterday = || Cycle::last_closed(now);
    let days_ago = |days: u32| match days.checked_sub(1) {
        Some(before_yesterday) => yesterday()?.days_before(before_yesterday),
        None => yesterday()?
            .next()
            .ok_or_else(|| Error::invalid("today is not a cycle")),
    };
    let parsed = match text {
        "today" => days_ago(0),
        "yesterday" => yesterday(),
        text => match days_of(text) {
            Some(days) => days_ago(days),
            None => text.parse().map_err(|error: Error| error.with_hint(HINT)),
        },
    };
    parsed.map_err(|error| error.context(option))
}

/// Returns the number of days of `-3d`.
fn days_of(text: &str) -> Option<u32> {
    text.strip_prefix('-')?.strip_suffix('d')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_days_count_back_from_today() {
        assert_eq!(days_of("-3d"), Some(3));
        assert_eq!(days_of("-0d"), Some(0));
        for text in ["3d", "-3", "-d", "--3d", "-3days"] {
            assert_eq!(days_of(text), None, "{text}");
        }
        let day = |text| day("--date", text).unwrap();
        assert_eq!(day("-1d"), day("yesterday"));
        assert_eq!(day("yesterday").next(), Some(day("today")));
        assert_eq!(day("-3d").next(), Some(day("-2d")));
    }
}
