//! Without the rights that markers need, tables are published all the same.

use super::{latest, markers};
use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{TestDestination, check_published};
use crate::world::world;

#[test]
fn without_the_rights_one_warning_names_the_statements() {
    for operation in [Operation::ListObjects, Operation::PutObject] {
        let sandbox = world(TestDestination::s3());
        let server = sandbox.destination.server();
        let denied = Fault::on(operation, Action::Before(Failure::AccessDenied));
        server.inject(denied.key("cycles/"));
        let output = sandbox
            .run(&["--date", "2026-01-15"])
            .exited_with(0)
            .stdout_has("2 published")
            .stderr_has("warning: complete cycles get no marker: ")
            .hint_has("add these statements to the policy: ");
        output.hint_has("DayportListCycles");
        assert_eq!(markers(&sandbox.destination), Vec::<String>::new());
        check_published(&sandbox.destination);
        server.clear_faults();
        sandbox.run(&[]).exited_with(0);
        assert_eq!(markers(&sandbox.destination).len(), 2);
    }
}

#[test]
fn the_hint_is_left_out_where_overwriting_is_refused() {
    let sandbox = world(TestDestination::s3());
    let server = sandbox.destination.server();
    let denied = Fault::on(Operation::PutObject, Action::Before(Failure::AccessDenied));
    server.inject(denied.key("latest.json"));
    let output = sandbox.run(&["--date", "2026-01-15", "-v"]).exited_with(0);
    output.stderr_has("the hint of the newest complete cycle is not written");
    assert_eq!(markers(&sandbox.destination).len(), 1);
    assert_eq!(sandbox.destination.find("latest.json"), None);
    server.clear_faults();
    sandbox.run(&[]).succeeded();
    assert_eq!(latest(&sandbox), "cycles/2026-01-16.r0.json");
}

/// S3 responds 403 for a missing object to a client that may not list the whole prefix.
#[test]
fn a_hint_that_may_not_be_looked_for_is_created() {
    let sandbox = world(TestDestination::s3());
    let server = sandbox.destination.server();
    for operation in [Operation::GetObject, Operation::ListObjects] {
        let denied = Fault::on(operation, Action::Before(Failure::AccessDenied));
        let key = match operation {
            Operation::GetObject => "latest.json",
            _ => "acme/dayport/?",
        };
        server.inject(denied.key(key));
    }
    sandbox.run(&["--date", "2026-01-15"]).exited_with(0);
    server.clear_faults();
    assert_eq!(latest(&sandbox), "cycles/2026-01-15.r0.json");
}

/// With marks, the marker waits for them: it must not say what they do not.
#[test]
fn marks_that_may_not_be_written_are_told() {
    let sandbox = world(TestDestination::s3());
    let server = sandbox.destination.server();
    for operation in [Operation::PutObject, Operation::CreateMultipartUpload] {
        let denied = Fault::on(operation, Action::Before(Failure::AccessDenied));
        server.inject(denied.key("marks/"));
    }
    let to = sandbox.destination.url();
    let check = ["check", "--from", "raw", "--to", &to];
    sandbox
        .dayport(&[&check[..], &["--marks", "success"]].concat())
        .exited_with(1)
        .stdout_has("may not be written or removed: with --marks, complete cycles get no marker")
        .stdout_has("add this statement to the policy: ")
        .stdout_has("DayportMarks");
    let output = sandbox.dayport(&check);
    assert!(!output.stdout.contains("marks"), "{output}");
    sandbox
        .run(&["--date", "2026-01-15", "--marks", "success"])
        .exited_with(0)
        .stdout_has("2 published")
        .stderr_has("warning: complete cycles get no marker: ")
        .hint_has("DayportMarks");
    assert_eq!(markers(&sandbox.destination), Vec::<String>::new());
    server.clear_faults();
    sandbox
        .run(&["--date", "2026-01-15", "--marks", "success"])
        .succeeded();
    assert_eq!(sandbox.destination.keys_below("marks/").len(), 1);
}
