//! Stores that deny requests, or are unreachable.

use super::{one_day_published, run_without_effect, without_effect};
use crate::s3::{Action, Failure, Fault, On, Operation, Settings};
use crate::support::{BUCKET, CommandOutput, Sandbox, TestDestination};
use crate::world::world;

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
        .stderr_has("waiting for `http://127.0.0.1:1`: Connection refused")
        .stderr_has("s3://exports/acme/dayport")
        .stderr_has("onnection refused");
}

/// A wrong address is more likely than a pause, so it is not tried for an hour.
#[test]
fn a_store_that_was_never_reached_is_given_up_early() {
    let mut sandbox = one_day_published(TestDestination::s3());
    sandbox.set_env("AWS_ENDPOINT_URL", UNREACHABLE);
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1h");
    let output = run_without_effect(&sandbox, &[]).exited_with(75);
    output
        .stderr_has("there was never a connection: Connection refused")
        .hint_has("AWS_ENDPOINT_URL");
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

fn ignore_conditions(sandbox: &Sandbox) {
    let settings = Settings {
        ignores_conditions: true,
        ..Settings::default()
    };
    sandbox.destination.server().set(BUCKET, settings);
}

#[test]
fn nothing_is_published_to_a_store_that_ignores_conditions() {
    let sandbox = world(TestDestination::s3());
    ignore_conditions(&sandbox);
    let output = run_without_effect(&sandbox, &["views"]).exited_with(1);
    output
        .stderr_has("ignores `If-None-Match: *`")
        .hint_has("export to another one");
}

/// The condition is proved again on the next day: a proxy may have been put before the store.
#[test]
fn the_condition_is_proved_every_day() {
    let mut sandbox = one_day_published(TestDestination::s3());
    ignore_conditions(&sandbox);
    sandbox
        .run(&["--date", "2026-01-15", "views"])
        .exited_with(0);
    sandbox.set_clock("2026-01-18T03:00:00Z");
    let run = || sandbox.run(&["--date", "2026-01-16", "views"]);
    let output = without_effect(&sandbox, run).exited_with(1);
    output.stderr_has("ignores `If-None-Match: *`");
}

#[test]
fn the_proof_of_the_condition_leaves_nothing() {
    for destination in [TestDestination::local(), TestDestination::s3()] {
        let sandbox = one_day_published(destination);
        let keys = sandbox.destination.keys();
        assert!(!keys.iter().any(|key| key.contains("check")), "{keys:?}");
    }
}

/// Lets the server change a byte in each of the next parts, without a complaint.
fn damage_parts(sandbox: &Sandbox, damages_parts: u32) {
    let settings = Settings {
        damages_parts,
        ..Settings::default()
    };
    sandbox.destination.server().set(BUCKET, settings);
}

fn verify(sandbox: &Sandbox) -> CommandOutput {
    let to = sandbox.destination.url();
    sandbox.dayport(&["verify", "--to", &to])
}

#[test]
fn a_part_that_arrives_damaged_is_sent_again() {
    let sandbox = world(TestDestination::s3());
    damage_parts(&sandbox, 1);
    sandbox
        .run(&["--date", "2026-01-15"])
        .exited_with(0)
        .stderr_has("received other bytes");
    verify(&sandbox).exited_with(0);
}

#[test]
fn parts_that_always_arrive_damaged_publish_nothing() {
    let mut sandbox = one_day_published(TestDestination::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    damage_parts(&sandbox, u32::MAX);
    let output = run_without_effect(&sandbox, &["views"]).exited_with(75);
    output
        .stderr_has("data/views/")
        .stderr_has("received other bytes than were sent")
        .stderr_has("--opaque-etags");
}

#[test]
fn opaque_etags_are_not_compared() {
    let sandbox = world(TestDestination::s3());
    damage_parts(&sandbox, u32::MAX);
    let args = ["--date", "2026-01-15", "--opaque-etags", "views"];
    sandbox.run(&args).exited_with(0);
    verify(&sandbox).exited_with(1).stdout_has("sha256");
}
