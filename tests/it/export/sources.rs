//! Sources on S3 instead of in a folder.

use std::fs;

use super::expected;
use crate::s3::{ACCESS_KEY_ID, Operation, REGION, SECRET_ACCESS_KEY, TestS3};
use crate::support::{
    BUCKET, SECOND_DAY, Sandbox, TestDestination, check_published, for_each_destination,
    repository, rows, sorted,
};

for_each_destination!(sources_on_s3);

/// Fills a bucket `raw` with the events of the second day below `lake/`, and half of the third.
fn fill(server: &TestS3) {
    server.create_bucket("raw");
    for (day, hours) in [(SECOND_DAY, 0..24), ("2026-01-16", 0..12)] {
        for hour in hours {
            let path = format!("events/date={day}/hour={hour:02}/events.json.gz");
            let file = repository().join("fixtures/raw").join(&path);
            server.put(
                "raw",
                &format!("lake/{path}"),
                fs::read(file).expect("a fixture"),
            );
        }
    }
}

fn sources_on_s3(destination: TestDestination) {
    let other = TestS3::start();
    let server = match &destination {
        TestDestination::Local(_) => &other,
        TestDestination::S3(server) => server,
    };
    fill(server);
    let endpoint = server.endpoint();
    let mut sandbox = Sandbox::fixtures(destination);
    for (name, value) in [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("AWS_REGION", REGION),
    ] {
        sandbox.set_env(name, value);
    }

    let to = sandbox.destination.url();
    let args = [
        "run",
        "--from",
        "s3://raw/lake",
        "--to",
        &to,
        "--date",
        SECOND_DAY,
    ];
    let output = sandbox.dayport(&[&args[..], &["videoview_events"]].concat());
    output.succeeded();

    let published = check_published(&sandbox.destination);
    let manifest = &published["videoview_events"][0];
    let events = expected::events("Videoview", SECOND_DAY, &manifest["schema"]);
    assert_eq!(
        sorted(rows(&sandbox.destination, "videoview_events")),
        sorted(events)
    );

    // Each hour of the day is read once, and no other object of the bucket at all.
    let server = match &sandbox.destination {
        TestDestination::Local(_) => &other,
        TestDestination::S3(server) => server,
    };
    let calls = server.calls().into_iter();
    let mut read: Vec<String> = calls
        .filter(|call| call.bucket != BUCKET && call.operation == Operation::GetObject)
        .map(|call| call.key)
        .collect();
    read.sort();
    let hour = |hour| format!("lake/events/date={SECOND_DAY}/hour={hour:02}/events.json.gz");
    assert_eq!(read, (0..24).map(hour).collect::<Vec<String>>());
}
