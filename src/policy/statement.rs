//! A statement of a policy.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::policy::IamAction;

/// A policy statement. Without a principal it is part of a role's own policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Statement {
    pub sid: &'static str,
    pub effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Value>,
    #[serde(rename = "Action", serialize_with = "names")]
    pub actions: Vec<IamAction>,
    #[serde(rename = "Resource", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Value>,
}

impl Statement {
    /// Returns the statement without its principal as one line of JSON.
    pub(crate) fn line(&self) -> String {
        let line = Statement {
            principal: None,
            ..self.clone()
        };
        json!(line).to_string()
    }
}

/// Serializes the names of the actions; none means every action, which policies write as `s3:*`.
fn names<S: Serializer>(actions: &[IamAction], serializer: S) -> Result<S::Ok, S::Error> {
    match actions {
        [] => serializer.serialize_str("s3:*"),
        [action] => serializer.serialize_str(action.name()),
        actions => serializer.collect_seq(actions.iter().map(|action| action.name())),
    }
}

/// Returns a policy document of `statements`.
pub(super) fn document(statements: &[Statement]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}
