//! A client of S3 whose waits are bounded and known to a [`ResponseWatch`].
//!
//! | the store | what is done |
//! |---|---|
//! | does not respond | an attempt ends after half of the retry timeout, and is repeated on another connection |
//! | refuses the first connections | the last attempt begins after 4 s |
//! | has a certificate that is not accepted, or does not speak TLS | the request fails at once |
//! | sends no more bytes of a body | the same, and the client asks for the rest |

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::DATE;
use http::{HeaderMap, Method, StatusCode, Uri};
use hyper::body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use tokio::time::{Instant, Sleep};

use crate::error::Error;
use crate::human;
use crate::store::response_watch::{Cause, ResponseWatch, TICK, Waiting};
use crate::store::tls_fault::{innermost, tls_fault};

/// The limits of the time that one attempt waits for the store.
const MIN_SILENCE: Duration = Duration::from_secs(5);
const MAX_SILENCE: Duration = Duration::from_secs(300);

/// The rate at which a body is sent at least, in bytes per second: a slow line is no silence.
const MIN_RATE: u64 = 32 << 10;

/// A connector whose clients are watched.
#[derive(Debug)]
pub(super) struct WatchedConnector<C> {
    connector: C,
    watch: Arc<ResponseWatch>,
    /// The time that one attempt waits for the store.
    max_silence: Duration,
}

impl<C> WatchedConnector<C> {
    /// Creates a connector whose clients send requests by those of `connector`. A request is retried for
    /// `retry_timeout`.
    pub(super) fn new(connector: C, watch: Arc<ResponseWatch>, retry_timeout: Duration) -> Self {
        Self {
            connector,
            watch,
            max_silence: (retry_timeout / 2).clamp(MIN_SILENCE, MAX_SILENCE),
        }
    }
}

impl<C: HttpConnector> HttpConnector for WatchedConnector<C> {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(WatchedClient {
            client: self.connector.connect(options)?,
            watch: Arc::clone(&self.watch),
            max_silence: self.max_silence,
        }))
    }
}

#[derive(Debug)]
struct WatchedClient {
    client: HttpClient,
    watch: Arc<ResponseWatch>,
    max_silence: Duration,
}

#[async_trait]
impl HttpService for WatchedClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let limit = self.limit(&request);
        let address = address(request.uri());
        let call = self.client.execute(request);
        let (waiting, result) = self.watch.watch(address, limit, call).await;
        let now = Instant::now();
        match result.unwrap_or_else(|| Err(no_response(limit))) {
            Ok(response) => {
                self.watch.note_clock(|| date(response.headers()), now);
                match overload(response.status()) {
                    Some(status) => {
                        waiting.failed(Cause::Overload(status), now);
                    }
                    None => waiting.responded(now),
                }
                Ok(response.map(|body| HttpResponseBody::new(self.watched(body, now))))
            }
            Err(error) => Err(failed(error, waiting, now)),
        }
    }
}

impl WatchedClient {
    /// Returns the time that an attempt waits for a response.
    fn limit(&self, request: &HttpRequest) -> Duration {
        // The server has work to do before it responds.
        let is_long = match *request.method() {
            Method::POST => true,
            Method::PUT => request.headers().contains_key("x-amz-copy-source"),
            _ => false,
        };
        if is_long {
            return MAX_SILENCE;
        }
        let bytes = request.body().content_length() as u64;
        let sending = Duration::from_secs(bytes / MIN_RATE);
        (self.max_silence + sending).min(MAX_SILENCE)
    }

    fn watched(&self, body: HttpResponseBody, now: Instant) -> WatchedBody {
        WatchedBody {
            body,
            watch: Arc::clone(&self.watch),
            max_silence: self.max_silence,
            heard: now,
            silent_since: None,
            tick: None,
            waiting: None,
        }
    }
}

/// Returns the time of a response, by the clock of the server.
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get(DATE)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text)
        .ok()
        .map(|date| date.to_utc())
}

/// Returns the address of a store without the path: `http://host:port`.
fn address(uri: &Uri) -> Option<String> {
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

/// Returns the status of a response that says that the store cannot serve the request now.
fn overload(status: StatusCode) -> Option<String> {
    let is_overload = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
    is_overload.then(|| status.to_string())
}

fn no_response(limit: Duration) -> HttpError {
    let why = Error::unavailable(format!("no response within {}", human::seconds(limit)));
    HttpError::new(HttpErrorKind::Timeout, why)
}

/// Notes the failure of an attempt. Returns the error that decides whether there is another one.
fn failed(error: HttpError, waiting: Waiting, now: Instant) -> HttpError {
    if let Some(fault) = tls_fault(&error) {
        return HttpError::new(HttpErrorKind::Unknown, fault);
    }
    let cause = innermost(&error);
    if error.kind() != HttpErrorKind::Connect {
        waiting.failed(Cause::Request(cause), now);
        return error;
    }
    if waiting.failed(Cause::Connection(cause.clone()), now) {
        return error;
    }
    let why = Error::unavailable(format!("there was never a connection: {cause}")).with_hint(
        "check the address, which AWS_ENDPOINT_URL or the profile sets, and the network",
    );
    HttpError::new(HttpErrorKind::Unknown, why)
}

/// A body that knows how long it waits for bytes.
struct WatchedBody {
    body: HttpResponseBody,
    watch: Arc<ResponseWatch>,
    max_silence: Duration,
    /// The time when the watch was last told of bytes.
    heard: Instant,
    /// The time since when the reader waits for bytes.
    silent_since: Option<Instant>,
    /// Wakes the reader to look at the wait; kept, since most waits are short.
    tick: Option<Pin<Box<Sleep>>>,
    /// The wait, once it is longer than a tick.
    waiting: Option<Waiting>,
}

impl WatchedBody {
    /// Notes that bytes or the end arrived.
    fn arrived(&mut self) {
        self.silent_since = None;
        let now = Instant::now();
        match self.waiting.take() {
            Some(waiting) => waiting.responded(now),
            None if now - self.heard >= TICK => self.watch.heard(now),
            None => return,
        }
        self.heard = now;
    }

    /// Waits for the next look, and returns an error if the wait is over.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<HttpError> {
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        loop {
            let tick = self
                .tick
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(TICK)));
            ready!(tick.as_mut().poll(context));
            let now = Instant::now();
            tick.as_mut().reset(now + TICK);
            if now - since >= self.max_silence {
                self.silent_since = None;
                let error = no_response(self.max_silence);
                if let Some(waiting) = self.waiting.take() {
                    waiting.failed(Cause::Request(innermost(&error)), now);
                }
                return Poll::Ready(error);
            }
            if now - since >= TICK {
                let watch = &self.watch;
                self.waiting.get_or_insert_with(|| watch.wait(None, since));
                self.watch.report_if_due(now);
            }
        }
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                self.arrived();
                Poll::Ready(frame)
            }
            Poll::Pending => self.poll_silence(context).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_and_slow_work_are_no_silence() {
        #[derive(Debug)]
        struct Never;

        #[async_trait]
        impl HttpService for Never {
            async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
                std::future::pending().await
            }
        }

        let limit = |retry_timeout, method: Method, bytes: usize| {
            let retry_timeout = Duration::from_secs(retry_timeout);
            let connector = WatchedConnector::new(
                object_store::client::ReqwestConnector::default(),
                ResponseWatch::new("a store", retry_timeout),
                retry_timeout,
            );
            let client = WatchedClient {
                client: HttpClient::new(Never),
                watch: connector.watch,
                max_silence: connector.max_silence,
            };
            let mut request = HttpRequest::new(vec![0; bytes].into());
            *request.method_mut() = method;
            client.limit(&request).as_secs()
        };
        assert_eq!(limit(60, Method::GET, 0), 30);
        assert_eq!(limit(1, Method::GET, 0), 5);
        assert_eq!(limit(3_600, Method::GET, 0), 300);
        assert_eq!(limit(60, Method::PUT, 1 << 20), 62);
        assert_eq!(limit(60, Method::PUT, 64 << 20), 300);
        assert_eq!(limit(60, Method::POST, 0), 300);
    }

    #[test]
    fn addresses_have_no_path() {
        let uri = "http://127.0.0.1:9000/bucket/key?x=y".parse().unwrap();
        assert_eq!(address(&uri).unwrap(), "http://127.0.0.1:9000");
    }
}
