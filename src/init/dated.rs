//! The pattern of a LOCATION for folders that are dates without the names of columns, level by level.

use std::collections::BTreeSet;

use crate::init::folders::date_of;

/// The parts of a time that the names of one level have, in the order of their placeholders.
type Parts = Vec<(&'static str, String)>;

/// The names of one level of folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DatedLevel {
    /// The pattern of all of them, such as `{year}` or `events_{date}`.
    pub(super) pattern: String,
    /// The parts of the time that each has.
    pub(super) values: Vec<Parts>,
}

/// A name with a time in it.
struct DatedName<'a> {
    before: &'a str,
    form: String,
    after: &'a str,
    values: Parts,
}

/// Recognises the folders of one level below folders whose names have the parts `known`. Names without any part
/// of a time are `*`. Returns `None` if the names are of several forms.
pub(super) fn level(names: &[&str], known: &BTreeSet<&'static str>) -> Option<DatedLevel> {
    let dated: Vec<Option<DatedName<'_>>> = names.iter().map(|name| dated(name, known)).collect();
    if !known.is_empty() && dated.iter().all(Option::is_none) {
        let is_plain = names.iter().all(|name| !name.contains('='));
        return is_plain.then(|| DatedLevel {
            pattern: "*".to_owned(),
            values: vec![Vec::new(); names.len()],
        });
    }
    let dated: Vec<DatedName<'_>> = dated.into_iter().collect::<Option<_>>()?;
    let first = dated.first()?;
    if dated.iter().any(|other| other.form != first.form) {
        return None;
    }
    let common = |text: fn(&DatedName<'_>) -> String| {
        let is_same = dated.iter().all(|other| text(other) == text(first));
        if is_same {
            escaped(&text(first))
        } else {
            "*".to_owned()
        }
    };
    let before = common(|name| name.before.to_owned());
    let after = common(|name| name.after.to_owned());
    Some(DatedLevel {
        pattern: format!("{before}{}{after}", first.form),
        values: dated.into_iter().map(|name| name.values).collect(),
    })
}

/// Returns true for the name of a folder that is a date or a part of one.
pub(super) fn is_dated(name: &str) -> bool {
    dated(name, &BTreeSet::new()).is_some()
}

/// Puts a backslash before the characters that mean something in a LOCATION.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '{' | '}') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn dated<'a>(name: &'a str, known: &BTreeSet<&'static str>) -> Option<DatedName<'a>> {
    if name.contains('=') {
        return None;
    }
    if let Some(part) = lone_part(name, known) {
        return Some(DatedName {
            before: "",
            form: format!("{{{part}}}"),
            after: "",
            values: vec![(part, name.to_owned())],
        });
    }
    if known.contains("year") || known.contains("date") {
        return None;
    }
    let is_digit = |index: usize| name.as_bytes().get(index).is_some_and(u8::is_ascii_digit);
    let starts = name.char_indices().filter(|(index, _)| {
        let before = index.checked_sub(1);
        is_digit(*index) && !before.is_some_and(is_digit)
    });
    let mut starts = starts.map(|(index, _)| name.split_at(index));
    starts.find_map(|(before, rest)| {
        let (form, values, length) = time_at_start(rest)?;
        let after = rest.get(length..)?;
        Some(DatedName {
            before,
            form,
            after,
            values,
        })
    })
}

/// Returns the part of a time that a number is below folders with the known parts.
fn lone_part(name: &str, known: &BTreeSet<&'static str>) -> Option<&'static str> {
    if !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u32 = name.parse().ok()?;
    let has = |part| known.contains(part);
    let has_day = has("day") || has("date");
    if name.len() == 4 {
        let is_year = known.is_empty() && (1990..=2100).contains(&number);
        return is_year.then_some("year");
    }
    let parts = [
        ("month", has("year") && !has("month"), 1..=12),
        ("day", has("month") && !has("day"), 1..=31),
        ("hour", has_day && !has("hour"), 0..=23),
        ("minute", has("hour") && !has("minute"), 0..=59),
    ];
    let mut parts = parts.into_iter();
    let (part, _, range) = parts.find(|(_, is_next, _)| *is_next)?;
    (name.len() <= 2 && range.contains(&number)).then_some(part)
}

/// Parses the time that a text begins with. Returns its placeholders, its parts and its length.
fn time_at_start(text: &str) -> Option<(String, Parts, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let two = |start: usize, most: u32| {
        let two = text.get(start..start + 2)?;
        let is_number = two.bytes().all(|byte| byte.is_ascii_digit());
        let ends = !text
            .as_bytes()
            .get(start + 2)
            .is_some_and(u8::is_ascii_digit);
        (is_number && ends && two.parse::<u32>().ok()? <= most).then(|| two.to_owned())
    };
    let compact = text
        .get(..8)
        .filter(|_| digits == 8 || digits == 10)
        .and_then(date_of);
    let mut lengths = [10, 9, 8].into_iter();
    let dashed = lengths.find_map(|length| {
        let text = text.get(..length).filter(|_| digits == 4)?;
        date_of(text).map(|date| (date, length))
    });
    let (date, length) = match (dashed, compact) {
        (Some(dashed), _) => dashed,
        (None, Some(date)) => (date, 8),
        (None, None) => {
            let year = text.get(..4).filter(|_| digits == 4)?;
            let is_year = (1990..=2100).contains(&year.parse::<u32>().ok()?);
            let month = text
                .get(4..5)
                .filter(|_| is_year)
                .filter(|dash| *dash == "-");
            let month = month
                .and_then(|_| two(5, 12))
                .filter(|month| month != "00")?;
            let parts = vec![("year", year.to_owned()), ("month", month)];
            return Some(("{year}-{month}".to_owned(), parts, 7));
        }
    };
    let date = ("date", date.to_string());
    if digits == 10 {
        let hour = two(8, 23)?;
        let form = "{year}{month}{day}{hour}".to_owned();
        let year = text.get(..4)?.to_owned();
        let parts = vec![
            ("year", year),
            ("month", text.get(4..6)?.to_owned()),
            ("day", text.get(6..8)?.to_owned()),
            ("hour", hour),
        ];
        return Some((form, parts, 10));
    }
    let separator = text
        .get(length..=length)
        .filter(|c| matches!(*c, "-" | "_" | "T"));
    Some(
        match separator.and_then(|separator| Some((separator, two(length + 1, 23)?))) {
            Some((separator, hour)) => (
                format!("{{date}}{separator}{{hour}}"),
                vec![date, ("hour", hour)],
                length + 3,
            ),
            None => ("{date}".to_owned(), vec![date], length),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(names: &[&str], known: &[&'static str]) -> String {
        let known = known.iter().copied().collect();
        level(names, &known).map_or_else(String::new, |level| level.pattern)
    }

    #[test]
    fn levels_have_patterns() {
        for (names, known, expected) in [
            (&["2025", "2026"][..], &[][..], "{year}"),
            (&["01", "12"], &["year"], "{month}"),
            (&["1", "31"], &["year", "month"], "{day}"),
            (&["00", "23"], &["year", "month", "day"], "{hour}"),
            (&["00", "23"], &["date"], "{hour}"),
            (&["05"], &["date", "hour"], "{minute}"),
            (&["2026-01-15", "2026-01-16"], &[], "{date}"),
            (&["events_20260115"], &[], "events_{date}"),
            (&["a-20260115", "b-20260115"], &[], "*{date}"),
            (&["a{-20260115"], &[], "a\\{-{date}"),
            (&["2026-01-15T03"], &[], "{date}T{hour}"),
            (&["2026011503"], &[], "{year}{month}{day}{hour}"),
            (&["2026-01"], &[], "{year}-{month}"),
            (&["2026-1-5", "2026-12-31"], &[], "{date}"),
            (&["2026-1-5T03"], &[], "{date}T{hour}"),
            (&["web", "app"], &["date"], "*"),
        ] {
            assert_eq!(pattern(names, known), expected, "{names:?}");
        }
        for (names, known) in [
            (&["2026", "2026-01-15"][..], &[][..]),
            (&["01", "x"], &["year"]),
            (&["13"], &["year"]),
            (&["org=7"], &["date"]),
            (&["web"], &[]),
        ] {
            let found = pattern(names, known);
            assert!(found.is_empty() || found == "*", "{names:?}: {found}");
        }
    }

    #[test]
    fn names_have_values() {
        let values = |name: &str| level(&[name], &BTreeSet::new()).unwrap().values;
        let hour = ("hour", "03".to_owned());
        let date = ("date", "2026-01-15".to_owned());
        assert_eq!(values("x_20260115-03"), [vec![date, hour]]);
    }
}
