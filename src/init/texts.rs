//! The facts about strings: which of them are times, dates or whole numbers.

use chrono::{DateTime, NaiveDate, Utc};

use crate::init::place::{Place, Seen};
use crate::jsonl::instant_of_text;

/// The facts about the strings at one path.
#[derive(Debug, Default, Clone)]
pub(super) struct TextFacts {
    pub(super) seen: Seen,
    /// Times with a zone, as of RFC 3339.
    pub(super) instants: Seen,
    /// Times with another zone than UTC.
    pub(super) offsets: Seen,
    /// Times without a zone.
    pub(super) local_times: Seen,
    pub(super) dates: Seen,
    /// Whole numbers in the range of BIGINT, without zeros in front.
    pub(super) integers: Seen,
    /// Strings that are none of these.
    pub(super) others: Seen,
    /// The maximum number of digits of a fraction of a second.
    pub(super) fraction_digits: usize,
    /// The least and the greatest of the whole numbers.
    pub(super) integer_range: Option<(i64, i64)>,
}

/// The kind of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextKind {
    Instant {
        is_utc: bool,
        fraction_digits: usize,
    },
    LocalTime {
        fraction_digits: usize,
    },
    Date,
    Integer(i64),
    Other,
}

impl TextFacts {
    /// Adds a string.
    pub(super) fn add(&mut self, text: &str, place: Place) {
        self.seen.add(place);
        match TextKind::of(text) {
            TextKind::Instant {
                is_utc,
                fraction_digits,
            } => {
                self.instants.add(place);
                if !is_utc {
                    self.offsets.add(place);
                }
                self.fraction_digits = self.fraction_digits.max(fraction_digits);
            }
            TextKind::LocalTime { fraction_digits } => {
                self.local_times.add(place);
                self.fraction_digits = self.fraction_digits.max(fraction_digits);
            }
            TextKind::Date => self.dates.add(place),
            TextKind::Integer(value) => {
                self.integers.add(place);
                let (least, greatest) = self.integer_range.unwrap_or((value, value));
                self.integer_range = Some((least.min(value), greatest.max(value)));
            }
            TextKind::Other => self.others.add(place),
        }
    }

    /// Returns the place of the first string that is not a time with a zone.
    pub(super) fn first_without_instant(&self) -> Option<Place> {
        let others = [self.local_times, self.dates, self.integers, self.others];
        others.iter().filter_map(|seen| seen.first).min()
    }
}

impl TextKind {
    fn of(text: &str) -> Self {
        if let Some(value) = whole_number(text) {
            return Self::Integer(value);
        }
        let text = text.trim_ascii();
        let bytes = text.as_bytes();
        let is_dated =
            bytes.len() >= 10 && bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-');
        if !is_dated {
            return Self::Other;
        }
        if bytes.len() == 10 {
            return match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
                Ok(_) => Self::Date,
                Err(_) => Self::Other,
            };
        }
        let Some((digits, zone)) = split_zone(text) else {
            return Self::Other;
        };
        // The rule of the decoder, so that what is declared a time is read as one.
        if instant_of(text).is_none() {
            return Self::Other;
        }
        match zone {
            "" => Self::LocalTime {
                fraction_digits: digits,
            },
            zone => Self::Instant {
                is_utc: matches!(
                    zone.strip_suffix(" UTC").unwrap_or(zone),
                    "Z" | "z" | "UTC" | "GMT" | "+00:00" | "+0000" | "+00" | "-00:00"
                ),
                fraction_digits: digits,
            },
        }
    }
}

/// Splits `2026-01-15T10:00:00.123+02:00` into the number of digits of the fraction and the zone. Seconds may
/// be missing.
fn split_zone(text: &str) -> Option<(usize, &str)> {
    let rest = strip_form(text, b"0000-00-00T00:00")?;
    let Some(rest) = strip_form(rest, b":00") else {
        let zone = rest.trim_ascii_start();
        return is_zone(zone).then_some((0, zone));
    };
    let (digits, zone) = match rest.strip_prefix(['.', ',']) {
        None => (0, rest),
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            (digits, fraction.get(digits..).filter(|_| digits > 0)?)
        }
    };
    let zone = zone.trim_ascii_start();
    is_zone(zone).then_some((digits, zone))
}

/// Removes the beginning of a text whose bytes are as those of `form`: any digit for `0`, and any separator
/// of date and time for `T`.
fn strip_form<'a>(text: &'a str, form: &[u8]) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(form.len())?;
    let matches = start.bytes().zip(form).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        _ => byte == *form,
    });
    matches.then_some(rest)
}

fn is_zone(zone: &str) -> bool {
    let is_offset = |zone: &str| {
        let digits = zone.strip_prefix(['+', '-']);
        digits.is_some_and(|digits| {
            let digits = digits.replace(':', "");
            matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let offset = zone.strip_suffix(" UTC").unwrap_or(zone);
    matches!(zone, "" | "Z" | "z" | "UTC" | "GMT") || is_offset(offset)
}

/// Returns the instant of a time as the decoder reads it; without a zone it is UTC.
pub(super) fn instant_of(text: &str) -> Option<DateTime<Utc>> {
    instant_of_text(text)
}

/// Returns a whole number in the range of BIGINT that has one way to be written.
pub(super) fn whole_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let has_leading_zero = digits.len() > 1 && digits.starts_with('0');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_number && !has_leading_zero && text != "-0";
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_have_kinds() {
        let instant = |is_utc, fraction_digits| TextKind::Instant {
            is_utc,
            fraction_digits,
        };
        for (text, kind) in [
            ("2026-01-15T10:00:00Z", instant(true, 0)),
            ("2026-01-15T10:00:00.123456Z", instant(true, 6)),
            ("2026-01-15 10:00:00.5+02:00", instant(false, 1)),
            (
                "2026-01-15T10:00:00",
                TextKind::LocalTime { fraction_digits: 0 },
            ),
            ("2026-01-15", TextKind::Date),
            ("2026-13-15", TextKind::Other),
            ("2026-01-15T25:00:00Z", TextKind::Other),
            (
                "2026-01-15T10:00",
                TextKind::LocalTime { fraction_digits: 0 },
            ),
            (" 2026-01-15 10:00:00,123 +0000 UTC", instant(true, 3)),
            ("2026-01-15T10:00 Europe/Berlin", TextKind::Other),
            ("2026-01-15T10:00:00.Z", TextKind::Other),
            ("2026-01-15T10:00:00 and more", TextKind::Other),
            ("007", TextKind::Other),
            ("7", TextKind::Integer(7)),
            ("-0", TextKind::Other),
            ("92233720368547758080", TextKind::Other),
            ("1.5", TextKind::Other),
            ("", TextKind::Other),
            ("été-été-été", TextKind::Other),
        ] {
            assert_eq!(TextKind::of(text), kind, "{text}");
        }
    }
}
