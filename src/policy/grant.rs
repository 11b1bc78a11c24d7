//! Who may do what where: the statements.

use std::str::FromStr;

use object_store::path::Path;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::layout;
use crate::policy::{Action, Statement};

/// An IAM role, user or account by its ARN: `arn:aws:iam::111122223333:role/export`; or a user of
/// Ceph, where a tenant, often none, stands in place of the account: `arn:aws:iam:::user/export`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal(String);

impl Principal {
    pub fn arn(&self) -> &str {
        &self.0
    }

    /// AWS has no account that is not a number.
    fn is_of_ceph(&self) -> bool {
        let account = self.0.split(':').nth(4);
        account.is_some_and(|account| !is_account(account))
    }

    /// `aws`, `aws-cn` or `aws-us-gov`.
    fn partition(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or("aws")
    }
}

impl FromStr for Principal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |hint: &str| {
            Err(Error::invalid(format!("`{text}` is not the ARN of a principal")).with_hint(hint))
        };
        let hint = "write it like arn:aws:iam::111122223333:role/export";
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, "sts", _, _, assumed] if assumed.starts_with("assumed-role/") => {
                wrong("a session is not a principal: give the ARN of its role")
            }
            ["arn", partition, "iam", "", account, name]
                if partition.starts_with("aws") && is_account(account) && is_identity(name) =>
            {
                Ok(Self(text.to_owned()))
            }
            ["arn", "aws", "iam", "", tenant, name]
                if is_tenant(tenant) && name.starts_with("user/") && is_identity(name) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => wrong(hint),
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number would be an account with too few digits or too many.
fn is_tenant(text: &str) -> bool {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text.is_empty() || (is_name && !is_number)
}

fn is_identity(text: &str) -> bool {
    let named = |kind: &str| {
        let name = text.strip_prefix(kind);
        name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_of_a_name))
    };
    text == "root" || named("role/") || named("user/")
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte)
}

/// What is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub bucket: String,
    pub prefix: Path,
    /// Absent where only the rights are of interest.
    pub principal: Option<Principal>,
    /// The ARN of the key that objects are encrypted with.
    pub kms_key: Option<String>,
    pub external_id: Option<String>,
    /// Let `check` see the bucket's settings too.
    pub settings: bool,
}

impl Grant {
    /// Checks what was given for the policies' sake.
    pub fn validate(&self) -> Result<()> {
        let mut complaints = Vec::new();
        if let Some(key) = &self.kms_key {
            let parts: Vec<&str> = key.splitn(6, ':').collect();
            let is_key = matches!(
                parts.as_slice(),
                ["arn", _, "kms", region, account, name]
                    if !region.is_empty() && is_account(account)
                        && name.strip_prefix("key/").is_some_and(|id| {
                            !id.is_empty() && id.bytes().all(is_of_a_name)
                        })
            );
            if !is_key {
                let error = Error::invalid(format!("`{key}` is not the ARN of a KMS key"));
                let hint = "write it like arn:aws:kms:eu-west-1:111122223333:key/1234abcd-…";
                complaints.push(error.with_hint(hint));
            }
        }
        if let Some(id) = &self.external_id {
            let allowed = |byte: u8| is_of_a_name(byte) || byte == b':';
            if !(2..=1224).contains(&id.len()) || !id.bytes().all(allowed) {
                let error = Error::invalid("the external id is not one that AWS takes");
                let hint = "2 to 1224 letters, digits and +=,.@:/-_";
                complaints.push(error.with_hint(hint));
            }
        }
        Error::all(complaints)
    }

    /// What the bucket's owner attaches to the bucket.
    pub fn bucket_policy(&self) -> Vec<Statement> {
        let mut statements = self.rights();
        for statement in &mut statements {
            statement.principal = self.named();
        }
        statements.insert(0, self.tls_only());
        statements
    }

    /// The bucket's part where a role holds the rights.
    pub fn tls_only(&self) -> Statement {
        Statement {
            sid: "DayportTlsOnly",
            effect: "Deny",
            principal: Some(json!("*")),
            actions: Vec::new(),
            resources: vec![self.bucket_arn(), self.below("")],
            condition: Some(json!({ "Bool": { "aws:SecureTransport": "false" } })),
        }
    }

    /// The rights of a role that the principal assumes.
    pub fn role_policy(&self) -> Vec<Statement> {
        let mut statements = self.rights();
        statements.extend(self.kms_key.as_ref().map(|key| Statement {
            resources: vec![key.clone()],
            ..self.kms()
        }));
        statements
    }

    /// Who may assume that role.
    pub fn trust_policy(&self) -> Vec<Statement> {
        vec![self.trust()]
    }

    fn trust(&self) -> Statement {
        let id = self.external_id.as_ref();
        Statement {
            sid: "DayportAssume",
            effect: "Allow",
            principal: self.named(),
            actions: vec![Action::AssumeRole],
            resources: Vec::new(),
            condition: id.map(|id| json!({ "StringEquals": { "sts:ExternalId": id } })),
        }
    }

    /// What the owner of the KMS key adds to its policy.
    pub fn key_policy(&self) -> Option<Statement> {
        self.kms_key.as_ref().map(|_| Statement {
            principal: self.named(),
            resources: vec!["*".to_owned()],
            ..self.kms()
        })
    }

    /// Removes what runs that died leave behind. As the S3 API takes it.
    pub fn lifecycle(&self) -> Value {
        json!({ "Rules": [{
            "ID": "dayport-abort-unfinished-uploads",
            "Status": "Enabled",
            "Filter": { "Prefix": self.key("") },
            "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": Self::ABORT_AFTER_DAYS },
        }] })
    }

    /// A run that is committed but not finished needs its uploads: the next run must come earlier.
    pub const ABORT_AFTER_DAYS: u32 = 7;

    /// The statement that grants an action.
    pub fn granting(&self, action: Action) -> Statement {
        match action {
            Action::GenerateDataKey | Action::Decrypt => self.kms(),
            Action::AssumeRole => self.trust(),
            Action::GetBucketPublicAccessBlock
            | Action::GetBucketVersioning
            | Action::GetLifecycleConfiguration => self.see_settings(),
            action => {
                let rights = self.rights().into_iter();
                let mut granting = rights.filter(|right| right.actions.contains(&action));
                granting.next().unwrap_or_else(|| self.see_settings())
            }
        }
    }

    fn rights(&self) -> Vec<Statement> {
        let folders = |folders: &[Path]| -> Vec<String> {
            folders
                .iter()
                .map(|folder| self.below(folder.as_ref()))
                .collect()
        };
        let (data, manifests) = (layout::data_folder(), layout::manifests_folder());
        let (rejects, internal) = (layout::rejects_folder(), layout::internal_folder());
        let everywhere = [
            data.clone(),
            manifests.clone(),
            rejects.clone(),
            internal.clone(),
        ];
        // Also where single objects are asked for: S3 hides it from others that one is missing.
        let listed = everywhere
            .iter()
            .map(|folder| format!("{}/*", self.key(folder.as_ref())));
        let listed: Vec<String> = listed.collect();
        // Manifests and the log are immutable: nothing may delete them.
        let mut deleted = folders(&[data, rejects, layout::checks_folder()]);
        if self.principal.as_ref().is_some_and(Principal::is_of_ceph) {
            // For DeleteObjects Ceph also asks for the right on the bucket; each key is asked for
            // all the same.
            deleted.push(self.bucket_arn());
        }
        let mut rights = vec![
            Statement {
                actions: vec![Action::ListBucket],
                resources: vec![self.bucket_arn()],
                condition: Some(json!({ "StringLike": { "s3:prefix": listed } })),
                ..allow("DayportList")
            },
            Statement {
                actions: vec![Action::GetObject],
                resources: folders(&everywhere),
                ..allow("DayportRead")
            },
            Statement {
                actions: vec![Action::PutObject],
                resources: folders(&everywhere),
                ..allow("DayportWrite")
            },
            Statement {
                actions: vec![Action::AbortMultipartUpload, Action::DeleteObject],
                resources: deleted,
                ..allow("DayportRemove")
            },
        ];
        if self.settings {
            rights.push(self.see_settings());
        }
        rights
    }

    fn see_settings(&self) -> Statement {
        Statement {
            actions: vec![
                Action::GetBucketPublicAccessBlock,
                Action::GetBucketVersioning,
                Action::GetLifecycleConfiguration,
            ],
            resources: vec![self.bucket_arn()],
            ..allow("DayportCheckSettings")
        }
    }

    /// S3 alone may use the key, and for these objects alone. With bucket keys the context is the
    /// bucket.
    fn kms(&self) -> Statement {
        let context = [self.bucket_arn(), self.below("")];
        let via = "s3.*.amazonaws.com*";
        Statement {
            actions: vec![Action::GenerateDataKey, Action::Decrypt],
            resources: self.kms_key.iter().cloned().collect(),
            condition: Some(json!({ "StringLike": {
                "kms:ViaService": via,
                "kms:EncryptionContext:aws:s3:arn": context,
            } })),
            ..allow("DayportEncrypt")
        }
    }

    fn named(&self) -> Option<Value> {
        let principal = self.principal.as_ref();
        principal.map(|principal| json!({ "AWS": principal.arn() }))
    }

    fn bucket_arn(&self) -> String {
        let partition = self.principal.as_ref().map_or("aws", Principal::partition);
        format!("arn:{partition}:s3:::{}", self.bucket)
    }

    /// Every key below a folder.
    fn below(&self, folder: &str) -> String {
        let key = self.key(folder);
        let separator = if folder.is_empty() { "" } else { "/" };
        format!("{}/{key}{separator}*", self.bucket_arn())
    }

    /// The key of a folder. The prefix itself, the empty folder, ends with `/`.
    fn key(&self, folder: &str) -> String {
        match self.prefix.as_ref() {
            "" => folder.to_owned(),
            prefix => format!("{prefix}/{folder}"),
        }
    }
}

fn allow(sid: &'static str) -> Statement {
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
        let list = grant("acme/dayport").granting(Action::ListBucket);
        assert_eq!(
            list.condition.unwrap()["StringLike"]["s3:prefix"],
            json!([
                "acme/dayport/data/*",
                "acme/dayport/manifests/*",
                "acme/dayport/rejects/*",
                "acme/dayport/_dayport/*"
            ])
        );
        let read = grant("").granting(Action::GetObject);
        assert_eq!(read.resources[0], "arn:aws:s3:::exports/data/*");
        assert_eq!(grant("").tls_only().resources[1], "arn:aws:s3:::exports/*");
    }

    #[test]
    fn nothing_may_delete_manifests_or_the_log() {
        let remove = grant("p").granting(Action::DeleteObject);
        let of = |folder: &str| remove.resources.iter().any(|name| name.contains(folder));
        assert!(of("/p/data/*") && of("/p/rejects/*") && of("/p/_dayport/check/*"));
        assert!(!of("manifests") && !of("/log"));
    }

    /// Measured on radosgw 16.2: with this the keys outside stay refused.
    #[test]
    fn ceph_is_granted_deletion_on_the_bucket_too() {
        let remove = |principal: &str| {
            let grant = Grant {
                principal: Some(principal.parse().unwrap()),
                ..grant("p")
            };
            grant.granting(Action::DeleteObject).resources
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
