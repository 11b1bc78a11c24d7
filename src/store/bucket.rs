//! What a bucket says about itself: plain signed requests, which `object_store` has no names for.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::CredentialProvider;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::error::{Error, Result};
use crate::store::credentials::ChainCredentials;
use crate::store::s3;
use crate::store::{Location, Place, S3Options};

/// An answer is small; longer waits are for data.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What a key may hold that a URL may not. Keys of this crate are escaped already, so `%` is.
const ESCAPED: AsciiSet = CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'?');

/// A bucket, asked about itself.
#[derive(Debug)]
pub struct Bucket {
    pub name: String,
    /// As configured here.
    pub region: String,
    /// Without a `/` at the end.
    url: String,
    credentials: Arc<ChainCredentials>,
    client: HttpClient,
}

/// What the bucket answered, whatever the status.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Bucket {
    /// `None` for a folder. Nothing is asked yet.
    pub async fn open(location: &Location, options: &S3Options) -> Result<Option<Self>> {
        let Place::S3 { bucket, .. } = location.place() else {
            return Ok(None);
        };
        let s3::Access {
            region,
            endpoint,
            credentials,
        } = s3::access(bucket, options).await?;
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let client_options = ClientOptions::new()
            .with_allow_http(endpoint.starts_with("http://"))
            .with_timeout(TIMEOUT)
            .with_connect_timeout(Duration::from_secs(10));
        let client = ReqwestConnector::default()
            .connect(&client_options)
            .map_err(|error| Error::store("open", bucket, error))?;
        Ok(Some(Self {
            name: bucket.clone(),
            region,
            url: format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            credentials,
            client,
        }))
    }

    /// A setting of the bucket, by the name of its sub-resource: `versioning`.
    pub async fn setting(&self, name: &str) -> Result<Answer> {
        self.call(Method::GET, &format!("?{name}=")).await
    }

    pub async fn head(&self) -> Result<Answer> {
        self.call(Method::HEAD, "").await
    }

    pub async fn head_object(&self, key: &Path) -> Result<Answer> {
        let key = utf8_percent_encode(key.as_ref(), &ESCAPED);
        self.call(Method::HEAD, &format!("/{key}")).await
    }

    async fn call(&self, method: Method, target: &str) -> Result<Answer> {
        let credential: Arc<AwsCredential> = self
            .credentials
            .get_credential()
            .await
            .map_err(|error| Error::store("ask", &self.name, error))?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.url))
            .body(HttpRequestBody::empty())
            .map_err(|error| {
                Error::invalid(format!("`{}` is no address", self.url)).with_source(error)
            })?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let unanswered = |error: object_store::client::HttpError| {
            Error::unavailable(format!("the bucket `{}` does not answer", self.name))
                .with_source(error)
        };
        let answer = self.client.execute(request).await.map_err(unanswered)?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(unanswered)?.to_bytes();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The server's clock.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        let date = DateTime::parse_from_rfc2822(self.header("date")?).ok()?;
        Some(date.to_utc())
    }

    /// The code of an S3 error.
    pub fn code(&self) -> Option<&str> {
        let (_, rest) = self.body.split_once("<Code>")?;
        rest.split_once("</Code>").map(|(code, _)| code)
    }
}
