//! Tells the operator where the texts of malformed lines are, or why they are not there.

use std::fmt::Write;

use crate::human;
use crate::run::{RejectedLines, RejectedLinesFile};
use crate::visible::visible_line;

/// The advice if the lines were not written.
pub(super) const NOT_WRITTEN_HINT: &str =
    "the table does not depend on them; make --rejects-to writable, and run again with --rerun";

/// Renders where the malformed lines of one table and cycle are. `of` names both.
pub(super) fn rejected_lines(of: &str, copied: &RejectedLines) -> String {
    let mut text = String::new();
    for files in copied
        .files
        .chunk_by(|file, next| file.source == next.source)
    {
        text.push_str(&note(of, files));
    }
    if let Some(error) = &copied.error {
        let error = visible_line(error);
        let _ = writeln!(
            text,
            "warning: {of}: not all malformed lines are written to --rejects-to: {error}\n\
             hint: {NOT_WRITTEN_HINT}"
        );
    }
    text
}

/// Renders the note about the lines of one source, which are in `files`.
fn note(of: &str, files: &[RejectedLinesFile]) -> String {
    let Some(first) = files.first() else {
        return String::new();
    };
    let sum = |count: fn(&RejectedLinesFile) -> u64| -> u64 { files.iter().map(count).sum() };
    let (rows, without_text) = (sum(|file| file.rows), sum(|file| file.without_text));
    let more = match files.len() as u64 - 1 {
        0 => String::new(),
        more => format!(" and {}", human::counted(more, "more file")),
    };
    let untold = match without_text {
        0 => String::new(),
        count => format!(", {} of them without the text", human::count(count)),
    };
    format!(
        "note: {of}: {} of the source `{}` {} in `{}`{more}{untold}\n",
        human::counted(rows, "malformed line"),
        visible_line(&first.source),
        if rows == 1 { "is" } else { "are" },
        visible_line(&first.path)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(source: &str, rows: u64, without_text: u64) -> RejectedLinesFile {
        RejectedLinesFile {
            source: source.to_owned(),
            path: format!("/mine/{source}/2026-01-15/t.run.json.gz"),
            rows,
            without_text,
            bytes: 1,
        }
    }

    #[test]
    fn each_source_has_a_note_and_a_failure_a_warning() {
        let copied = RejectedLines {
            files: vec![file("a", 2000, 0), file("a", 7, 5), file("b", 1, 0)],
            error: Some("cannot write\u{1b}".to_owned()),
        };
        assert_eq!(
            rejected_lines("t 2026-01-15", &copied),
            "note: t 2026-01-15: 2,007 malformed lines of the source `a` are in \
             `/mine/a/2026-01-15/t.run.json.gz` and 1 more file, 5 of them without the text\n\
             note: t 2026-01-15: 1 malformed line of the source `b` is in \
             `/mine/b/2026-01-15/t.run.json.gz`\n\
             warning: t 2026-01-15: not all malformed lines are written to --rejects-to: \
             cannot write\\u{1b}\n\
             hint: the table does not depend on them; make --rejects-to writable, and run again with \
             --rerun\n"
        );
    }
}
