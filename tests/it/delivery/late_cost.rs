//! The look for late source files costs few requests.

use serde_json::json;

use crate::s3::Operation;
use crate::support::{Sandbox, TestDestination, lines};

const RAW: &str = "raw";
const DAYS: u64 = 7;

/// Writes a file into every hour folder of the days before 2026-01-22.
fn write_days(sandbox: &Sandbox, files_of_each_hour: u64) {
    for day in 15..15 + DAYS {
        for hour in 0..24 {
            for file in 0..files_of_each_hour {
                let time = format!("2026-01-{day}T{hour:02}:00:00Z");
                let key = format!("events/date=2026-01-{day}/hour={hour:02}/{file}.json");
                let line = lines([json!({ "id": file, "time": time })]);
                sandbox.destination.server().put(RAW, &key, line);
            }
        }
    }
}

/// Returns a sandbox with three published tables over a source with hour folders.
fn published(files_of_each_hour: u64) -> Sandbox {
    let mut sandbox = Sandbox::empty(TestDestination::s3());
    sandbox.destination.server().create_bucket(RAW);
    write_days(&sandbox, files_of_each_hour);
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (
           id BIGINT NOT NULL, time TIMESTAMP(6) WITH TIME ZONE NOT NULL, date DATE, hour INT
         ) STORED AS JSON PARTITIONED BY (date, hour) LOCATION 's3://raw/events/'
         OPTIONS ('time_column' 'time')",
    );
    for table in ["one", "three", "two"] {
        let definition = format!(
            "COPY (SELECT id, time FROM events
             WHERE time >= $window_start AND time < $window_end AND id <> {}) TO '{table}'",
            table.len()
        );
        sandbox.write(&format!("sql/{table}.sql"), definition);
    }
    sandbox.set_clock("2026-01-22T03:00:00Z");
    sandbox
        .run(&["--since", "2026-01-15", "--through", "2026-01-21"])
        .exited_with(0);
    sandbox
}

/// Returns the prefixes that a run lists in the raw bucket, and the number of its other calls there.
fn calls_of_a_run(sandbox: &Sandbox) -> (Vec<String>, usize) {
    let server = sandbox.destination.server();
    let before = server.calls().len();
    sandbox.run(&[]).succeeded();
    let calls = server.calls();
    let raw = || calls[before..].iter().filter(|call| call.bucket == RAW);
    let is_list = |call: &&crate::s3::Call| call.operation == Operation::ListObjects;
    let listed = raw().filter(is_list).map(|call| call.key.clone());
    (
        listed.collect(),
        raw().filter(|call| !is_list(call)).count(),
    )
}

/// One for the folders, and one for each day, however many tables and hour folders there are.
#[test]
fn tables_share_the_listings_of_a_look() {
    let sandbox = published(1);
    let (mut listed, others) = calls_of_a_run(&sandbox);
    listed.sort();
    let days = (15..15 + DAYS).map(|day| format!("events/date=2026-01-{day}/"));
    let expected: Vec<String> = std::iter::once("events/".to_owned()).chain(days).collect();
    assert_eq!(listed, expected);
    assert_eq!(others, 0, "no file is read");
}

/// A page for each 1,000 files: here for each 20.
#[test]
fn a_look_at_many_files_costs_three_requests_for_each_page_at_most() {
    let sandbox = published(5);
    sandbox.destination.server().set_max_page_size(20);
    let (listed, _) = calls_of_a_run(&sandbox);
    let pages = DAYS * 24 * 5 / 20;
    assert!(listed.len() as u64 <= pages + DAYS + 1, "{}", listed.len());
}
