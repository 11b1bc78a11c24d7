//! `expected_rejects.jsonl`: the lines of a case that have to be rejected.

use serde::{Deserialize, Serialize};

use crate::cases::folder::{CaseText, source_of_file};
use crate::error::{Error, Result};
use crate::scan::scan_log::SourceScan;

/// A line of a source that is rejected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct RejectedLine {
    pub(crate) source: String,
    /// The number of the line, from 1.
    pub(crate) line: u64,
    /// The path of the field at fault; `None` if the line is rejected for another reason.
    pub(crate) field: Option<String>,
    pub(crate) reason: String,
}

/// A line that is expected to be rejected. Its field and reason are compared if they are written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedReject {
    source: String,
    line: u64,
    #[serde(default, deserialize_with = "given")]
    field: Option<Option<String>>,
    reason: Option<String>,
}

/// Tells `null` from a member that is not there.
fn given<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// The rejected lines that are expected and not there, and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RejectsDifference {
    /// The expected ones that are not rejected, or not for that reason, as they are written.
    pub(crate) missing: Vec<String>,
    /// The ones that are not expected.
    pub(crate) unexpected: Vec<RejectedLine>,
}

impl RejectsDifference {
    pub(crate) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }
}

/// Parses the expected rejects, each with its text.
///
/// # Errors
/// [`Error::invalid`] with file and line.
pub(super) fn parse(text: Option<&CaseText>) -> Result<Vec<(ExpectedReject, String)>> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let (mut rejects, mut complaints) = (Vec::new(), Vec::new());
    for (index, line) in text.text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(reject) => rejects.push((reject, line.to_owned())),
            Err(error) => {
                let what = format!("{}:{}: no reject of a line", text.file, index + 1);
                complaints.push(Error::invalid(what).with_source(error).with_hint(
                    r#"write it like {"source":"events","line":2,"field":"time","reason":"…"}"#,
                ));
            }
        }
    }
    Error::all(complaints)?;
    Ok(rejects)
}

/// Returns the lines that a definition rejected, sorted.
pub(super) fn rejected(scans: &[SourceScan]) -> Result<Vec<RejectedLine>> {
    let mut rejected = Vec::new();
    for scan in scans {
        for reject in scan.rejects.read()? {
            let reject = reject?;
            rejected.push(RejectedLine {
                source: source_of_file(&reject.file),
                line: reject.line,
                field: reject.field,
                reason: reject.reason,
            });
        }
    }
    rejected.sort();
    Ok(rejected)
}

/// Compares the lines that were rejected with those that are expected.
pub(super) fn compare(
    expected: &[(ExpectedReject, String)],
    rejected: Vec<RejectedLine>,
) -> RejectsDifference {
    let mut left = rejected;
    let mut missing = Vec::new();
    for (reject, text) in expected {
        let found = left.iter().position(|line| {
            line.source == reject.source
                && line.line == reject.line
                && reject
                    .field
                    .as_ref()
                    .is_none_or(|field| *field == line.field)
                && reject
                    .reason
                    .as_ref()
                    .is_none_or(|reason| *reason == line.reason)
        });
        match found {
            Some(index) => {
                left.remove(index);
            }
            None => missing.push(text.clone()),
        }
    }
    RejectsDifference {
        missing,
        unexpected: left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, field: Option<&str>) -> RejectedLine {
        RejectedLine {
            source: "events".to_owned(),
            line: number,
            field: field.map(str::to_owned),
            reason: "not a number".to_owned(),
        }
    }

    fn difference(expected: &str, rejected: Vec<RejectedLine>) -> RejectsDifference {
        let text = CaseText {
            file: "expected_rejects.jsonl".to_owned(),
            text: expected.to_owned(),
        };
        compare(&parse(Some(&text)).unwrap(), rejected)
    }

    #[test]
    fn field_and_reason_are_compared_if_they_are_written() {
        let rejected = || vec![line(2, Some("n")), line(3, None)];
        let expected = r#"{"source":"events","line":3,"field":null}
            {"source":"events","line":2,"reason":"not a number"}"#;
        assert!(difference(expected, rejected()).is_empty());
        for other in [
            r#"{"source":"events","line":2,"field":null}"#,
            r#"{"source":"events","line":2,"reason":"x"}"#,
            r#"{"source":"aliases","line":2}"#,
        ] {
            let difference = difference(other, rejected());
            assert_eq!(difference.missing, [other]);
            assert_eq!(difference.unexpected.len(), 2);
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        let text = CaseText {
            file: "expected_rejects.jsonl".to_owned(),
            text: "\n{\"line\":2}".to_owned(),
        };
        let error = parse(Some(&text)).unwrap_err().render();
        assert!(error.contains("expected_rejects.jsonl:2: "), "{error}");
    }
}
