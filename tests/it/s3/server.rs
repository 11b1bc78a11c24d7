//! The HTTP front: accepts connections, records each request, injects the faults, and passes the
//! other requests to s3s, which checks the signature and calls `backend.rs`.

use super::{
    fault::{Action, Failure, Faults},
    operation::{Operation, Target},
    sts,
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Request,
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, RANGE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode, service::S3Service};
use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex},
};
use tokio::net::{TcpListener, TcpStream};

/// A recorded request with its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub operation: Operation,
    pub bucket: String,
    /// The key; for listings, the prefix.
    pub key: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The status that was sent; `None` while the request is in progress and after a lost response.
    pub status: Option<u16>,
    /// The fault that the request has triggered.
    pub fault: Option<Action>,
}

pub(super) struct Server {
    s3: S3Service,
    pub faults: Faults,
    calls: Mutex<Vec<Call>>,
}

/// The reason why a connection ends without a complete response. hyper drops the connection when it
/// gets this error instead of a response or of the rest of a body.
#[derive(Debug)]
enum Broken {
    Hangup,
    Reset,
    Truncated,
    /// A failure of s3s to convert its own result into a response.
    NoResponse(s3s::HttpError),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Error for Broken {}

impl Server {
    pub(super) fn new(s3: S3Service) -> Server {
        Server {
            s3,
            faults: Faults::default(),
            calls: Mutex::default(),
        }
    }

    /// Returns the requests in the order of arrival.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Serves until it is dropped.
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.expect("accept on loopback");
            tokio::spawn(Arc::clone(&self).serve(stream));
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        stream.set_nodelay(true).expect("TCP_NODELAY on loopback");
        let service = service_fn(move |request| {
            let server = Arc::clone(&self);
            async move { server.respond(request).await }
        });
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // Errors are expected: clients disconnect, and faults end as errors on purpose.
        let Err(error) = (&mut connection).await else {
            return;
        };
        let broken = error
            .source()
            .and_then(|source| source.downcast_ref::<Broken>());
        match broken {
            Some(Broken::Reset) => {
                let stream = connection.into_parts().io.into_inner();
                // With a zero linger time, closing the socket sends RST in place of FIN.
                stream.set_zero_linger().expect("SO_LINGER on loopback");
            }
            Some(Broken::NoResponse(error)) => panic!("s3s gave no response: {error:?}"),
            Some(Broken::Hangup | Broken::Truncated) | None => {}
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Result<HttpResponse, Broken> {
        let target = Target::of(request.method(), request.uri(), request.headers());
        let action = self.faults.decide(&target);
        let range = request
            .headers()
            .get(RANGE)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let Target {
            operation,
            bucket,
            key,
        } = target;
        let index = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(Call {
                operation,
                bucket,
                key,
                range,
                status: None,
                fault: action,
            });
            calls.len() - 1
        };
        let result = self.act(request, action).await;
        if let Ok(response) = &result {
            self.calls.lock().unwrap()[index].status = Some(response.status().as_u16());
        }
        result
    }

    async fn act(
        &self,
        request: Request<Incoming>,
        action: Option<Action>,
    ) -> Result<HttpResponse, Broken> {
        match action {
            None => self.apply(request).await,
            Some(Action::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                let response = self.apply(request).await;
                self.faults.record_trigger();
                response
            }
            Some(Action::Hold) => {
                self.faults.hold().await;
                self.apply(request).await
            }
            Some(Action::Truncate { after_bytes }) => {
                let response = self.apply(request).await?;
                self.faults.record_trigger();
                // hyper flushes only when the body is pending; without this pause the client would not
                // even get the headers.
                let broken = async {
                    tokio::task::yield_now().await;
                    Err(Broken::Truncated)
                };
                Ok(response.map(|body| truncated(body, after_bytes, broken)))
            }
            Some(Action::Stall { after_bytes }) => {
                let response = self.apply(request).await?;
                self.faults.record_trigger();
                let silence = std::future::pending();
                Ok(response.map(|body| truncated(body, after_bytes, silence)))
            }
            Some(Action::Flip { byte }) => {
                let response = self.apply(request).await?;
                self.faults.record_trigger();
                Ok(response.map(|body| flipped(body, byte)))
            }
            Some(Action::Shorten { bytes }) => {
                let (mut parts, body) = self.apply(request).await?.into_parts();
                let collected = BodyExt::collect(body).await;
                let body = collected.expect("a body in memory").to_bytes();
                let short = body.slice(..bytes.min(body.len()));
                parts.headers.insert(CONTENT_LENGTH, short.len().into());
                self.faults.record_trigger();
                Ok(hyper::Response::from_parts(parts, Body::from(short)))
            }
            Some(Action::Respond { status, body }) => {
                let _ = request.into_body().collect().await;
                self.faults.record_trigger();
                let mut response = hyper::Response::new(Body::from(body.to_owned()));
                *response.status_mut() = status.try_into().expect("a status");
                Ok(response)
            }
            Some(Action::Before(failure)) => {
                // Reads the whole body, so that a client that is still sending gets the failure and not
                // a broken pipe. A client that has disconnected needs no failure.
                let _ = request.into_body().collect().await;
                self.faults.record_trigger();
                failure.respond().await
            }
            Some(Action::After(failure)) => {
                self.apply(request).await?;
                self.faults.record_trigger();
                failure.respond().await
            }
        }
    }

    async fn apply(&self, request: Request<Incoming>) -> Result<HttpResponse, Broken> {
        let target = Target::of(request.method(), request.uri(), request.headers());
        if target.operation == Operation::AssumeRole {
            let _ = request.into_body().collect().await;
            return Ok(hyper::Response::new(Body::from(sts::assumed())));
        }
        self.s3
            .call(request.map(Body::from))
            .await
            .map_err(Broken::NoResponse)
    }
}

impl Failure {
    async fn respond(self) -> Result<HttpResponse, Broken> {
        match self {
            Failure::SlowDown => {
                error_response(S3ErrorCode::SlowDown, "Please reduce your request rate.")
            }
            Failure::Conflict => error_response(
                S3ErrorCode::ConditionalRequestConflict,
                "A conflicting operation occurred during the request.",
            ),
            Failure::AccessDenied => error_response(S3ErrorCode::AccessDenied, "Access Denied"),
            Failure::Hangup => Err(Broken::Hangup),
            Failure::Reset => Err(Broken::Reset),
            Failure::Silence => std::future::pending().await,
        }
    }
}

fn error_response(code: S3ErrorCode, message: &'static str) -> Result<HttpResponse, Broken> {
    let response = S3Error::with_message(code, message).to_http_response();
    Ok(response.expect("an error without headers has a response"))
}

/// Flips a bit of one byte of a body.
fn flipped(body: Body, byte: usize) -> Body {
    let mut left = byte;
    let chunks = body.map(move |chunk| {
        let mut chunk = chunk.expect("the backend responds from memory").to_vec();
        let length = chunk.len();
        if let Some(byte) = chunk.get_mut(left) {
            *byte ^= 1;
        }
        left = left.checked_sub(length).unwrap_or(usize::MAX);
        Ok::<_, Broken>(Frame::data(Bytes::from(chunk)))
    });
    Body::http_body_unsync(StreamBody::new(chunks))
}

/// Truncates a body to its first `after_bytes`, followed by `end`. The headers, with the full
/// `Content-Length`, stay unchanged.
fn truncated(
    body: Body,
    after_bytes: usize,
    end: impl Future<Output = Result<Frame<Bytes>, Broken>> + Send + 'static,
) -> Body {
    let mut left = after_bytes;
    let chunks = body.map(move |chunk| {
        let mut chunk: Bytes = chunk.expect("the backend responds from memory");
        chunk.truncate(left);
        left -= chunk.len();
        chunk
    });
    let start = chunks
        .take_while(|chunk| std::future::ready(!chunk.is_empty()))
        .map(|chunk| Ok(Frame::data(chunk)));
    Body::http_body_unsync(StreamBody::new(start.chain(stream::once(end))))
}
