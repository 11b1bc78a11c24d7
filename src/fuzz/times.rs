//! Texts of times against arrow's and chrono's parsers.

use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::{DateTime, TimeZone, Utc};

use super::input::Input;
use crate::jsonl::{TimeFormat, instant_of_text};

pub(super) fn times(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let read = instant_of_text(text);
    let is_plain = !text
        .bytes()
        .skip(11)
        .any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'Z' | b'z'));
    if let (true, Ok(expected)) = (is_plain, string_to_datetime(&Utc, text)) {
        let read = read.map(|read| read.timestamp_micros());
        // Minutes of offsets above 59 are none.
        if read.is_none() {
            let offset = text.rsplit(['+', '-', ' ']).next().unwrap_or_default();
            let minutes = offset
                .get(offset.len().saturating_sub(2)..)
                .unwrap_or_default();
            assert!(
                minutes.parse::<u8>().is_ok_and(|minutes| minutes > 59),
                "{text}"
            );
        } else {
            assert_eq!(read, Some(expected.timestamp_micros()), "{text}");
        }
    }
}

fn read(format: &TimeFormat, text: &str) -> Option<DateTime<Utc>> {
    let utc = format.read(text)?.utc(None).ok()?;
    Some(utc.and_utc())
}

pub(super) fn time_formats(data: &[u8]) {
    let mut input = Input::new(data);
    let (text, seconds, other) = (input.text(), input.number(), input.text());
    let Ok(format) = TimeFormat::parse(&text) else {
        return;
    };
    // Any text is read or not, without a panic.
    let _ = read(&format, &other);
    // A text that chrono writes by a format without `%f` is read as the time that it stands for.
    let Some(time) = Utc
        .timestamp_opt(seconds.rem_euclid(4_000_000_000), 0)
        .single()
    else {
        return;
    };
    if !text.contains("%f") {
        let written = time.format(&text).to_string();
        let read = read(&format, written.trim_ascii());
        let has_two_digits = text.contains("%y") || text.contains("%D") || text.contains("%x");
        let is_close = |read: DateTime<Utc>| {
            let difference = (time - read).num_seconds();
            (0..86_400).contains(&difference)
        };
        assert!(
            has_two_digits || read.is_some_and(is_close),
            "{text:?} {written:?} {read:?}"
        );
    }
}
