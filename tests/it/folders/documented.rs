//! The examples of `docs/folders.md` run as they stand.

use serde_json::json;

use super::{DAY, add, source};
use crate::support::{Sandbox, TestDestination, check_published, gzip, repository, rows, sorted};

#[test]
fn the_examples_run() {
    let page = std::fs::read_to_string(repository().join("docs/folders.md")).expect("the page");
    let blocks: Vec<&str> = page
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [firehose, trail, definition] = blocks.as_slice() else {
        panic!("other examples: {blocks:?}");
    };
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write("sql/sources/events.sql", (*firehose).to_owned());
    sandbox.write("sql/sources/trail.sql", (*trail).to_owned());
    sandbox.write("sql/trail_events.sql", (*definition).to_owned());
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, time FROM events
         WHERE time >= $window_start AND time < $window_end) TO 't'",
    );
    // Rows arrive some minutes after their time.
    add(
        &sandbox,
        "events/2026/01/15/23/a.json",
        1,
        "2026-01-15T23:00:00Z",
    );
    add(
        &sandbox,
        "events/2026/01/16/00/a.json",
        2,
        "2026-01-15T23:59:00Z",
    );
    add(
        &sandbox,
        "events/2026/01/16/01/a.json",
        3,
        "2026-01-16T01:00:00Z",
    );
    for day in [14, 15] {
        let records = json!({"Records": [
            {"eventID": format!("a{day}"), "eventName": "PutObject"},
            {"eventID": format!("b{day}"), "eventName": "GetObject"},
        ]});
        let folder = format!("raw/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/{day}");
        sandbox.write(
            &format!("{folder}/x.json.gz"),
            gzip(&format!("{records}\n")),
        );
        sandbox.write(&format!("{folder}/x.json.gz.part"), "");
    }
    sandbox
        .run(&["--date", DAY, "--format", "json"])
        .succeeded();
    assert_eq!(super::ids(&sandbox), [1, 2]);
    assert_eq!(source(&sandbox)["files"], 2);
    let event = |id: &str, name: &str| json!({"date": DAY, "account": "111122223333", "region": "eu-west-1", "event_id": id, "event_name": name});
    assert_eq!(
        sorted(rows(&sandbox.destination, "trail_events")),
        sorted(vec![event("a15", "PutObject"), event("b15", "GetObject")])
    );
    let trail = &check_published(&sandbox.destination)["trail_events"][0]["sources"][0];
    assert_eq!(trail["files"], 1);
    assert_eq!(trail["passed_over"]["count"], 1);
}
