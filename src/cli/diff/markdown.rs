//! Renders a comparison for the comment of a pull request.

use std::fmt::Write;

use crate::cli::diff::{text, value_text};
use crate::diff::DiffReport;
use crate::diff::report::{Comparison, DiffResult, TableDiff};
use crate::human;
use crate::visible::visible_line;

/// Renders the report as GitHub-flavoured Markdown.
pub(super) fn markdown(report: &DiffReport) -> String {
    let mut page = format!("### dayport diff: {}\n\n", text::summary(report));
    let (left, right) = (report.left.to_string(), report.right.to_string());
    let _ = writeln!(page, "- left: {}", escaped(&left));
    let _ = writeln!(page, "- right: {}\n", escaped(&right));
    page.push_str("| table | result | identical | changed | only left | only right |\n");
    page.push_str("|---|---|--:|--:|--:|--:|\n");
    for table in &report.tables {
        page.push_str(&line(table));
    }
    for table in &report.tables {
        match &table.result {
            DiffResult::Identical(compared) => section(&mut page, table, compared, false),
            DiffResult::Different(compared) => section(&mut page, table, compared, true),
            DiffResult::Failed { error, hint, .. } => {
                let _ = writeln!(page, "\n#### `{}` failed\n", table.table);
                let _ = writeln!(page, "{}", code(error));
                if let Some(hint) = hint {
                    let _ = writeln!(page, "\n{}", escaped(hint));
                }
            }
            DiffResult::OnlyLeft { .. } | DiffResult::OnlyRight { .. } => {}
        }
    }
    page
}

fn line(table: &TableDiff) -> String {
    let (result, compared) = match &table.result {
        DiffResult::Identical(compared) => (
            format!("identical{}", text::proof(compared)),
            Some(compared),
        ),
        DiffResult::Different(compared) => ("**different**".to_owned(), Some(compared)),
        DiffResult::OnlyLeft { reason } => (format!("**only left**: {}", escaped(reason)), None),
        DiffResult::OnlyRight { reason } => (format!("**only right**: {}", escaped(reason)), None),
        DiffResult::Failed { .. } => ("**failed**".to_owned(), None),
    };
    let counts = match compared.and_then(|compared| compared.rows) {
        Some(rows) => [
            rows.identical,
            rows.changed,
            rows.only_left,
            rows.only_right,
        ]
        .map(|count| human::count(count).to_string()),
        None => [const { String::new() }; 4],
    };
    format!(
        "| `{}` | {result} | {} |\n",
        table.table,
        counts.join(" | ")
    )
}

fn section(page: &mut String, table: &TableDiff, compared: &Comparison, is_different: bool) {
    let has_duplicates = [&compared.left, &compared.right]
        .iter()
        .any(|side| side.duplicate_keys.is_some());
    if !is_different && !has_duplicates {
        return;
    }
    let _ = writeln!(page, "\n#### `{}`\n", table.table);
    page.push_str("| | left | right |\n|---|--:|--:|\n");
    for [name, left, right] in text::count_lines(compared) {
        let _ = writeln!(page, "| {name} | {left} | {right} |");
    }
    page.push('\n');
    if let Some(key) = text::key_line(compared) {
        let _ = writeln!(page, "- {}", escaped(&key));
    }
    for change in &compared.schema {
        let _ = writeln!(page, "- {}", escaped(&text::schema_line(change)));
    }
    for (columns, reason) in text::not_compared(compared) {
        let columns: Vec<String> = columns.into_iter().map(code).collect();
        let _ = writeln!(
            page,
            "- not compared: {}: {}",
            columns.join(", "),
            escaped(reason)
        );
    }
    for note in &compared.notes {
        let _ = writeln!(page, "- note: {}", escaped(note));
    }
    for (side, counts) in [("left", &compared.left), ("right", &compared.right)] {
        if let Some(duplicates) = &counts.duplicate_keys {
            let examples = text::examples(duplicates, |key| code(&key));
            let _ = writeln!(page, "- not unique, {side}: {examples}");
        }
    }
    if !compared.columns.is_empty() {
        page.push_str("\n| changed column | type | keys | share |\n|---|---|--:|--:|\n");
        for column in &compared.columns {
            let (name, kind) = (code(&column.column), code(&column.kind));
            let (keys, share) = (human::count(column.changed), text::percent(column.share));
            let _ = writeln!(page, "| {name} | {kind} | {keys} | {share} |");
        }
    }
    samples(page, compared);
}

fn samples(page: &mut String, compared: &Comparison) {
    let samples = &compared.samples;
    let only = [
        ("only left", &samples.only_left),
        ("only right", &samples.only_right),
    ];
    if samples.changed.is_empty() && only.iter().all(|(_, rows)| rows.is_empty()) {
        return;
    }
    page.push_str("\n<details><summary>Sample rows</summary>\n\n");
    if !samples.changed.is_empty() {
        page.push_str("| key | column | left | right |\n|---|---|---|---|\n");
        for row in &samples.changed {
            let key = code(&value_text::key(&row.key));
            for value in &row.columns {
                let (left, right) = value_text::pair(&value.left, &value.right);
                let (column, left, right) = (code(&value.column), code(&left), code(&right));
                let _ = writeln!(page, "| {key} | {column} | {left} | {right} |");
            }
        }
    }
    if !samples.changed.is_empty() && only.iter().any(|(_, rows)| !rows.is_empty()) {
        page.push('\n');
    }
    for (name, rows) in only {
        for row in rows {
            let _ = writeln!(page, "- {name}: {}", code(&text::row_text(row)));
        }
    }
    page.push_str("\n</details>\n");
}

/// Returns text as code that stays within a cell of a table.
fn code(text: &str) -> String {
    let text = visible_line(text).replace('|', "\\|");
    // A fence is longer than any run of backticks in the text.
    let runs = text.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0) + 1);
    match fence.len() {
        1 => format!("`{text}`"),
        _ => format!("{fence} {text} {fence}"),
    }
}

/// Returns text in which nothing is markup but code.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut is_code = false;
    for c in visible_line(text).chars() {
        is_code ^= c == '`';
        match c {
            '|' => escaped.push_str("\\|"),
            '<' | '>' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' | '@' if !is_code => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_no_markup() {
        assert_eq!(code("a|b"), "`a\\|b`");
        assert_eq!(code("a`b``c"), "``` a`b``c ```");
        assert_eq!(code("a\nb"), "`a\\nb`");
        assert_eq!(escaped("<b> `a_b` a_b |"), "\\<b\\> `a_b` a\\_b \\|");
    }
}
