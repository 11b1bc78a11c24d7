//! The principal that a policy grants rights to.

use std::str::FromStr;

use crate::error::{Error, Result};

/// The ARN of an IAM role, user or account: `arn:aws:iam::111122223333:role/export`; or of a Ceph user,
/// whose tenant, often empty, takes the place of the account: `arn:aws:iam:::user/export`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal(String);

impl Principal {
    /// Returns the ARN.
    pub(crate) fn arn(&self) -> &str {
        &self.0
    }

    /// Returns true if this is a Ceph user: every account of AWS is a number.
    pub(super) fn is_of_ceph(&self) -> bool {
        let account = self.0.split(':').nth(4);
        account.is_some_and(|account| !is_account(account))
    }

    /// Returns the AWS partition: `aws`, `aws-cn` or `aws-us-gov`.
    pub(super) fn partition(&self) -> &str {
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

pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns true if `text` can be a Ceph tenant. A number is rejected: it would be an account with too
/// few or too many digits.
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
        name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_name_byte))
    };
    text == "root" || named("role/") || named("user/")
}

pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte)
}
