//! Opens buckets of S3: region, endpoint and credentials come from the standard AWS chain.

use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use object_store::ClientOptions;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpConnector, ReqwestConnector};
use url::Url;

use crate::env;
use crate::error::{Error, Result};
use crate::store::credentials::ChainCredentials;
use crate::store::retry::RetryPolicy;
use crate::store::s3_keys::AnyKeyConnector;
use crate::store::sent_digest::ComparingConnector;
use crate::store::{AssumedRole, StoreOptions};

/// The timeout of opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The endpoint of a bucket and the credentials for it.
pub(super) struct BucketAccess {
    pub region: String,
    /// The endpoint; absent for AWS itself.
    pub endpoint: Option<String>,
    pub credentials: Arc<ChainCredentials>,
}

/// Resolves from the AWS environment how to access `bucket`.
///
/// # Errors
/// Fails if no region is set for AWS, or if the credential chain is empty.
pub(super) async fn access(bucket: &str, options: &StoreOptions) -> Result<BucketAccess> {
    let https = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let chain = aws_config::defaults(BehaviorVersion::latest())
        .http_client(https)
        // The SDK's default of 3.1 s is too short for a handshake with an overloaded machine.
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .build(),
        )
        .load()
        .await;

    let endpoint = env::var("AWS_ENDPOINT_URL_S3")
        .or_else(|| chain.endpoint_url().map(str::to_owned))
        .filter(|endpoint| !endpoint.is_empty());
    if let Some(endpoint) = &endpoint {
        check_endpoint(endpoint)?;
    }
    let region = match (chain.region(), &endpoint) {
        (Some(region), _) => region.to_string(),
        // Servers other than AWS accept any region.
        (None, Some(_)) => "us-east-1".to_owned(),
        (None, None) => {
            return Err(
                Error::invalid(format!("no AWS region is set for the bucket `{bucket}`"))
                    .with_hint("set AWS_REGION, or `region` in the profile"),
            );
        }
    };
    let provider = match &options.s3.role {
        Some(role) => assume(role, &chain).await,
        None => chain.credentials_provider().ok_or_else(|| {
            Error::invalid("the AWS credential chain is empty").with_hint("set AWS_PROFILE")
        })?,
    };

    Ok(BucketAccess {
        region,
        endpoint,
        credentials: Arc::new(ChainCredentials::new(
            provider,
            RetryPolicy::new(options.retry_timeout),
        )),
    })
}

/// Checks that an endpoint is an address, and has no user name and password: requests are signed, so they
/// would be of no use, but be part of the address in messages.
///
/// # Errors
/// Fails if it is not or has; it is not part of the message.
fn check_endpoint(endpoint: &str) -> Result<()> {
    let hint = "set AWS_ENDPOINT_URL, or `endpoint_url` in the profile, to an address such as \
                `https://host:port`; credentials come from the environment, a profile or a role";
    let wrong = |what: &str| Error::invalid(format!("the endpoint of S3 {what}")).with_hint(hint);
    match Url::parse(endpoint) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err(wrong("has a user name or a password in it"))
        }
        Ok(url) if url.has_host() && matches!(url.scheme(), "http" | "https") => Ok(()),
        Ok(_) | Err(_) => Err(wrong("is not an http:// or https:// address")),
    }
}

/// Opens a client of `bucket` without any call to it.
pub(super) async fn open(bucket: &str, options: &StoreOptions) -> Result<AmazonS3> {
    let BucketAccess {
        region,
        endpoint,
        credentials,
    } = access(bucket, options).await?;
    let allow_http = endpoint
        .as_deref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket);
    builder = match endpoint.is_some() && !options.s3.opaque_etags {
        true => with_connector(builder, ComparingConnector, &credentials, &region),
        false => with_connector(builder, ReqwestConnector::default(), &credentials, &region),
    };
    builder = builder
        .with_region(region)
        .with_credentials(credentials)
        .with_client_options(
            ClientOptions::new()
                .with_allow_http(allow_http)
                // A part may take minutes on a slow line; a stalled one is retried.
                .with_timeout(Duration::from_secs(300))
                .with_connect_timeout(CONNECT_TIMEOUT),
        )
        .with_retry(RetryPolicy::new(options.retry_timeout).into());
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some((algorithm, key)) = options.s3.encryption.headers() {
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

/// Lets a client send its requests through `connector`.
fn with_connector(
    builder: AmazonS3Builder,
    connector: impl HttpConnector,
    credentials: &Arc<ChainCredentials>,
    region: &str,
) -> AmazonS3Builder {
    let credentials = Arc::clone(credentials);
    builder.with_http_connector(AnyKeyConnector::new(
        connector,
        credentials,
        region.to_owned(),
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses_without_secrets() {
        for endpoint in ["http://127.0.0.1:9000", "https://s3.example.com/base"] {
            check_endpoint(endpoint).unwrap();
        }
        for endpoint in [
            "http://user:hunter2@host:9000",
            "http://hunter2@host",
            "user:hunter2@host",
            "https://user:hun/ter2@host",
            "host:9000",
        ] {
            let error = check_endpoint(endpoint).unwrap_err().render();
            assert!(error.contains("AWS_ENDPOINT_URL"), "{error}");
            assert!(!error.contains("ter2"), "{error}");
        }
    }
}
