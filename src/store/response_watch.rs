//! Knows since when a store has not responded, and says so while something waits for it.
//!
//! Every client of a store has one watch. It is told of requests, responses and failures; it reports to
//! the log that the store is waited for, once a wait is long and then again and again. A stop asks all
//! watches of the process whether work may wait longer than a stop should: [`silent_store`].

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::env;
use crate::human;

/// The time between two looks at a wait.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// The silence after which a wait is reported, and the time until it is reported again.
const FIRST_REPORT: Duration = Duration::from_secs(5);
const NEXT_REPORT: Duration = Duration::from_secs(10);

/// The time for which a failure keeps a store silent although no request is outstanding: the client waits
/// before it tries again, for 8 s at most.
const FAILURE_HOLDS: Duration = Duration::from_secs(10);

/// The time for which connections to a store that has never responded are tried: a wrong address is more
/// likely than a pause.
const FIRST_CONNECTION: Duration = Duration::from_secs(4);

/// The time for which the clock of a store is not looked at again.
const CLOCK_IS_FRESH: Duration = Duration::from_secs(60);

/// The watches of this process, as the log is one for the process.
static WATCHES: Mutex<Vec<Weak<ResponseWatch>>> = Mutex::new(Vec::new());

/// What one client knows about its store.
#[derive(Debug)]
pub(super) struct ResponseWatch {
    /// The name of the store until a request names its address.
    name: String,
    /// The time for which a request is retried.
    retry_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The address of the store.
    address: Option<String>,
    /// The number of the next request.
    next: u64,
    /// The outstanding requests, with the time from which each waits.
    outstanding: BTreeMap<u64, Instant>,
    has_responded: bool,
    /// The time since when nothing has been heard although it was asked.
    silent_since: Option<Instant>,
    /// The last failure since then.
    failure: Option<Failure>,
    /// The time of the last report of this silence.
    reported: Option<Instant>,
    /// The difference of the clock of the store from that of this machine, and when it was measured.
    clock: Option<(TimeDelta, Instant)>,
}

#[derive(Debug)]
struct Failure {
    cause: String,
    /// True if there was no connection, and never was one.
    is_first_connection: bool,
    at: Instant,
}

/// Says which store is waited for, if one has been silent since `then`. Returns `None` if all stores
/// responded since, or nothing waits for them.
pub fn silent_store(then: Instant) -> Option<String> {
    let watches: Vec<_> = WATCHES.lock().iter().filter_map(Weak::upgrade).collect();
    let now = Instant::now();
    watches.iter().find_map(|watch| {
        let state = watch.state.lock();
        let since = state.silence(now)?;
        (since <= then).then(|| watch.description(&state, now - since))
    })
}

impl ResponseWatch {
    /// Creates the watch of a store whose requests are retried for `retry_timeout`.
    pub(super) fn new(name: impl Into<String>, retry_timeout: Duration) -> Arc<Self> {
        let watch = Arc::new(Self {
            name: name.into(),
            retry_timeout,
            state: Mutex::default(),
        });
        let mut watches = WATCHES.lock();
        watches.retain(|known| known.strong_count() > 0);
        watches.push(Arc::downgrade(&watch));
        watch
    }

    /// Waits for the end of a request, for `limit` at most, and reports a long wait. `result` is `None` if the
    /// limit passed.
    pub(super) async fn watch<T>(
        self: &Arc<Self>,
        address: Option<String>,
        limit: Duration,
        request: impl Future<Output = T>,
    ) -> (Waiting, Option<T>) {
        let started = Instant::now();
        let waiting = self.wait(address, started);
        let mut request = std::pin::pin!(request);
        loop {
            let left = limit.saturating_sub(started.elapsed());
            match tokio::time::timeout(left.min(TICK), &mut request).await {
                Ok(result) => return (waiting, Some(result)),
                Err(_) if started.elapsed() >= limit => return (waiting, None),
                Err(_) => self.report_if_due(Instant::now()),
            }
        }
    }

    /// Notes that a request waits for the store since `since`.
    pub(super) fn wait(self: &Arc<Self>, address: Option<String>, since: Instant) -> Waiting {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.forget_old_failure(since);
        if address.is_some() {
            state.address = address;
        }
        state.silent_since.get_or_insert(since);
        state.outstanding.insert(number, since);
        drop(state);
        Waiting {
            watch: Arc::clone(self),
            number,
        }
    }

    /// Notes the time that a response of the store has, if the last one was noted a while ago.
    pub(super) fn note_clock(&self, date: impl FnOnce() -> Option<DateTime<Utc>>, now: Instant) {
        let mut state = self.state.lock();
        let is_fresh = |(_, at): &(TimeDelta, Instant)| now - *at < CLOCK_IS_FRESH;
        if state.clock.as_ref().is_some_and(is_fresh) {
            return;
        }
        if let Some(date) = date() {
            state.clock = Some((date - env::wall_clock(), now));
        }
    }

    /// Returns the time by the clock of the store, or by that of this machine while it is not known.
    pub(super) fn store_time(&self) -> DateTime<Utc> {
        let difference = self.state.lock().clock.map(|(difference, _)| difference);
        let now = env::wall_clock();
        difference.map_or(now, |difference| now + difference)
    }

    /// Notes that bytes of the store arrived.
    pub(super) fn heard(&self, now: Instant) {
        let mut state = self.state.lock();
        let after = state.reported.and(state.silence(now));
        state.has_responded = true;
        state.failure = None;
        state.reported = None;
        state.silent_since = (!state.outstanding.is_empty()).then_some(now);
        if let Some(since) = after {
            info!(
                "{} responds again after {}",
                self.shown(&state),
                human::seconds(now - since)
            );
        }
    }

    /// Reports the wait if it is long and the last report is some time ago.
    pub(super) fn report_if_due(&self, now: Instant) {
        let mut state = self.state.lock();
        let Some(since) = state.silence(now) else {
            return;
        };
        let is_due = match state.reported {
            None => now - since >= FIRST_REPORT,
            Some(last) => now - last >= NEXT_REPORT,
        };
        if is_due {
            self.report(&mut state, since, now);
        }
    }

    fn report(&self, state: &mut State, since: Instant, now: Instant) {
        state.reported = Some(now);
        let limit = match &state.failure {
            Some(failure) if failure.is_first_connection => {
                FIRST_CONNECTION.min(self.retry_timeout)
            }
            _ => self.retry_timeout,
        };
        warn!(
            "waiting for {}; a request is given up after {}",
            self.description(state, now - since),
            human::seconds(limit)
        );
    }

    fn description(&self, state: &State, silence: Duration) -> String {
        let shown = self.shown(state);
        let seconds = human::seconds(silence);
        match &state.failure {
            None => format!("{shown}: no response for {seconds}"),
            Some(failure) if silence.as_secs() == 0 => format!("{shown}: {}", failure.cause),
            Some(failure) => format!("{shown}: {} (for {seconds})", failure.cause),
        }
    }

    fn shown(&self, state: &State) -> String {
        let address = state.address.as_ref();
        address.map_or_else(|| self.name.clone(), |address| format!("`{address}`"))
    }
}

impl State {
    /// Returns the time since when the store has been silent; `None` if nothing waits for it.
    fn silence(&self, now: Instant) -> Option<Instant> {
        let failed = self.failure.as_ref().map(|failure| failure.at);
        let is_failing = failed.is_some_and(|at| now - at < FAILURE_HOLDS);
        let is_waiting = is_failing || !self.outstanding.is_empty();
        self.silent_since.filter(|_| is_waiting)
    }

    /// Forgets a silence that nothing waited for any more.
    fn forget_old_failure(&mut self, now: Instant) {
        if self.silence(now).is_none() {
            self.silent_since = None;
            self.failure = None;
            self.reported = None;
        }
    }
}

/// The cause of a failure.
#[derive(Debug)]
pub(super) enum Cause {
    /// There is no connection.
    Connection(String),
    /// The connection broke, or there was no response in time.
    Request(String),
    /// The store responded that it cannot serve the request now.
    Overload(String),
}

/// A request that waits for a store, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    watch: Arc<ResponseWatch>,
    number: u64,
}

impl Waiting {
    /// Notes that the store responded.
    pub(super) fn responded(self, now: Instant) {
        let watch = Arc::clone(&self.watch);
        drop(self);
        watch.heard(now);
    }

    /// Notes that the request failed, and may be tried again. A first connection that fails is reported at
    /// once. Returns false if the store has never responded and was tried for long enough.
    pub(super) fn failed(self, cause: Cause, now: Instant) -> bool {
        let watch = Arc::clone(&self.watch);
        drop(self);
        let mut state = watch.state.lock();
        state.has_responded |= matches!(cause, Cause::Overload(_));
        let is_first = matches!(cause, Cause::Connection(_)) && !state.has_responded;
        let (Cause::Connection(cause) | Cause::Request(cause) | Cause::Overload(cause)) = cause;
        state.failure = Some(Failure {
            cause,
            is_first_connection: is_first,
            at: now,
        });
        let since = state.silence(now).unwrap_or(now);
        let is_given_up = is_first && now - since >= FIRST_CONNECTION;
        if is_first && !is_given_up && state.reported.is_none() {
            watch.report(&mut state, since, now);
        }
        drop(state);
        watch.report_if_due(now);
        !is_given_up
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.watch.state.lock().outstanding.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn watch() -> (Arc<ResponseWatch>, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let after = move |seconds| start + Duration::from_secs(seconds);
        (ResponseWatch::new("the store", TIMEOUT), after)
    }

    fn reported(watch: &ResponseWatch) -> Option<Instant> {
        watch.state.lock().reported
    }

    #[test]
    fn a_wait_is_reported_again_and_again() {
        let (watch, after) = watch();
        let _first = watch.wait(Some("http://h".to_owned()), after(0));
        let _second = watch.wait(Some("http://h".to_owned()), after(3));
        for (now, expected) in [(4, None), (5, Some(5)), (14, Some(5)), (15, Some(15))] {
            watch.report_if_due(after(now));
            assert_eq!(reported(&watch), expected.map(&after), "after {now} s");
        }
        let text = watch.description(&watch.state.lock(), Duration::from_secs(15));
        assert_eq!(text, "`http://h`: no response for 15 s");
    }

    #[test]
    fn any_response_ends_a_silence() {
        let (watch, after) = watch();
        let first = watch.wait(None, after(0));
        let second = watch.wait(None, after(0));
        first.responded(after(4));
        watch.report_if_due(after(8));
        assert_eq!(reported(&watch), None, "4 s of silence");
        watch.report_if_due(after(9));
        assert_eq!(reported(&watch), Some(after(9)));
        second.responded(after(10));
        watch.report_if_due(after(100));
        assert_eq!(reported(&watch), None, "nothing waits");
    }

    #[test]
    fn a_first_connection_is_reported_at_once_and_given_up_early() {
        let refused = || Cause::Connection("connection refused".to_owned());
        let (watch, after) = watch();
        assert!(watch.wait(None, after(0)).failed(refused(), after(0)));
        assert_eq!(reported(&watch), Some(after(0)));
        let text = watch.description(&watch.state.lock(), Duration::ZERO);
        assert_eq!(text, "the store: connection refused");
        assert!(watch.wait(None, after(3)).failed(refused(), after(3)));
        assert!(!watch.wait(None, after(4)).failed(refused(), after(4)));
        // A later request begins anew.
        assert!(watch.wait(None, after(60)).failed(refused(), after(60)));
        watch.wait(None, after(61)).responded(after(61));
        for now in [62, 70, 80] {
            assert!(watch.wait(None, after(now)).failed(refused(), after(now)));
        }
    }

    #[test]
    fn a_store_that_is_overloaded_has_responded() {
        let (watch, after) = watch();
        let overload = || Cause::Overload("503 Service Unavailable".to_owned());
        for now in [0, 3] {
            watch.wait(None, after(now)).failed(overload(), after(now));
            assert_eq!(reported(&watch), None);
        }
        watch.wait(None, after(6)).failed(overload(), after(6));
        assert_eq!(
            reported(&watch),
            Some(after(6)),
            "nothing was served for 6 s"
        );
        let refused = Cause::Connection("connection refused".to_owned());
        assert!(watch.wait(None, after(7)).failed(refused, after(7)));
    }

    #[test]
    fn a_stop_asks_for_stores_that_are_waited_for() {
        let (watch, after) = watch();
        let name = || silent_store(Instant::now()).unwrap_or_default();
        assert!(!name().contains("the silent one"));
        let waiting = watch.wait(Some("http://the silent one".to_owned()), after(0));
        assert!(name().contains("the silent one"), "{}", name());
        waiting.responded(after(0));
        assert!(!name().contains("the silent one"), "{}", name());
    }
}
