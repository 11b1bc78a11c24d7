//! Compares what a server says that it received with what was sent to it.
//!
//! AWS compares the SHA-256 that every request is signed with. Some other servers ignore it, and then a
//! byte that changed on the way becomes part of an export. Their ETag of an object or of a part is its
//! MD5, as on AWS, unless it is encrypted with a key of a KMS or of the client
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>, `ETag`).

use async_trait::async_trait;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use tracing::warn;

use crate::error::Error;
use crate::store::etag::{is_md5, unquoted_etag};

/// The headers of objects whose ETags are no MD5.
const ENCRYPTION: &str = "x-amz-server-side-encryption";
const CUSTOMER_KEY: &str = "x-amz-server-side-encryption-customer-algorithm";

/// A connector whose clients compare the ETags of what they put.
#[derive(Debug)]
pub(super) struct ComparingConnector<C>(C);

impl<C> ComparingConnector<C> {
    /// Creates a connector whose clients send requests by those of `connector`.
    pub(super) fn new(connector: C) -> Self {
        Self(connector)
    }
}

impl<C: HttpConnector> HttpConnector for ComparingConnector<C> {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(ComparingClient(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct ComparingClient(HttpClient);

#[async_trait]
impl HttpService for ComparingClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if request.method() != Method::PUT {
            return self.0.execute(request).await;
        }
        let mut body = request.body().clone();
        let uri = request.uri().clone();
        let response = self.0.execute(request).await?;
        let received = match response.status().is_success() {
            true => comparable_etag(response.headers()),
            false => None,
        };
        let Some(received) = received else {
            return Ok(response);
        };
        let mut digest = Md5::new();
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                digest.update(bytes);
            }
        }
        let sent = format!("{:x}", digest.finalize());
        if sent == received {
            return Ok(response);
        }
        warn!(
            path = uri.path(),
            sent, received, "the store received other bytes than were sent"
        );
        let damaged = Error::data(format!(
            "the store received other bytes than were sent: its ETag is {received}, their MD5 is {sent}; \
             if its ETags are no MD5, give --opaque-etags"
        ));
        // Parts are sent again.
        Err(HttpError::new(HttpErrorKind::Interrupted, damaged))
    }
}

/// Returns the ETag of a response to a put if it is an MD5.
fn comparable_etag(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let is_kms = text(ENCRYPTION).is_some_and(|algorithm| algorithm.starts_with("aws:"));
    if is_kms || headers.contains_key(CUSTOMER_KEY) {
        return None;
    }
    let etag = unquoted_etag(text("etag")?).to_ascii_lowercase();
    is_md5(&etag).then_some(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparable(headers: &[(&'static str, &str)]) -> Option<String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        comparable_etag(&headers)
    }

    #[test]
    fn only_the_etags_of_plain_objects_are_compared() {
        let etag = ("etag", "\"0CC175B9C0F1B6A831C399E269772661\"");
        let md5 = Some("0cc175b9c0f1b6a831c399e269772661".to_owned());
        assert_eq!(comparable(&[etag]), md5);
        assert_eq!(comparable(&[etag, (ENCRYPTION, "AES256")]), md5);
        assert_eq!(comparable(&[etag, (ENCRYPTION, "aws:kms")]), None);
        assert_eq!(comparable(&[etag, (ENCRYPTION, "aws:kms:dsse")]), None);
        assert_eq!(comparable(&[etag, (CUSTOMER_KEY, "AES256")]), None);
        assert_eq!(comparable(&[("etag", "\"opaque\"")]), None);
        assert_eq!(comparable(&[]), None);
    }
}
