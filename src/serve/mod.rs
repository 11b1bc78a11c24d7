//! Scheduled runs: cycles are exported when they are due, missed ones are caught up, failed ones retried.
//!
//! ```text
//! schedule (pure) ─next→ round: open, run, load the status ─→ ServeState ─→ metrics, page (http)
//!        ↑ backoff after a failure                        └→ events (notify)
//! ```
//! A stop discards staged files and finishes commits. Several processes may serve one destination: each
//! commit has one winner, and the others find the cycle published.

mod http;
mod metrics;
mod notify;
mod schedule;
mod state;

pub(crate) use http::listen;
pub(crate) use notify::{Event, EventKind, Notifier};
pub(crate) use schedule::{Schedule, backoff};
pub(crate) use state::ServeState;
