//! The report of a test for people.

use std::fmt::Write;

use crate::cases::{
    CaseOutcome, CaseReport, ChangedRow, Failure, MissingRow, RejectsDifference, RowsDifference,
    TestReport,
};
use crate::human;
use crate::visible::visible_line;

/// The maximum number of rows of a kind that are shown of a case.
const SHOWN_ROWS: usize = 20;

/// The maximum length of a value, in characters.
const SHOWN_CHARACTERS: usize = 400;

pub(super) fn render(report: &TestReport) -> String {
    let mut text = String::new();
    for case in &report.cases {
        let name = case.full_name();
        // Writing to a string does not fail.
        let _ = match &case.outcome {
            CaseOutcome::Passed => writeln!(text, "ok    {name}"),
            CaseOutcome::Failed(failure) => {
                writeln!(
                    text,
                    "FAIL  {name}: {}\n{}",
                    summary(case, failure),
                    details(failure)
                )
            }
            CaseOutcome::Updated { files } if files.is_empty() => writeln!(text, "same  {name}"),
            CaseOutcome::Updated { files } => writeln!(text, "wrote {}", files.join(", ")),
        };
    }
    let (cases, failed) = (report.cases.len(), report.failed().count());
    let cases = human::counted(cases as u64, "case");
    let _ = match failed {
        0 => writeln!(text, "{cases}, none failed"),
        _ => writeln!(text, "{cases}, {failed} failed"),
    };
    if !report.without_cases.is_empty() {
        let tables: Vec<&str> = report
            .without_cases
            .iter()
            .map(|table| table.as_str())
            .collect();
        let _ = writeln!(text, "not tested: {}", tables.join(", "));
    }
    text
}

/// Returns the reason of a failure in one line.
pub(in crate::cli) fn summary(case: &CaseReport, failure: &Failure) -> String {
    if let Some(error) = &failure.error {
        return visible_line(error).into_owned();
    }
    let rows = |count: usize| human::counted(count as u64, "row");
    let mut text = format!(
        "{} expected, {} exported",
        rows(case.expected_rows),
        human::count(case.exported_rows as u64)
    );
    let RowsDifference {
        changed,
        missing,
        unexpected,
    } = &failure.rows;
    let counts = [
        (changed.len(), "changed"),
        (missing.len(), "missing"),
        (unexpected.len(), "unexpected"),
        (failure.rejects.missing.len(), "lines not rejected"),
        (failure.rejects.unexpected.len(), "lines rejected"),
        (failure.audits.len(), "not as expected of the audits"),
    ];
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, ", {count} {what}");
    }
    text
}

/// Returns the lines that say what differs, with an indent.
pub(super) fn details(failure: &Failure) -> String {
    let mut lines = Vec::new();
    let RowsDifference {
        changed,
        missing,
        unexpected,
    } = &failure.rows;
    for row in changed.iter().take(SHOWN_ROWS) {
        lines.push(format!("      expected.jsonl:{}", row.line));
        lines.extend(cells(row));
    }
    lines.extend(left_out(changed.len()));
    for MissingRow { line, row } in missing.iter().take(SHOWN_ROWS) {
        lines.push(format!(
            "      missing: expected.jsonl:{line} {}",
            short(row)
        ));
    }
    lines.extend(left_out(missing.len()));
    for text in unexpected.iter().take(SHOWN_ROWS) {
        lines.push(format!("      unexpected: {}", short(text)));
    }
    lines.extend(left_out(unexpected.len()));
    lines.extend(rejects(&failure.rejects));
    lines.extend(
        failure
            .audits
            .iter()
            .map(|line| format!("      {}", short(line))),
    );
    lines.join("\n")
}

fn cells(row: &ChangedRow) -> Vec<String> {
    let width = |text: fn(&crate::cases::CellChange) -> &String| {
        let lengths = row
            .cells
            .iter()
            .map(|cell| short(text(cell)).chars().count());
        lengths.max().unwrap_or_default()
    };
    let (paths, expected) = (width(|cell| &cell.path), width(|cell| &cell.expected));
    let cells = row.cells.iter().map(|cell| {
        format!(
            "        {:paths$}  expected {:expected$}  exported {}",
            short(&cell.path),
            short(&cell.expected),
            short(&cell.exported)
        )
    });
    cells.collect()
}

fn rejects(difference: &RejectsDifference) -> Vec<String> {
    let mut lines = Vec::new();
    for text in difference.missing.iter().take(SHOWN_ROWS) {
        lines.push(format!("      not rejected: {}", short(text)));
    }
    lines.extend(left_out(difference.missing.len()));
    for reject in difference.unexpected.iter().take(SHOWN_ROWS) {
        lines.push(format!(
            "      rejected: {}.jsonl:{}: {}",
            reject.source,
            reject.line,
            short(&reject.reason)
        ));
    }
    lines.extend(left_out(difference.unexpected.len()));
    lines
}

fn left_out(count: usize) -> Option<String> {
    let more = count.checked_sub(SHOWN_ROWS).filter(|more| *more > 0)?;
    Some(format!(
        "      … and {more} more; --output json has all of them"
    ))
}

fn short(text: &str) -> String {
    let shown = visible_line(text);
    match shown.char_indices().nth(SHOWN_CHARACTERS) {
        None => shown.into_owned(),
        Some((end, _)) => format!("{}…", shown.get(..end).unwrap_or_default()),
    }
}
