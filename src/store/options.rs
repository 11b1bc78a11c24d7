//! The options of stores, as plain data: for all kinds, and for each kind its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The time for which a store call is retried by default. It is below the 90 s that the units of
/// `docs/deploy` grant to a stop.
const RETRY_TIMEOUT: Duration = Duration::from_secs(75);

/// The options of a store beyond what the environment configures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreOptions {
    /// The time for which a store call is retried.
    pub retry_timeout: Duration,
    /// The options of S3 clients.
    pub s3: S3Options,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            retry_timeout: RETRY_TIMEOUT,
            s3: S3Options::default(),
        }
    }
}

/// The options of buckets of S3.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Options {
    /// The server-side encryption, sent with every write.
    pub encryption: Encryption,
    /// A role to assume with the credentials of the chain.
    pub role: Option<AssumedRole>,
    /// True if the ETags of a server other than AWS are no MD5 digests, and are not compared with those
    /// of what was sent.
    #[serde(default)]
    pub opaque_etags: bool,
}

/// The server-side encryption of the objects that are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// The default of the bucket.
    #[default]
    Bucket,
    /// SSE-S3.
    Aes256,
    /// SSE-KMS with this key, or with the account's default key.
    /// With the given KMS key, or with the account's default key.
    Kms {
        /// The ARN or id of the key.
        key: Option<String>,
    },
}

impl Encryption {
    /// Returns the algorithm and the key that are sent with every write, as the headers spell them.
    /// Returns `None` for the default of the bucket.
    pub fn headers(&self) -> Option<(&'static str, Option<&str>)> {
        match self {
            Encryption::Bucket => None,
            Encryption::Aes256 => Some(("AES256", None)),
            Encryption::Kms { key } => Some(("aws:kms", key.as_deref())),
        }
    }

    /// Returns the KMS key, if one is given.
    pub fn kms_key(&self) -> Option<&str> {
        self.headers().and_then(|(_, key)| key)
    }
}

/// A role to assume, with the external id that its owner requires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssumedRole {
    /// The ARN of the role.
    pub arn: String,
    /// The external id that the role requires.
    pub external_id: Option<String>,
}
