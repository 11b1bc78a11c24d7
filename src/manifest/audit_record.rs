//! The results of audits, as manifests have them.

use serde::{Deserialize, Serialize};

/// The consequence of an audit that does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditSeverity {
    /// Nothing is published.
    #[default]
    Fail,
    /// The cycle is published, with a warning.
    Warn,
}

impl AuditSeverity {
    /// Returns the name of the severity.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
        }
    }
}

/// The verdict of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerdict {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// There is nothing to compare with yet.
    Skipped,
    /// It ended with an error.
    Error,
}

impl AuditVerdict {
    /// Returns the name of the verdict.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Error => "error",
        }
    }
}

/// The result of one audit of the rows of a cycle, without any of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// The name of the audit.
    pub name: String,
    /// The consequence if it does not hold.
    pub severity: AuditSeverity,
    /// The verdict.
    pub result: AuditVerdict,
    /// The number of rows that the audit returns; 0 for an audit that is not about single rows.
    pub rows: u64,
    /// True if the operator had the cycle published although the audit does not hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
}
