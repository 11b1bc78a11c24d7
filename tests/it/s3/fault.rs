//! Injected faults: the requests that fail, the moment, and the response to the client.
//!
//! This file decides, and `server.rs` acts. A fault is *before* or *after* the request is applied:
//! both look the same to the client, and *after* (applied, but the response is lost) is the one that
//! breaks protocols.

use super::operation::{Operation, Target};
use fastrand::Rng;
use std::{
    ops::RangeInclusive,
    sync::{Condvar, Mutex},
    time::Duration,
};
use tokio::sync::Notify;

/// The failure that the client gets instead of the true response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// `503 SlowDown`; clients retry it.
    SlowDown,
    /// `409 ConditionalRequestConflict`.
    Conflict,
    /// `403 AccessDenied`, as without the permission.
    AccessDenied,
    /// The connection is closed without a response (TCP FIN). object_store 0.13 takes this for "the
    /// request was not sent", and retries **every** request, also a conditional put.
    Hangup,
    /// The connection is reset (TCP RST). object_store 0.13 retries only requests that it considers
    /// idempotent; a conditional put fails immediately with `Error::Generic`.
    Reset,
    /// No response, until the client gives up or is killed.
    Silence,
}

/// The effect of a fault on its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The request is not applied.
    Before(Failure),
    /// The request is applied, and its response is lost.
    After(Failure),
    /// The response is correct, but the connection is closed after this number of bytes of its body.
    Truncate { after_bytes: usize },
    /// The response is correct, but no more comes after this number of bytes of its body.
    Stall { after_bytes: usize },
    /// The response is correct, but one bit of this byte of its body is flipped.
    Flip { byte: usize },
    /// The response is complete, but has only this number of bytes of its body: a `Content-Length` that
    /// is too short.
    Shorten { bytes: usize },
    /// The request is not applied, and has this response.
    Respond { status: u16, body: &'static str },
    /// The request is applied after this delay.
    Delay(Duration),
    /// The request is applied once the test releases it. Unlike the others it counts as triggered when it
    /// arrives.
    Hold,
}

/// A filter for the requests of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Any,
    /// All requests with [`Operation::is_write`].
    Writes,
    Operation(Operation),
}

impl From<Operation> for On {
    fn from(operation: Operation) -> Self {
        On::Operation(operation)
    }
}

/// A rule that fails requests. As built by [`Fault::on`] it is triggered by every matching request;
/// the other methods narrow it. Requests are numbered from 1, among those that match *this* rule since
/// it was injected. A client's retries count as requests.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    on: On,
    key_part: String,
    trigger: Trigger,
    action: Action,
}

#[derive(Clone, Debug)]
enum Trigger {
    Numbers(RangeInclusive<u64>),
    Chance { probability: f64, random: Rng },
    Crash { at: u64 },
}

impl Fault {
    pub(crate) fn on(on: impl Into<On>, action: Action) -> Fault {
        let on = on.into();
        let trigger = Trigger::Numbers(1..=u64::MAX);
        Fault {
            on,
            key_part: String::new(),
            trigger,
            action,
        }
    }

    /// Limits the fault to requests whose key (for listings: whose prefix) contains `part`.
    pub(crate) fn key(mut self, part: &str) -> Fault {
        part.clone_into(&mut self.key_part);
        self
    }

    /// Limits the fault to the matching request with this number.
    pub(crate) fn nth(self, number: u64) -> Fault {
        self.with_trigger(Trigger::Numbers(number..=number))
    }

    /// Limits the fault to the first matching requests.
    pub(crate) fn first(self, count: u64) -> Fault {
        self.with_trigger(Trigger::Numbers(1..=count))
    }

    /// Limits the fault to the matching request with this number and all later ones.
    pub(crate) fn nth_and_later(self, number: u64) -> Fault {
        self.with_trigger(Trigger::Numbers(number..=u64::MAX))
    }

    /// Gives every matching request this probability. The same seed triggers the same numbers.
    pub(crate) fn chance(self, probability: f64, seed: u64) -> Fault {
        self.with_trigger(Trigger::Chance {
            probability,
            random: Rng::with_seed(seed),
        })
    }

    /// Applies the action to the matching request with this number, and from then on hangs up on
    /// *every* request without applying it, matching or not: to the store, the client is dead. It lasts
    /// until `clear_faults`.
    pub(crate) fn crash_at(self, number: u64) -> Fault {
        self.with_trigger(Trigger::Crash { at: number })
    }

    fn with_trigger(self, trigger: Trigger) -> Fault {
        Fault { trigger, ..self }
    }

    fn matches(&self, target: &Target) -> bool {
        let is_on = match self.on {
            On::Any => true,
            On::Writes => target.operation.is_write(),
            On::Operation(operation) => target.operation == operation,
        };
        is_on && target.key.contains(&self.key_part)
    }
}

/// The injected faults, and the number of requests that have triggered one.
#[derive(Default)]
pub(super) struct Faults {
    plan: Mutex<Plan>,
    was_triggered: Condvar,
    released: Notify,
}

#[derive(Default)]
struct Plan {
    rules: Vec<Rule>,
    crashed: bool,
    triggered: u64,
}

struct Rule {
    fault: Fault,
    matched: u64,
}

impl Rule {
    /// Counts a matching request, and returns true if it triggers the fault.
    fn count(&mut self) -> bool {
        self.matched += 1;
        match &mut self.fault.trigger {
            Trigger::Numbers(numbers) => numbers.contains(&self.matched),
            Trigger::Chance {
                probability,
                random,
            } => random.f64() < *probability,
            // Not `==`: an earlier rule may have decided the request with this number.
            Trigger::Crash { at } => self.matched >= *at,
        }
    }
}

impl Faults {
    pub(super) fn inject(&self, fault: Fault) {
        self.plan
            .lock()
            .unwrap()
            .rules
            .push(Rule { fault, matched: 0 });
    }

    /// Removes the faults and the crash, and resets the count.
    pub(super) fn clear(&self) {
        *self.plan.lock().unwrap() = Plan::default();
    }

    /// Returns the number of requests that have triggered a fault since the last `clear`.
    pub(super) fn triggered(&self) -> u64 {
        self.plan.lock().unwrap().triggered
    }

    /// Blocks until `count` requests have triggered a fault; returns false after `timeout`.
    pub(super) fn wait_for_triggers(&self, count: u64, timeout: Duration) -> bool {
        let plan = self.plan.lock().unwrap();
        let too_few = |plan: &mut Plan| plan.triggered < count;
        let (plan, _) = self
            .was_triggered
            .wait_timeout_while(plan, timeout, too_few)
            .unwrap();
        plan.triggered >= count
    }

    /// Returns the action for a request. Every matching rule counts it; the first one that is
    /// triggered decides.
    pub(super) fn decide(&self, target: &Target) -> Option<Action> {
        let mut guard = self.plan.lock().unwrap();
        let plan = &mut *guard;
        let mut action = plan.crashed.then_some(Action::Before(Failure::Hangup));
        for rule in plan
            .rules
            .iter_mut()
            .filter(|rule| rule.fault.matches(target))
        {
            let is_triggered = rule.count();
            if is_triggered && action.is_none() {
                action = Some(rule.fault.action);
                plan.crashed = matches!(rule.fault.trigger, Trigger::Crash { .. });
            }
        }
        action
    }

    /// Counts a request that is held, and waits until it is released.
    pub(super) async fn hold(&self) {
        let released = self.released.notified();
        tokio::pin!(released);
        // From here on no release is missed.
        released.as_mut().enable();
        self.record_trigger();
        released.await;
    }

    /// Lets the requests go on that are held.
    pub(super) fn release(&self) {
        self.released.notify_waiters();
    }

    /// Counts a triggered fault. It is called after the request has been applied, if it is applied at
    /// all, so that a test that waits for an `After` finds it applied.
    pub(super) fn record_trigger(&self) {
        self.plan.lock().unwrap().triggered += 1;
        self.was_triggered.notify_all();
    }
}
