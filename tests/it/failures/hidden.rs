//! A store that responds 403 for missing objects, as S3 and Ceph do if the permission to list the bucket
//! has a condition. The policy that `dayport policy` prints has one.

use crate::s3::{Action, Failure, Fault, Operation, Settings};
use crate::support::{BUCKET, Sandbox, TestDestination, check_published};
use crate::world::world;

/// Creates a committed day whose uploads are gone.
fn swept() -> Sandbox {
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
            hides_missing: true,
            public_access_blocked: true,
            aborts_uploads: Some((String::new(), 7)),
            ..Settings::default()
        },
    );
    sandbox
}

#[test]
fn a_listing_tells_that_an_object_is_missing() {
    let sandbox = swept();
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
    let sandbox = swept();
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
