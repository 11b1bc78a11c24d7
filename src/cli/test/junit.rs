//! The report of a test as JUnit's XML, a suite for each table:
//! <https://github.com/testmoapp/junitxml> describes what CI servers read of it.

use std::fmt::Write;

use quick_xml::escape::escape;

use crate::cases::{CaseReport, TestReport};
use crate::cli::test::text::{details, summary};
use crate::visible::visible;

pub(super) fn render(report: &TestReport) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    // Writing to a string does not fail.
    let _ = writeln!(
        xml,
        "<testsuites name=\"dayport\" tests=\"{}\" failures=\"{}\">",
        report.cases.len(),
        report.failed().count()
    );
    for suite in report
        .cases
        .chunk_by(|left, right| left.table == right.table)
    {
        let Some(first) = suite.first() else {
            continue;
        };
        let failures = suite.iter().filter(|case| case.failure().is_some()).count();
        let (table, tests) = (first.table.as_str(), suite.len());
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{table}\" tests=\"{tests}\" failures=\"{failures}\">"
        );
        for case in suite {
            add_case(&mut xml, case);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn add_case(xml: &mut String, case: &CaseReport) {
    let (name, table) = (escape(&case.case), case.table.as_str());
    let file = escape(&case.file);
    let head = format!("    <testcase name=\"{name}\" classname=\"{table}\" file=\"{file}\"");
    let _ = match case.failure() {
        None => writeln!(xml, "{head}/>"),
        Some(failure) => {
            // XML has no control characters, not even escaped.
            let (summary, details) = (summary(case, failure), details(failure));
            let (summary, details) = (visible(&summary), visible(&details));
            writeln!(
                xml,
                "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escape(&*summary),
                escape(&*details)
            )
        }
    };
}
