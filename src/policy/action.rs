//! The actions of IAM that a run, or a check, is authorized by.

use std::fmt;

/// One action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    ListBucket,
    GetObject,
    /// Also begins, feeds and completes multipart uploads.
    PutObject,
    AbortMultipartUpload,
    DeleteObject,
    GenerateDataKey,
    /// Multipart uploads are decrypted when they are completed.
    Decrypt,
    GetBucketPublicAccessBlock,
    GetBucketVersioning,
    GetLifecycleConfiguration,
    AssumeRole,
}

impl Action {
    /// As policies spell it.
    pub fn name(self) -> &'static str {
        match self {
            Action::ListBucket => "s3:ListBucket",
            Action::GetObject => "s3:GetObject",
            Action::PutObject => "s3:PutObject",
            Action::AbortMultipartUpload => "s3:AbortMultipartUpload",
            Action::DeleteObject => "s3:DeleteObject",
            Action::GenerateDataKey => "kms:GenerateDataKey",
            Action::Decrypt => "kms:Decrypt",
            Action::GetBucketPublicAccessBlock => "s3:GetBucketPublicAccessBlock",
            Action::GetBucketVersioning => "s3:GetBucketVersioning",
            Action::GetLifecycleConfiguration => "s3:GetLifecycleConfiguration",
            Action::AssumeRole => "sts:AssumeRole",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
