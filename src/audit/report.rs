//! The result of an audit, for the operator.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::human;
use crate::manifest::{AuditRecord, AuditSeverity, AuditVerdict};

/// The result of one audit of the rows of a cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditResult {
    /// The part that the manifest has, too.
    #[serde(flatten)]
    pub record: AuditRecord,
    /// The position of the audit, as `file:line`.
    pub position: String,
    /// The reason of the verdict, where it is not the number of rows alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The keys of the first rows that break the rule; empty if the audit has no key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Map<String, Value>>,
}

impl AuditResult {
    /// Returns true if the audit does not hold, or could not be evaluated.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(
            self.record.result,
            AuditVerdict::Failed | AuditVerdict::Error
        )
    }

    /// Returns true if nothing may be published because of it.
    pub(crate) fn blocks(&self) -> bool {
        self.is_broken() && self.record.severity == AuditSeverity::Fail && !self.record.accepted
    }

    /// Describes the result in one line: the audit, its position, and what breaks it.
    pub(crate) fn describe(&self) -> String {
        let AuditRecord { name, rows, .. } = &self.record;
        let mut parts = Vec::new();
        if *rows > 0 {
            parts.push(human::counted(*rows, "row").to_string());
        }
        parts.extend(self.detail.clone());
        if let Some(first) = self.keys.first() {
            parts.push(format!("first {}", key_text(first)));
        }
        format!("`{name}` ({}): {}", self.position, parts.join(", "))
    }
}

/// The end of an audit.
pub(super) enum Ended {
    Passed,
    /// It does not hold, for this reason unless that is the number of rows.
    Failed(Option<String>),
    /// There is nothing to compare with, for this reason.
    Skipped(String),
}

impl Ended {
    /// Returns the end of an audit that does not hold if there is a reason.
    pub(super) fn of(reason: Option<String>) -> Self {
        match reason {
            None => Self::Passed,
            reason => Self::Failed(reason),
        }
    }
}

/// Describes the audits that block a publication, in one line.
pub(crate) fn failing_summary(results: &[AuditResult]) -> Option<String> {
    let blocking: Vec<String> = results
        .iter()
        .filter(|result| result.blocks())
        .map(AuditResult::describe)
        .collect();
    match blocking.as_slice() {
        [] => None,
        [one] => Some(format!("the audit {one}")),
        many => Some(format!("{} audits: {}", many.len(), many.join("; "))),
    }
}

/// Renders a key, as `event_id = "a", day = 3`.
fn key_text(key: &Map<String, Value>) -> String {
    let parts = key.iter().map(|(name, value)| format!("{name} = {value}"));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result(name: &str, severity: AuditSeverity, accepted: bool) -> AuditResult {
        let key = json!({ "event_id": "a", "day": 3 });
        AuditResult {
            record: AuditRecord {
                name: name.to_owned(),
                severity,
                result: AuditVerdict::Failed,
                rows: 1200,
                accepted,
            },
            position: "sql/audits/views.sql:3".to_owned(),
            detail: None,
            keys: key.as_object().cloned().into_iter().collect(),
        }
    }

    #[test]
    fn only_audits_that_block_are_in_the_summary() {
        let results = [
            result("a", AuditSeverity::Warn, false),
            result("b", AuditSeverity::Fail, true),
        ];
        assert_eq!(failing_summary(&results), None);
        let results = [result("c", AuditSeverity::Fail, false)];
        assert_eq!(
            failing_summary(&results).unwrap(),
            "the audit `c` (sql/audits/views.sql:3): 1,200 rows, first day = 3, event_id = \"a\""
        );
    }
}
