//! The service that gives credentials for a role refuses, or is not there.

use super::run_without_effect;
use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Place, Sandbox, check_published};
use crate::world::world;

const ROLE: [&str; 2] = ["--role-arn", "arn:aws:iam::111122223333:role/export"];

fn when_assumed(sandbox: &Sandbox, fault: impl FnOnce(Fault) -> Fault, failure: Failure) {
    let rule = Fault::on(Operation::AssumeRole, Action::Before(failure));
    sandbox.place.server().inject(fault(rule));
}

/// At least one time more than the SDK tries by itself.
#[test]
fn a_hiccup_is_sat_out() {
    for failure in [Failure::SlowDown, Failure::Hangup, Failure::Reset] {
        let sandbox = world(Place::s3());
        when_assumed(&sandbox, |fault| fault.first(4), failure);
        let day = ["--date", "2026-01-15"];
        sandbox.run(&[&day[..], &ROLE].concat()).succeeded();
        assert_eq!(sandbox.place.server().faults_struck(), 4, "{failure:?}");
        check_published(&sandbox.place);
    }
}

#[test]
fn one_that_stays_away_asks_for_another_try() {
    let mut sandbox = world(Place::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    for failure in [Failure::SlowDown, Failure::Hangup] {
        sandbox.place.server().clear_faults();
        when_assumed(&sandbox, |fault| fault, failure);
        let ran = run_without_effect(&sandbox, &ROLE).ended(75);
        ran.complains("credentials");
    }
}

#[test]
fn a_refusal_is_wrong_configuration_at_once() {
    let sandbox = world(Place::s3());
    when_assumed(&sandbox, |fault| fault, Failure::AccessDenied);
    let ran = run_without_effect(&sandbox, &ROLE).ended(2);
    ran.complains("the AWS credential chain").hints("role");
    assert_eq!(sandbox.place.server().faults_struck(), 1);
}
