//! Collects the results of a check.

use serde::Serialize;

use crate::check::place::Place;
use crate::error::{Error, ExitCode};
use crate::policy::{Grant, IamAction};

/// The subject of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckArea {
    Definitions,
    Sources,
    Audits,
    Tests,
    Destination,
    Settings,
    RejectedLines,
}

/// The result of checking one thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CheckItem {
    pub area: CheckArea,
    pub name: String,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The place in a file that a finding or a note is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// The outcome of checking one thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(crate) enum Verdict {
    #[serde(rename = "fine")]
    Passed { detail: String },
    /// Something that can make a run fail.
    Finding {
        detail: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// The action that is not allowed.
        #[serde(skip_serializing_if = "Option::is_none")]
        permission: Option<&'static str>,
        /// The statement of `dayport policy` that allows it.
        #[serde(skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
    },
    /// Something that a reader of the list should know; a run succeeds with it.
    Note { detail: String, hint: String },
    /// The check lacks a right, or the store lacks the call; a run does not need it.
    #[serde(rename = "unseen")]
    Unknown { detail: String },
}

/// The results of a check, in order.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CheckList {
    pub items: Vec<CheckItem>,
}

impl CheckList {
    /// Adds something that works.
    pub(crate) fn passed(&mut self, area: CheckArea, name: &str, detail: impl Into<String>) {
        let detail = detail.into();
        self.push(area, name, Verdict::Passed { detail });
    }

    /// Adds something that the check could not find out.
    pub(crate) fn unknown(&mut self, area: CheckArea, name: &str, detail: impl Into<String>) {
        let detail = detail.into();
        self.push(area, name, Verdict::Unknown { detail });
    }

    /// Adds something that is worth knowing, although a run succeeds with it.
    pub(crate) fn note(
        &mut self,
        area: CheckArea,
        name: &str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (detail, hint) = (detail.into(), hint.into());
        self.push(area, name, Verdict::Note { detail, hint });
    }

    /// Adds something that can make a run fail, with advice.
    pub(crate) fn finding(
        &mut self,
        area: CheckArea,
        name: &str,
        detail: impl Into<String>,
        hint: Option<&str>,
    ) {
        let verdict = Verdict::Finding {
            detail: detail.into(),
            hint: hint.map(str::to_owned),
            permission: None,
            policy: None,
        };
        self.push(area, name, verdict);
    }

    /// Adds an error as a finding with its hint; an error that holds several adds each of them.
    pub(crate) fn error(&mut self, area: CheckArea, name: &str, error: &Error) {
        for error in error.each() {
            self.finding(area, name, error.chain(), error.hint());
        }
    }

    /// Adds a missing right on the destination as a finding, with the policy that grants it.
    pub(crate) fn denied(&mut self, name: &str, action: IamAction, grant: &Grant) {
        let verdict = Verdict::Finding {
            detail: format!("{action} is not allowed"),
            hint: Some("`dayport policy` prints all that is needed".to_owned()),
            permission: Some(action.name()),
            policy: Some(grant.statement_granting(action).line()),
        };
        self.push(CheckArea::Destination, name, verdict);
    }

    fn push(&mut self, area: CheckArea, name: &str, verdict: Verdict) {
        let place = match &verdict {
            Verdict::Finding { detail, .. } | Verdict::Note { detail, .. } => Place::of(detail),
            Verdict::Passed { .. } | Verdict::Unknown { .. } => None,
        };
        self.items.push(CheckItem {
            area,
            name: name.to_owned(),
            verdict,
            place,
        });
    }

    /// Returns the number of findings.
    pub(crate) fn findings(&self) -> usize {
        let verdicts = self.items.iter().map(|item| &item.verdict);
        verdicts
            .filter(|verdict| matches!(verdict, Verdict::Finding { .. }))
            .count()
    }

    /// Returns the exit code of `dayport check`: [`ExitCode::Failed`] if there is any finding.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.findings() {
            0 => ExitCode::Done,
            _ => ExitCode::Failed,
        }
    }
}
