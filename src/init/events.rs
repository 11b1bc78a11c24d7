//! Chooses the column that names the kind of each event.

use std::collections::BTreeMap;

use crate::init::facts::{Facts, ObjectFacts};
use crate::init::json::Json;
use crate::init::names::snake_case;

/// Names of columns that name events, the best first. The first ones name nothing else.
const NAMES: [&str; 11] = [
    "event_name",
    "event_type",
    "event",
    "name",
    "type",
    "schema",
    "kind",
    "action",
    "event_schema",
    "log_type",
    "topic",
];

/// Names of columns that tell rows apart by kind, even where there are few rows.
const KINDS: [&str; 4] = ["type", "kind", "schema", "event_schema"];

/// The number of rows below which kinds may be as many as rows.
const FEW_ROWS: u64 = 20;

/// The number of [`NAMES`] that name nothing else.
const CERTAIN: usize = 3;

/// The number of levels of structs in which the name of an event is looked for.
const MAX_DEPTH: usize = 2;

/// The maximum number of names of events, and the maximum length of each.
const MAX_NAMES: u64 = 500;
const MAX_NAME_LENGTH: usize = 120;

/// A column with the names of events, and how many rows of the sample have each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventColumn {
    pub(super) path: Vec<String>,
    /// The names, the most frequent first.
    pub(super) names: Vec<(String, u64)>,
    /// The rows without a name.
    pub(super) missing: u64,
}

/// Returns the paths of columns that may name events, the best first.
pub(super) fn candidates(rows: &ObjectFacts) -> Vec<Vec<String>> {
    let mut found: Vec<(usize, usize, Vec<String>)> = Vec::new();
    push_candidates(rows, rows.seen.count, &mut Vec::new(), &mut found);
    found.sort_by_key(|(depth, rank, _)| (*depth, *rank));
    found.into_iter().map(|(_, _, path)| path).collect()
}

fn push_candidates(
    objects: &ObjectFacts,
    rows: u64,
    path: &mut Vec<String>,
    found: &mut Vec<(usize, usize, Vec<String>)>,
) {
    for (name, facts) in objects.members() {
        path.push(name.to_owned());
        let rank = rank_of(path);
        if let Some(rank) = rank.filter(|_| is_text(facts) && facts.values() * 20 >= rows * 19) {
            found.push((path.len(), rank, path.clone()));
        } else if path.len() < MAX_DEPTH && facts.values() == facts.objects.seen.count {
            push_candidates(&facts.objects, rows, path, found);
        }
        path.pop();
    }
}

/// Returns the rank of a path by its name. Inside of structs only names that name nothing else count:
/// `data.event_type`, or `event.name`.
fn rank_of(path: &[String]) -> Option<usize> {
    let rank = |name: &str| NAMES.iter().position(|known| *known == name);
    let (last, above) = path.split_last()?;
    match above.last() {
        None => rank(&snake_case(last)),
        Some(above) => {
            let joined = format!("{}_{}", snake_case(above), snake_case(last));
            let ranks = [rank(&snake_case(last)), rank(&joined)];
            ranks
                .into_iter()
                .flatten()
                .min()
                .filter(|rank| *rank < CERTAIN)
        }
    }
}

fn is_text(facts: &Facts) -> bool {
    let texts = &facts.texts;
    texts.seen.count > 0
        && texts.seen.count == facts.values()
        && texts.others.count * 10 >= texts.seen.count * 9
}

impl EventColumn {
    /// Counts the names of a column.
    pub(super) fn count<'a>(path: &[String], rows: impl Iterator<Item = &'a Json<'a>>) -> Self {
        let (mut counts, mut missing) = (BTreeMap::<&str, u64>::new(), 0);
        for row in rows {
            match row.at(path).and_then(Json::as_text) {
                Some(name) => *counts.entry(name).or_default() += 1,
                None => missing += 1,
            }
        }
        let mut names: Vec<(String, u64)> = counts
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count))
            .collect();
        names.sort_by(|(one, ones), (other, others)| others.cmp(ones).then(one.cmp(other)));
        Self {
            path: path.to_vec(),
            names,
            missing,
        }
    }

    /// Returns true if the values are names of events, and not of things: few for the number of rows, and
    /// like words.
    pub(super) fn is_plausible(&self) -> bool {
        let rows: u64 = self.names.iter().map(|(_, count)| count).sum();
        let names = self.names.len() as u64;
        let rank = rank_of(&self.path);
        let is_certain = rank.is_some_and(|rank| rank < CERTAIN);
        // Also people and things have a name, and each row may have another one.
        let is_kind = self
            .path
            .last()
            .is_some_and(|last| KINDS.contains(&snake_case(last).as_str()));
        let are_names = self.names.iter().all(|(name, _)| is_event_name(name));
        // A column of one value tells nothing apart, unless it is there for that.
        let is_telling = names > 1 || is_certain;
        let are_few =
            names <= MAX_NAMES && (is_certain || is_kind && rows < FEW_ROWS || names * 4 <= rows);
        are_names && is_telling && are_few && names > 0
    }

    /// Returns the path as messages show it.
    pub(super) fn shown(&self) -> String {
        self.path.join(".")
    }
}

/// Returns true for a text that may name a kind of event: it has a letter, is short, and is no address or
/// id.
fn is_event_name(name: &str) -> bool {
    let has_letter = name.chars().any(char::is_alphabetic);
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let is_address = name.contains("://") || name.contains('@') || name.contains('?');
    has_letter && name.len() <= MAX_NAME_LENGTH && !is_address && digits * 2 <= name.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::place::Place;

    /// Returns the column that is chosen, with its names.
    fn chosen(lines: &[String]) -> Option<String> {
        let rows: Vec<Json<'_>> = lines
            .iter()
            .map(|line| Json::parse(line).unwrap())
            .collect();
        let mut facts = Facts::default();
        for row in &rows {
            facts.add(row, Place { file: 0, line: 1 });
        }
        let columns = candidates(&facts.objects);
        let mut counted = columns
            .iter()
            .map(|path| EventColumn::count(path, rows.iter()));
        let column = counted.find(EventColumn::is_plausible)?;
        let names: Vec<&str> = column.names.iter().map(|(name, _)| name.as_str()).collect();
        Some(format!("{}: {}", column.shown(), names.join(" ")))
    }

    fn lines(count: usize, line: impl Fn(usize) -> String) -> Vec<String> {
        (0..count).map(line).collect()
    }

    #[test]
    fn certain_names_go_first() {
        let ids = lines(4, |row| format!(r#"{{"eventName":"e-77{row}"}}"#));
        assert_eq!(chosen(&ids), None);
        let found = chosen(&lines(4, |row| {
            let name = ["Create", "Delete"][row % 2];
            format!(r#"{{"type":"track","eventName":"{name}"}}"#)
        }));
        assert_eq!(found.unwrap(), "eventName: Create Delete");
    }

    #[test]
    fn names_of_people_are_no_events() {
        let people = lines(40, |row| {
            format!(r#"{{"name":"person {}"}}"#, "x".repeat(row))
        });
        assert_eq!(chosen(&people), None);
        let kinds = lines(40, |row| {
            format!(r#"{{"name":"kind {}"}}"#, "x".repeat(row % 5))
        });
        assert!(chosen(&kinds).unwrap().starts_with("name: "));
        let one = lines(40, |_| r#"{"type":"event"}"#.to_owned());
        assert_eq!(chosen(&one), None);
        let numbers = lines(40, |row| format!(r#"{{"type":"{}"}}"#, row % 2));
        assert_eq!(chosen(&numbers), None);
        let urls = lines(40, |row| format!(r#"{{"name":"https://x/{}"}}"#, row % 2));
        assert_eq!(chosen(&urls), None);
    }

    #[test]
    fn names_inside_of_structs_have_to_be_certain() {
        let of =
            |line: fn(&str) -> String| chosen(&lines(40, |row| line(["open", "close"][row % 2])));
        let found = of(|name| format!(r#"{{"event":{{"name":"{name}"}}}}"#));
        assert_eq!(found.unwrap(), "event.name: close open");
        let found = of(|name| format!(r#"{{"data":{{"eventType":"{name}"}}}}"#));
        assert_eq!(found.unwrap(), "data.eventType: close open");
        assert_eq!(
            of(|name| format!(r#"{{"repo":{{"name":"{name}"}}}}"#)),
            None
        );
        assert_eq!(
            of(|name| format!(r#"{{"repo":{{"type":"{name}"}}}}"#)),
            None
        );
    }

    #[test]
    fn a_column_that_rows_lack_names_no_events() {
        let found = chosen(&lines(40, |row| match row % 2 {
            0 => r#"{"type":"a","event":"x"}"#.to_owned(),
            _ => r#"{"type":"b"}"#.to_owned(),
        }));
        assert_eq!(found.unwrap(), "type: a b");
    }
}
