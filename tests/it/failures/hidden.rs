//! Stores whose responses do not tell what is missing.
//!
//! S3 and Ceph respond 403 for missing objects if the permission to list the bucket has a condition; the
//! policy that `dayport policy` prints has one. Ceph and moto respond 500 to the completion of an upload
//! that is gone.

use crate::s3::{Action, Failure, Fault, Operation, Settings};
use crate::support::{BUCKET, Sandbox, TestDestination, check_published};
use crate::world::world;

fn hiding_objects() -> Settings {
    Settings {
        hides_missing: true,
        ..Settings::default()
    }
}

fn hiding_uploads() -> Settings {
    Settings {
        hides_gone_uploads: true,
        ..Settings::default()
    }
}

/// Creates a committed day whose uploads are gone.
fn swept(settings: Settings) -> Sandbox {
    let mut sandbox = world(TestDestination::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    let server = sandbox.destination.server();
    let down = Action::Before(Failure::SlowDown);
    server.inject(Fault::on(Operation::CompleteMultipartUpload, down));
    sandbox
        .run(&["--date", "2026-01-15", "views"])
        .exited_with(75);
    server.clear_faults();
    server.abort_uploads(BUCKET);
    server.set(
        BUCKET,
        Settings {
            public_access_blocked: true,
            aborts_uploads: Some((String::new(), 7)),
            ..settings
        },
    );
    sandbox
}

#[test]
fn a_listing_tells_that_an_object_is_missing() {
    let sandbox = swept(hiding_objects());
    let output = sandbox.run(&["--date", "2026-01-15", "--output", "json", "views"]);
    assert_eq!(
        output.exited_with(0).results(),
        ["views 2026-01-15 published"]
    );
    check_published(&sandbox.destination);

    let to = sandbox.destination.url();
    sandbox
        .dayport(&["check", "--from", "raw", "--to", &to])
        .succeeded()
        .stdout_has("0 findings");
}

#[test]
fn without_a_listing_the_run_is_denied() {
    let sandbox = swept(hiding_objects());
    let before = sandbox.destination.contents();
    let rule = Fault::on(
        Operation::ListObjects,
        Action::Before(Failure::AccessDenied),
    );
    let in_data = rule.key("data/views/year=2026");
    sandbox.destination.server().inject(in_data);
    let output = sandbox.run(&["--date", "2026-01-15", "views"]);
    output.exited_with(1).hint_has("policy");
    assert_eq!(sandbox.destination.contents(), before);
}

/// The completion of a swept upload gets 500 every time: the list of its parts tells that it is gone.
#[test]
fn a_list_of_parts_tells_that_an_upload_is_gone() {
    let sandbox = swept(hiding_uploads());
    let output = sandbox.run(&["--date", "2026-01-15", "--output", "json", "views"]);
    let output = output.stderr_has("the cycle is due again").exited_with(0);
    assert_eq!(output.results(), ["views 2026-01-15 published"]);
    check_published(&sandbox.destination);
}

#[test]
fn without_a_list_of_parts_the_upload_stays() {
    let sandbox = swept(hiding_uploads());
    let before = sandbox.destination.contents();
    let refused = Action::Before(Failure::AccessDenied);
    let server = sandbox.destination.server();
    server.inject(Fault::on(Operation::ListParts, refused));
    let output = sandbox.run(&["--date", "2026-01-15", "views"]);
    output
        .exited_with(75)
        .hint_has("s3:ListMultipartUploadParts");
    assert_eq!(sandbox.destination.contents(), before);

    server.clear_faults();
    sandbox
        .run(&["--date", "2026-01-15", "views"])
        .exited_with(0);
    check_published(&sandbox.destination);
}

/// The completion of an upload that exists gets 503: it is not taken back.
#[test]
fn an_upload_that_exists_is_not_taken_back() {
    let mut sandbox = world(TestDestination::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    let server = sandbox.destination.server();
    let down = Action::Before(Failure::SlowDown);
    server.inject(Fault::on(Operation::CompleteMultipartUpload, down));
    let run = || sandbox.run(&["--date", "2026-01-15", "views"]);
    run().exited_with(75);
    let before = sandbox.destination.contents();
    run().exited_with(75);
    assert_eq!(sandbox.destination.contents(), before);
    server.clear_faults();
    run().exited_with(0);
    check_published(&sandbox.destination);
}
