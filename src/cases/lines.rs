//! The lines of a case: what they leave out is NULL, and what must have a value gets a stated one.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use chrono::Datelike;
use datafusion::arrow::datatypes::{DataType, Field};
use serde::de::IgnoredAny;

use crate::cases::folder::CaseText;
use crate::catalog::lines::LineSource;
use crate::cycle::Cycle;
use crate::error::{Error, Result};
use crate::listing::hive_time::HiveTime;

/// Returns the lines of a source in which each column that must have a value has one.
///
/// A line is otherwise left as it is, so that the decoder sees what was written. One that is no JSON object is not
/// changed at all.
///
/// # Errors
/// [`Error::invalid`] with file and line, if a column that must have a value has a type without a default.
pub(super) fn complete(text: &CaseText, source: &LineSource, cycle: Cycle) -> Result<Bytes> {
    let mut completed = String::with_capacity(text.text.len() * 2);
    let mut complaints = Vec::new();
    for (index, line) in text.text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        match complete_line(line, source, cycle, number) {
            Ok(line) => completed.push_str(&line),
            Err(column) => {
                let file = &text.file;
                let what = format!("{file}:{number}: `{column}` must have a value, and has none");
                complaints
                    .push(Error::invalid(what).with_hint("write one: its type has no default"));
            }
        }
    }
    Error::all(complaints)?;
    Ok(Bytes::from(completed))
}

/// # Errors
/// The column that must have a value and whose type has no default.
fn complete_line(
    line: &str,
    source: &LineSource,
    cycle: Cycle,
    number: usize,
) -> Result<String, String> {
    let unchanged = || line.to_owned();
    let Ok(members) = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(line) else {
        return Ok(unchanged());
    };
    let Some((before, after)) = line.rsplit_once('}') else {
        return Ok(unchanged());
    };
    // A key in another case is a mistake that the decoder tells.
    let is_given = |name: &str| members.keys().any(|key| key.eq_ignore_ascii_case(name));
    let mut text = before.to_owned();
    let mut is_first = members.is_empty();
    for field in source.columns.fields() {
        if field.is_nullable() || is_given(field.name()) {
            continue;
        }
        let value = folder_value(source, field, cycle)
            .or_else(|| default_value(field, cycle, number))
            .ok_or_else(|| field.name().clone())?;
        let comma = if is_first { "" } else { "," };
        is_first = false;
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{}:{value}", quoted(field.name()));
    }
    Ok(format!("{text}}}{after}"))
}

/// Returns the value of a folder column that is a part of a time: that of the first hour of the cycle.
fn folder_value(source: &LineSource, field: &Field, cycle: Cycle) -> Option<String> {
    let folders = source.time_folders.as_ref()?;
    let columns = &source.folder_columns;
    let index = columns
        .iter()
        .position(|column| column.name() == field.name())?;
    let start = cycle.start();
    let number = match folders {
        HiveTime::Dated { date, .. } if *date == index => {
            return Some(quoted(&start.date_naive().to_string()));
        }
        HiveTime::Dated { hour, .. } if *hour == Some(index) => 0,
        HiveTime::Calendar { year, .. } if *year == index => i64::from(start.year()),
        HiveTime::Calendar { month, .. } if *month == Some(index) => i64::from(start.month()),
        HiveTime::Calendar { day, .. } if *day == Some(index) => i64::from(start.day()),
        HiveTime::Calendar { hour, .. } if *hour == Some(index) => 0,
        _ => return None,
    };
    Some(match field.data_type().is_string() {
        true => quoted(&number.to_string()),
        false => number.to_string(),
    })
}

/// Returns the default of a type, as JSON: the start of the cycle for times, zero, false, an empty list, and for
/// text the name of the column with the number of the line.
fn default_value(field: &Field, cycle: Cycle, number: usize) -> Option<String> {
    Some(match field.data_type() {
        kind if kind.is_string() => quoted(&format!("{}-{number}", field.name())),
        kind if kind.is_numeric() => "0".to_owned(),
        DataType::Boolean => "false".to_owned(),
        DataType::Timestamp(..) => quoted(&cycle.start().to_rfc3339()),
        DataType::Date32 | DataType::Date64 => quoted(&cycle.start().date_naive().to_string()),
        kind if kind.is_list() => "[]".to_owned(),
        DataType::Struct(fields) if fields.iter().all(|field| field.is_nullable()) => {
            "{}".to_owned()
        }
        _ => return None,
    })
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{FieldRef, Schema, TimeUnit};

    use super::*;

    fn source() -> LineSource {
        let field = |name: &str, kind: DataType, nullable| -> FieldRef {
            Arc::new(Field::new(name, kind, nullable))
        };
        let zone = Some("+00:00".into());
        let folder_columns = vec![
            field("date", DataType::Date32, false),
            field("hour", DataType::Int32, false),
        ];
        let files = [
            field("event_id", DataType::Utf8View, false),
            field(
                "time",
                DataType::Timestamp(TimeUnit::Microsecond, zone),
                false,
            ),
            field("user_id", DataType::Utf8View, true),
        ];
        let columns: Vec<FieldRef> = files.into_iter().chain(folder_columns.clone()).collect();
        LineSource {
            name: "events".to_owned(),
            columns: Arc::new(Schema::new(columns)),
            time_folders: HiveTime::recognise(&folder_columns),
            folder_columns,
        }
    }

    fn completed(text: &str) -> String {
        let text = CaseText {
            file: "events.jsonl".to_owned(),
            text: text.to_owned(),
        };
        let cycle = "2026-01-15".parse().unwrap();
        let bytes = complete(&text, &source(), cycle).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn what_must_have_a_value_gets_one_and_the_rest_stays_as_it_is() {
        assert_eq!(
            completed("{}\r\n{\"event_id\": \"a\" , \"x\": 1.50}\n"),
            "{\"event_id\":\"event_id-1\",\"time\":\"2026-01-15T00:00:00+00:00\",\"date\":\"2026-01-15\",\"hour\":0}\r\n\
             {\"event_id\": \"a\" , \"x\": 1.50,\"time\":\"2026-01-15T00:00:00+00:00\",\"date\":\"2026-01-15\",\"hour\":0}\n"
        );
    }

    #[test]
    fn null_is_a_value_and_malformed_lines_are_not_mended() {
        let all = "{\"event_id\":null,\"Time\":null,\"date\":\"2026-01-14\",\"hour\":3}";
        assert_eq!(completed(all), all);
        for line in ["{\"event_id\":", "[1]", "", "{}{}", "nonsense}"] {
            assert_eq!(completed(line), line);
        }
    }
}
