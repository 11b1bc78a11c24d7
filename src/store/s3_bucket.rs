//! Requests to a bucket of S3 that `object_store` does not offer: its settings, as signed requests.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, Request, StatusCode};
use object_store::ClientOptions;
use object_store::CredentialProvider;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use percent_encoding::utf8_percent_encode;

use crate::error::{Error, Result};
use crate::store::credentials::ChainCredentials;
use crate::store::response_watch::ResponseWatch;
use crate::store::s3;
use crate::store::s3_answers::read_answer;
use crate::store::s3_keys::{KEY_ESCAPED, QUERY_ESCAPED};
use crate::store::s3_xml;
use crate::store::watched_client::WatchedConnector;
use crate::store::{Location, S3Prefix, StoreOptions};

/// The timeout of a request. Responses are small.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A bucket of S3 whose settings can be requested.
#[derive(Debug)]
pub struct S3Bucket {
    /// The name of the bucket.
    pub name: String,
    /// The region that is configured for this client.
    pub region: String,
    /// The bucket's URL without a `/` at its end.
    url: String,
    credentials: Arc<ChainCredentials>,
    client: HttpClient,
}

/// A response of a bucket, of any status.
#[derive(Debug)]
pub struct S3Response {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl S3Bucket {
    /// Opens the bucket of a location without any call to it. Returns `None` if the location is not in
    /// S3.
    pub async fn open(location: &Location, options: &StoreOptions) -> Result<Option<Self>> {
        let Some(S3Prefix { bucket, .. }) = location.s3_prefix() else {
            return Ok(None);
        };
        let s3::BucketAccess {
            region,
            endpoint: custom_endpoint,
            credentials,
        } = s3::access(bucket, options).await?;
        let endpoint =
            custom_endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let client_options = ClientOptions::new()
            .with_allow_http(endpoint.starts_with("http://"))
            .with_timeout(TIMEOUT)
            .with_connect_timeout(Duration::from_secs(10));
        let watch = ResponseWatch::new(format!("the bucket `{bucket}`"), TIMEOUT);
        let client = WatchedConnector::new(ReqwestConnector::default(), watch, TIMEOUT)
            .connect(&client_options)
            .map_err(|error| Error::store("open", bucket, error))?;
        Ok(Some(Self {
            name: bucket.to_owned(),
            region,
            url: format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            credentials,
            client,
        }))
    }

    /// Requests a setting of the bucket by the name of its sub-resource, such as `versioning`.
    pub async fn setting(&self, name: &str) -> Result<S3Response> {
        self.call(Method::GET, &format!("?{name}=")).await
    }

    /// Requests the headers of the bucket.
    pub async fn head(&self) -> Result<S3Response> {
        self.call(Method::HEAD, "").await
    }

    /// Requests the headers of the object with this absolute key.
    pub async fn head_object(&self, key: &Path) -> Result<S3Response> {
        let escaped = utf8_percent_encode(key.as_ref(), &KEY_ESCAPED);
        self.call(Method::HEAD, &format!("/{escaped}")).await
    }

    /// Requests the first part of the upload to the object with this absolute key.
    pub async fn parts(&self, key: &Path, upload_id: &str) -> Result<S3Response> {
        let key = utf8_percent_encode(key.as_ref(), &KEY_ESCAPED);
        let upload_id = utf8_percent_encode(upload_id, &QUERY_ESCAPED);
        let target = format!("/{key}?max-parts=1&uploadId={upload_id}");
        self.call(Method::GET, &target).await
    }

    async fn call(&self, method: Method, target: &str) -> Result<S3Response> {
        let credential: Arc<AwsCredential> = self
            .credentials
            .get_credential()
            .await
            .map_err(|error| Error::store("sign a request to", &self.name, error))?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.url))
            .body(HttpRequestBody::empty())
            .map_err(|error| {
                Error::invalid(format!("`{}` is not an address", self.url)).with_source(error)
            })?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let unanswered = |error: object_store::client::HttpError| {
            Error::unavailable(format!("the bucket `{}` does not respond", self.name))
                .with_source(error)
        };
        let response = self.client.execute(request).await.map_err(unanswered)?;
        let (parts, body) = response.into_parts();
        let read = read_answer(parts.status, body).await;
        let bytes = read.map_err(unanswered)?;
        Ok(S3Response {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }
}

impl S3Response {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the time of the server's clock.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        let date = DateTime::parse_from_rfc2822(self.header("date")?).ok()?;
        Some(date.to_utc())
    }

    /// Returns the error code, such as `AccessDenied`.
    pub fn code(&self) -> Option<String> {
        s3_xml::code_of(self.body.as_bytes())
    }
}
