//! The grant of a principal on a bucket, as the policy statements that it consists of.

use object_store::path::Path;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::layout;
use crate::policy::principal::{is_account, is_name_byte};
use crate::policy::{IamAction, Principal, Statement};

/// What the principal may do with the objects below a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrantPurpose {
    /// Export to the prefix.
    Destination,
    /// Read the raw files below the prefix, as sources.
    Sources,
    /// Read what was exported to the prefix.
    Receivers,
}

/// The grant of rights on a prefix of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub purpose: GrantPurpose,
    pub bucket: String,
    pub prefix: Path,
    /// The principal; absent if only the rights matter.
    pub principal: Option<Principal>,
    /// The ARN of the key that objects are encrypted with.
    pub kms_key: Option<String>,
    pub external_id: Option<String>,
    /// True if `check` may also read the bucket's settings.
    pub settings: bool,
}

impl Grant {
    /// Creates the grant whose statements a warning quotes: an export to a prefix, with nothing that the
    /// destination's owner chose.
    pub(crate) fn to_export(bucket: &str, prefix: &Path) -> Self {
        Self {
            purpose: GrantPurpose::Destination,
            bucket: bucket.to_owned(),
            prefix: prefix.clone(),
            principal: None,
            kms_key: None,
            external_id: None,
            settings: false,
        }
    }

    /// Validates the KMS key and the external id.
    ///
    /// # Errors
    /// Fails with one complaint for each value that AWS would reject.
    pub(crate) fn validate(&self) -> Result<()> {
        let mut complaints = Vec::new();
        if let Some(key) = &self.kms_key {
            let parts: Vec<&str> = key.splitn(6, ':').collect();
            let is_key = matches!(
                parts.as_slice(),
                ["arn", _, "kms", region, account, name]
                    if !region.is_empty() && is_account(account)
                        && name.strip_prefix("key/").is_some_and(|id| {
                            !id.is_empty() && id.bytes().all(is_name_byte)
                        })
            );
            if !is_key {
                let error = Error::invalid(format!("`{key}` is not the ARN of a KMS key"));
                let hint = "write it like arn:aws:kms:eu-west-1:111122223333:key/1234abcd-…";
                complaints.push(error.with_hint(hint));
            }
        }
        if let Some(id) = &self.external_id {
            let allowed = |byte: u8| is_name_byte(byte) || byte == b':';
            if !(2..=1224).contains(&id.len()) || !id.bytes().all(allowed) {
                let error = Error::invalid("the external id is not valid for AWS");
                let hint = "2 to 1224 letters, digits and +=,.@:/-_";
                complaints.push(error.with_hint(hint));
            }
        }
        Error::all(complaints)
    }

    /// Returns the bucket policy that grants the rights to the principal itself.
    pub(crate) fn bucket_policy(&self) -> Vec<Statement> {
        let mut statements = self.rights();
        for statement in &mut statements {
            statement.principal = self.principal_json();
        }
        // A grant to read leaves the bucket's other users alone: it holds over TLS only itself.
        if self.purpose == GrantPurpose::Destination {
            statements.insert(0, self.tls_only());
        }
        statements
    }

    /// Returns the statement that denies requests without TLS: the whole bucket policy if a role has
    /// the rights.
    pub(crate) fn tls_only(&self) -> Statement {
        Statement {
            sid: "DayportTlsOnly",
            effect: "Deny",
            principal: Some(json!("*")),
            actions: Vec::new(),
            resources: vec![self.bucket_arn(), self.arns_below("")],
            condition: Some(json!({ "Bool": { "aws:SecureTransport": "false" } })),
        }
    }

    /// Returns the policy of a role that the principal assumes.
    pub(crate) fn role_policy(&self) -> Vec<Statement> {
        let mut statements = self.rights();
        statements.extend(self.kms_key.as_ref().map(|key| Statement {
            resources: vec![key.clone()],
            ..self.kms_statement()
        }));
        statements
    }

    /// Returns the trust policy, which lets the principal assume that role.
    pub(crate) fn trust_policy(&self) -> Vec<Statement> {
        vec![self.trust_statement()]
    }

    fn trust_statement(&self) -> Statement {
        let id = self.external_id.as_ref();
        Statement {
            sid: "DayportAssume",
            effect: "Allow",
            principal: self.principal_json(),
            actions: vec![IamAction::AssumeRole],
            resources: Vec::new(),
            condition: id.map(|id| json!({ "StringEquals": { "sts:ExternalId": id } })),
        }
    }

    /// Returns the statement that the owner of the KMS key adds to its policy.
    pub(crate) fn key_policy(&self) -> Option<Statement> {
        self.kms_key.as_ref().map(|_| Statement {
            principal: self.principal_json(),
            resources: vec!["*".to_owned()],
            ..self.kms_statement()
        })
    }

    /// Returns the lifecycle configuration, in the form of the S3 API, that aborts the unfinished uploads
    /// of runs that died.
    pub(crate) fn lifecycle(&self) -> Value {
        json!({ "Rules": [{
            "ID": "dayport-abort-unfinished-uploads",
            "Status": "Enabled",
            "Filter": { "Prefix": self.absolute("") },
            "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": Self::ABORT_AFTER_DAYS },
        }] })
    }

    /// The age in days at which unfinished uploads are aborted. The uploads of a run that is committed but
    /// not finished are still needed, so the next run must start earlier.
    pub(crate) const ABORT_AFTER_DAYS: u32 = 7;

    /// Returns the statement that grants an action.
    pub(crate) fn statement_granting(&self, action: IamAction) -> Statement {
        match action {
            IamAction::GenerateDataKey | IamAction::Decrypt => self.kms_statement(),
            IamAction::AssumeRole => self.trust_statement(),
            IamAction::GetBucketPublicAccessBlock
            | IamAction::GetBucketVersioning
            | IamAction::GetLifecycleConfiguration => self.settings_statement(),
            action => {
                let rights = self.rights().into_iter();
                let mut granting = rights.filter(|right| right.actions.contains(&action));
                granting.next().unwrap_or_else(|| self.settings_statement())
            }
        }
    }

    fn rights(&self) -> Vec<Statement> {
        match self.purpose {
            GrantPurpose::Destination => self.run_rights(),
            GrantPurpose::Sources => self.source_rights(),
            GrantPurpose::Receivers => self.receiver_rights(),
        }
    }

    fn run_rights(&self) -> Vec<Statement> {
        let folders = |folders: &[Path]| -> Vec<String> {
            folders
                .iter()
                .map(|folder| self.arns_below(folder.as_ref()))
                .collect()
        };
        let (data, manifests) = (layout::data_folder(), layout::manifests_folder());
        let (rejects, internal) = (layout::rejects_folder(), layout::internal_folder());
        let all_folders = [
            data.clone(),
            manifests.clone(),
            rejects.clone(),
            internal.clone(),
        ];
        // Also needed for requests of single objects: without it S3 responds 403 for a missing one.
        let listed: Vec<String> = all_folders
            .iter()
            .map(|folder| format!("{}/*", self.absolute(folder.as_ref())))
            .collect();
        // Manifests and the log are immutable: nothing may delete them.
        let mut deleted = folders(&[
            data,
            rejects,
            layout::checks_folder(),
            layout::lists_folder(),
        ]);
        if self.principal.as_ref().is_some_and(Principal::is_of_ceph) {
            // For DeleteObjects Ceph also requires the right on the bucket; it still checks it for each
            // key.
            deleted.push(self.bucket_arn());
        }
        let mut rights = vec![
            Statement {
                actions: vec![IamAction::ListBucket],
                resources: vec![self.bucket_arn()],
                condition: Some(json!({ "StringLike": { "s3:prefix": listed } })),
                ..allow("DayportList")
            },
            Statement {
                actions: vec![IamAction::GetObject],
                resources: folders(&all_folders),
                ..allow("DayportRead")
            },
            Statement {
                actions: vec![IamAction::PutObject],
                resources: folders(&all_folders),
                ..allow("DayportWrite")
            },
            Statement {
                actions: vec![
                    IamAction::AbortMultipartUpload,
                    IamAction::DeleteObject,
                    IamAction::ListMultipartUploadParts,
                ],
                resources: deleted,
                ..allow("DayportRemove")
            },
        ];
        rights.push(self.schema_statement());
        rights.extend(self.marker_statements());
        if self.settings {
            rights.push(self.settings_statement());
        }
        rights
    }

    /// Returns the statement that lets a run describe the versions of schemas. Without it, tables are
    /// published all the same. `check` aborts an upload to find out whether it is granted.
    pub(crate) fn schema_statement(&self) -> Statement {
        Statement {
            actions: vec![
                IamAction::GetObject,
                IamAction::PutObject,
                IamAction::AbortMultipartUpload,
            ],
            resources: vec![self.arns_below(layout::schemas_folder().as_ref())],
            ..allow("DayportSchema")
        }
    }

    /// Returns the statements that let a run mark complete cycles, and overwrite the hint of the newest
    /// one. Without them, tables are published all the same. `check` aborts uploads to find out whether
    /// they are granted.
    pub(crate) fn marker_statements(&self) -> [Statement; 3] {
        let folder = layout::cycles_folder();
        let listed = format!("{}/*", self.absolute(folder.as_ref()));
        let latest = self.absolute(layout::latest_file().as_ref());
        [
            Statement {
                actions: vec![IamAction::ListBucket],
                resources: vec![self.bucket_arn()],
                condition: Some(json!({ "StringLike": { "s3:prefix": listed } })),
                ..allow("DayportListCycles")
            },
            Statement {
                actions: vec![
                    IamAction::GetObject,
                    IamAction::PutObject,
                    IamAction::AbortMultipartUpload,
                ],
                resources: vec![
                    self.arns_below(folder.as_ref()),
                    format!("{}/{latest}", self.bucket_arn()),
                ],
                ..allow("DayportCycles")
            },
            Statement {
                actions: vec![
                    IamAction::PutObject,
                    IamAction::AbortMultipartUpload,
                    IamAction::DeleteObject,
                ],
                resources: vec![self.arns_below(layout::marks_folder().as_ref())],
                ..allow("DayportMarks")
            },
        ]
    }

    fn settings_statement(&self) -> Statement {
        Statement {
            actions: vec![
                IamAction::GetBucketPublicAccessBlock,
                IamAction::GetBucketVersioning,
                IamAction::GetLifecycleConfiguration,
            ],
            resources: vec![self.bucket_arn()],
            ..allow("DayportCheckSettings")
        }
    }

    /// Returns the statement that lets S3 alone use the KMS key, and for these objects alone. With
    /// bucket keys the encryption context is the bucket.
    fn kms_statement(&self) -> Statement {
        let context = [self.bucket_arn(), self.arns_below("")];
        let via = "s3.*.amazonaws.com*";
        let actions = match self.purpose {
            GrantPurpose::Destination => vec![IamAction::GenerateDataKey, IamAction::Decrypt],
            GrantPurpose::Sources | GrantPurpose::Receivers => vec![IamAction::Decrypt],
        };
        Statement {
            actions,
            resources: self.kms_key.iter().cloned().collect(),
            condition: Some(json!({ "StringLike": {
                "kms:ViaService": via,
                "kms:EncryptionContext:aws:s3:arn": context,
            } })),
            ..allow(self.sid_of_key())
        }
    }

    fn principal_json(&self) -> Option<Value> {
        let principal = self.principal.as_ref();
        principal.map(|principal| json!({ "AWS": principal.arn() }))
    }

    pub(super) fn bucket_arn(&self) -> String {
        let partition = self.principal.as_ref().map_or("aws", Principal::partition);
        format!("arn:{partition}:s3:::{}", self.bucket)
    }

    /// Returns the ARN of every key below a folder.
    pub(super) fn arns_below(&self, folder: &str) -> String {
        let key = self.absolute(folder);
        let separator = if folder.is_empty() { "" } else { "/" };
        format!("{}/{key}{separator}*", self.bucket_arn())
    }

    /// Returns the absolute key of a folder. The prefix itself, the empty folder, ends with `/`.
    pub(super) fn absolute(&self, folder: &str) -> String {
        match self.prefix.as_ref() {
            "" => folder.to_owned(),
            prefix => format!("{prefix}/{folder}"),
        }
    }
}

pub(super) fn allow(sid: &'static str) -> Statement {
    Statement {
        sid,
        effect: "Allow",
        principal: None,
        actions: Vec::new(),
        resources: Vec::new(),
        condition: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(prefix: &str) -> Grant {
        Grant {
            purpose: GrantPurpose::Destination,
            bucket: "exports".into(),
            prefix: prefix.into(),
            principal: Some("arn:aws:iam::111122223333:role/export".parse().unwrap()),
            kms_key: None,
            external_id: None,
            settings: false,
        }
    }

    #[test]
    fn rights_end_at_the_prefix() {
        for statement in grant("acme/dayport").bucket_policy() {
            for resource in &statement.resources {
                let is_bucket = resource == "arn:aws:s3:::exports";
                let is_below = resource.starts_with("arn:aws:s3:::exports/acme/dayport/");
                assert!(is_bucket || is_below, "{resource}");
            }
        }
        let list = grant("acme/dayport").statement_granting(IamAction::ListBucket);
        assert_eq!(
            list.condition.unwrap()["StringLike"]["s3:prefix"],
            json!([
                "acme/dayport/data/*",
                "acme/dayport/manifests/*",
                "acme/dayport/rejects/*",
                "acme/dayport/_dayport/*"
            ])
        );
        let read = grant("").statement_granting(IamAction::GetObject);
        assert_eq!(read.resources[0], "arn:aws:s3:::exports/data/*");
        assert_eq!(grant("").tls_only().resources[1], "arn:aws:s3:::exports/*");
    }

    #[test]
    fn nothing_may_delete_manifests_or_the_log() {
        let remove = grant("p").statement_granting(IamAction::DeleteObject);
        let of = |folder: &str| remove.resources.iter().any(|name| name.contains(folder));
        assert!(of("/p/data/*") && of("/p/rejects/*") && of("/p/_dayport/check/*"));
        assert!(!of("manifests") && !of("/log") && !of("schema"));
    }

    /// Measured on radosgw 16.2: with this right the keys outside the prefix are still refused.
    #[test]
    fn ceph_is_granted_deletion_on_the_bucket_too() {
        let remove = |principal: &str| {
            let grant = Grant {
                principal: Some(principal.parse().unwrap()),
                ..grant("p")
            };
            grant.statement_granting(IamAction::DeleteObject).resources
        };
        let bucket = "arn:aws:s3:::exports".to_owned();
        assert!(remove("arn:aws:iam:::user/export").contains(&bucket));
        assert!(!remove("arn:aws:iam::111122223333:user/export").contains(&bucket));
    }

    #[test]
    fn principals_keys_and_external_ids_are_checked() {
        for wrong in [
            "",
            "export",
            "arn:aws:iam::1111:role/x",
            "arn:aws:iam::1111:user/x",
            "arn:aws:iam:::role/x",
            "arn:aws:iam::a-b:user/x",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/x\"",
            "arn:aws:s3:::bucket",
            "arn:aws:sts::111122223333:assumed-role/x/y",
        ] {
            assert!(wrong.parse::<Principal>().is_err(), "{wrong}");
        }
        for right in [
            "arn:aws:iam::111122223333:root",
            "arn:aws-us-gov:iam::111122223333:user/team/x",
            "arn:aws:iam:::user/export",
            "arn:aws:iam::tenant1:user/export",
        ] {
            assert!(right.parse::<Principal>().is_ok(), "{right}");
        }
        let wrong = Grant {
            kms_key: Some("alias/x".into()),
            external_id: Some("x y".into()),
            ..grant("")
        };
        let rendered = wrong.validate().unwrap_err().render();
        assert!(
            rendered.contains("KMS") && rendered.contains("external id"),
            "{rendered}"
        );
    }
}
