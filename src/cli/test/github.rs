//! The report of a test as annotations of GitHub Actions:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.

use std::fmt::Write;

use crate::cases::TestReport;
use crate::cli::test::text;
use crate::visible::visible;

pub(super) fn render(report: &TestReport) -> String {
    let mut annotations = String::new();
    for (case, failure) in report.failed() {
        let lines = failure.rows.changed.iter().map(|row| row.line);
        let line = lines
            .chain(failure.rows.missing.iter().map(|row| row.line))
            .min();
        let message = format!(
            "{}\n{}",
            text::summary(case, failure),
            text::details(failure)
        );
        // Writing to a string does not fail.
        let _ = writeln!(
            annotations,
            "::error file={},line={},title={}::{}",
            property(&case.file),
            line.unwrap_or(1),
            property(&case.full_name()),
            data(&visible(&message))
        );
    }
    annotations + &visible(&text::render(report))
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
