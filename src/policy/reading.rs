//! The rights to read: the raw files of sources, and what was exported.
//!
//! Each statement holds over TLS only. Nothing is denied: the bucket may have other users.

use serde_json::{Value, json};

use crate::layout;
use crate::policy::grant::{GrantPurpose, allow};
use crate::policy::{Grant, IamAction, Statement};

impl Grant {
    /// Returns the rights to list and read everything below the prefix: what `run`, `plan`, `check`,
    /// `query` and `trace` do with sources.
    pub(super) fn source_rights(&self) -> Vec<Statement> {
        let listed = match self.prefix.as_ref() {
            // A listing of the whole bucket has no prefix.
            "" => None,
            _ => Some(vec![format!("{}*", self.absolute(""))]),
        };
        vec![
            self.listing("DayportSourcesList", listed),
            Statement {
                actions: vec![IamAction::GetObject],
                resources: vec![self.arns_below("")],
                condition: Some(over_tls()),
                ..allow("DayportSourcesRead")
            },
        ]
    }

    /// Returns the rights to read an export: what `verify`, `wait`, `changes`, `status`, `ddl`, `query`, `trace`
    /// and readers of the data do. Of dayport's own folder that is the log, which tells an unfinished commit.
    pub(super) fn receiver_rights(&self) -> Vec<Statement> {
        let folders = [
            layout::data_folder(),
            layout::manifests_folder(),
            layout::schemas_folder(),
            layout::rejects_folder(),
            layout::logs_folder(),
            layout::cycles_folder(),
            layout::marks_folder(),
        ];
        let listed = folders
            .iter()
            .map(|folder| format!("{}/*", self.absolute(folder.as_ref())));
        let read = folders
            .iter()
            .map(|folder| self.arns_below(folder.as_ref()));
        let latest = self.absolute(layout::latest_file().as_ref());
        let read = read.chain([format!("{}/{latest}", self.bucket_arn())]);
        vec![
            self.listing("DayportReceiversList", Some(listed.collect())),
            Statement {
                actions: vec![IamAction::GetObject],
                resources: read.collect(),
                condition: Some(over_tls()),
                ..allow("DayportReceiversRead")
            },
        ]
    }

    /// Returns the statement that allows to list `prefixes`, or all of the bucket.
    fn listing(&self, sid: &'static str, prefixes: Option<Vec<String>>) -> Statement {
        let mut condition = over_tls();
        if let Some(prefixes) = prefixes {
            condition["StringLike"] = json!({ "s3:prefix": prefixes });
        }
        Statement {
            actions: vec![IamAction::ListBucket],
            resources: vec![self.bucket_arn()],
            condition: Some(condition),
            ..allow(sid)
        }
    }

    /// Returns the name of the statement about the KMS key. Statements of one policy need different names.
    pub(super) fn sid_of_key(&self) -> &'static str {
        match self.purpose {
            GrantPurpose::Destination => "DayportEncrypt",
            GrantPurpose::Sources => "DayportSourcesDecrypt",
            GrantPurpose::Receivers => "DayportReceiversDecrypt",
        }
    }
}

fn over_tls() -> Value {
    json!({ "Bool": { "aws:SecureTransport": "true" } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(purpose: GrantPurpose, prefix: &str) -> Grant {
        Grant {
            purpose,
            bucket: "bucket".into(),
            prefix: prefix.into(),
            principal: Some("arn:aws:iam::111122223333:role/reader".parse().unwrap()),
            kms_key: Some("arn:aws:kms:eu-west-1:111122223333:key/1234abcd".into()),
            external_id: None,
            settings: false,
        }
    }

    #[test]
    fn readers_may_list_get_and_decrypt_and_nothing_else() {
        for purpose in [GrantPurpose::Sources, GrantPurpose::Receivers] {
            for prefix in ["", "acme/x"] {
                let grant = grant(purpose, prefix);
                for statement in [grant.bucket_policy(), grant.role_policy()].concat() {
                    let is_reading = |action: &IamAction| {
                        let reading = [
                            IamAction::ListBucket,
                            IamAction::GetObject,
                            IamAction::Decrypt,
                        ];
                        reading.contains(action)
                    };
                    assert!(statement.actions.iter().all(is_reading), "{statement:?}");
                    assert_eq!(statement.effect, "Allow");
                    assert!(!statement.actions.is_empty(), "no `s3:*`");
                }
            }
        }
    }

    #[test]
    fn only_listings_below_the_prefix_are_allowed() {
        let prefixes = |purpose, prefix: &str| {
            let [listing, _] = &grant(purpose, prefix).bucket_policy()[..] else {
                panic!("two statements");
            };
            listing.condition.clone().unwrap()["StringLike"]["s3:prefix"].clone()
        };
        assert_eq!(
            prefixes(GrantPurpose::Sources, "raw/events"),
            json!(["raw/events/*"])
        );
        assert_eq!(prefixes(GrantPurpose::Sources, ""), Value::Null);
        assert_eq!(
            prefixes(GrantPurpose::Receivers, "acme"),
            json!([
                "acme/data/*",
                "acme/manifests/*",
                "acme/schema/*",
                "acme/rejects/*",
                "acme/_dayport/log/*",
                "acme/cycles/*"
            ])
        );
        let all = grant(GrantPurpose::Sources, "").source_rights();
        assert_eq!(all[1].resources, ["arn:aws:s3:::bucket/*"]);
    }
}
