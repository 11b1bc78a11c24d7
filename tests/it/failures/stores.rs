//! Stores that refuse, or are not there.

use super::{one_day_published, run_without_effect, without_effect};
use crate::s3::{Action, Failure, Fault, On, Operation};
use crate::support::{Place, Sandbox};

/// A port of this machine on which nobody listens: that of a protocol nobody speaks, and none that
/// another test may be given.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn refused_credentials_are_wrong_configuration() {
    for (name, value) in [
        ("AWS_SECRET_ACCESS_KEY", "not-the-secret"),
        ("AWS_ACCESS_KEY_ID", "AKIANOBODY0000000000"),
    ] {
        let mut sandbox = one_day_published(Place::s3());
        sandbox.set_env(name, value);
        let ran = run_without_effect(&sandbox, &[]).ended(2);
        let ran = ran
            .complains("s3://exports/acme/dayport")
            .hints("credentials");
        assert!(!ran.stderr.contains("not-the-secret"), "{ran}");
    }
}

#[test]
fn without_credentials_the_chain_is_named() {
    let mut sandbox = one_day_published(Place::s3());
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        sandbox.set_env(name, "");
    }
    let ran = run_without_effect(&sandbox, &[]).ended(2);
    ran.complains("credential").hints("credentials");
}

#[test]
fn a_missing_bucket_is_wrong_configuration() {
    let sandbox = one_day_published(Place::s3());
    let run = || sandbox.dayport(&["run", "--from", "raw", "--to", "s3://exprts/acme/"]);
    let ran = without_effect(&sandbox, run).ended(2);
    ran.complains("s3://exprts/acme").hints("bucket");
}

#[test]
fn a_missing_bucket_of_the_sources_fails_the_tables() {
    let sandbox = one_day_published(Place::s3());
    let to = sandbox.place.url();
    let run = || sandbox.dayport(&["run", "--from", "s3://rwa/", "--to", &to]);
    let ran = without_effect(&sandbox, run).ended(1);
    ran.complains("sites 2026-01-16: ")
        .complains("s3://rwa/sites")
        .complains("views 2026-01-15: ")
        .complains("s3://rwa/views")
        .hints("bucket");
}

#[test]
fn an_unreachable_destination_asks_for_another_try() {
    let mut sandbox = one_day_published(Place::s3());
    sandbox.set_env("AWS_ENDPOINT_URL", NOBODY);
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    let ran = run_without_effect(&sandbox, &[]).ended(75);
    ran.complains("s3://exports/acme/dayport")
        .complains("onnection refused");
}

#[test]
fn an_unreachable_source_asks_for_another_try() {
    let mut sandbox = one_day_published(Place::local());
    for (name, value) in [
        ("AWS_ENDPOINT_URL", NOBODY),
        ("DAYPORT_RETRY_TIMEOUT", "1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "eu-west-1"),
    ] {
        sandbox.set_env(name, value);
    }
    let to = sandbox.place.url();
    let run = || sandbox.dayport(&["run", "--from", "s3://raw/", "--to", &to, "sites"]);
    let ran = without_effect(&sandbox, run).ended(75);
    ran.complains("sites 2026-01-16: ")
        .complains("onnection refused");
}

#[test]
fn a_destination_that_refuses_uploads_fails_the_tables() {
    let mut sandbox = one_day_published(Place::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    refuse_uploads(&sandbox);
    let ran = run_without_effect(&sandbox, &["sites"]).ended(75);
    ran.complains("sites 2026-01-15: ")
        .complains("data/sites/data-000000000000.parquet");
}

/// Longer than a client's patience: every retry is refused as well.
fn refuse_uploads(sandbox: &Sandbox) {
    let uploads = On::Operation(Operation::UploadPart);
    let refused = Action::Before(Failure::SlowDown);
    sandbox.place.server().inject(Fault::on(uploads, refused));
}
