//! Writes the README of the new definitions: what was found, and the next commands.

use std::fmt::Write;

use chrono::NaiveDate;

use crate::human;
use crate::init::column::{Column, ColumnType};
use crate::init::model::{SourceModel, TableModel};
use crate::init::names::identifier;
use crate::init::source_sql::left_out;
use crate::visible::visible_line;

/// Writes the README. `from` is the value of `--from`, and `sql` the folder of the definitions.
pub(super) fn readme(sources: &[SourceModel], from: &str, sql: &str) -> String {
    let mut text = String::from(
        "# Definitions\n\nWritten by `dayport init` from a sample. Edit them as you like.\n",
    );
    text.push_str("\n## Sources\n");
    for source in sources {
        let _ = writeln!(text, "\n`sources/{}.sql`: {}.", source.name, found(source));
        let left_out = left_out_columns(source);
        if !left_out.is_empty() {
            text.push_str("\nLeft out, since no type holds it:\n\n");
            for line in left_out {
                let _ = writeln!(text, "- {line}");
            }
        }
    }
    text.push_str(
        "\n## Tables\n\n| table | source | rows of the sample | day |\n|---|---|---|---|\n",
    );
    for (source, table) in tables(sources) {
        let day = table
            .day
            .map_or_else(|| "-".to_owned(), |day| day.to_string());
        let rows = human::count(table.rows.seen.count);
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {rows} | {day} |",
            table.name, source.name
        );
    }
    let _ = write!(
        text,
        "\n## Next\n\n```sh\n{}```\n",
        commands(sources, from, sql)
    );
    text.push_str(
        "\nEach table has a test case in `tests/<table>/sample/`: lines of the sample as they are. They may hold \
         personal data: replace such values before you commit them. `dayport test --update` writes \
         `expected.jsonl`, the rows that the definition makes of them.\n",
    );
    text
}

fn tables(sources: &[SourceModel]) -> impl Iterator<Item = (&SourceModel, &TableModel)> {
    sources
        .iter()
        .flat_map(|source| source.tables.iter().map(move |table| (source, table)))
}

/// Describes the files, the time and the events of a source.
pub(super) fn found(source: &SourceModel) -> String {
    let sample = &source.sample;
    let folders: Vec<&str> = source
        .folders
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let mut text = format!(
        "{} in {} of `{}`",
        human::counted(sample.lines.len() as u64, "row"),
        human::counted(sample.files.len() as u64, "file"),
        visible_line(&source.location)
    );
    if sample.is_partial {
        text.push_str(" (not all that there are)");
    }
    if !folders.is_empty() {
        let _ = write!(text, ", folders ({})", folders.join(", "));
    }
    match &source.time {
        Some(time) => {
            let _ = write!(text, ", time `{}`", visible_line(&time.chosen.shown()));
        }
        None if source.selects_by_folders() => text.push_str(", time of the folders"),
        None => text.push_str(", no time"),
    }
    if let Some(events) = &source.events {
        let names = human::counted(events.names.len() as u64, "event");
        let _ = write!(text, ", {names} by `{}`", visible_line(&events.shown()));
    }
    text
}

/// Returns a line for each column of a source that is left out.
pub(super) fn left_out_columns(source: &SourceModel) -> Vec<String> {
    let mut lines = Vec::new();
    push_left_out(&mut lines, &source.columns, "", source);
    lines
}

fn push_left_out(lines: &mut Vec<String>, columns: &[Column], above: &str, source: &SourceModel) {
    for column in columns {
        let path = format!("{above}{}", identifier(&column.name));
        match &column.declared {
            Err(reason) => {
                let line = format!("`{path}`: {}", left_out(reason, &source.sample));
                lines.push(visible_line(&line).into_owned());
            }
            Ok(declared) => {
                let mut inner = declared;
                while let ColumnType::List(element) = inner {
                    inner = element;
                }
                push_left_out(lines, inner.members(), &format!("{path}."), source);
            }
        }
    }
}

/// Returns the commands that try the definitions, one a line.
pub(super) fn commands(sources: &[SourceModel], from: &str, sql: &str) -> String {
    let days = || tables(sources).filter_map(|(_, table)| table.day);
    let mut counts: Vec<(usize, NaiveDate)> = Vec::new();
    for day in days() {
        match counts.iter_mut().find(|(_, known)| *known == day) {
            Some((count, _)) => *count += 1,
            None => counts.push((1, day)),
        }
    }
    let date = counts
        .iter()
        .max()
        .map_or_else(String::new, |(_, day)| format!(" --date {day}"));
    let from = quoted(from);
    let sql = match sql {
        "sql" => String::new(),
        sql => format!(" --sql {}", quoted(sql)),
    };
    format!(
        "dayport test --update{sql}\n\
         dayport plan --from {from}{sql} --to out{date}\n\
         dayport run --from {from}{sql} --to out{date}\n\
         dayport verify --to out\n"
    )
}

/// Writes a word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=+@".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
