//! Writes the declaration of a source, `sql/sources/<name>.sql`.

use std::fmt::Write;

use crate::human;
use crate::init::column::{Column, ColumnType, LeftOut, Note};
use crate::init::dated::escaped;
use crate::init::model::{SourceFiles, SourceModel};
use crate::init::names::{identifier, literal};
use crate::init::place::Place;
use crate::init::sample::Sample;
use crate::init::time::written;
use crate::jsonl::EpochUnit;
use crate::visible::visible_line;

/// The maximum number of other columns of times that are named.
const MAX_OTHERS: usize = 5;

/// The maximum length of a struct that is written on one line.
const MAX_INLINE: usize = 72;

/// Writes the declaration.
pub(super) fn source_sql(source: &SourceModel) -> String {
    let sample = &source.sample;
    let mut sql = format!(
        "-- {} of `{}`, as {} in {} have them.\n",
        match source.files {
            SourceFiles::Json if sample.has_documents() => "JSON documents",
            SourceFiles::Json => "JSON lines",
            SourceFiles::Parquet => "Parquet files",
        },
        visible_line(&source.location),
        human::counted(sample.lines.len() as u64, "row"),
        human::counted(sample.files.len() as u64, "file"),
    );
    let _ = writeln!(sql, "CREATE EXTERNAL TABLE {} (", source.name);
    for line in header(source) {
        let _ = writeln!(sql, "  -- {line}");
    }
    let mut lines: Vec<Line> = Vec::new();
    for column in &source.columns {
        push_column(&mut lines, column, sample, 1, false);
    }
    for column in &source.folders {
        let name = identifier(&column.name);
        lines.push(Line::item(
            1,
            format!("{name} {}", column.data_type),
            "of the folders",
        ));
    }
    sql.push_str(&write_lines(lines));
    sql.push_str(")\nSTORED AS ");
    sql.push_str(match source.files {
        SourceFiles::Json => "JSON",
        SourceFiles::Parquet => "PARQUET",
    });
    if !source.folders.is_empty() {
        let names: Vec<String> = source
            .folders
            .iter()
            .map(|column| identifier(&column.name))
            .collect();
        let _ = write!(sql, "\nPARTITIONED BY ({})", names.join(", "));
    }
    let location = format!("{}{}", escaped(&source.location), source.pattern);
    let _ = write!(sql, "\nLOCATION {}", literal(&location));
    let options = options(source);
    if !options.is_empty() {
        let options: Vec<String> = options
            .iter()
            .map(|(key, value)| format!("{} {}", literal(key), literal(value)))
            .collect();
        let _ = write!(sql, "\nOPTIONS ({})", options.join(", "));
    }
    sql.push_str(";\n");
    sql
}

/// Returns what was chosen for the whole source, one sentence each.
fn header(source: &SourceModel) -> Vec<String> {
    let mut lines = Vec::new();
    if source.sample.is_partial {
        lines.push(
            "Not every row was looked at: others may have more columns, or values of other types."
                .to_owned(),
        );
    }
    match &source.time {
        None if source.selects_by_folders() => lines.push(
            "The folders say the day of a row: no column has times that agree with them."
                .to_owned(),
        ),
        None => lines.push("No column has times.".to_owned()),
        Some(time) => {
            let chosen = &time.chosen;
            let others = match time.others.as_slice() {
                [] => String::new(),
                others => {
                    let shown = others.get(..MAX_OTHERS).unwrap_or(others).join(", ");
                    let more = if others.len() > MAX_OTHERS {
                        ", …"
                    } else {
                        ""
                    };
                    format!(" Other times: {}{more}.", visible_line(&shown))
                }
            };
            let name = visible_line(&chosen.shown()).into_owned();
            lines.push(format!("The time of the rows is {name}.{others}"));
            lines.extend(lost_rows(source));
            if !source.folders.is_empty() && time.fit.is_none() {
                lines.push(
                    "The folders do not say which rows a cycle needs: each cycle reads all of them.".to_owned(),
                );
            }
        }
    }
    lines
}

/// Returns a sentence for each kind of rows that no cycle exports.
pub(super) fn lost_rows(source: &SourceModel) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(time) = &source.time else {
        return lines;
    };
    let name = time.chosen.shown();
    let name = visible_line(&name);
    let missing = (source.sample.lines.len() as u64).saturating_sub(time.chosen.values);
    let misplaced = time.fit.map_or(0, |fit| fit.misplaced);
    for (rows, what) in [
        (missing, format!("no {name}")),
        (
            misplaced,
            format!("a {name} more than 2 days outside of their folder"),
        ),
    ] {
        if rows > 0 {
            let rows = human::counted(rows, "row");
            lines.push(format!(
                "No cycle exports {rows} of the sample with {what}."
            ));
        }
    }
    lines
}

fn options(source: &SourceModel) -> Vec<(String, String)> {
    let mut options = Vec::new();
    if let Some(path) = &source.sample.records {
        options.push(("records".to_owned(), path.to_string()));
    }
    if let Some(time) = &source.time
        && let Some(fit) = &time.fit
    {
        options.push(("time_column".to_owned(), time.chosen.path.join(".")));
        if !fit.slack.is_zero() {
            options.push(("time_slack".to_owned(), written(fit.slack)));
        }
    }
    let mut units = Vec::new();
    for column in &source.columns {
        if let Ok(declared) = &column.declared {
            push_units(&mut units, column.name.clone(), declared);
        }
    }
    options.extend(units);
    options
}

fn push_units(units: &mut Vec<(String, String)>, path: String, declared: &ColumnType) {
    match declared {
        ColumnType::Timestamp { unit: Some(unit) } => {
            let name = EpochUnit::name(*unit).to_owned();
            units.push((format!("time_unit.{path}"), name));
        }
        ColumnType::List(element) => push_units(units, path, element),
        ColumnType::Struct(members) => {
            for member in members {
                if let Ok(declared) = &member.declared {
                    push_units(units, format!("{path}.{}", member.name), declared);
                }
            }
        }
        _ => {}
    }
}

/// A line of the list of columns.
struct Line {
    depth: usize,
    text: String,
    comment: String,
    kind: LineKind,
}

#[derive(PartialEq, Eq)]
enum LineKind {
    /// A column, which a comma follows if another one comes after it.
    Item,
    /// The beginning of a struct.
    Open,
    /// The end of a struct, which is that of an item.
    Close,
    Comment,
}

impl Line {
    fn item(depth: usize, text: String, comment: &str) -> Self {
        Self {
            depth,
            text,
            comment: comment.to_owned(),
            kind: LineKind::Item,
        }
    }
}

/// Appends a column. `in_rare` is true inside of a struct that few rows have.
fn push_column(
    lines: &mut Vec<Line>,
    column: &Column,
    sample: &Sample,
    depth: usize,
    in_rare: bool,
) {
    let name = identifier(&column.name);
    let declared = match &column.declared {
        Ok(declared) => declared,
        Err(reason) => {
            let text = format!("{name} is left out: {}", left_out(reason, sample));
            lines.push(Line {
                depth,
                text: format!("-- {}", visible_line(&text)),
                comment: String::new(),
                kind: LineKind::Comment,
            });
            return;
        }
    };
    let notes = column.notes.iter();
    let notes = notes.filter(|note| !in_rare || !matches!(note, Note::Rare { .. }));
    let comment: Vec<String> = notes.map(|note| shown(note, sample)).collect();
    let comment = visible_line(&comment.join("; ")).into_owned();
    let required = if column.is_required { " NOT NULL" } else { "" };
    let (lists, inner) = peeled(declared);
    let inline = format!("{name} {}{required}", declared.inline());
    let is_short =
        inline.len() <= MAX_INLINE && !has_remarks(inner.members(), in_rare || column.is_rare);
    if inner.members().is_empty() || is_short {
        lines.push(Line::item(depth, inline, &comment));
        return;
    }
    lines.push(Line {
        depth,
        text: format!("{name} STRUCT<"),
        comment,
        kind: LineKind::Open,
    });
    for member in inner.members() {
        push_column(lines, member, sample, depth + 1, in_rare || column.is_rare);
    }
    lines.push(Line {
        depth,
        text: format!(">{}", "[]".repeat(lists)),
        comment: String::new(),
        kind: LineKind::Close,
    });
}

/// Returns the number of lists around a type, and that type.
fn peeled(declared: &ColumnType) -> (usize, &ColumnType) {
    match declared {
        ColumnType::List(element) => {
            let (lists, inner) = peeled(element);
            (lists + 1, inner)
        }
        inner => (0, inner),
    }
}

fn has_remarks(members: &[Column], in_rare: bool) -> bool {
    members.iter().any(|member| {
        let inner = member
            .declared
            .as_ref()
            .ok()
            .map(|declared| peeled(declared).1);
        let mut notes = member.notes.iter();
        notes.any(|note| !in_rare || !matches!(note, Note::Rare { .. }))
            || inner.is_none_or(|inner| has_remarks(inner.members(), in_rare))
    })
}

/// Writes the lines, with commas between the columns of each level.
fn write_lines(lines: Vec<Line>) -> String {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let is_end = matches!(line.kind, LineKind::Item | LineKind::Close);
        let mut rest = lines.iter().skip(index + 1);
        let next = rest.find(|next| next.kind != LineKind::Comment);
        let has_next = next.is_some_and(|next| next.kind != LineKind::Close);
        let comma = if is_end && has_next { "," } else { "" };
        let indent = "  ".repeat(line.depth);
        let _ = write!(text, "{indent}{}{comma}", line.text);
        match line.comment.as_str() {
            "" => text.push('\n'),
            comment => {
                let _ = writeln!(text, "  -- {comment}");
            }
        }
    }
    text
}

fn at(place: Option<Place>, sample: &Sample) -> String {
    place.map_or_else(String::new, |place| format!(" ({})", sample.show(place)))
}

/// Returns the reason why a column is left out.
pub(super) fn left_out(reason: &LeftOut, sample: &Sample) -> String {
    match reason {
        LeftOut::Mixed(kinds) => {
            let kinds: Vec<String> = kinds
                .iter()
                .map(|(kind, place)| format!("{kind} in {}", sample.show(*place)))
                .collect();
            format!("it is {}; no type holds these", kinds.join(", "))
        }
        LeftOut::Map { keys, first } => format!(
            "its {} look like data, not like names of columns{}",
            human::counted(*keys as u64, "key"),
            at(*first, sample)
        ),
        LeftOut::NoMembers(place) => {
            format!(
                "its objects have no key that can be declared{}",
                at(*place, sample)
            )
        }
        LeftOut::NoName => "its name is empty".to_owned(),
        LeftOut::Digits(place) => {
            format!(
                "it has numbers of more digits than a type holds{}",
                at(*place, sample)
            )
        }
        LeftOut::OfFolders => {
            "the folders have a column of this name, which is read instead".to_owned()
        }
        LeftOut::FileType(what) => what.clone(),
        LeftOut::Rejected { reason, place } => format!("{}: {reason}", sample.show(*place)),
    }
}

fn shown(note: &Note, sample: &Sample) -> String {
    match note {
        Note::Rare { values, rows } => {
            format!(
                "rare: in {} of {}",
                human::count(*values),
                human::counted(*rows, "row")
            )
        }
        Note::OnlyNull => "always null in the sample, so its type is a guess".to_owned(),
        Note::OnlyEmptyLists => "always empty in the sample, so its type is a guess".to_owned(),
        Note::NotAllTimes(place) => format!("most are times, others are not{}", at(*place, sample)),
        Note::NumbersInText(place) => format!("some numbers are strings{}", at(*place, sample)),
        Note::FinerThanMicroseconds(place) => format!(
            "finer digits than microseconds are cut{}; VARCHAR keeps them",
            at(*place, sample)
        ),
        Note::Offsets(place) => format!("converted to UTC from other zones{}", at(*place, sample)),
        Note::NoZone => {
            "without a zone, so taken for UTC; another one is declared by OPTIONS ('time_zone' '…')"
                .to_owned()
        }
        Note::Rounded(place) => format!(
            "some have more digits than DOUBLE holds{}",
            at(*place, sample)
        ),
        Note::Repeated(place) => format!(
            "twice in one line, where the last one counts{}",
            at(*place, sample)
        ),
        Note::CaseOnly(other) => format!("differs from \"{other}\" in its case only"),
    }
}
