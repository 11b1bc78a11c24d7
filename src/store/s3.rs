//! Opening a bucket: region, endpoint and credentials from the standard AWS chain.

use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use serde::{Deserialize, Serialize};

use crate::env;
use crate::error::{Error, Result};
use crate::store::credentials::ChainCredentials;

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Settings of a bucket beyond what the AWS environment tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Options {
    /// Sent with every object written.
    pub encryption: Encryption,
    /// A role to assume with the chain's credentials.
    pub role: Option<AssumedRole>,
    /// How long a call is tried again.
    pub retry_timeout: Duration,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            encryption: Encryption::default(),
            role: None,
            retry_timeout: Duration::from_secs(120),
        }
    }
}

/// Server-side encryption.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// What the bucket does by default.
    #[default]
    Bucket,
    /// SSE-S3.
    Aes256,
    /// SSE-KMS with this key, or with the account's own.
    Kms { key: Option<String> },
}

impl Encryption {
    /// The algorithm and the key sent with every write.
    fn headers(&self) -> Option<(&'static str, Option<&str>)> {
        match self {
            Encryption::Bucket => None,
            Encryption::Aes256 => Some(("AES256", None)),
            Encryption::Kms { key } => Some(("aws:kms", key.as_deref())),
        }
    }
}

/// A role and the external id its owner asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssumedRole {
    pub arn: String,
    pub external_id: Option<String>,
}

/// Where a bucket is, and who asks.
pub struct Access {
    pub region: String,
    /// Absent for AWS itself.
    pub endpoint: Option<String>,
    pub credentials: Arc<ChainCredentials>,
}

/// Resolves what the AWS environment says about `bucket`.
pub async fn access(bucket: &str, options: &S3Options) -> Result<Access> {
    let https = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let chain = aws_config::defaults(BehaviorVersion::latest())
        .http_client(https)
        // The SDK's own 3.1 s are little for a handshake with a machine at its limit.
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
        .load()
        .await;

    let endpoint =
        env::var("AWS_ENDPOINT_URL_S3").or_else(|| chain.endpoint_url().map(str::to_owned));
    let region = match (chain.region(), &endpoint) {
        (Some(region), _) => region.to_string(),
        // Servers other than AWS take any region.
        (None, Some(_)) => "us-east-1".to_owned(),
        (None, None) => {
            return Err(
                Error::invalid(format!("no AWS region is set for the bucket `{bucket}`"))
                    .with_hint("set AWS_REGION, or `region` in the profile"),
            );
        }
    };
    let provider = match &options.role {
        Some(role) => assume(role, &chain).await,
        None => chain.credentials_provider().ok_or_else(|| {
            Error::invalid("the AWS credential chain is empty").with_hint("set AWS_PROFILE")
        })?,
    };

    Ok(Access {
        region,
        endpoint,
        credentials: Arc::new(ChainCredentials::new(provider, options.retry_timeout)),
    })
}

/// Opens `bucket`. Nothing is asked of the bucket yet.
pub async fn open(bucket: &str, options: &S3Options) -> Result<AmazonS3> {
    let Access {
        region,
        endpoint,
        credentials,
    } = access(bucket, options).await?;
    let allow_http = endpoint
        .as_deref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_credentials(credentials)
        .with_client_options(
            ClientOptions::new()
                .with_allow_http(allow_http)
                // A part on a slow line may take minutes; a stalled one is caught by the retry.
                .with_timeout(Duration::from_secs(300))
                .with_connect_timeout(CONNECT),
        )
        .with_retry(retry(options.retry_timeout));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some((algorithm, key)) = options.encryption.headers() {
        let setting = |error| {
            Error::internal("object_store does not know its own encryption setting")
                .with_source(error)
        };
        builder = builder.with_config(
            "aws_server_side_encryption".parse().map_err(setting)?,
            algorithm,
        );
        if let Some(key) = key {
            builder = builder.with_config("aws_sse_kms_key_id".parse().map_err(setting)?, key);
        }
    }
    builder.build().map_err(|error| {
        Error::invalid(format!("cannot open the bucket `{bucket}`")).with_source(error)
    })
}

async fn assume(role: &AssumedRole, chain: &aws_config::SdkConfig) -> SharedCredentialsProvider {
    let mut builder = AssumeRoleProvider::builder(&role.arn)
        .session_name("dayport")
        .configure(chain);
    if let Some(external_id) = &role.external_id {
        builder = builder.external_id(external_id);
    }
    SharedCredentialsProvider::new(builder.build().await)
}

fn retry(retry_timeout: Duration) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(8),
            base: 2.0,
        },
        // The time counts, not the number.
        max_retries: 100,
        retry_timeout,
    }
}
