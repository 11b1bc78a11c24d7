//! The answers of S3 as the client of `object_store` may have them: bounded, whole, and without
//! secrets.
//!
//! | answer | what is done |
//! |---|---|
//! | XML of a success | read up to a maximum size, checked by [`super::s3_xml`] |
//! | XML that was cut, by the connection or by the server | a fault that is retried within the retry timeout |
//! | an error with the status of a success | gets the status of an error, so that it is retried |
//! | an error | its body is cut to code and message |
//! | a range of an object | has to have all its bytes: else the client asks for the rest |
//!
//! Everything else passes as it is, such as the bytes of an object.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use object_store::client::{
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};

use crate::error::Error;
use crate::store::s3_xml::{self, XmlFault};

/// The maximum size of an answer that is XML, in bytes. A page of 1,000 keys, each of 1,024 bytes that
/// are all escaped, is below 4 MiB.
const MAX_XML_BYTES: usize = 16 << 20;

/// The maximum size of an error's body that is looked at, in bytes.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The root of a page of a listing.
const LISTING: &str = "ListBucketResult";

/// A client that hands on only answers that the client above may parse and print.
#[derive(Debug)]
pub(super) struct AnswerClient {
    client: HttpClient,
}

impl AnswerClient {
    /// Wraps the client that sends the requests.
    pub(super) fn wrap(client: HttpClient) -> HttpClient {
        HttpClient::new(Self { client })
    }
}

#[async_trait]
impl HttpService for AnswerClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let kind = RequestKind::of(&request);
        let secrets = Secrets::of(request.headers());
        let response = self.client.execute(request).await?;
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            return Ok(cut_error(response, &secrets).await);
        }
        match kind {
            RequestKind::Object if status == StatusCode::PARTIAL_CONTENT => {
                Ok(with_whole_range(response))
            }
            RequestKind::Object => Ok(response),
            _ if !status.is_success() => Ok(response),
            kind => checked(response, kind, &secrets).await,
        }
    }
}

/// Returns true if the answer of a request is a page of a listing.
pub(super) fn is_listing(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method() == Method::GET && query.split('&').any(|pair| pair == "list-type=2")
}

/// The kind of a request, by what its answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestKind {
    /// The answer is the bytes of an object, or nothing that is parsed.
    Object,
    Listing,
    /// Deletes several objects. Doing it twice does no harm.
    Deletion,
    /// Completes an upload, or copies: an error may come with the status of a success, and the client
    /// looks for it.
    Assembly,
    /// Any other answer that is XML.
    OtherXml,
}

impl RequestKind {
    fn of(request: &HttpRequest) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| {
            let mut names = query.split('&').map(|pair| pair.split('=').next());
            names.any(|found| found == Some(name))
        };
        match *request.method() {
            _ if is_listing(request) => Self::Listing,
            // The parts of an upload, the uploads of a bucket.
            Method::GET if has("uploadId") || has("uploads") => Self::OtherXml,
            Method::POST if has("delete") => Self::Deletion,
            Method::POST if has("uploadId") => Self::Assembly,
            Method::POST => Self::OtherXml,
            Method::PUT if request.headers().contains_key("x-amz-copy-source") => Self::Assembly,
            _ => Self::Object,
        }
    }

    /// Returns the fault of an answer that was cut. The client retries it within its timeout.
    fn cut_off(self, why: Error) -> HttpError {
        let kind = match self {
            // It does not know that a deletion may be repeated.
            Self::Deletion => HttpErrorKind::Request,
            _ => HttpErrorKind::Interrupted,
        };
        HttpError::new(kind, why)
    }
}

/// Reads an answer that is XML whole, and checks it.
async fn checked(
    response: HttpResponse,
    kind: RequestKind,
    secrets: &Secrets,
) -> Result<HttpResponse, HttpError> {
    let (mut parts, body) = response.into_parts();
    let read = read_up_to(body, MAX_XML_BYTES).await;
    if let Some(error) = read.broken {
        let why = Error::unavailable("the answer of the store was cut off").with_source(error);
        return Err(kind.cut_off(why));
    }
    if read.is_longer {
        return Err(unusable(Error::unavailable(format!(
            "the answer of the store is larger than {} MiB",
            MAX_XML_BYTES >> 20
        ))));
    }
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(TRANSFER_ENCODING);
    let root = match s3_xml::root_of(&read.bytes) {
        Ok(root) => root,
        Err(fault) => {
            let why = Error::unavailable(format!("the answer of the store is unusable: {fault}"));
            return Err(match fault {
                XmlFault::EndsEarly => kind.cut_off(why),
                XmlFault::NotXml | XmlFault::Unusual(_) => unusable(why),
            });
        }
    };
    if root == "Error" {
        if kind != RequestKind::Assembly {
            parts.status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        let shown = described(&read.bytes, secrets);
        return Ok(HttpResponse::from_parts(parts, shown.into()));
    }
    if kind == RequestKind::Listing && root != LISTING {
        return Err(unusable(Error::unavailable(
            "the answer of the store is unusable: it is no page of a listing",
        )));
    }
    Ok(HttpResponse::from_parts(parts, read.bytes.into()))
}

/// Returns the fault of an answer that another request would get as well.
fn unusable(why: Error) -> HttpError {
    HttpError::new(HttpErrorKind::Decode, why)
}

/// Returns the fault of a page that says that there are more, and not where.
pub(super) fn unfinished_listing() -> HttpError {
    RequestKind::Listing.cut_off(Error::unavailable(
        "the listing says that it goes on, and not where",
    ))
}

/// What was read of a body.
struct Read {
    bytes: Bytes,
    /// True if there is more than the maximum.
    is_longer: bool,
    /// The fault that ended the body early.
    broken: Option<HttpError>,
}

/// Reads a body up to a maximum size.
async fn read_up_to(body: HttpResponseBody, max: usize) -> Read {
    let mut stream = body.bytes_stream();
    let mut bytes = BytesMut::new();
    let (mut is_longer, mut broken) = (false, None);
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) if bytes.len() + chunk.len() > max => {
                is_longer = true;
                break;
            }
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    Read {
        bytes: bytes.freeze(),
        is_longer,
        broken,
    }
}

/// Reads the body of an answer of S3 for callers other than `object_store`.
///
/// # Errors
/// The body breaks off, is too large, or is XML that no answer of S3 is.
pub(super) async fn read_answer(
    status: StatusCode,
    body: HttpResponseBody,
) -> Result<Bytes, HttpError> {
    let read = read_up_to(body, MAX_XML_BYTES).await;
    if let Some(error) = read.broken {
        return Err(error);
    }
    if read.is_longer {
        return Err(unusable(Error::unavailable(
            "the answer of the store is too large",
        )));
    }
    if status.is_success() && !read.bytes.is_empty() {
        s3_xml::root_of(&read.bytes).map_err(|fault| {
            unusable(Error::unavailable(format!(
                "the answer of the store is unusable: {fault}"
            )))
        })?;
    }
    Ok(read.bytes)
}

/// Cuts the body of an error to code and message.
async fn cut_error(response: HttpResponse, secrets: &Secrets) -> HttpResponse {
    let (mut parts, body) = response.into_parts();
    // What has arrived of it is enough.
    let read = read_up_to(body, MAX_ERROR_BYTES).await;
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(TRANSFER_ENCODING);
    let shown = described(&read.bytes, secrets);
    HttpResponse::from_parts(parts, shown.into())
}

/// Returns code and message of an error's body without secrets; nothing if it is none of S3.
fn described(body: &[u8], secrets: &Secrets) -> String {
    let described = s3_xml::code_and_message(body);
    described.map_or_else(String::new, |text| secrets.hidden_in(&text))
}

/// The secrets of a request, which an answer may repeat.
struct Secrets(Vec<String>);

impl Secrets {
    /// The length below which a text is no secret, and may be part of any word.
    const MIN_LENGTH: usize = 8;

    fn of(headers: &HeaderMap) -> Self {
        let value = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let authorization = value("authorization");
        let signature = authorization
            .as_deref()
            .and_then(|text| text.rsplit_once("Signature="))
            .map(|(_, signature)| signature.to_owned());
        let token = value("x-amz-security-token");
        let all = [authorization, signature, token].into_iter().flatten();
        Self(all.filter(|text| text.len() >= Self::MIN_LENGTH).collect())
    }

    fn hidden_in(&self, text: &str) -> String {
        let hide = |text: String, secret: &String| text.replace(secret.as_str(), "…");
        self.0.iter().fold(text.to_owned(), hide)
    }
}

/// Returns an answer whose body fails if it is not as long as its `Content-Range` says. The client asks
/// for the rest.
fn with_whole_range(response: HttpResponse) -> HttpResponse {
    let Some(length) = range_length(response.headers()) else {
        // The client refuses it.
        return response;
    };
    response.map(|body| HttpResponseBody::new(RangeBody { body, left: length }))
}

fn range_length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, _) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    last.checked_sub(first)?.checked_add(1)
}

/// The body of a range of an object.
struct RangeBody {
    body: HttpResponseBody,
    /// The bytes of the range that have not arrived yet.
    left: u64,
}

impl Body for RangeBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
        let frame = match polled {
            Some(Ok(frame)) => frame,
            None if self.left > 0 => {
                let left = std::mem::take(&mut self.left);
                let why = Error::unavailable(format!(
                    "the answer of the store lacks the last {left} bytes of its range"
                ));
                let fault = HttpError::new(HttpErrorKind::Interrupted, why);
                return Poll::Ready(Some(Err(fault)));
            }
            ended => return Poll::Ready(ended),
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                let why =
                    Error::unavailable("the answer of the store has more bytes than its range");
                Poll::Ready(Some(Err(unusable(why))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_their_answers() {
        let kind = |method: Method, target: &str, copies: bool| {
            let mut request = http::Request::builder()
                .method(method)
                .uri(format!("http://h/b{target}"));
            if copies {
                request = request.header("x-amz-copy-source", "b/k");
            }
            let body = object_store::client::HttpRequestBody::empty();
            RequestKind::of(&request.body(body).unwrap())
        };
        for (method, target, copies, expected) in [
            (
                Method::GET,
                "?list-type=2&prefix=a",
                false,
                RequestKind::Listing,
            ),
            (Method::GET, "/k", false, RequestKind::Object),
            (Method::GET, "/k?uploadId=u", false, RequestKind::OtherXml),
            (Method::HEAD, "/k", false, RequestKind::Object),
            (Method::PUT, "/k", false, RequestKind::Object),
            (Method::PUT, "/k", true, RequestKind::Assembly),
            (
                Method::PUT,
                "/k?partNumber=1&uploadId=u",
                false,
                RequestKind::Object,
            ),
            (Method::POST, "/k?uploads=", false, RequestKind::OtherXml),
            (Method::POST, "/k?uploadId=u", false, RequestKind::Assembly),
            (Method::POST, "?delete", false, RequestKind::Deletion),
            (Method::DELETE, "/k?uploadId=u", false, RequestKind::Object),
        ] {
            assert_eq!(
                kind(method.clone(), target, copies),
                expected,
                "{method} {target}"
            );
        }
    }

    #[test]
    fn secrets_of_the_request_are_hidden() {
        let mut headers = HeaderMap::new();
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=0123456789abcdef";
        headers.insert("authorization", authorization.parse().unwrap());
        headers.insert("x-amz-security-token", "FwoGZXIvYXdzE".parse().unwrap());
        let secrets = Secrets::of(&headers);
        assert_eq!(
            secrets.hidden_in("bad token FwoGZXIvYXdzE, signature 0123456789abcdef"),
            "bad token …, signature …"
        );
    }

    #[test]
    fn ranges_have_a_length() {
        let length = |value: &str| {
            let value = value.parse().unwrap();
            range_length(&HeaderMap::from_iter([(CONTENT_RANGE, value)]))
        };
        assert_eq!(length("bytes 0-99/1000"), Some(100));
        assert_eq!(length("bytes 5-5/*"), Some(1));
        assert_eq!(length("bytes 5-4/9"), None);
        assert_eq!(length("bytes */9"), None);
    }
}
