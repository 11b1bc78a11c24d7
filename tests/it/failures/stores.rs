//! Stores that deny requests, or are unreachable.

use super::{one_day_published, run_without_effect, without_effect};
use crate::s3::{Action, Failure, Fault, On, Operation};
use crate::support::{Sandbox, TestDestination};

/// An endpoint on which no process listens: port 1 belongs to an unused protocol, and no other test can
/// get it as a free port.
const UNREACHABLE: &str = "http://127.0.0.1:1";

#[test]
fn refused_credentials_are_wrong_configuration() {
    for (name, value) in [
        ("AWS_SECRET_ACCESS_KEY", "not-the-secret"),
        ("AWS_ACCESS_KEY_ID", "AKIANOBODY0000000000"),
    ] {
        let mut sandbox = one_day_published(TestDestination::s3());
        sandbox.set_env(name, value);
        let output = run_without_effect(&sandbox, &[])
            .exited_with(2)
            .stderr_has("s3://exports/acme/dayport")
            .hint_has("credentials");
        assert!(!output.stderr.contains("not-the-secret"), "{output}");
    }
}

#[test]
fn without_credentials_the_chain_is_named() {
    let mut sandbox = one_day_published(TestDestination::s3());
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        sandbox.set_env(name, "");
    }
    let output = run_without_effect(&sandbox, &[]).exited_with(2);
    output.stderr_has("credential").hint_has("credentials");
}

#[test]
fn a_missing_bucket_is_wrong_configuration() {
    let sandbox = one_day_published(TestDestination::s3());
    let run = || sandbox.dayport(&["run", "--from", "raw", "--to", "s3://exprts/acme/"]);
    let output = without_effect(&sandbox, run).exited_with(2);
    output.stderr_has("s3://exprts/acme").hint_has("bucket");
}

#[test]
fn a_missing_bucket_of_the_sources_fails_the_tables() {
    let sandbox = one_day_published(TestDestination::s3());
    let to = sandbox.destination.url();
    let run = || sandbox.dayport(&["run", "--from", "s3://rwa/", "--to", &to]);
    let output = without_effect(&sandbox, run).exited_with(1);
    output
        .stderr_has("sites 2026-01-16: ")
        .stderr_has("s3://rwa/sites")
        .stderr_has("views 2026-01-15: ")
        .stderr_has("s3://rwa/views")
        .hint_has("bucket");
}

#[test]
fn an_unreachable_destination_can_be_retried() {
    let mut sandbox = one_day_published(TestDestination::s3());
    sandbox.set_env("AWS_ENDPOINT_URL", UNREACHABLE);
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    let output = run_without_effect(&sandbox, &[]).exited_with(75);
    output
        .stderr_has("s3://exports/acme/dayport")
        .stderr_has("onnection refused");
}

#[test]
fn an_unreachable_source_can_be_retried() {
    let mut sandbox = one_day_published(TestDestination::local());
    for (name, value) in [
        ("AWS_ENDPOINT_URL", UNREACHABLE),
        ("DAYPORT_RETRY_TIMEOUT", "1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "eu-west-1"),
    ] {
        sandbox.set_env(name, value);
    }
    let to = sandbox.destination.url();
    let run = || sandbox.dayport(&["run", "--from", "s3://raw/", "--to", &to, "sites"]);
    let output = without_effect(&sandbox, run).exited_with(75);
    output
        .stderr_has("sites 2026-01-16: ")
        .stderr_has("onnection refused");
}

#[test]
fn a_destination_that_refuses_uploads_fails_the_tables() {
    let mut sandbox = one_day_published(TestDestination::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    refuse_uploads(&sandbox);
    let output = run_without_effect(&sandbox, &["sites"]).exited_with(75);
    output
        .stderr_has("sites 2026-01-15: ")
        .stderr_has("data/sites/data-000000000000.parquet");
}

/// Denies every upload, retries included.
fn refuse_uploads(sandbox: &Sandbox) {
    let uploads = On::Operation(Operation::UploadPart);
    let refused = Action::Before(Failure::SlowDown);
    sandbox
        .destination
        .server()
        .inject(Fault::on(uploads, refused));
}
