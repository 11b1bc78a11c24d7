//! Formats of times that a source declares, by the directives of `strftime`.

use std::borrow::Cow;

use chrono::format::{Fixed, Item, Numeric, Parsed, StrftimeItems, parse_and_remainder};
use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use crate::jsonl::time_text::{TimeText, digits_of_fraction};

/// A declared format, such as `%d/%b/%Y:%H:%M:%S %z`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeFormat {
    text: String,
    /// The items up to `%f`, or all.
    head: Vec<FormatPart>,
    /// The items behind `%f`, if there is one.
    tail: Option<Vec<FormatPart>>,
    has_offset: bool,
    has_time_of_day: bool,
}

/// The directives that are read.
const DIRECTIVES: &str =
    "%Y %m %d %j %y %b %B %a %A %H %I %M %S %p %f %.f %z %:z %e %k %l %T %F %R %%";

impl TimeFormat {
    /// Parses a format, and checks that a text of it is one time.
    ///
    /// # Errors
    /// Returns what is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Blanks around texts are skipped, too.
        let text = text.trim_ascii();
        let items = StrftimeItems::new(text).parse_to_owned().map_err(|_| {
            format!("it has an unknown directive; those that are read are {DIRECTIVES}")
        })?;
        // It cannot be told from the fractions `%3f`, `%6f` and `%9f` by its item.
        if text.contains("%#z") {
            return Err(not_read());
        }
        refuse_items(&items)?;
        let mut around_fraction = items.split(|item| is_fraction(item));
        let head = around_fraction.next().unwrap_or_default();
        let tail = around_fraction.next();
        if around_fraction.next().is_some() {
            return Err("it has `%f` twice".to_owned());
        }
        let mut format = Self {
            text: text.to_owned(),
            has_offset: items.iter().any(is_offset),
            has_time_of_day: false,
            head: parts(head, tail.is_some()),
            tail: tail.map(|tail| parts(tail, false)),
        };
        format.has_time_of_day = format.is_complete()?;
        Ok(format)
    }

    /// Returns the format as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if the texts have a time of day, and not only a date.
    pub fn has_time_of_day(&self) -> bool {
        self.has_time_of_day
    }

    /// Returns the time of a text without blanks around it, or `None` if it is not of the format.
    pub(crate) fn read(&self, text: &str) -> Option<TimeText> {
        let mut parsed = Parsed::new();
        let mut rest = parse_parts(&mut parsed, text, &self.head)?;
        let mut nanoseconds = 0;
        if let Some(tail) = &self.tail {
            let (digits, end) = digits_of_fraction(rest.as_bytes(), 0)?;
            nanoseconds = digits;
            rest = parse_parts(&mut parsed, rest.get(end..)?, tail)?;
        }
        if !rest.is_empty() {
            return None;
        }
        let local = match self.has_time_of_day {
            true => parsed.to_naive_datetime_with_offset(0).ok()?,
            false => parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0)?,
        };
        let fraction = chrono::TimeDelta::nanoseconds(i64::from(nanoseconds));
        let local = local.checked_add_signed(fraction)?;
        Some(TimeText::new(local, parsed.offset()))
    }

    /// Checks that a text of the format is read as the time that was written, and returns true if it has
    /// a time of day.
    fn is_complete(&self) -> Result<bool, String> {
        let sample = |time: &str| DateTime::<FixedOffset>::parse_from_rfc3339(time).ok();
        let samples =
            sample("2026-11-25T13:14:15.123456789+01:30").zip(sample("2026-11-25T00:00:00+01:30"));
        let (time, midnight) = samples.ok_or("internal: no sample")?;
        let written = self.write(&time);
        let has_time_of_day = written != self.write(&midnight);
        let with_time = Self {
            has_time_of_day,
            ..self.clone()
        };
        let incomplete = || {
            let parts = "a year, month and day, and an hour and minute if it has a time of day (with %p, if \
                         hours are %I)";
            format!("its texts do not say which time they are: it needs {parts}")
        };
        let read = with_time.read(&written).ok_or_else(incomplete)?;
        let utc = read.utc(None).map_err(|_| incomplete())?;
        let expected = match (has_time_of_day, self.has_offset) {
            (true, true) => time.naive_utc(),
            (true, false) => time.naive_local(),
            (false, true) => midnight.naive_utc(),
            (false, false) => midnight.naive_local(),
        };
        // Seconds and their fraction may be left out.
        let missing = expected - utc;
        let is_read =
            missing >= chrono::TimeDelta::zero() && missing < chrono::TimeDelta::minutes(1);
        is_read.then_some(has_time_of_day).ok_or_else(incomplete)
    }

    fn write(&self, time: &DateTime<FixedOffset>) -> String {
        let text = |parts: &[FormatPart]| {
            let items = parts.iter().flat_map(|part| &part.items);
            time.format_with_items(items).to_string()
        };
        let mut written = text(&self.head);
        if let Some(tail) = &self.tail {
            written.push_str(&time.format("%f").to_string());
            written.push_str(&text(tail));
        }
        written
    }
}

impl PartialEq for TimeFormat {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TimeFormat {}

impl TryFrom<String> for TimeFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<TimeFormat> for String {
    fn from(format: TimeFormat) -> Self {
        format.text
    }
}

/// Refuses directives that are not read as they are written.
fn refuse_items(items: &[Item<'_>]) -> Result<(), String> {
    let reasons = items.iter().filter_map(|item| {
        let reason: Cow<'_, str> = match item {
            Item::Fixed(Fixed::TimezoneName) => {
                "the name of a zone, `%Z`, says nothing about the offset; write the name itself, and \
                 declare `time_zone`"
                    .into()
            }
            Item::Numeric(Numeric::Timestamp, _) => {
                "`%s` is a number; leave `time_format` out, and declare 'time_unit' 's'".into()
            }
            Item::Literal(_) | Item::OwnedLiteral(_) | Item::Space(_) | Item::OwnedSpace(_) => {
                return None;
            }
            Item::Numeric(
                Numeric::Year
                | Numeric::YearMod100
                | Numeric::Month
                | Numeric::Day
                | Numeric::Ordinal
                | Numeric::Hour
                | Numeric::Hour12
                | Numeric::Minute
                | Numeric::Second
                | Numeric::Nanosecond,
                _,
            ) => return None,
            Item::Fixed(
                Fixed::ShortMonthName
                | Fixed::LongMonthName
                | Fixed::ShortWeekdayName
                | Fixed::LongWeekdayName
                | Fixed::LowerAmPm
                | Fixed::UpperAmPm
                | Fixed::Nanosecond
                | Fixed::Nanosecond3
                | Fixed::Nanosecond6
                | Fixed::Nanosecond9
                | Fixed::TimezoneOffset
                | Fixed::TimezoneOffsetColon
                | Fixed::Internal(_),
            ) => return None,
            _ => not_read().into(),
        };
        Some(reason.into_owned())
    });
    let mut reasons = reasons;
    reasons.next().map_or(Ok(()), Err)
}

fn not_read() -> String {
    format!("it has a directive that is not read; those that are read are {DIRECTIVES}")
}

fn is_fraction(item: &Item<'_>) -> bool {
    matches!(item, Item::Numeric(Numeric::Nanosecond, _))
}

fn is_offset(item: &Item<'_>) -> bool {
    matches!(
        item,
        Item::Fixed(Fixed::TimezoneOffset | Fixed::TimezoneOffsetColon)
    )
}

/// Items that are read in one go.
#[derive(Debug, Clone)]
struct FormatPart {
    items: Vec<Item<'static>>,
    /// The length of numbers with nothing between them, each of which has all its digits: otherwise
    /// `2026115` would be two dates.
    length: Option<usize>,
}

/// Splits items around numbers that follow each other. If a fraction follows them all, a last number is one
/// of those, too.
fn parts(items: &[Item<'static>], is_before_fraction: bool) -> Vec<FormatPart> {
    let runs = items.chunk_by(|one, next| digits(one).is_some() == digits(next).is_some());
    let count = runs.clone().count();
    runs.enumerate()
        .map(|(index, run)| {
            let is_last = index + 1 == count && is_before_fraction;
            let lengths = run.iter().map(digits).collect::<Option<Vec<usize>>>();
            FormatPart {
                items: run.to_vec(),
                length: lengths
                    .filter(|lengths| lengths.len() > 1 || is_last)
                    .map(|lengths| lengths.iter().sum()),
            }
        })
        .collect()
}

/// Returns the number of digits of a number that is written in full.
fn digits(item: &Item<'_>) -> Option<usize> {
    match item {
        Item::Numeric(Numeric::Year, _) => Some(4),
        Item::Numeric(Numeric::Ordinal, _) => Some(3),
        Item::Numeric(_, _) => Some(2),
        _ => None,
    }
}

/// Parses the beginning of a text, and returns the rest.
fn parse_parts<'t>(parsed: &mut Parsed, text: &'t str, parts: &[FormatPart]) -> Option<&'t str> {
    parts.iter().try_fold(text, |text, part| {
        let rest = parse_and_remainder(parsed, text, part.items.iter()).ok()?;
        let is_in_full = part
            .length
            .is_none_or(|length| text.len() - rest.len() == length);
        is_in_full.then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Option<String> {
        let format = TimeFormat::parse(format).unwrap_or_else(|error| panic!("{format}: {error}"));
        let time = format.read(text)?.utc(None).ok()?;
        Some(time.format("%Y-%m-%dT%H:%M:%S%.f").to_string())
    }

    #[test]
    fn texts_of_a_format_are_read() {
        for (format, text, expected) in [
            (
                "%d/%b/%Y:%H:%M:%S %z",
                "15/Jan/2026:10:00:00 +0100",
                "2026-01-15T09:00:00",
            ),
            (
                "[%d/%b/%Y:%H:%M:%S %z]",
                "[15/jan/2026:10:00:00 -0730]",
                "2026-01-15T17:30:00",
            ),
            (
                "%a, %d %b %Y %H:%M:%S GMT",
                "Thu, 15 Jan 2026 10:00:00 GMT",
                "2026-01-15T10:00:00",
            ),
            (
                "%a %b %e %H:%M:%S %Y",
                "Thu Jan  8 10:00:00 2026",
                "2026-01-08T10:00:00",
            ),
            (
                "%Y-%m-%d %H:%M:%S,%f",
                "2026-01-15 10:00:00,123",
                "2026-01-15T10:00:00.123",
            ),
            (
                "%Y-%m-%d %H:%M:%S.%f",
                "2026-01-15 10:00:00.000123",
                "2026-01-15T10:00:00.000123",
            ),
            (
                "%Y-%m-%d %H:%M:%S%.f",
                "2026-01-15 10:00:00",
                "2026-01-15T10:00:00",
            ),
            (
                "%Y%m%d%H%M%S%f",
                "20260115100000123",
                "2026-01-15T10:00:00.123",
            ),
            (
                "%Y%m%dT%H%M%S%z",
                "20260115T100000+0100",
                "2026-01-15T09:00:00",
            ),
            (
                "%m/%d/%Y %I:%M %p",
                "01/15/2026 10:05 PM",
                "2026-01-15T22:05:00",
            ),
            (
                "%m/%d/%Y %I:%M:%S %p",
                "1/5/2026 1:05:09 am",
                "2026-01-05T01:05:09",
            ),
            ("%Y%m%d  %H:%M ", "20260115 10:00", "2026-01-15T10:00:00"),
            ("%d.%m.%y", "15.01.26", "2026-01-15T00:00:00"),
            ("%Y-%j", "2026-015", "2026-01-15T00:00:00"),
            (
                "%FT%T%:z",
                "2026-01-15T10:00:00+01:00",
                "2026-01-15T09:00:00",
            ),
        ] {
            assert_eq!(
                read(format, text).as_deref(),
                Some(expected),
                "{format} {text}"
            );
        }
    }

    #[test]
    fn what_is_not_a_number_beside_packed_ones_is_as_anywhere() {
        for (format, text, expected) in [
            (
                "%Y%m%d %H:%M:%S%.f",
                "20260115 10:00:00.5",
                "2026-01-15T10:00:00.500",
            ),
            (
                "%Y%m%d %H:%M:%S.%f",
                "20260115 10:00:00.5",
                "2026-01-15T10:00:00.500",
            ),
            (
                "%d/%b/%Y %H%M%S",
                "5/Jan/2026 100000",
                "2026-01-05T10:00:00",
            ),
            ("%B %d %Y %H%M", "Jan 15 2026 1000", "2026-01-15T10:00:00"),
            (
                "%H:%M:%S%f %F",
                "10:00:07123 2026-01-15",
                "2026-01-15T10:00:07.123",
            ),
        ] {
            assert_eq!(
                read(format, text).as_deref(),
                Some(expected),
                "{format} {text}"
            );
        }
        assert_eq!(read("%H:%M:%S%f %F", "10:00:7 2026-01-15"), None);
        assert_eq!(read("%d/%b/%Y %H%M%S", "5/Jan/2026 10000"), None);
        assert_eq!(read("%F %H%M", "2026-01-15 1 5"), None);
    }

    #[test]
    fn years_of_two_digits_are_1970_to_2069() {
        for (text, year) in [
            ("70", "1970"),
            ("99", "1999"),
            ("00", "2000"),
            ("69", "2069"),
        ] {
            let read = read("%d.%m.%y", &format!("15.01.{text}"));
            assert_eq!(read, Some(format!("{year}-01-15T00:00:00")));
        }
    }

    #[test]
    fn texts_of_another_format_are_not() {
        for (format, text) in [
            ("%d/%b/%Y:%H:%M:%S %z", "2026-01-15T10:00:00Z"),
            ("%d/%b/%Y:%H:%M:%S %z", "15/Jan/2026:10:00:00"),
            ("%d/%b/%Y:%H:%M:%S %z", "15/Jan/2026:10:00:00 +0100 x"),
            ("%d/%b/%Y:%H:%M:%S %z", "31/Feb/2026:10:00:00 +0100"),
            ("%a %d %b %Y", "Fri 15 Jan 2026"),
            ("%Y%m%d", "2026115"),
            ("%Y%m%d", "2026011"),
            ("%Y-%m-%d %H:%M:%S.%f", "2026-01-15 10:00:00."),
        ] {
            assert_eq!(read(format, text), None, "{format} {text}");
        }
    }

    #[test]
    fn formats_that_do_not_say_which_time_a_text_is_are_refused() {
        for (format, part) in [
            ("%d/%b/%Y:%H:%M:%S %Z", "declare `time_zone`"),
            ("%s", "'time_unit' 's'"),
            ("%Q", "unknown directive"),
            ("%H:%M", "which time they are"),
            ("%d/%b %H:%M:%S", "which time they are"),
            ("%Y-%m-%d %H", "which time they are"),
            ("%Y-%m-%d %I:%M", "which time they are"),
            ("%Y-%m-%d %H:%M %f %f", "twice"),
            ("%G-W%V-%u", "not read"),
            ("%Y-%m-%d %H:%M %#z", "not read"),
            ("", "which time they are"),
        ] {
            let error = TimeFormat::parse(format);
            let is_named = error.as_ref().is_err_and(|error| error.contains(part));
            assert!(is_named, "{format}: {error:?}");
        }
    }
}
