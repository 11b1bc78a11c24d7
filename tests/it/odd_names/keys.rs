//! Keys of a source in a bucket.

use super::{ids, one_file, row};
use crate::failures::without_effect;
use crate::s3::{Action, Failure, Fault, On, Operation};
use crate::support::{CommandOutput, Sandbox, TestDestination};

/// The bucket of the sources.
const RAW: &str = "raw-events";

/// Keys that are read like any other.
const KEYS: [&str; 12] = [
    "b\tc.json",
    "b\nc.json",
    "b\u{1}.json",
    "b\u{7f}\u{1b}[31m.json",
    " b c ",
    "b+c d.json",
    "b%09c.json",
    "b%2Fc=[1]?#{}.json",
    "b&<c>\".json",
    "b\\c.json",
    "\u{65e5}\u{fdd0}\u{fffe}.json",
    "b.json#1",
];

/// Creates a sandbox whose source has one object.
fn one_object() -> Sandbox {
    let sandbox = one_file(TestDestination::s3());
    let server = sandbox.destination.server();
    server.create_bucket(RAW);
    server.put(RAW, "events/a.json", row(0));
    sandbox
}

fn run(sandbox: &Sandbox) -> CommandOutput {
    run_on(sandbox, "2026-01-15")
}

fn run_on(sandbox: &Sandbox, date: &str) -> CommandOutput {
    let (from, to) = (format!("s3://{RAW}/"), sandbox.destination.url());
    sandbox.dayport(&["run", "--from", &from, "--to", &to, "--date", date])
}

#[test]
fn every_object_is_read_whatever_its_key_is() {
    for page_size in [1000, 2] {
        let sandbox = one_object();
        let server = sandbox.destination.server();
        server.set_max_page_size(page_size);
        for (id, key) in (1..).zip(KEYS) {
            server.put(RAW, &format!("events/{key}"), row(id));
        }
        run(&sandbox).succeeded();
        assert_eq!(ids(&sandbox), (0..=12).collect::<Vec<u64>>());
    }
}

#[test]
fn parquet_objects_are_read_whatever_their_keys_are() {
    let sandbox = one_object();
    run(&sandbox).succeeded();
    let file = sandbox.destination.read("data/t/data-000000000000.parquet");
    let server = sandbox.destination.server();
    server.delete(RAW, "events/a.json");
    for key in ["events/b\t.parquet", "events/ \u{1}", "events/b+ %.parquet"] {
        server.put(RAW, key, file.clone());
    }
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL) STORED AS PARQUET LOCATION 'events/'",
    );
    run_on(&sandbox, "2026-01-16").succeeded();
    assert_eq!(ids(&sandbox), [0, 0, 0]);
}

#[test]
fn keys_that_belong_to_no_folder_are_named() {
    for (key, shown) in [
        ("events//b.json", "events//b.json"),
        ("events/./b.json", "events/./b.json"),
        ("events/../b.json", "events/../b.json"),
        ("events/..", "events/.."),
        ("events/", "events/"),
        ("events//", "events//"),
        ("events//x\ty/b.json", "events//x\\ty/b.json"),
    ] {
        let sandbox = one_object();
        let server = sandbox.destination.server();
        server.put(RAW, key, row(1));
        let output = without_effect(&sandbox, || run(&sandbox)).exited_with(1);
        output
            .stderr_has(&format!("`s3://{RAW}/{shown}`"))
            .hint_has("copy the object");
        server.delete(RAW, key);
        run(&sandbox).succeeded();
    }
}

#[test]
fn markers_of_folders_and_keys_elsewhere_do_not_matter() {
    let sandbox = one_object();
    let server = sandbox.destination.server();
    for marker in ["events/", "events//", "events/./"] {
        server.put(RAW, marker, "");
    }
    for elsewhere in ["/", "//b.json", "events.json", "event\u{1}", "eventsx//y\t"] {
        server.put(RAW, elsewhere, row(9));
    }
    run(&sandbox).succeeded();
    assert_eq!(ids(&sandbox), [0]);
}

#[test]
fn listings_are_retried_and_refused_as_before() {
    let mut sandbox = one_object();
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "20");
    let server = sandbox.destination.server();
    server.put(RAW, "events/b\t.json", row(1));
    let listings = || On::Operation(Operation::ListObjects);
    for failure in [Failure::SlowDown, Failure::Reset] {
        server.inject(Fault::on(listings(), Action::Before(failure)).first(2));
    }
    let reads = On::Operation(Operation::GetObject);
    server.inject(Fault::on(reads, Action::Before(Failure::SlowDown)).first(2));
    run(&sandbox).succeeded();
    assert_eq!(ids(&sandbox), [0, 1]);
}
