//! The report of a test as annotations of GitHub Actions.

use std::fmt::Write;

use crate::cases::TestReport;
use crate::cli::annotation::Annotation;
use crate::cli::test::text;
use crate::visible::visible;

pub(super) fn render(report: &TestReport) -> String {
    let mut annotations = String::new();
    for (case, failure) in report.failed() {
        let annotation = Annotation {
            level: "error",
            file: Some(case.file.clone()),
            line: failure.line(),
            columns: None,
            title: case.full_name(),
            message: format!(
                "{}\n{}",
                text::summary(case, failure),
                text::details(failure)
            ),
        };
        // Writing to a string does not fail.
        let _ = writeln!(annotations, "{annotation}");
    }
    annotations + &visible(&text::render(report))
}
