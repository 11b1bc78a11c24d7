//! Times as texts, in the forms that loggers write beside those of RFC 3339.
//!
//! ```text
//! 2026-01-15T10:00Z              no seconds, which Java leaves out if they are zero
//! 2026-01-15 10:00:00,123        a decimal comma
//! 2026-01-15 10:00:00 +0100 CET  an offset, then the abbreviation that Go adds
//! 2026-01-15T10:00:00 UTC        UTC by its name
//! 2026-01-15T24:00:00Z           the end of a day
//! 2026-01-15T10:00+01:00[Europe/Berlin]   RFC 9557
//! 2026-01-15 100000              no colons, as arrow reads them
//! ```

use chrono::{FixedOffset, NaiveDate, NaiveDateTime};

use crate::jsonl::local_zone::{LocalTimeFault, LocalZone, offset_seconds};

/// A text that was read as a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TimeText {
    /// The time that clocks show.
    local: NaiveDateTime,
    zone: TextZone,
}

#[derive(Debug, Clone, PartialEq)]
enum TextZone {
    /// The text has none.
    None,
    /// Seconds ahead of UTC.
    Offset(i32),
    /// A zone, and the offset in front of its name.
    Named(Box<LocalZone>, Option<i32>),
}

/// The reason why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeTextFault {
    /// It is not of a form that is read.
    Form,
    /// It has another form than the declared format.
    Format(String),
    /// The local time is none, or more than one, in a zone.
    Local(LocalTimeFault, String),
    /// The offset of a text is not that of the zone behind it.
    OtherOffset(String),
}

impl TimeTextFault {
    /// Returns the reason for the person who has to fix the line.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Form => {
                "the string is not a time like 2026-01-15T12:30:00Z; if it has another form, \
                           declare that: OPTIONS ('time_format' '…')"
                    .to_owned()
            }
            Self::Format(format) => format!("the string is not a time of the format `{format}`"),
            Self::Local(LocalTimeFault::Twice, zone) => format!(
                "clocks of `{zone}` were set back over the local time, so that it is two instants"
            ),
            Self::Local(LocalTimeFault::Never, zone) => {
                format!(
                    "clocks of `{zone}` were set forward over the local time, so that it is no instant"
                )
            }
            Self::OtherOffset(zone) => {
                format!("the offset in the string is not that of `{zone}` at the time")
            }
        }
    }
}

impl TimeText {
    /// Creates a time with the offset that its text has.
    pub(crate) fn new(local: NaiveDateTime, offset: Option<i32>) -> Self {
        let zone = offset.map_or(TextZone::None, TextZone::Offset);
        Self { local, zone }
    }

    /// Parses a text without blanks around it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (local, rest) = parse_local(text)?;
        let zone = parse_zone(rest.trim_ascii())?;
        Some(Self { local, zone })
    }

    /// Returns the time in UTC; a text without a zone is a local time of `default`, or of UTC.
    pub(crate) fn utc(&self, default: Option<&LocalZone>) -> Result<NaiveDateTime, TimeTextFault> {
        let in_zone = |zone: &LocalZone| {
            let utc = zone.utc(self.local);
            utc.map_err(|fault| TimeTextFault::Local(fault, zone.name().to_owned()))
        };
        match &self.zone {
            TextZone::None => default.map_or(Ok(self.local), in_zone),
            TextZone::Offset(seconds) => self.minus(*seconds),
            TextZone::Named(zone, None) => in_zone(zone),
            TextZone::Named(zone, Some(seconds)) => match zone.has_offset(self.local, *seconds) {
                true => self.minus(*seconds),
                false => Err(TimeTextFault::OtherOffset(zone.name().to_owned())),
            },
        }
    }

    fn minus(&self, seconds: i32) -> Result<NaiveDateTime, TimeTextFault> {
        // Not the difference of a duration, which would lose a leap second.
        let offset = FixedOffset::east_opt(seconds);
        let utc = offset.and_then(|offset| self.local.checked_sub_offset(offset));
        utc.ok_or(TimeTextFault::Form)
    }
}

/// Parses a date, and a time of day if there is one, and returns the rest.
fn parse_local(text: &str) -> Option<(NaiveDateTime, &str)> {
    let bytes = text.as_bytes();
    let date = bytes.first_chunk::<10>()?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let year = two(bytes, 0)? * 100 + two(bytes, 2)?;
    let year = i32::try_from(year).ok()?;
    let date = NaiveDate::from_ymd_opt(year, two(bytes, 5)?, two(bytes, 8)?)?;
    if bytes.len() == 10 {
        return Some((date.and_hms_opt(0, 0, 0)?, ""));
    }
    if !matches!(bytes.get(10)?, b'T' | b't' | b' ') {
        return None;
    }
    let hour = two(bytes, 11)?;
    let (minute, second, nanosecond, end) = match (bytes.get(13)?, bytes.get(16)) {
        (b':', Some(b':')) => {
            let (nanosecond, end) = fraction(bytes, 19)?;
            (two(bytes, 14)?, two(bytes, 17)?, nanosecond, end)
        }
        (b':', _) => (two(bytes, 14)?, 0, 0, 16),
        _ => (two(bytes, 13)?, two(bytes, 15)?, 0, 17),
    };
    let rest = text.get(end..)?;
    if hour == 24 {
        let is_end_of_day = (minute, second, nanosecond) == (0, 0, 0);
        let next = date.succ_opt().filter(|_| is_end_of_day)?;
        return Some((next.and_hms_opt(0, 0, 0)?, rest));
    }
    // chrono keeps a leap second as the second before it with more than a second of nanoseconds.
    let (second, nanosecond) = match second {
        60 => (59, nanosecond + 1_000_000_000),
        second => (second, nanosecond),
    };
    Some((
        date.and_hms_nano_opt(hour, minute, second, nanosecond)?,
        rest,
    ))
}

/// Parses two digits.
fn two(bytes: &[u8], at: usize) -> Option<u32> {
    let digit = |at: usize| {
        let byte = *bytes.get(at)?;
        byte.is_ascii_digit().then(|| u32::from(byte - b'0'))
    };
    Some(digit(at)? * 10 + digit(at + 1)?)
}

/// Parses a fraction of a second behind a point or a comma, if there is one, and returns the nanoseconds
/// and its end. Digits beyond nanoseconds are cut.
pub(crate) fn fraction(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    match bytes.get(at) {
        Some(b'.' | b',') => digits_of_fraction(bytes, at + 1),
        _ => Some((0, at)),
    }
}

/// Parses the digits of a fraction of a second, at least one.
pub(crate) fn digits_of_fraction(bytes: &[u8], start: usize) -> Option<(u32, usize)> {
    let digits = bytes.get(start..)?.iter();
    let count = digits.take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let digit = |n: usize| match bytes.get(start + n) {
        Some(byte) if n < count => u32::from(byte - b'0'),
        _ => 0,
    };
    let nanoseconds = (0..9).fold(0, |value, n| value * 10 + digit(n));
    Some((nanoseconds, start + count))
}

fn parse_zone(text: &str) -> Option<TextZone> {
    if text.is_empty() {
        return Some(TextZone::None);
    }
    if let Some((before, name)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        let zone = Box::new(LocalZone::named(name.strip_prefix('!').unwrap_or(name))?);
        return Some(match before {
            "" => TextZone::Named(zone, None),
            // Z says that the offset of the place is not known.
            "Z" | "z" => TextZone::Offset(0),
            offset => TextZone::Named(zone, Some(offset_seconds(offset)?)),
        });
    }
    let (first, abbreviation) = text.split_once(' ').unwrap_or((text, ""));
    if let Some(seconds) = offset_seconds(first) {
        return is_abbreviation(abbreviation.trim_ascii_start(), seconds)
            .then_some(TextZone::Offset(seconds));
    }
    if !abbreviation.is_empty() {
        return None;
    }
    match text {
        "Z" | "z" | "UTC" | "GMT" => Some(TextZone::Offset(0)),
        name => Some(TextZone::Named(Box::new(LocalZone::named(name)?), None)),
    }
}

/// Returns true for what Go writes behind an offset: nothing, or an abbreviation of the zone's name, which
/// adds nothing to the offset.
fn is_abbreviation(text: &str, seconds: i32) -> bool {
    match text {
        "UTC" | "GMT" => seconds == 0,
        // A zone without an abbreviation is written as its offset again.
        text if text.starts_with(['+', '-']) => offset_seconds(text) == Some(seconds),
        text => text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Option<String> {
        let time = TimeText::parse(text)?.utc(None).ok()?;
        Some(time.format("%Y-%m-%dT%H:%M:%S%.f").to_string())
    }

    #[test]
    fn times_of_loggers_are_read() {
        for (text, expected) in [
            ("2026-01-15T10:00Z", "2026-01-15T10:00:00"),
            ("2026-01-15 10:00", "2026-01-15T10:00:00"),
            ("2026-01-15T10:00+0100", "2026-01-15T09:00:00"),
            ("2026-01-15T10:00:00,123Z", "2026-01-15T10:00:00.123"),
            ("2026-01-15 10:00:00,5", "2026-01-15T10:00:00.500"),
            (
                "2026-01-15T10:00:00.1234567899Z",
                "2026-01-15T10:00:00.123456789",
            ),
            ("2026-01-15 10:00:00 +0000", "2026-01-15T10:00:00"),
            ("2026-01-15 10:00:00.5 +0000 UTC", "2026-01-15T10:00:00.500"),
            ("2026-01-15 10:00:00 +0100 CET", "2026-01-15T09:00:00"),
            ("2026-01-15 10:00:00 -0300 -03", "2026-01-15T13:00:00"),
            ("2026-01-15T10:00:00 UTC", "2026-01-15T10:00:00"),
            ("2026-01-15T10:00:00UTC", "2026-01-15T10:00:00"),
            ("2026-01-15 10:00 GMT", "2026-01-15T10:00:00"),
            ("2026-01-15T24:00:00Z", "2026-01-16T00:00:00"),
            ("2026-12-31T24:00Z", "2027-01-01T00:00:00"),
            (
                "2026-01-15T10:00:00+01:00[Europe/Berlin]",
                "2026-01-15T09:00:00",
            ),
            ("2026-01-15T10:00[Europe/Berlin]", "2026-01-15T09:00:00"),
            ("2026-01-15T10:00Z[Europe/Berlin]", "2026-01-15T10:00:00"),
            ("2026-01-15 10:00:00 Europe/Berlin", "2026-01-15T09:00:00"),
            ("2026-01-15", "2026-01-15T00:00:00"),
            ("2026-01-15 100203", "2026-01-15T10:02:03"),
            ("2026-01-15 100203-07:30", "2026-01-15T17:32:03"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2026-01-15T",
            "2026-01-15T10",
            "2026-01-15T10:0",
            "2026-01-15T10:60Z",
            "2026-01-15T24:00:01Z",
            "2026-01-15T24:30Z",
            "2026-01-15T25:00Z",
            "2026-02-29T10:00Z",
            "2026-01-15T10:00:00.Z",
            "2026-01-15T10:00:00,Z",
            "2026-01-15T10:00,5Z",
            "2026-01-15T10:00:00 XYZ",
            "2026-01-15 1002",
            "2026-01-15 10020",
            "2026-01-15 10:00:00 +0100 UTC",
            "2026-01-15 10:00:00 +0100 +02",
            "2026-01-15 10:00:00 UTC UTC",
            "2026-01-15T10:00:00+01:00[Europe/Berln]",
            "2026-01-15T10:00:00+01:60",
            "2026-01-15T10:00:00Z.",
            "2026/01/15 10:00",
            "+026-01-15T10:00Z",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
        let other = TimeText::parse("2026-01-15T10:00:00+02:00[Europe/Berlin]").unwrap();
        let berlin = "Europe/Berlin".to_owned();
        assert_eq!(other.utc(None), Err(TimeTextFault::OtherOffset(berlin)));
    }

    #[test]
    fn a_text_without_a_zone_is_a_local_time() {
        let berlin = LocalZone::named("Europe/Berlin").unwrap();
        let utc = |text: &str| TimeText::parse(text).unwrap().utc(Some(&berlin));
        let expected = "2026-07-15T08:00:00".parse().unwrap();
        assert_eq!(utc("2026-07-15 10:00"), Ok(expected));
        assert_eq!(
            utc("2026-07-15 08:00Z"),
            Ok(expected),
            "its own zone goes first"
        );
        let fault = utc("2026-10-25 02:30").unwrap_err();
        assert_eq!(
            fault.reason(),
            "clocks of `Europe/Berlin` were set back over the local time, so that it is two instants"
        );
    }
}
