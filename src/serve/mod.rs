//! Runs that come by themselves: due cycles daily, what was missed caught up, failures tried again.
//!
//! ```text
//! schedule (pure) ─when→ round: open, run, look at the status ─→ metrics, page (http) and events (notify)
//!        ↑ backoff after a failure                              stop: staged files given up, commits finished
//! ```
//! Several may serve one destination: each commit has one winner, and the others find the cycle published.

mod http;
mod metrics;
mod notify;
mod schedule;

pub use http::listen;
pub use metrics::State;
pub use notify::{Event, EventKind, Notifier};
pub use schedule::{Schedule, backoff};
