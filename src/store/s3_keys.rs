//! Requests to S3 for keys that a path of `object_store` cannot hold.
//!
//! `object_store` refuses a whole page of a listing for one key with an empty segment, `.`, `..` or a
//! control character, and cannot ask for such an object. Its client sends its requests through this
//! connector, which translates between such keys and escaped paths, and signs what it changes. Retries,
//! pages and errors stay the client's.
//!
//! ```text
//! AmazonS3 ─GET …?list-type=2&prefix=src/→  AnyKeyClient ─…&encoding-type=url, signed again→ server
//!          ←<Key>src/<ESCAPE>/b.json</Key>─              ←<Key>src%2F%2Fb.json</Key>─
//! ```
//! Listings ask for `encoding-type=url`, since XML has no control characters. Below it, [`AnswerClient`]
//! bounds and checks what the server answers.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::Uri;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, CredentialProvider};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::store::credentials::ChainCredentials;
use crate::store::escaped_path::{ESCAPE, escaped, is_escaped, unescaped};
use crate::store::s3_answers::{AnswerClient, is_listing, unfinished_listing};

/// The characters that are escaped in a query, as the signature wants them.
pub(super) const QUERY_ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The characters that are escaped in a key, as the signature wants them.
pub(super) const KEY_ESCAPED: AsciiSet = QUERY_ESCAPED.remove(b'/');

/// A connector whose clients can name every key.
#[derive(Debug)]
pub(super) struct AnyKeyConnector<C> {
    connector: C,
    credentials: Arc<ChainCredentials>,
    region: String,
}

impl<C: HttpConnector> AnyKeyConnector<C> {
    /// Creates a connector. Its clients send requests by those of `connector`, and sign the requests that
    /// they change with `credentials`.
    pub(super) fn new(connector: C, credentials: Arc<ChainCredentials>, region: String) -> Self {
        Self {
            connector,
            credentials,
            region,
        }
    }
}

impl<C: HttpConnector> HttpConnector for AnyKeyConnector<C> {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(AnyKeyClient {
            client: AnswerClient::wrap(self.connector.connect(options)?),
            credentials: Arc::clone(&self.credentials),
            region: self.region.clone(),
        }))
    }
}

#[derive(Debug)]
struct AnyKeyClient {
    client: HttpClient,
    credentials: Arc<ChainCredentials>,
    region: String,
}

#[async_trait]
impl HttpService for AnyKeyClient {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_listing = is_listing(&request);
        if let Some(target) = translated(request.uri(), is_listing)? {
            *request.uri_mut() = target;
            self.sign(&mut request).await?;
        }
        let response = self.client.execute(request).await?;
        if !is_listing || !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let bytes = body.bytes().await?;
        // What is no page is the caller's to complain about.
        let body = match Page::parse(&bytes) {
            Some(page) if page.lacks_its_rest() => return Err(unfinished_listing()),
            Some(page) => page.with_escaped_keys().map_or(bytes, Bytes::from),
            None => bytes,
        };
        Ok(HttpResponse::from_parts(
            parts,
            HttpResponseBody::from(body),
        ))
    }
}

impl AnyKeyClient {
    async fn sign(&self, request: &mut HttpRequest) -> Result<(), HttpError> {
        let credential: Arc<AwsCredential> = self
            .credentials
            .get_credential()
            .await
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(request, None);
        Ok(())
    }
}

/// Returns the address of the real key, or of a listing whose keys are encoded. Returns `None` if it
/// is the one that is asked for.
fn translated(uri: &Uri, is_listing: bool) -> Result<Option<Uri>, HttpError> {
    let path = match percent_decode_str(uri.path()).decode_utf8() {
        Ok(path) if is_escaped(&path) => real_path(&path)?,
        _ if is_listing => uri.path().to_owned(),
        _ => return Ok(None),
    };
    let mut target = path;
    if let Some(query) = uri.query() {
        target.push('?');
        target.push_str(&match is_listing {
            true => real_query(query),
            false => query.to_owned(),
        });
    }
    let mut parts = uri.clone().into_parts();
    let unusable = |error| HttpError::new(HttpErrorKind::Unknown, error);
    parts.path_and_query = Some(target.parse().map_err(unusable)?);
    Uri::from_parts(parts).map(Some).map_err(|error| {
        let wrong = Error::internal("an address of S3 has no host").with_source(error);
        HttpError::new(HttpErrorKind::Unknown, wrong)
    })
}

/// # Errors
/// A URL has no segments `.` and `..`: the client would ask for another object.
fn real_path(path: &str) -> Result<String, HttpError> {
    let key = unescaped(path);
    let is_relative = |segment: &[u8]| matches!(segment, b"." | b"..");
    if key.split(|byte| *byte == b'/').any(is_relative) {
        let unnameable = Error::data("no request can name a key with `.` or `..` between slashes");
        return Err(HttpError::new(HttpErrorKind::Unknown, unnameable));
    }
    Ok(percent_encode(&key, &KEY_ESCAPED).to_string())
}

fn real_query(query: &str) -> String {
    let mut pairs = vec!["encoding-type=url".to_owned()];
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = decoded(value);
        let decoded = String::from_utf8_lossy(&decoded);
        // The pages of a listing continue after a token, which is the server's.
        let value = match name {
            "prefix" | "start-after" => unescaped(&decoded),
            _ => decoded.as_bytes().into(),
        };
        pairs.push(format!("{name}={}", percent_encode(&value, &QUERY_ESCAPED)));
    }
    pairs.join("&")
}

/// Decodes a value as forms encode it: with `+` for a space.
fn decoded(value: &str) -> Vec<u8> {
    percent_decode_str(&value.replace('+', " ")).collect()
}

/// The members of a page of a listing that the client reads.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename = "ListBucketResult", rename_all = "PascalCase")]
struct Page {
    #[serde(skip_serializing)]
    encoding_type: Option<String>,
    #[serde(skip_serializing)]
    is_truncated: Option<String>,
    #[serde(default)]
    contents: Vec<PageObject>,
    #[serde(default)]
    common_prefixes: Vec<PagePrefix>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_continuation_token: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PageObject {
    key: String,
    size: u64,
    last_modified: String,
    #[serde(rename = "ETag", skip_serializing_if = "Option::is_none")]
    e_tag: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PagePrefix {
    prefix: String,
}

impl Page {
    /// Parses a page. Returns `None` if it is not a page.
    fn parse(page: &[u8]) -> Option<Self> {
        quick_xml::de::from_reader(page).ok()
    }

    /// Returns true if there are more pages, and nothing by which to ask for them: the client would take
    /// this one for the last.
    fn lacks_its_rest(&self) -> bool {
        let is_truncated = self.is_truncated.as_deref() == Some("true");
        is_truncated && self.next_continuation_token.is_none()
    }

    /// Returns the page with escaped paths in the place of keys.
    fn with_escaped_keys(mut self) -> Option<String> {
        // A server that does not know the encoding does not name it.
        let is_encoded = self.encoding_type.as_deref() == Some("url");
        let key = |text: &str| match is_encoded {
            true => decoded(text),
            false => text.as_bytes().to_vec(),
        };
        for object in &mut self.contents {
            object.key = in_page(escaped(&key(&object.key)).as_ref());
        }
        for folder in &mut self.common_prefixes {
            let prefix = key(&folder.prefix);
            let name = prefix.strip_suffix(b"/").unwrap_or(&prefix);
            folder.prefix = format!("{}/", in_page(escaped(name).as_ref()));
        }
        quick_xml::se::to_string(&self).ok()
    }
}

/// Escapes the spaces at both ends of a path, which the reader of the page would drop.
fn in_page(path: &str) -> String {
    let inner = path.trim_matches(' ');
    let leading = path.len() - path.trim_start_matches(' ').len();
    let trailing = path.len() - leading - inner.len();
    let space = format!("{ESCAPE}20");
    [
        space.repeat(leading).as_str(),
        inner,
        space.repeat(trailing).as_str(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::escaped_path::shown;

    fn with_escaped_keys(page: &str) -> Option<String> {
        Page::parse(page.as_bytes())?.with_escaped_keys()
    }

    fn keys(page: &str) -> Vec<String> {
        let page = with_escaped_keys(page).unwrap();
        let page: Page = quick_xml::de::from_str(&page).unwrap();
        let objects = page.contents.iter().map(|object| &object.key);
        let prefixes = page.common_prefixes.iter().map(|folder| &folder.prefix);
        let all = objects.chain(prefixes);
        all.map(|path| shown(path).into_owned()).collect()
    }

    fn object(key: &str) -> String {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-15T00:00:00.000Z</LastModified>\
             <ETag>&quot;e&quot;</ETag><Size>3</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
    }

    #[test]
    fn keys_of_a_page_are_decoded_and_escaped() {
        let page = format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>b</Name><EncodingType>url</EncodingType>{}{}{}<CommonPrefixes><Prefix>src%2F%2F</Prefix>\
             </CommonPrefixes><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>t%2F</NextContinuationToken></ListBucketResult>",
            object("src/a+b%2B%09.json"),
            object("src/&amp;%3Cx%3E"),
            object("+src/x+"),
        );
        assert_eq!(
            keys(&page),
            ["src/a b+\t.json", "src/&<x>", " src/x ", "src//"]
        );
        let token = with_escaped_keys(&page).unwrap();
        assert!(token.contains("<NextContinuationToken>t%2F</"), "{token}");
    }

    #[test]
    fn a_server_that_does_not_encode_is_understood() {
        let page = format!(
            "<ListBucketResult>{}</ListBucketResult>",
            object("src//a+b%2B.json")
        );
        assert_eq!(keys(&page), ["src//a+b%2B.json"]);
        assert!(with_escaped_keys("<html>oops").is_none());
    }

    #[test]
    fn a_page_that_goes_on_says_where() {
        let lacks_its_rest = |members: &str| {
            let page = format!("<ListBucketResult>{members}</ListBucketResult>");
            Page::parse(page.as_bytes()).unwrap().lacks_its_rest()
        };
        let token = "<NextContinuationToken>t</NextContinuationToken>";
        assert!(lacks_its_rest("<IsTruncated>true</IsTruncated>"));
        assert!(!lacks_its_rest(&format!(
            "<IsTruncated>true</IsTruncated>{token}"
        )));
        assert!(!lacks_its_rest("<IsTruncated>false</IsTruncated>"));
        assert!(!lacks_its_rest(""));
    }

    fn target(uri: &str, is_listing: bool) -> Option<String> {
        let uri: Uri = uri.parse().unwrap();
        translated(&uri, is_listing)
            .unwrap()
            .map(|uri| uri.to_string())
    }

    #[test]
    fn requests_are_for_the_real_key() {
        let escape = percent_encode(escaped(b"a\t=").as_ref().as_bytes(), &KEY_ESCAPED).to_string();
        assert_eq!(
            target(&format!("http://h:1/b/{escape}?x=y"), false).as_deref(),
            Some("http://h:1/b/a%09%3D?x=y")
        );
        assert_eq!(target("http://h/b/a%2509?x=y", false), None);
        let folder = escaped(b"src/");
        let prefix = percent_encode(folder.as_ref().as_bytes(), &QUERY_ESCAPED);
        let listing = format!("http://h/b?list-type=2&prefix={prefix}%2F&delimiter=%2F");
        assert_eq!(
            target(&listing, true).as_deref(),
            Some("http://h/b?encoding-type=url&list-type=2&prefix=src%2F%2F&delimiter=%2F")
        );
    }

    #[test]
    fn no_request_is_for_another_object() {
        let path = percent_encode(escaped(b"b/../c").as_ref().as_bytes(), &KEY_ESCAPED).to_string();
        let uri: Uri = format!("http://h/{path}").parse().unwrap();
        assert!(translated(&uri, false).is_err());
    }
}
