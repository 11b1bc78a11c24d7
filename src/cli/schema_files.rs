//! Warns of files that describe the schemas of tables and could not be written.

use crate::human;
use crate::policy::{Grant, IamAction, denied_action};
use crate::run::{RunReport, TableOutcome};
use crate::store::{Location, S3Prefix};

/// The warning of a run whose schema files are not written, which its tables do not need.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SchemaFilesWarning {
    pub text: String,
    pub hint: String,
}

impl SchemaFilesWarning {
    /// Returns one warning for all tables of a run; `None` if it wrote every file that was due.
    pub(super) fn of(report: &RunReport, to: &Location) -> Option<Self> {
        let errors: Vec<&String> = report
            .tables
            .iter()
            .filter_map(|table| match &table.outcome {
                TableOutcome::Published {
                    schema_file_error, ..
                } => schema_file_error.as_ref(),
                _ => None,
            })
            .collect();
        let first = errors.first()?;
        let of = human::counted(errors.len() as u64, "table");
        let is_denied = denied_action(first, IamAction::PutObject).is_some();
        let statement = schema_statement(to).filter(|_| is_denied);
        Some(Self {
            text: format!("{of} published without the description of the schema: {first}"),
            hint: match statement {
                Some(statement) => format!("add this statement to the policy: {statement}"),
                None => "the next publication tries again".to_owned(),
            },
        })
    }
}

/// Returns the statement that a bucket's policy needs, as one line.
fn schema_statement(to: &Location) -> Option<String> {
    let S3Prefix { bucket, prefix } = to.s3_prefix()?;
    let grant = Grant::to_export(bucket, prefix);
    Some(grant.schema_statement().line())
}
