//! Serves metrics, health and the status page by HTTP. It is read-only.
//!
//! Clients must not be able to harm the rounds: the number of connections is limited, so that they leave
//! descriptors to the rounds, and each connection ends soon, whatever its client does.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::env::Clock;
use crate::serve::state::ServeState;
use crate::status::page;

/// The limits of connections.
#[derive(Debug, Clone, Copy)]
struct ConnectionLimits {
    /// The maximum number. Further ones wait in the operating system, where they need no descriptor of
    /// this process.
    connections: usize,
    /// The timeout of the head of a request.
    header_timeout: Duration,
    /// The timeout of a connection, which has one request: a client may read slowly.
    timeout: Duration,
}

const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 32,
    header_timeout: Duration::from_secs(5),
    timeout: Duration::from_secs(30),
};

/// The first and the maximum wait after a connection could not be accepted; it doubles.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Serves connections until the future is dropped.
pub(crate) async fn listen(listener: TcpListener, state: Arc<Mutex<ServeState>>, clock: Clock) {
    listen_within(LIMITS, listener, state, clock).await;
}

async fn listen_within(
    limits: ConnectionLimits,
    listener: TcpListener,
    state: Arc<Mutex<ServeState>>,
    clock: Clock,
) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    // It is never closed.
    while let Ok(permit) = Arc::clone(&connections).acquire_owned().await {
        let stream = accept(&listener).await;
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            serve(stream, limits, &state, clock).await;
            drop(permit);
        });
    }
}

/// Accepts a connection. What fails for want of descriptors or memory is retried with backoff, and
/// logged once.
async fn accept(listener: &TcpListener) -> TcpStream {
    let (first, max) = ACCEPT_BACKOFF;
    let mut backoff = first;
    let mut is_failing = false;
    loop {
        let error = match listener.accept().await {
            Ok((stream, _)) => {
                if is_failing {
                    info!("connections are accepted again");
                }
                return stream;
            }
            Err(error) => error,
        };
        if is_of_client(&error) {
            tokio::task::yield_now().await;
            continue;
        }
        if !is_failing {
            is_failing = true;
            warn!(
                %error,
                "connections cannot be accepted: metrics and status page do not respond; retrying"
            );
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(max);
    }
}

/// Returns true if the client has given up the connection, and knows it.
fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Responds to the one request of a connection.
async fn serve(
    stream: TcpStream,
    limits: ConnectionLimits,
    state: &Mutex<ServeState>,
    clock: Clock,
) {
    let service = service_fn(|request| {
        let response = respond(&request, state, clock);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // The client sees that its connection failed.
    let _ = tokio::time::timeout(limits.timeout, connection).await;
}

/// Returns the response to a request.
fn respond(
    request: &Request<Incoming>,
    state: &Mutex<ServeState>,
    clock: Clock,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain_text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    let state = state.lock();
    match request.uri().path() {
        "/metrics" => response(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            state.metrics(clock.now()),
        ),
        "/healthz" => plain_text(StatusCode::OK, "ok\n"),
        "/readyz" if state.rounds > 0 && state.failed_rounds == 0 => {
            plain_text(StatusCode::OK, "ready\n")
        }
        "/readyz" => plain_text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the last round failed, or none has ended\n",
        ),
        "/" => match state.status() {
            Some(status) => response(StatusCode::OK, "text/html; charset=utf-8", page(&status)),
            None => plain_text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the status of the destination is not loaded yet\n",
            ),
        },
        _ => plain_text(StatusCode::NOT_FOUND, "/, /metrics, /healthz, /readyz\n"),
    }
}

fn plain_text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", text.to_owned())
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert("content-type", content_type);
    response
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::serve::Schedule;

    const SHORT: ConnectionLimits = ConnectionLimits {
        connections: 4,
        header_timeout: Duration::from_millis(50),
        timeout: Duration::from_secs(30),
    };

    /// Starts to serve, and returns the address.
    async fn start(limits: ConnectionLimits) -> std::net::SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let schedule = Schedule::Every(Duration::from_secs(3_600));
        let state = Arc::new(Mutex::new(ServeState::new(schedule)));
        tokio::spawn(listen_within(limits, listener, state, Clock::System));
        address
    }

    async fn connect(address: std::net::SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        // A reset ends it, too.
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    }

    const REQUEST: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

    /// Without the timeout, the answer would never end.
    #[tokio::test]
    async fn a_client_that_sends_no_request_is_disconnected() {
        let address = start(SHORT).await;
        for begun in ["", "GET /healthz HT", "GET / HTTP/1.1\r\nHost: x\r\nA: "] {
            let answer = rest(connect(address, begun).await).await;
            assert!(!answer.contains("200 OK"), "{answer}");
        }
        let answer = rest(connect(address, REQUEST).await).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }

    /// The connection ends although its client neither closes nor reads it.
    #[tokio::test]
    async fn idle_clients_do_not_lock_others_out() {
        let address = start(SHORT).await;
        let mut idle = Vec::new();
        for _ in 0..3 * SHORT.connections {
            idle.push(connect(address, "").await);
        }
        let answer = rest(connect(address, REQUEST).await).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        drop(idle);
    }

    /// The first connection is responded to only when another one ends.
    #[tokio::test]
    async fn connections_are_limited() {
        let long = Duration::from_secs(3_600);
        let address = start(ConnectionLimits {
            header_timeout: long,
            timeout: long,
            ..SHORT
        })
        .await;
        let mut idle = Vec::new();
        for _ in 0..SHORT.connections {
            idle.push(connect(address, "").await);
        }
        let mut waiting = Box::pin(async { rest(connect(address, REQUEST).await).await });
        let responded = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
        assert!(responded.is_err(), "more connections than the limit");
        idle.pop();
        let answer = waiting.await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }

    #[test]
    fn only_faults_of_this_process_are_waited_for() {
        for (errno, is_clients) in [
            (libc::ECONNABORTED, true),
            (libc::ECONNRESET, true),
            (libc::EINTR, true),
            (libc::EMFILE, false),
            (libc::ENFILE, false),
            (libc::ENOBUFS, false),
            (libc::ENOMEM, false),
        ] {
            assert_eq!(
                is_of_client(&io::Error::from_raw_os_error(errno)),
                is_clients
            );
        }
    }
}
