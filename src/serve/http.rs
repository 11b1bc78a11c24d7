//! The HTTP side: metrics, health, and the status page. Reads only.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::env::Clock;
use crate::serve::State;
use crate::status::page;

/// Serves until it is dropped.
pub async fn listen(listener: TcpListener, state: Arc<Mutex<State>>, clock: Clock) {
    loop {
        // A connection that fails on the way is its client's business.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, &state, clock);
                async move { Ok::<_, Infallible>(answer) }
            });
            // Likewise.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    state: &Mutex<State>,
    clock: Clock,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    let state = state.lock();
    match request.uri().path() {
        "/metrics" => with(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            state.text(clock.now()),
        ),
        "/healthz" => plain(StatusCode::OK, "ok\n"),
        "/readyz" if state.rounds > 0 && state.failed_rounds == 0 => {
            plain(StatusCode::OK, "ready\n")
        }
        "/readyz" => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the last round failed, or none has ended\n",
        ),
        "/" => match state.status() {
            Some(status) => with(StatusCode::OK, "text/html; charset=utf-8", page(&status)),
            None => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "the destination was not seen yet\n",
            ),
        },
        _ => plain(StatusCode::NOT_FOUND, "/, /metrics, /healthz, /readyz\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    with(status, "text/plain; charset=utf-8", text.to_owned())
}

fn with(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static(kind);
    response.headers_mut().insert("content-type", kind);
    response
}
