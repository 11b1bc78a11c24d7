//! Faults on request: which requests fail, when, and what the client gets to see.
//!
//! This file only decides; `server.rs` does it. A fault names *before* or *after*, because for
//! the client both look the same, and *after* (done, but the answer was lost) is the one that
//! breaks protocols.

use super::operation::{Operation, Target};
use fastrand::Rng;
use std::{
    ops::RangeInclusive,
    sync::{Condvar, Mutex},
    time::Duration,
};

/// What the client gets in place of the true answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `503 SlowDown`; clients retry it.
    SlowDown,
    /// `409 ConditionalRequestConflict`.
    Conflict,
    /// `403 AccessDenied`, as for want of a right.
    AccessDenied,
    /// The connection is closed in good order, without an answer. To object_store 0.13 this means
    /// "the request was not sent", and it retries **every** request, also a conditional put.
    Hangup,
    /// The connection is reset (TCP RST). object_store 0.13 retries only what it holds to be
    /// idempotent; a conditional put fails at once with `Error::Generic`.
    Reset,
    /// No answer until the client gives up or is killed.
    Silence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The request is not applied.
    Before(Failure),
    /// The request is applied and its answer is lost.
    After(Failure),
    /// The answer is right, but the connection ends after so many bytes of its body.
    Truncate { after_bytes: usize },
    /// The request is applied, so much later.
    Delay(Duration),
}

/// Which requests a fault looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Any,
    /// See [`Operation::is_write`].
    Writes,
    Operation(Operation),
}

impl From<Operation> for On {
    fn from(operation: Operation) -> Self {
        On::Operation(operation)
    }
}

/// One rule. As built by [`Fault::on`] it strikes every matching request; narrow it with the
/// methods that follow. Requests are numbered from 1, among those that match *this* rule, from
/// the moment it is injected. A client's retries count as requests.
#[derive(Clone, Debug)]
pub struct Fault {
    on: On,
    key_part: String,
    strikes: Strikes,
    action: Action,
}

#[derive(Clone, Debug)]
enum Strikes {
    Numbers(RangeInclusive<u64>),
    Chance { probability: f64, random: Rng },
    Crash { at: u64 },
}

impl Fault {
    pub fn on(on: impl Into<On>, action: Action) -> Fault {
        let on = on.into();
        let strikes = Strikes::Numbers(1..=u64::MAX);
        Fault {
            on,
            key_part: String::new(),
            strikes,
            action,
        }
    }

    /// Only requests whose key (for listings: whose prefix) contains `part`.
    pub fn key(mut self, part: &str) -> Fault {
        part.clone_into(&mut self.key_part);
        self
    }

    pub fn nth(self, number: u64) -> Fault {
        self.strikes(Strikes::Numbers(number..=number))
    }

    pub fn first(self, count: u64) -> Fault {
        self.strikes(Strikes::Numbers(1..=count))
    }

    /// The request with this number and every matching one after it.
    pub fn nth_and_later(self, number: u64) -> Fault {
        self.strikes(Strikes::Numbers(number..=u64::MAX))
    }

    /// Each matching request with this probability. The same seed strikes the same numbers.
    pub fn chance(self, probability: f64, seed: u64) -> Fault {
        self.strikes(Strikes::Chance {
            probability,
            random: Rng::with_seed(seed),
        })
    }

    /// The matching request with this number gets the action, and from then on *every* request,
    /// matching or not, is hung up on without being applied: to the store, the client is dead.
    /// Ends with `clear_faults`.
    pub fn crash_at(self, number: u64) -> Fault {
        self.strikes(Strikes::Crash { at: number })
    }

    fn strikes(self, strikes: Strikes) -> Fault {
        Fault { strikes, ..self }
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

/// The rules in force, and how often they struck.
#[derive(Default)]
pub struct Faults {
    plan: Mutex<Plan>,
    struck: Condvar,
}

#[derive(Default)]
struct Plan {
    rules: Vec<Rule>,
    crashed: bool,
    strikes: u64,
}

struct Rule {
    fault: Fault,
    matched: u64,
}

impl Rule {
    /// Counts the matching request and says whether it is struck.
    fn count(&mut self) -> bool {
        self.matched += 1;
        match &mut self.fault.strikes {
            Strikes::Numbers(numbers) => numbers.contains(&self.matched),
            Strikes::Chance {
                probability,
                random,
            } => random.f64() < *probability,
            // Not `==`: an earlier rule may have taken the request with that very number.
            Strikes::Crash { at } => self.matched >= *at,
        }
    }
}

impl Faults {
    pub fn inject(&self, fault: Fault) {
        self.plan
            .lock()
            .unwrap()
            .rules
            .push(Rule { fault, matched: 0 });
    }

    /// Forgets the rules, the crash and the count of strikes.
    pub fn clear(&self) {
        *self.plan.lock().unwrap() = Plan::default();
    }

    /// Requests that were struck since the last `clear`.
    pub fn strikes(&self) -> u64 {
        self.plan.lock().unwrap().strikes
    }

    /// Blocks until `count` requests have been struck; false if that takes longer than `limit`.
    pub fn wait_for_strikes(&self, count: u64, limit: Duration) -> bool {
        let plan = self.plan.lock().unwrap();
        let too_few = |plan: &mut Plan| plan.strikes < count;
        let (plan, _) = self
            .struck
            .wait_timeout_while(plan, limit, too_few)
            .unwrap();
        plan.strikes >= count
    }

    /// What happens to this request. Every rule that matches counts it; the first one that
    /// strikes decides.
    pub fn decide(&self, target: &Target) -> Option<Action> {
        let mut guard = self.plan.lock().unwrap();
        let plan = &mut *guard;
        let mut action = plan.crashed.then_some(Action::Before(Failure::Hangup));
        for rule in plan
            .rules
            .iter_mut()
            .filter(|rule| rule.fault.matches(target))
        {
            let is_struck = rule.count();
            if is_struck && action.is_none() {
                action = Some(rule.fault.action);
                plan.crashed = matches!(rule.fault.strikes, Strikes::Crash { .. });
            }
        }
        action
    }

    /// Counts a strike. Called when the request has been applied, if it is to be applied at all,
    /// so that whoever waits for an `After` finds it done.
    pub fn record_strike(&self) {
        self.plan.lock().unwrap().strikes += 1;
        self.struck.notify_all();
    }
}
