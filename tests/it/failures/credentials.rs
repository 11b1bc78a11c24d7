//! The service that issues the credentials of a role denies the request, or is unreachable.

use super::run_without_effect;
use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Sandbox, TestDestination, check_published};
use crate::world::world;

const ROLE: [&str; 2] = ["--role-arn", "arn:aws:iam::111122223333:role/export"];

fn when_assumed(sandbox: &Sandbox, fault: impl FnOnce(Fault) -> Fault, failure: Failure) {
    let rule = Fault::on(Operation::AssumeRole, Action::Before(failure));
    sandbox.destination.server().inject(fault(rule));
}

/// The service fails more often than the SDK retries by itself.
#[test]
fn a_transient_failure_is_retried() {
    for failure in [Failure::SlowDown, Failure::Hangup, Failure::Reset] {
        let sandbox = world(TestDestination::s3());
        when_assumed(&sandbox, |fault| fault.first(4), failure);
        let day = ["--date", "2026-01-15"];
        sandbox.run(&[&day[..], &ROLE].concat()).succeeded();
        assert_eq!(
            sandbox.destination.server().faults_triggered(),
            4,
            "{failure:?}"
        );
        check_published(&sandbox.destination);
    }
}

#[test]
fn an_unreachable_service_can_be_retried() {
    let mut sandbox = world(TestDestination::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    for failure in [Failure::SlowDown, Failure::Hangup] {
        sandbox.destination.server().clear_faults();
        when_assumed(&sandbox, |fault| fault, failure);
        let output = run_without_effect(&sandbox, &ROLE).exited_with(75);
        output.stderr_has("credentials");
    }
}

#[test]
fn a_denied_request_is_wrong_configuration_immediately() {
    let sandbox = world(TestDestination::s3());
    when_assumed(&sandbox, |fault| fault, Failure::AccessDenied);
    let output = run_without_effect(&sandbox, &ROLE).exited_with(2);
    output
        .stderr_has("the AWS credential chain")
        .hint_has("role");
    assert_eq!(sandbox.destination.server().faults_triggered(), 1);
}
