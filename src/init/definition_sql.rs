//! Writes the definition of a table, `sql/<table>.sql`.

use std::fmt::Write;

use crate::init::column::{Column, ColumnType};
use crate::init::facts::ObjectFacts;
use crate::init::folders::{calendar, date_column, is_part_of_time};
use crate::init::model::{Selection, SourceFiles, SourceModel, TableModel};
use crate::init::names::{UniqueNames, identifier, literal, snake_case};
use crate::init::time::TimeForm;
use crate::jsonl::EpochUnit;
use crate::visible::visible_line;

/// The columns that the export is partitioned by.
const PARTITION: [&str; 3] = ["year", "month", "day"];

/// An exported value.
enum Value {
    /// A column, or a member of structs, as it is.
    Whole(String),
    /// A struct of some members.
    Part {
        path: String,
        members: Vec<(String, Value)>,
        /// True if rows have no struct: it stays NULL for them.
        is_optional: bool,
    },
}

/// Writes the path of a column: `payload['user']`.
fn path_sql(path: &[String]) -> String {
    let mut names = path.iter();
    let first = names
        .next()
        .map_or_else(String::new, |name| identifier(name));
    names.fold(first, |path, name| format!("{path}[{}]", literal(name)))
}

/// Returns the expression of the time of the rows.
fn time_sql(source: &SourceModel) -> Option<String> {
    let time = source.time.as_ref()?;
    let path = path_sql(&time.chosen.path);
    if !time.is_converted {
        return Some(path);
    }
    let unit = match time.chosen.form {
        TimeForm::Number(unit) | TimeForm::NumberText(unit) => unit,
        TimeForm::Text { .. } => return Some(path),
    };
    let function = match unit {
        EpochUnit::Second => "to_timestamp_seconds",
        EpochUnit::Millisecond => "to_timestamp_millis",
        EpochUnit::Microsecond => "to_timestamp_micros",
        EpochUnit::Nanosecond => "to_timestamp_nanos",
    };
    Some(format!("{function}({path})"))
}

/// Returns the expression of the day of a row, as the folders have it.
fn folder_day_sql(source: &SourceModel) -> Option<String> {
    if let Some(date) = date_column(&source.folders) {
        return Some(identifier(&date.name));
    }
    let [year, month, day] = calendar(&source.folders)?;
    Some(format!(
        "make_date({}, {}, {})",
        year.name, month.name, day.name
    ))
}

/// Returns the expression that the window of a cycle is compared with, if rows have a time.
pub(super) fn window_sql(source: &SourceModel) -> Option<String> {
    match source.selects_by_folders() {
        true => folder_day_sql(source),
        false => time_sql(source),
    }
}

/// Writes the definition.
pub(super) fn definition_sql(source: &SourceModel, table: &TableModel) -> String {
    let time = window_sql(source);
    let mut items: Vec<String> = Vec::new();
    let mut names = match time {
        Some(_) => UniqueNames::without(&PARTITION),
        None => UniqueNames::default(),
    };
    let converted = source.time.as_ref().filter(|time| time.is_converted);
    let nested = source
        .time
        .as_ref()
        .filter(|time| time.chosen.path.len() > 1);
    if let (Some(_), Some(time)) = (nested, &time) {
        items.push(format!("{time} AS {}", names.give("event_time")));
    }
    for column in &source.columns {
        let Ok(declared) = &column.declared else {
            continue;
        };
        let path = vec![column.name.clone()];
        let value = match (source.files, table.rows.member(&column.name)) {
            // The schema of a Parquet file says what it has, whatever its rows have.
            (SourceFiles::Parquet, _) => Value::Whole(path_sql(&path)),
            (SourceFiles::Json, None) => continue,
            (SourceFiles::Json, Some(facts)) => {
                let is_optional = facts.objects.seen.count < table.rows.seen.count;
                value(path.clone(), declared, &facts.objects, is_optional)
            }
        };
        let alias = names.give(&alias(&column.name));
        let is_time = converted.is_some_and(|time| time.chosen.path == path);
        if let (true, Some(time)) = (is_time, &time) {
            items.push(format!("{time} AS {}", identifier(&alias)));
            continue;
        }
        let written = write_value(&value, 2);
        items.push(match written == identifier(&alias) {
            true => written,
            false => format!("{written} AS {}", identifier(&alias)),
        });
    }
    // The folders of the time say nothing that the row does not say; others may.
    for column in source
        .folders
        .iter()
        .filter(|column| !is_part_of_time(&column.name))
    {
        let (name, alias) = (identifier(&column.name), names.give(&column.name));
        items.push(match name == identifier(&alias) {
            true => name,
            false => format!("{name} AS {}", identifier(&alias)),
        });
    }
    if let Some(time) = &time {
        for part in PARTITION {
            items.push(format!("date_part('{part}', {time}) AS {part}"));
        }
    }
    let mut conditions: Vec<String> = event_condition(source, table).into_iter().collect();
    if let Some(time) = &time {
        conditions.push(format!("{time} >= $window_start"));
        conditions.push(format!("{time} < $window_end"));
    }
    let mut sql = comment(source, table, time.is_some());
    let _ = write!(
        sql,
        "COPY (\n  SELECT\n    {}\n  FROM {}",
        items.join(",\n    "),
        source.name
    );
    if !conditions.is_empty() {
        let _ = write!(sql, "\n  WHERE {}", conditions.join("\n    AND "));
    }
    let _ = write!(sql, "\n) TO '{}'", table.name);
    if time.is_some() {
        sql.push_str("\nPARTITIONED BY (year, month, day)");
    }
    sql.push_str(";\n");
    sql
}

/// Returns the name of an exported column.
fn alias(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match name.chars().all(is_plain) {
        true => name.to_owned(),
        false => Some(snake_case(name))
            .filter(|snake| !snake.is_empty())
            .unwrap_or_else(|| "column".to_owned()),
    }
}

fn event_condition(source: &SourceModel, table: &TableModel) -> Option<String> {
    let name = path_sql(&source.events.as_ref()?.path);
    match &table.selection {
        Selection::All => None,
        Selection::Event(event) => Some(format!("{name} = {}", literal(event))),
        Selection::Others(listed) if listed.is_empty() => None,
        Selection::Others(listed) => {
            let listed: Vec<String> = listed.iter().map(|event| literal(event)).collect();
            Some(format!(
                "({name} IS NULL OR {name} NOT IN ({}))",
                listed.join(", ")
            ))
        }
    }
}

fn comment(source: &SourceModel, table: &TableModel, has_window: bool) -> String {
    let rows = match &table.selection {
        Selection::All => format!("All rows of {}.", source.name),
        Selection::Event(event) => format!(
            "Rows of {} of the event {}.",
            source.name,
            visible_line(event)
        ),
        Selection::Others(_) => format!("Rows of {} that no other table has.", source.name),
    };
    let mut text = format!("-- {rows}\n");
    if source.events.is_some() && !matches!(table.selection, Selection::All) {
        let _ = writeln!(
            text,
            "-- Its columns are those that {} of the sample have. Add others of {} as you need them.",
            crate::human::counted(table.rows.seen.count, "row"),
            source.name
        );
    }
    if !has_window {
        text.push_str(
            "-- The rows have no time: each cycle replaces the whole table. For one that grows day by day, select by\n\
             -- a time: `WHERE time >= $window_start AND time < $window_end`.\n",
        );
    }
    text
}

/// Returns the value of a column for rows with these facts. Of a struct it has only the members that occur.
fn value(
    path: Vec<String>,
    declared: &ColumnType,
    facts: &ObjectFacts,
    is_optional: bool,
) -> Value {
    let declared_members: Vec<&Column> = declared
        .members()
        .iter()
        .filter(|member| member.declared.is_ok())
        .collect();
    if declared_members.is_empty() || facts.seen.count == 0 {
        return Value::Whole(path_sql(&path));
    }
    let mut is_whole = true;
    let mut members = Vec::new();
    for member in &declared_members {
        let (Ok(declared), Some(of_member)) = (&member.declared, facts.member(&member.name)) else {
            is_whole = false;
            continue;
        };
        let path: Vec<String> = path.iter().chain([&member.name]).cloned().collect();
        let is_optional = of_member.objects.seen.count < facts.seen.count;
        let inner = value(path, declared, &of_member.objects, is_optional);
        is_whole &= matches!(inner, Value::Whole(_));
        members.push((member.name.clone(), inner));
    }
    let path = path_sql(&path);
    match is_whole || members.is_empty() {
        true => Value::Whole(path),
        false => Value::Part {
            path,
            members,
            is_optional,
        },
    }
}

fn write_value(value: &Value, depth: usize) -> String {
    let (path, members, is_optional) = match value {
        Value::Whole(path) => return path.clone(),
        Value::Part {
            path,
            members,
            is_optional,
        } => (path, members, *is_optional),
    };
    let indent = "  ".repeat(depth + 1);
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| {
            format!(
                "{indent}{}, {}",
                literal(name),
                write_value(value, depth + 1)
            )
        })
        .collect();
    let end = "  ".repeat(depth);
    let structure = format!("named_struct(\n{}\n{end})", members.join(",\n"));
    match is_optional {
        true => format!("CASE WHEN {path} IS NOT NULL THEN {structure} END"),
        false => structure,
    }
}
