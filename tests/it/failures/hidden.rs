//! A store that answers 403 for what is not there: S3 and Ceph, to whoever may list the bucket only
//! under a condition. So does the policy that `dayport policy` prints.

use crate::s3::{Action, Failure, Fault, Operation, Settings};
use crate::support::{BUCKET, Place, Sandbox, check_published};
use crate::world::world;

/// A day that is committed, but whose uploads are gone.
fn swept() -> Sandbox {
    let mut sandbox = world(Place::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    let server = sandbox.place.server();
    let down = Action::Before(Failure::SlowDown);
    server.inject(Fault::on(Operation::CompleteMultipartUpload, down));
    sandbox.run(&["--date", "2026-01-15", "views"]).ended(75);
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
fn what_is_not_there_is_told_by_a_listing() {
    let sandbox = swept();
    let ran = sandbox.run(&["--date", "2026-01-15", "--output", "json", "views"]);
    assert_eq!(ran.ended(0).results(), ["views 2026-01-15 published"]);
    check_published(&sandbox.place);

    let to = sandbox.place.url();
    sandbox
        .dayport(&["check", "--from", "raw", "--to", &to])
        .succeeded()
        .says("0 findings");
}

#[test]
fn without_a_listing_it_stays_a_refusal() {
    let sandbox = swept();
    let before = sandbox.place.contents();
    let rule = Fault::on(
        Operation::ListObjects,
        Action::Before(Failure::AccessDenied),
    );
    let in_data = rule.key("data/views/year=2026");
    sandbox.place.server().inject(in_data);
    let ran = sandbox.run(&["--date", "2026-01-15", "views"]);
    ran.ended(1).hints("policy");
    assert_eq!(sandbox.place.contents(), before);
}
