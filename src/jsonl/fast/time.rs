//! Dates and times.

use crate::jsonl::fast::scan::byte;

/// Returns the days since 1970-01-01 of a date `YYYY-MM-DD` in the years 0001 to 9999.
#[inline]
fn days(text: &[u8; 10]) -> Option<i32> {
    let digit = |n: usize| i32::from(text[n].wrapping_sub(b'0'));
    let digits = [0, 1, 2, 3, 5, 6, 8, 9].map(digit);
    if digits.iter().any(|digit| *digit > 9) || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let [y1, y2, y3, y4, m1, m2, d1, d2] = digits;
    let year = y1 * 1000 + y2 * 100 + y3 * 10 + y4;
    let (month, day) = (m1 * 10 + m2, d1 * 10 + d2);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || !(1..=length).contains(&day) {
        return None;
    }
    // A year that begins in March ends with the leap day. 400 years are added, so that no number is
    // negative.
    let (march_year, march_month) = match month {
        1 | 2 => (year + 399, month + 9),
        _ => (year + 400, month - 3),
    };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let days_before_year = march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400;
    Some(days_before_year + day_of_year - 719_468 - 146_097)
}

/// Reads a string `"YYYY-MM-DD"`, and returns the days since 1970-01-01 and its end.
pub(crate) fn date(line: &[u8], at: usize) -> Option<(i32, usize)> {
    let text: &[u8; 12] = line.get(at..)?.first_chunk()?;
    if text[0] != b'"' || text[11] != b'"' {
        return None;
    }
    Some((days(text[1..].first_chunk()?)?, at + text.len()))
}

/// Reads a string `"YYYY-MM-DDTHH:MM:SS[.f{1,9}]Z"`, and returns the seconds since 1970-01-01, the
/// nanoseconds and its end. Returns `None` for leap seconds.
#[inline]
pub(crate) fn timestamp(line: &[u8], at: usize) -> Option<(i64, i64, usize)> {
    let text: &[u8; 20] = line.get(at..)?.first_chunk()?;
    if text[0] != b'"' || text[11] != b'T' || text[14] != b':' || text[17] != b':' {
        return None;
    }
    let digits = [12, 13, 15, 16, 18, 19].map(|n: usize| i64::from(text[n].wrapping_sub(b'0')));
    if digits.iter().any(|digit| *digit > 9) {
        return None;
    }
    let [h1, h2, m1, m2, s1, s2] = digits;
    let (hours, minutes, seconds) = (h1 * 10 + h2, m1 * 10 + m2, s1 * 10 + s2);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let day = i64::from(days(text[1..].first_chunk()?)?);
    let timestamp = day * 86_400 + hours * 3600 + minutes * 60 + seconds;
    let (nanoseconds, end) = fraction(line, at + text.len())?;
    (line.get(end..end + 2)? == b"Z\"").then_some((timestamp, nanoseconds, end + 2))
}

/// Reads a fraction of 1 to 9 digits, and returns the nanoseconds and its end; 0 if there is none.
#[inline]
fn fraction(line: &[u8], at: usize) -> Option<(i64, usize)> {
    if byte(line, at) != b'.' {
        return Some((0, at));
    }
    let start = at + 1;
    let (mut value, mut end, mut unit) = (0, start, 1_000_000_000);
    loop {
        let digit = byte(line, end).wrapping_sub(b'0');
        if digit > 9 {
            return (end > start).then_some((value * unit, end));
        }
        if unit == 1 {
            return None;
        }
        value = value * 10 + i64::from(digit);
        unit /= 10;
        end += 1;
    }
}
