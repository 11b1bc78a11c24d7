//! The same on S3: folders that cannot be left out are listed at once.

use super::{DAY, passed_over, row, source};
use crate::s3::{Operation, TestS3};
use crate::support::{Sandbox, TestDestination, check_published, rows};

/// Creates a source below `s3://raw/lake/` with 24 hours of three days, and a table of its days.
fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::empty(TestDestination::s3());
    let server = sandbox.destination.server();
    server.create_bucket("raw");
    for day in 14..17 {
        for hour in 0..24 {
            put(
                server,
                &format!("2026/01/{day}/{hour:02}/a.json"),
                day,
                hour,
            );
        }
    }
    for (name, value) in server.env() {
        sandbox.set_env(name, &value);
    }
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT, time TIMESTAMP(6) WITH TIME ZONE)
         STORED AS JSON LOCATION 's3://raw/lake/{year}/{month}/{day}/{hour}/'
         OPTIONS ('time_column' 'time')",
    );
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, time FROM events
         WHERE time >= $window_start AND time < $window_end) TO 't'",
    );
    sandbox
}

fn put(server: &TestS3, path: &str, day: i64, hour: i64) {
    let row = row(day * 100 + hour, &format!("2026-01-{day}T{hour:02}:30:00Z"));
    server.put("raw", &format!("lake/{path}"), row);
}

fn listings(server: &TestS3) -> usize {
    let calls = server.calls().into_iter();
    calls
        .filter(|call| call.bucket == "raw" && call.operation == Operation::ListObjects)
        .count()
}

#[test]
fn a_day_is_read_with_one_listing_below_its_folder() {
    let sandbox = sandbox();
    let server = sandbox.destination.server();
    let day = ["--date", DAY, "t"];
    sandbox.run(&day).succeeded();
    // The years, the months, the days, and all below the day.
    assert_eq!(listings(server), 4);
    assert_eq!(rows(&sandbox.destination, "t").len(), 24);
    assert_eq!(source(&sandbox)["files"], 24);
    assert_eq!(passed_over(&source(&sandbox)), [""; 0]);
}

#[test]
fn what_is_passed_over_is_the_same_as_on_a_disk() {
    let sandbox = sandbox();
    let server = sandbox.destination.server();
    for path in [
        "2026/01/15/24/a.json",
        "2026/01/15/24/b.json",
        "2026/01/15/x.json",
        "2026/01/15/03/deep/a.json",
        "2026/01/15/03/deep/b.json",
        "2026/01/15/03/README.md",
        "2026/01/15/_tmp/3/a.json",
        "2026/01/15/_tmp/3/b.json",
        "2026/x.json",
    ] {
        put(server, path, 99, 0);
    }
    // Markers of folders are neither files nor passed over.
    for marker in [
        "",
        "2026/",
        "2026/01/15/",
        "2026/01/15/03/",
        "2026/01/15/25/",
    ] {
        server.put("raw", &format!("lake/{marker}"), "");
    }
    sandbox.run(&["--date", DAY, "t"]).succeeded();
    assert_eq!(rows(&sandbox.destination, "t").len(), 24);
    let source = source(&sandbox);
    let names: Vec<String> = source["passed_over"]["names"]
        .as_array()
        .expect("names")
        .iter()
        .map(|name| {
            name.as_str()
                .expect("a name")
                .replace("s3://raw/lake/2026/", "")
        })
        .collect();
    assert_eq!(
        names,
        [
            "01/15/03/README.md",
            "01/15/03/deep/",
            "01/15/24/",
            "01/15/25/",
            "01/15/_tmp/",
            "01/15/x.json",
            "x.json"
        ]
    );
    check_published(&sandbox.destination);
}

#[test]
fn a_key_with_an_empty_part_is_refused() {
    let sandbox = sandbox();
    let server = sandbox.destination.server();
    put(server, "2026/01/15/03//a.json", 15, 3);
    sandbox
        .run(&["--date", DAY, "t"])
        .exited_with(1)
        .stderr_has("has an empty part");
}
