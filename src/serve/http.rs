//! Serves metrics, health and the status page by HTTP. It is read-only.

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
use crate::serve::state::ServeState;
use crate::status::page;

/// Serves connections until the future is dropped.
pub(crate) async fn listen(listener: TcpListener, state: Arc<Mutex<ServeState>>, clock: Clock) {
    loop {
        // The client sees that its connection failed.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = respond(&request, &state, clock);
                async move { Ok::<_, Infallible>(response) }
            });
            // As above.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
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
