//! The S3 operations on settings of a bucket.

use super::{
    backend::Backend,
    state::Settings,
    wire::{Answer, ok},
};
use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Result, dto, s3_error};

impl Backend {
    fn settings(&self, bucket: &str) -> S3Result<Settings> {
        Ok(self.0.lock().bucket(bucket)?.settings.clone())
    }

    pub(super) fn public_access_block(
        &self,
        bucket: &str,
    ) -> Answer<dto::GetPublicAccessBlockOutput> {
        if !self.settings(bucket)?.public_access_blocked {
            let code = S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into());
            let mut error = S3Error::new(code);
            error.set_status_code(StatusCode::NOT_FOUND);
            return Err(error);
        }
        let blocked = Some(true);
        let configuration = dto::PublicAccessBlockConfiguration {
            block_public_acls: blocked,
            ignore_public_acls: blocked,
            block_public_policy: blocked,
            restrict_public_buckets: blocked,
        };
        ok(dto::GetPublicAccessBlockOutput {
            public_access_block_configuration: Some(configuration),
        })
    }

    pub(super) fn versioning(&self, bucket: &str) -> Answer<dto::GetBucketVersioningOutput> {
        let is_versioned = self.settings(bucket)?.is_versioned;
        let enabled =
            || dto::BucketVersioningStatus::from_static(dto::BucketVersioningStatus::ENABLED);
        ok(dto::GetBucketVersioningOutput {
            status: is_versioned.then(enabled),
            ..Default::default()
        })
    }

    pub(super) fn lifecycle(
        &self,
        bucket: &str,
    ) -> Answer<dto::GetBucketLifecycleConfigurationOutput> {
        let settings = self.settings(bucket)?;
        let filter = |prefix: String| dto::LifecycleRuleFilter {
            prefix: Some(prefix),
            ..Default::default()
        };
        let rule = |id: &str, prefix: String| dto::LifecycleRule {
            id: Some(id.to_owned()),
            filter: Some(filter(prefix)),
            status: dto::ExpirationStatus::from_static(dto::ExpirationStatus::ENABLED),
            abort_incomplete_multipart_upload: None,
            expiration: None,
            noncurrent_version_expiration: None,
            noncurrent_version_transitions: None,
            prefix: None,
            transitions: None,
        };
        let mut rules = Vec::new();
        if let Some((prefix, days)) = settings.aborts_uploads {
            rules.push(dto::LifecycleRule {
                abort_incomplete_multipart_upload: Some(dto::AbortIncompleteMultipartUpload {
                    days_after_initiation: Some(days),
                }),
                ..rule("abort", prefix)
            });
        }
        if let Some(prefix) = settings.expires {
            rules.push(dto::LifecycleRule {
                expiration: Some(dto::LifecycleExpiration {
                    days: Some(30),
                    ..Default::default()
                }),
                ..rule("old", prefix)
            });
        }
        if rules.is_empty() {
            return Err(s3_error!(NoSuchLifecycleConfiguration));
        }
        ok(dto::GetBucketLifecycleConfigurationOutput {
            rules: Some(rules),
            ..Default::default()
        })
    }
}
