//! Opens buckets of S3: region, endpoint and credentials come from the standard AWS chain.

use std::sync::Arc;
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::SharedCredentialsProvider;
use object_store::ClientOptions;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpConnector, ReqwestConnector};

use crate::error::{Error, Result};
use crate::store::clock::ServerClock;
use crate::store::credentials::ChainCredentials;
use crate::store::response_watch::ResponseWatch;
use crate::store::retry::RetryPolicy;
use crate::store::s3_keys::AnyKeyConnector;
use crate::store::s3_settings::{CONNECT_TIMEOUT, S3Settings};
use crate::store::sent_digest::ComparingConnector;
use crate::store::watched_client::WatchedConnector;
use crate::store::{AssumedRole, StoreOptions};

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
/// Fails if a setting is wrong or the region of AWS is missing, or if the credential chain is empty.
pub(super) async fn access(bucket: &str, options: &StoreOptions) -> Result<BucketAccess> {
    let S3Settings {
        chain,
        endpoint,
        region,
    } = S3Settings::load(bucket).await?;
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

/// Opens a client of `bucket` without any call to it, with the clock of its server.
pub(super) async fn open(bucket: &str, options: &StoreOptions) -> Result<(AmazonS3, ServerClock)> {
    let BucketAccess {
        region,
        endpoint,
        credentials,
    } = access(bucket, options).await?;
    let allow_http = endpoint
        .as_deref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    let watch = ResponseWatch::new(format!("the bucket `{bucket}`"), options.retry_timeout);
    let connector = WatchedConnector::new(
        ReqwestConnector::default(),
        Arc::clone(&watch),
        options.retry_timeout,
    );
    let builder = AmazonS3Builder::new().with_bucket_name(bucket);
    let builder = match endpoint.is_some() && !options.s3.opaque_etags {
        true => with_connector(
            builder,
            ComparingConnector::new(connector),
            &credentials,
            &region,
        ),
        false => with_connector(builder, connector, &credentials, &region),
    };
    let mut builder = builder
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
    let client = builder.build().map_err(|error| {
        Error::invalid(format!("cannot open the bucket `{bucket}`")).with_source(error)
    })?;
    Ok((client, ServerClock::new(watch)))
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
