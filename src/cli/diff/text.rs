//! Renders a comparison for people.

use std::fmt::Write;

use crate::cli::diff::value_text;
use crate::cli::print;
use crate::diff::DiffReport;
use crate::diff::report::{
    Comparison, DiffProof, DiffResult, DuplicateKeys, KeyOrigin, RowCounts, SampleRow,
    SchemaChange, SideCounts, TableDiff,
};
use crate::human;
use crate::visible::visible_line;

/// The most columns of a row of one side that are shown if rows have no key.
const MAX_COLUMNS: usize = 6;

/// Renders the report.
pub(super) fn text(report: &DiffReport) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "left:  {}", visible_line(&report.left.to_string()));
    let _ = writeln!(text, "right: {}", visible_line(&report.right.to_string()));
    for table in &report.tables {
        text.push('\n');
        text.push_str(&table_text(table));
    }
    if report.tables.len() > 1 {
        let _ = writeln!(text, "\n{}", summary(report));
    }
    text
}

/// Returns how many tables have which result.
pub(super) fn summary(report: &DiffReport) -> String {
    let summary = report.summary;
    let counts = [
        (summary.identical, "identical"),
        (summary.different, "different"),
        (summary.failed, "failed"),
    ];
    let words: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", human::counted(count, "table")))
        .collect();
    words.join(", ")
}

/// Returns what stderr tells: keys that are not unique, with file and line.
pub(super) fn warnings(report: &DiffReport) -> String {
    let mut text = String::new();
    for table in &report.tables {
        match &table.result {
            DiffResult::Identical(compared) | DiffResult::Different(compared) => {
                for (side, counts) in [("left", &compared.left), ("right", &compared.right)] {
                    text.push_str(&warning(table, compared, side, counts));
                }
            }
            DiffResult::Failed { error, hint, .. } => {
                let _ = writeln!(text, "error: {}: {}", table.table, visible_line(error));
                if let Some(hint) = hint {
                    let _ = writeln!(text, "hint: {}", visible_line(hint));
                }
            }
            DiffResult::OnlyLeft { .. } | DiffResult::OnlyRight { .. } => {}
        }
    }
    text
}

fn warning(table: &TableDiff, compared: &Comparison, side: &str, counts: &SideCounts) -> String {
    let Some(duplicates) = &counts.duplicate_keys else {
        return String::new();
    };
    let place = match &duplicates.position {
        Some(position) => position.clone(),
        None => table.table.to_string(),
    };
    format!(
        "warning: {}: the key {} is not unique on the {side}: {} {} {} too many\n",
        visible_line(&place),
        compared.key.join(", "),
        human::counted(duplicates.keys, "key"),
        if duplicates.keys == 1 { "has" } else { "have" },
        human::counted(duplicates.extra_rows, "row"),
    )
}

fn table_text(table: &TableDiff) -> String {
    let name = &table.table;
    match &table.result {
        DiffResult::Identical(compared) => {
            let mut text = format!("{name}: identical{}{}\n", rows(compared), proof(compared));
            if !is_plain(compared) {
                text.push_str(&details(compared));
            }
            text
        }
        DiffResult::Different(compared) => {
            let mut text = format!("{name}: different\n");
            text.push_str(&details(compared));
            text
        }
        DiffResult::OnlyLeft { reason } => {
            format!("{name}: only left\n  right: {}\n", visible_line(reason))
        }
        DiffResult::OnlyRight { reason } => {
            format!("{name}: only right\n  left: {}\n", visible_line(reason))
        }
        DiffResult::Failed { error, .. } => {
            format!("{name}: failed\n  {}\n", visible_line(error))
        }
    }
}

/// Returns the number of rows of an identical table, if it is known.
fn rows(compared: &Comparison) -> String {
    match compared.left.rows {
        Some(rows) => format!(", {}", human::counted(rows, "row")),
        None => String::new(),
    }
}

/// Returns true if nothing is to be said of an identical table but that.
fn is_plain(compared: &Comparison) -> bool {
    let is_plain_side = |side: &SideCounts| {
        side.duplicate_keys.is_none() && side.null_keys == 0 && side.rejected.unwrap_or(0) == 0
    };
    compared.not_compared.is_empty()
        && compared.notes.is_empty()
        && is_plain_side(&compared.left)
        && is_plain_side(&compared.right)
}

/// Returns the proof of an identical table, unless its rows were compared.
pub(super) fn proof(compared: &Comparison) -> &'static str {
    match compared.proof {
        DiffProof::Definition => " (the same definition; nothing was run)",
        DiffProof::FileDigests => " (the same digests of files; nothing was read)",
        DiffProof::Rows => "",
    }
}

fn details(compared: &Comparison) -> String {
    let mut text = indented(&counts(compared));
    if let Some(key) = key_line(compared) {
        let _ = writeln!(text, "  {key}");
    }
    if !compared.schema.is_empty() {
        text.push_str("  columns:\n");
        for change in &compared.schema {
            let _ = writeln!(text, "    {}", schema_line(change));
        }
    }
    for (columns, reason) in not_compared(compared) {
        let columns = visible_line(&columns.join(", ")).into_owned();
        let _ = writeln!(text, "  not compared: {columns}: {reason}");
    }
    for note in &compared.notes {
        let _ = writeln!(text, "  note: {}", visible_line(note));
    }
    for (side, counts) in [("left", &compared.left), ("right", &compared.right)] {
        if let Some(duplicates) = &counts.duplicate_keys {
            let examples = examples(duplicates, |key| key);
            let _ = writeln!(text, "  not unique, {side}: {examples}");
        }
    }
    text.push_str(&column_lines(compared));
    text.push_str(&samples(compared));
    text
}

/// Returns the columns that are not compared, by the reason.
pub(super) fn not_compared(compared: &Comparison) -> Vec<(Vec<&str>, &str)> {
    let mut reasons: Vec<(Vec<&str>, &str)> = Vec::new();
    for left_out in &compared.not_compared {
        let known = reasons
            .iter_mut()
            .find(|(_, reason)| *reason == left_out.reason);
        match known {
            Some((columns, _)) => columns.push(&left_out.column),
            None => reasons.push((vec![&left_out.column], &left_out.reason)),
        }
    }
    reasons
}

/// Returns keys that several rows have, shown by `show`.
pub(super) fn examples(duplicates: &DuplicateKeys, show: fn(String) -> String) -> String {
    let examples = duplicates.examples.iter().map(|example| {
        let rows = human::counted(example.rows, "row");
        format!("{} ({rows})", show(value_text::key(&example.key)))
    });
    let mut examples: Vec<String> = examples.collect();
    let shown = examples.len() as u64;
    if duplicates.keys > shown {
        let more = human::counted(duplicates.keys - shown, "key");
        examples.push(match shown {
            0 => more.to_string(),
            _ => format!("and {more} more"),
        });
    }
    examples.join("; ")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// The counts of both sides, side by side.
pub(super) fn count_lines(compared: &Comparison) -> Vec<[String; 3]> {
    let (left, right) = (&compared.left, &compared.right);
    let shown = |count: Option<u64>| match count {
        Some(count) => human::count(count).to_string(),
        None => "?".to_owned(),
    };
    let mut lines = Vec::new();
    let mut line = |name: &str, left: String, right: String| {
        lines.push([name.to_owned(), left, right]);
    };
    if left.rows.is_some() || right.rows.is_some() {
        line("rows", shown(left.rows), shown(right.rows));
    }
    if [left.rejected, right.rejected]
        .iter()
        .flatten()
        .any(|count| *count > 0)
    {
        line(
            "malformed lines",
            shown(left.rejected),
            shown(right.rejected),
        );
    }
    if let Some(rows) = compared.rows {
        let RowCounts {
            identical,
            changed,
            only_left,
            only_right,
        } = rows;
        let count = |count: u64| human::count(count).to_string();
        line("identical", count(identical), count(identical));
        if !compared.key.is_empty() {
            line("changed", count(changed), count(changed));
        }
        line("only on this side", count(only_left), count(only_right));
    }
    if left.null_keys + right.null_keys > 0 {
        let count = |count: u64| human::count(count).to_string();
        line(
            "NULL in the key",
            count(left.null_keys),
            count(right.null_keys),
        );
    }
    let duplicates = [left, right].map(|side| side.duplicate_keys.as_ref());
    if duplicates.iter().any(Option::is_some) {
        let of = |count: fn(&DuplicateKeys) -> u64| {
            duplicates.map(|side| human::count(side.map_or(0, count)).to_string())
        };
        let [left_keys, right_keys] = of(|side| side.keys);
        line("keys of several rows", left_keys, right_keys);
        let [left_rows, right_rows] = of(|side| side.extra_rows);
        line("their extra rows", left_rows, right_rows);
    }
    lines
}

fn counts(compared: &Comparison) -> String {
    let lines = count_lines(compared);
    if lines.is_empty() {
        return String::new();
    }
    let heading = ["", "left", "right"].map(str::to_owned);
    let all: Vec<[String; 3]> = std::iter::once(heading).chain(lines).collect();
    print::table(&all, [false, true, true])
}

/// Returns the line about the key.
pub(super) fn key_line(compared: &Comparison) -> Option<String> {
    let key = visible_line(&compared.key.join(", ")).into_owned();
    match compared.key_from {
        Some(KeyOrigin::Option) => Some(format!("key: {key}")),
        Some(KeyOrigin::Definition) => Some(format!("key: {key} (the definition groups by it)")),
        None => compared
            .rows
            .filter(|rows| rows.only_left > 0 && rows.only_right > 0)
            .map(|_| "no key: with --key, changed rows are matched and columns counted".to_owned()),
    }
}

/// Returns a line about a difference of the schemas.
pub(super) fn schema_line(change: &SchemaChange) -> String {
    visible_line(&change.to_string()).into_owned()
}

/// Returns a share as a percentage.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        whole if whole >= 99.995 && share < 1.0 => "99.99 %".to_owned(),
        tiny if tiny > 0.0 && tiny < 0.01 => "< 0.01 %".to_owned(),
        percent => format!("{percent:.2} %"),
    }
}

fn column_lines(compared: &Comparison) -> String {
    if compared.columns.is_empty() {
        return String::new();
    }
    let heading = ["changed column", "type", "keys", "share"].map(str::to_owned);
    let lines = compared.columns.iter().map(|column| {
        [
            column.column.clone(),
            column.kind.clone(),
            human::count(column.changed).to_string(),
            percent(column.share),
        ]
    });
    let all: Vec<[String; 4]> = std::iter::once(heading).chain(lines).collect();
    indented(&print::table(&all, [false, false, true, true]))
}

fn samples(compared: &Comparison) -> String {
    let mut text = String::new();
    for row in &compared.samples.changed {
        let _ = writeln!(text, "  changed: {}", value_text::key(&row.key));
        for value in &row.columns {
            let (left, right) = value_text::pair(&value.left, &value.right);
            let column = visible_line(&value.column);
            let _ = writeln!(text, "    {column}: {left} -> {right}");
        }
    }
    let sides = [
        ("only left", &compared.samples.only_left),
        ("only right", &compared.samples.only_right),
    ];
    for (name, rows) in sides {
        for row in rows {
            let _ = writeln!(text, "  {name}: {}", row_text(row));
        }
    }
    text
}

/// Returns the key of a row, or its first values if it has none.
pub(super) fn row_text(row: &SampleRow) -> String {
    if !row.key.is_empty() && row.key.iter().all(|value| !value.is_null()) {
        return value_text::key(&row.key);
    }
    let shown = row.values.iter().take(MAX_COLUMNS).map(|value| {
        let column = visible_line(&value.column);
        format!("{column} {}", value_text::value(&value.value))
    });
    let mut text = shown.collect::<Vec<String>>().join(", ");
    if row.values.len() > MAX_COLUMNS {
        text.push_str(", …");
    }
    text
}
