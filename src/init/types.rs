//! Chooses a type for each path of a sample. What no type holds is left out with its reason, not guessed.

use crate::init::column::{BIGINT, Column, ColumnType, LeftOut, Note, VARCHAR};
use crate::init::epoch::epoch_unit;
use crate::init::facts::{Facts, ObjectFacts};
use crate::init::numbers::NumberType;
use crate::init::place::Place;
use crate::jsonl::EpochUnit;

/// The number of keys from which an object may be a map.
const MAP_KEYS: usize = 100;

/// The number of keys from which an object is a map in any case.
const MAX_KEYS: usize = 1000;

/// The minimum number of keys that look like ids for a map.
const MIN_ID_KEYS: usize = 3;

/// The number of rows from which a column may be rare: one in a hundred.
const RARE: u64 = 100;

/// Returns the columns of rows, which are objects.
pub(super) fn columns(rows: &ObjectFacts) -> Vec<Column> {
    members(rows, rows.seen.count)
}

fn members(objects: &ObjectFacts, rows: u64) -> Vec<Column> {
    let names: Vec<&str> = objects.members().map(|(name, _)| name).collect();
    let members = objects.members().map(|(name, facts)| {
        let mut column = column(name, facts, rows);
        let folded = name.to_lowercase();
        let twin = names
            .iter()
            .find(|other| **other != name && other.to_lowercase() == folded);
        if let Some(twin) = twin {
            column.notes.push(Note::CaseOnly((*twin).to_owned()));
        }
        column
    });
    members.collect()
}

fn column(name: &str, facts: &Facts, rows: u64) -> Column {
    let mut notes = Vec::new();
    let declared = match name {
        "" => Err(LeftOut::NoName),
        name => data_type(name, facts, rows, &mut notes),
    };
    let is_rare = facts.values() > 0 && facts.values() * RARE < rows;
    if is_rare {
        let values = facts.values();
        notes.push(Note::Rare { values, rows });
    }
    if facts.repeated.count > 0 {
        notes.push(Note::Repeated(facts.repeated.first));
    }
    Column {
        name: name.to_owned(),
        declared,
        notes,
        is_required: false,
        is_rare,
    }
}

/// Returns the type of the values at one path.
fn data_type(
    name: &str,
    facts: &Facts,
    rows: u64,
    notes: &mut Vec<Note>,
) -> Result<ColumnType, LeftOut> {
    let kinds = [
        ("true or false", facts.booleans),
        ("a number", facts.numbers.seen),
        ("a string", facts.texts.seen),
        ("an object", facts.objects.seen),
        ("a list", facts.lists.seen),
    ];
    let found: Vec<(&'static str, Place)> = kinds
        .iter()
        .filter_map(|(kind, seen)| Some((*kind, seen.first?)))
        .collect();
    match found.as_slice() {
        [] => {
            notes.push(Note::OnlyNull);
            Ok(VARCHAR)
        }
        [_] if facts.booleans.count > 0 => Ok(ColumnType::Plain("BOOLEAN")),
        [_] if facts.numbers.seen.count > 0 => number(name, facts, notes),
        [_] if facts.texts.seen.count > 0 => Ok(text(facts, notes)),
        [_] if facts.objects.seen.count > 0 => object(&facts.objects, rows),
        [_] => list(name, facts, rows, notes),
        _ if are_whole_numbers(facts, &found) => {
            notes.push(Note::NumbersInText(facts.texts.seen.first));
            Ok(BIGINT)
        }
        _ => Err(LeftOut::Mixed(found)),
    }
}

/// Returns true if all values are whole numbers, some of them in strings, which BIGINT reads too.
fn are_whole_numbers(facts: &Facts, found: &[(&str, Place)]) -> bool {
    found.len() == 2
        && facts.numbers.number_type() == Some(NumberType::BigInt)
        && facts.texts.integers.count == facts.texts.seen.count
        && facts.texts.seen.count > 0
}

fn number(name: &str, facts: &Facts, notes: &mut Vec<Note>) -> Result<ColumnType, LeftOut> {
    let numbers = &facts.numbers;
    if let Some(unit) = epoch_unit(name, numbers)
        && unit != EpochUnit::Nanosecond
    {
        return Ok(ColumnType::Timestamp { unit: Some(unit) });
    }
    match numbers.number_type() {
        Some(NumberType::BigInt) => Ok(BIGINT),
        Some(NumberType::Decimal { precision, scale }) => {
            Ok(ColumnType::Decimal { precision, scale })
        }
        Some(NumberType::Double) => {
            if numbers.rounded.count > 0 {
                notes.push(Note::Rounded(numbers.rounded.first));
            }
            Ok(ColumnType::Plain("DOUBLE"))
        }
        None => Err(LeftOut::Digits(
            numbers.beyond_all.first.or(numbers.seen.first),
        )),
    }
}

fn text(facts: &Facts, notes: &mut Vec<Note>) -> ColumnType {
    let texts = &facts.texts;
    let all = texts.seen.count;
    if texts.instants.count == all {
        return instant(facts, notes);
    }
    if texts.dates.count == all {
        return ColumnType::Plain("DATE");
    }
    // Nine in ten: the others may be mistakes.
    if texts.instants.count * 10 >= all * 9 {
        notes.push(Note::NotAllTimes(texts.first_without_instant()));
    }
    VARCHAR
}

/// Returns the type of strings that are times, and adds what it does not keep of them.
pub(super) fn instant(facts: &Facts, notes: &mut Vec<Note>) -> ColumnType {
    let texts = &facts.texts;
    if texts.local_times.count > 0 {
        notes.push(Note::NoZone);
    }
    if texts.offsets.count > 0 {
        notes.push(Note::Offsets(texts.offsets.first));
    }
    if texts.fraction_digits > 6 {
        notes.push(Note::FinerThanMicroseconds(texts.seen.first));
    }
    ColumnType::Timestamp { unit: None }
}

fn object(objects: &ObjectFacts, rows: u64) -> Result<ColumnType, LeftOut> {
    let count = objects.members().len();
    if is_map(objects) {
        return Err(LeftOut::Map {
            keys: count,
            first: objects.seen.first,
        });
    }
    let members = members(objects, rows);
    match members.iter().any(|member| member.declared.is_ok()) {
        true => Ok(ColumnType::Struct(members)),
        false => Err(LeftOut::NoMembers(objects.seen.first)),
    }
}

/// Returns true if the keys of objects are data: many keys of which each object has few, or keys that
/// look like ids.
fn is_map(objects: &ObjectFacts) -> bool {
    let count = objects.members().len();
    let ids = objects.members().filter(|(key, _)| is_id(key)).count();
    if ids >= MIN_ID_KEYS && ids * 10 >= count * 8 {
        return true;
    }
    let present: u64 = objects.members().map(|(_, facts)| facts.present).sum();
    let is_sparse = present * 10 < objects.seen.count * count as u64;
    count > MAX_KEYS || count > MAP_KEYS && is_sparse
}

/// Returns true for a key that names a thing of the data and not a column: a number, a date, a UUID, a
/// hash, an address.
fn is_id(key: &str) -> bool {
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    let is_hexadecimal = key
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_number = digits > 0
        && key
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"-.:".contains(&byte));
    is_number
        || (key.len() >= 16 && digits >= 2 && is_hexadecimal)
        || key.contains('@')
        || key.contains("://")
}

fn list(
    name: &str,
    facts: &Facts,
    rows: u64,
    notes: &mut Vec<Note>,
) -> Result<ColumnType, LeftOut> {
    let element = match &facts.lists.element {
        None => {
            notes.push(Note::OnlyEmptyLists);
            VARCHAR
        }
        Some(element) => data_type(name, element, rows, notes)?,
    };
    Ok(ColumnType::List(Box::new(element)))
}

#[cfg(test)]
mod tests;
