//! The IAM actions that a run and a check need.

use std::fmt;

/// An IAM action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum IamAction {
    ListBucket,
    GetObject,
    /// Also creates and completes multipart uploads, and uploads their parts.
    PutObject,
    AbortMultipartUpload,
    /// Tells whether an upload that cannot be completed is gone, on stores that do not say so.
    ListMultipartUploadParts,
    DeleteObject,
    GenerateDataKey,
    /// Needed because multipart uploads are decrypted when they are completed.
    Decrypt,
    GetBucketPublicAccessBlock,
    GetBucketVersioning,
    GetLifecycleConfiguration,
    AssumeRole,
}

impl IamAction {
    /// Returns the name of the action in policies.
    pub(crate) fn name(self) -> &'static str {
        match self {
            IamAction::ListBucket => "s3:ListBucket",
            IamAction::GetObject => "s3:GetObject",
            IamAction::PutObject => "s3:PutObject",
            IamAction::AbortMultipartUpload => "s3:AbortMultipartUpload",
            IamAction::ListMultipartUploadParts => "s3:ListMultipartUploadParts",
            IamAction::DeleteObject => "s3:DeleteObject",
            IamAction::GenerateDataKey => "kms:GenerateDataKey",
            IamAction::Decrypt => "kms:Decrypt",
            IamAction::GetBucketPublicAccessBlock => "s3:GetBucketPublicAccessBlock",
            IamAction::GetBucketVersioning => "s3:GetBucketVersioning",
            IamAction::GetLifecycleConfiguration => "s3:GetLifecycleConfiguration",
            IamAction::AssumeRole => "sts:AssumeRole",
        }
    }
}

impl fmt::Display for IamAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
