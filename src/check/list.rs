//! The check-list.

use serde::Serialize;

use crate::error::{Error, ExitCode};
use crate::policy::{Grant, IamAction};

/// What an item is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    Definitions,
    Sources,
    Destination,
    Settings,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    pub area: Area,
    pub name: String,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    Fine {
        detail: String,
    },
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
    /// No right, or no such call; a run does not need it.
    Unseen {
        detail: String,
    },
}

/// All that was checked, in order.
#[derive(Debug, Default, Serialize)]
pub struct List {
    pub items: Vec<Item>,
}

impl List {
    pub fn fine(&mut self, area: Area, name: &str, detail: impl Into<String>) {
        let detail = detail.into();
        self.push(area, name, Verdict::Fine { detail });
    }

    pub fn unseen(&mut self, area: Area, name: &str, detail: impl Into<String>) {
        let detail = detail.into();
        self.push(area, name, Verdict::Unseen { detail });
    }

    pub fn finding(
        &mut self,
        area: Area,
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

    /// What went wrong, with its hint; each complaint of several on its own.
    pub fn error(&mut self, area: Area, name: &str, error: &Error) {
        for error in error.each() {
            self.finding(area, name, error.chain(), error.hint());
        }
    }

    /// A refusal for want of a right.
    pub fn denied(&mut self, name: &str, action: IamAction, grant: &Grant) {
        let verdict = Verdict::Finding {
            detail: format!("{action} is not allowed"),
            hint: Some("`dayport policy` prints all that is needed".to_owned()),
            permission: Some(action.name()),
            policy: Some(grant.statement_granting(action).line()),
        };
        self.push(Area::Destination, name, verdict);
    }

    fn push(&mut self, area: Area, name: &str, verdict: Verdict) {
        self.items.push(Item {
            area,
            name: name.to_owned(),
            verdict,
        });
    }

    pub fn findings(&self) -> usize {
        let verdicts = self.items.iter().map(|item| &item.verdict);
        verdicts
            .filter(|verdict| matches!(verdict, Verdict::Finding { .. }))
            .count()
    }

    /// 1 if there is any finding.
    pub fn exit_code(&self) -> ExitCode {
        match self.findings() {
            0 => ExitCode::Done,
            _ => ExitCode::Failed,
        }
    }
}
