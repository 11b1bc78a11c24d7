//! Answers of a store that are cut, hostile, or no answers of a store.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;

use super::one_day_published;
use crate::s3::{Action, Fault, Operation};
use crate::support::{BUCKET, Sandbox, TestDestination, check_published};

const INTERNAL_ERROR: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error>\
    <Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>";

const ENDLESS_LISTING: &str =
    "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";

fn after(bytes: usize) -> [Action; 2] {
    [
        Action::Truncate { after_bytes: bytes },
        Action::Shorten { bytes },
    ]
}

/// Runs the next day with a fault in the first two answers to an operation, and checks that it is
/// published.
fn published_despite(operation: Operation, key: &str, action: Action) {
    let sandbox = one_day_published(TestDestination::s3());
    let server = sandbox.destination.server();
    server.inject(Fault::on(operation, action).key(key).first(2));
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    assert_eq!(server.faults_triggered(), 2, "{operation:?}, {action:?}");
    server.clear_faults();
    check_published(&sandbox.destination);
    assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
}

#[test]
fn a_listing_that_is_cut_is_asked_again() {
    let mut actions = [0, 60, 150].map(after).concat();
    for body in [INTERNAL_ERROR, ENDLESS_LISTING] {
        actions.push(Action::Respond { status: 200, body });
    }
    for action in actions {
        published_despite(Operation::ListObjects, "", action);
    }
}

/// What is left of the upload that began and was not heard of is swept by the lifecycle rule.
#[test]
fn an_upload_whose_id_is_cut_off_is_begun_again() {
    for action in after(80) {
        let sandbox = one_day_published(TestDestination::s3());
        let server = sandbox.destination.server();
        server.inject(Fault::on(Operation::CreateMultipartUpload, action).first(2));
        sandbox.run(&["--date", "2026-01-15"]).succeeded();
        assert_eq!(server.faults_triggered(), 2, "{action:?}");
        assert_eq!(server.uploads(BUCKET).len(), 2, "{action:?}");
        server.abort_uploads(BUCKET);
        check_published(&sandbox.destination);
    }
}

#[test]
fn a_completion_whose_answer_is_cut_is_found() {
    for action in [0, 80].map(after).concat() {
        published_despite(Operation::CompleteMultipartUpload, "", action);
    }
}

#[test]
fn an_entry_that_is_cut_off_is_asked_for_again() {
    let action = Action::Truncate { after_bytes: 50 };
    published_despite(Operation::GetObject, "", action);
}

/// `check` deletes what it wrote.
#[test]
fn a_deletion_whose_answer_is_cut_is_repeated() {
    let sandbox = one_day_published(TestDestination::s3());
    let server = sandbox.destination.server();
    let to = sandbox.destination.url();
    let findings = || {
        let checked = sandbox.dayport(&["check", "--from", "raw", "--to", &to]);
        checked.stdout.matches("FINDING").count()
    };
    let expected = findings();
    for action in after(40) {
        server.inject(Fault::on(Operation::DeleteObjects, action).first(1));
        assert_eq!(findings(), expected, "{action:?}");
        assert_eq!(server.faults_triggered(), 1, "{action:?}");
        server.clear_faults();
    }
    check_published(&sandbox.destination);
}

/// A range that is shorter than its `Content-Range` is completed, not taken for the whole.
#[test]
fn a_range_that_is_cut_is_completed() {
    for action in [0, 1, 7].map(after).concat() {
        let sandbox = Sandbox::empty(TestDestination::s3());
        let server = sandbox.destination.server();
        server.create_bucket("raw-events");
        server.put("raw-events", "events/a.parquet", parquet());
        sandbox.write(
            "sql/sources/events.sql",
            "CREATE EXTERNAL TABLE events (id BIGINT) STORED AS PARQUET LOCATION 'events/'",
        );
        sandbox.write("sql/t.sql", "COPY (SELECT id FROM events) TO 't'");
        server.inject(
            Fault::on(Operation::GetObject, action)
                .key("events/")
                .first(2),
        );
        let to = sandbox.destination.url();
        let run = ["run", "--from", "s3://raw-events/", "--to", &to];
        sandbox
            .dayport(&[&run[..], &["--date", "2026-01-15"]].concat())
            .succeeded();
        assert_eq!(server.faults_triggered(), 2, "{action:?}");
        assert_eq!(crate::support::rows(&sandbox.destination, "t").len(), 1_000);
    }
}

fn parquet() -> Vec<u8> {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
    let batch = RecordBatch::try_from_iter([("id", ids)]).expect("one column");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("write a batch");
    writer.into_inner().expect("a file")
}

/// An answer that is no page of a listing is not taken for an empty one.
#[test]
fn what_is_no_listing_ends_the_run() {
    let many = (0..50_000).map(|n| format!(" a{n:05}=\"\""));
    let attributes = many.collect::<String>();
    let attributes = format!("<ListBucketResult{attributes}></ListBucketResult>");
    let spaces = (0..500).map(|n| format!("<a xmlns:n{n}=\"u\">"));
    let deep = format!("<ListBucketResult>{}", spaces.collect::<String>());
    for (body, reason) in [
        (attributes.as_str(), "a tag that is too long"),
        (deep.as_str(), "too many elements inside of each other"),
        (
            "<html><body>Welcome</body></html>",
            "it is no page of a listing",
        ),
        ("Welcome", "it is not XML"),
        ("", "it ends early"),
        (INTERNAL_ERROR, "InternalError: We encountered"),
    ] {
        let mut sandbox = one_day_published(TestDestination::s3());
        sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
        let before = sandbox.destination.contents();
        let body: &'static str = body.to_owned().leak();
        let server = sandbox.destination.server();
        server.inject(Fault::on(
            Operation::ListObjects,
            Action::Respond { status: 200, body },
        ));
        let args = ["--date", "2026-01-15"];
        sandbox.run(&args).exited_with(75).stderr_has(reason);
        server.clear_faults();
        assert_eq!(sandbox.destination.contents(), before, "{reason}");
    }
}
