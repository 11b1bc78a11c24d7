//! Notifies a receiver of events: CloudEvents 1.0, structured mode, posted as JSON.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Method, Request, StatusCode};
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, ReqwestConnector};
use serde_json::{Value, json};
use tracing::warn;

use crate::cycle::Cycle;
use crate::error::{Error, Result};

/// The waits before each retry of a post.
const RETRY_WAITS: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// A cycle is published.
    Published,
    /// A cycle, or a whole round, failed.
    Failed,
    /// A cycle is overdue.
    Late,
    /// A published cycle lacks source files that came too late.
    LateFiles,
}

impl EventKind {
    fn name(self) -> &'static str {
        match self {
            EventKind::Published => "dayport.cycle.published",
            EventKind::Failed => "dayport.cycle.failed",
            EventKind::Late => "dayport.cycle.late",
            EventKind::LateFiles => "dayport.cycle.late_files",
        }
    }
}

/// An event, before it has the form of CloudEvents.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// The kind of the event, its `type`.
    pub kind: EventKind,
    /// The identifier, equal for repeated posts of the same event: receivers drop duplicates.
    pub id: String,
    /// The URL of the destination.
    pub source: String,
    /// The table, or an empty text for an event of all tables.
    pub table: String,
    /// The cycle, if the event is about one.
    pub cycle: Option<Cycle>,
    /// The time of the event.
    pub at: DateTime<Utc>,
    /// The payload.
    pub data: Value,
}

impl Event {
    /// Returns the event in the form of CloudEvents.
    pub(crate) fn json(&self) -> Value {
        let cycle = self.cycle.map(|cycle| format!("/{cycle}"));
        json!({
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.kind.name(),
            "subject": format!("{}{}", self.table, cycle.unwrap_or_default()),
            "time": self.at.to_rfc3339(),
            "datacontenttype": "application/json",
            "data": self.data,
        })
    }
}

/// Posts events to one URL.
#[derive(Debug, Clone)]
pub(crate) struct Notifier {
    url: String,
    /// The scheme and host of the URL, for messages: the rest may be a secret.
    shown: String,
    client: HttpClient,
}

impl Notifier {
    /// Creates a notifier of the receiver at a URL.
    ///
    /// # Errors
    /// [`Error::invalid`] if the text is not an HTTP URL.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid("--notify is not an http:// or https:// address")
                .with_hint("give the address that takes CloudEvents by POST")
        };
        let url = url::Url::parse(text).map_err(|_| wrong())?;
        let host = url
            .host_str()
            .filter(|_| matches!(url.scheme(), "http" | "https"));
        let shown = format!("{}://{}", url.scheme(), host.ok_or_else(wrong)?);
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(Duration::from_secs(20))
            .with_connect_timeout(Duration::from_secs(10));
        let client = ReqwestConnector::default()
            .connect(&options)
            .map_err(|error| Error::store("open", &shown, error))?;
        Ok(Self {
            url: url.to_string(),
            shown,
            client,
        })
    }

    /// Posts an event, with retries. Returns true if the receiver accepted it.
    pub(crate) async fn send(&self, event: &Event) -> bool {
        let text = Bytes::from(event.json().to_string());
        let mut waits = RETRY_WAITS.iter();
        loop {
            let why = match self.post(text.clone()).await {
                Ok(status) if status.is_success() => return true,
                Ok(status) if is_final(status) => {
                    warn!(to = self.shown, id = event.id, %status, "the receiver refused an event");
                    return false;
                }
                Ok(status) => status.to_string(),
                Err(why) => why,
            };
            let Some(wait) = waits.next() else {
                warn!(
                    to = self.shown,
                    id = event.id,
                    why,
                    "the receiver did not accept an event"
                );
                return false;
            };
            tokio::time::sleep(*wait).await;
        }
    }

    async fn post(&self, text: Bytes) -> std::result::Result<StatusCode, String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(
                "content-type",
                "application/cloudevents+json; charset=utf-8",
            )
            .header("user-agent", concat!("dayport/", env!("CARGO_PKG_VERSION")))
            .body(HttpRequestBody::from(text))
            .map_err(|error| error.to_string())?;
        let response = self.client.execute(request).await;
        // The cause names the whole address, which may hold a secret.
        response
            .map(|response| response.status())
            .map_err(|error| format!("{:?}", error.kind()))
    }
}

/// Returns true if a retry would get the same response.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_what_cloudevents_requires() {
        let event = Event {
            kind: EventKind::Published,
            id: "run/views/2026-01-15".into(),
            source: "s3://bucket/prefix/".into(),
            table: "views".into(),
            cycle: "2026-01-15".parse().ok(),
            at: DateTime::UNIX_EPOCH,
            data: json!({ "rows": 1 }),
        };
        assert_eq!(
            event.json(),
            json!({
                "specversion": "1.0",
                "id": "run/views/2026-01-15",
                "source": "s3://bucket/prefix/",
                "type": "dayport.cycle.published",
                "subject": "views/2026-01-15",
                "time": "1970-01-01T00:00:00+00:00",
                "datacontenttype": "application/json",
                "data": { "rows": 1 },
            })
        );
    }

    #[test]
    fn addresses_are_checked_and_not_printed_whole() {
        for wrong in ["", "example.com/hook", "ftp://x/y"] {
            assert!(Notifier::new(wrong).is_err(), "{wrong}");
        }
        let notifier = Notifier::new("https://hooks.example/secret-token").unwrap();
        assert_eq!(notifier.shown, "https://hooks.example");
    }
}
