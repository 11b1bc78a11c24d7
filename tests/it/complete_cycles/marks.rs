//! `_SUCCESS` and Hive's lists of files, for systems that know nothing of markers.

use std::collections::BTreeMap;

use super::markers;
use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Sandbox, TestDestination, for_each_destination};
use crate::world::{VIEWS, set_sites, set_views, view, world};

for_each_destination!(
    marks_come_with_the_marker_and_follow_revisions,
    a_success_does_not_outlive_a_rerun_that_failed,
    a_list_of_a_snapshot_is_not_moved_back,
);

const MARKS: [&str; 4] = ["--date", "2026-01-15", "--marks", "success,symlink"];
const SUCCESS: &str = "marks/success/2026-01-15/_SUCCESS";
const DAY_15: &str = "marks/symlink/views/year=2026/month=1/day=15/2026-01-15.txt";

/// Returns the text of each mark. Addresses are relative to the destination.
fn marks(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let destination = &sandbox.destination;
    let root = format!("{}/", destination.url().trim_end_matches('/'));
    let keys = destination.keys_below("marks/").into_iter();
    keys.map(|key| {
        let bytes = destination.read(&key);
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        for line in text.lines() {
            let name = line.strip_prefix(&root).unwrap_or(line);
            destination.read(name);
        }
        (key, text.replace(&root, ""))
    })
    .collect()
}

fn marks_come_with_the_marker_and_follow_revisions(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    assert_eq!(marks(&sandbox), BTreeMap::new());
    sandbox.run(&MARKS).succeeded();
    let expected = [
        (SUCCESS, "cycles/2026-01-15.r0.json\n"),
        (
            "marks/symlink/sites/snapshot.txt",
            "data/sites/data-000000000000.parquet\n",
        ),
        (
            DAY_15,
            "data/views/year=2026/month=1/day=15/data-000000000000.parquet\n",
        ),
    ];
    let expected = expected.map(|(key, text)| (key.to_owned(), text.to_owned()));
    assert_eq!(marks(&sandbox), BTreeMap::from(expected));

    // Another partition instead of the first one.
    let mut moved = view(15, 14);
    moved["note"] = "x".into();
    set_views(&sandbox, 15, &[moved]);
    sandbox
        .run(&[&MARKS[..], &["--rerun", "views"]].concat())
        .succeeded();
    let now = marks(&sandbox);
    assert_eq!(now[SUCCESS], "cycles/2026-01-15.r1.json\n");
    assert!(!now.contains_key(DAY_15), "{now:?}");
    // The file of the cycle before is in the list of its own cycle, which had no marks.
    let list = &now["marks/symlink/views/year=2026/month=1/day=14/2026-01-15.txt"];
    assert_eq!(
        list,
        "data/views/year=2026/month=1/day=14/data-000000000001.parquet\n"
    );
}

fn a_success_does_not_outlive_a_rerun_that_failed(destination: TestDestination) {
    let sandbox = world(destination);
    let clicks = VIEWS.replace("TO 'views'", "TO 'clicks'");
    sandbox.write("sql/clicks.sql", clicks.clone());
    sandbox.run(&MARKS).succeeded();
    assert!(marks(&sandbox).contains_key(SUCCESS));
    let failing = clicks.replace(
        "date_part('day', time)",
        "nullif(date_part('day', time), 15)",
    );
    sandbox.write("sql/clicks.sql", failing);
    let rerun = [&MARKS[..], &["--rerun"]].concat();
    sandbox.run(&rerun).exited_with(1);
    let now = sandbox.destination.keys_below("marks/success/");
    assert_eq!(now, Vec::<String>::new());
    sandbox.write("sql/clicks.sql", clicks);
    sandbox.run(&rerun).succeeded();
    assert_eq!(marks(&sandbox)[SUCCESS], "cycles/2026-01-15.r2.json\n");
}

fn a_list_of_a_snapshot_is_not_moved_back(destination: TestDestination) {
    let sandbox = world(destination);
    let later = ["--date", "2026-01-16", "--marks", "symlink"];
    sandbox.run(&later).succeeded();
    let list = "marks/symlink/sites/snapshot.txt";
    let newest = sandbox.destination.read(list);
    // The snapshot of 2026-01-16 completes the day before, too.
    sandbox.run(&MARKS).succeeded();
    assert!(marks(&sandbox).contains_key(SUCCESS));
    assert_eq!(sandbox.destination.read(list), newest);
    set_sites(&sandbox, 3);
    let rerun = [&later[..], &["--rerun", "sites"]].concat();
    sandbox.run(&rerun).succeeded();
    assert!(!marks(&sandbox)[list].is_empty());
}

/// Every call for a mark fails once, with its effect and without: the marker does not come before the marks,
/// and the next run writes both.
#[test]
fn a_run_that_ends_at_a_mark_is_finished_by_the_next_one() {
    let sandbox = world(TestDestination::s3());
    sandbox.run(&MARKS).succeeded();
    let expected = marks(&sandbox);
    assert_eq!(expected.len(), 3);
    for number in 1..=3 {
        for action in [
            Action::Before(Failure::SlowDown),
            Action::After(Failure::Hangup),
        ] {
            let sandbox = world(TestDestination::s3());
            let server = sandbox.destination.server();
            server.inject(
                Fault::on(Operation::PutObject, action)
                    .key("/marks/")
                    .nth_and_later(number),
            );
            let once = [&MARKS[..], &["--retry-timeout", "0"]].concat();
            sandbox.run(&once).exited_with(75).stdout_has("2 published");
            assert_eq!(markers(&sandbox.destination), Vec::<String>::new());
            server.clear_faults();
            sandbox.run(&MARKS).succeeded();
            assert_eq!(marks(&sandbox), expected);
            assert_eq!(markers(&sandbox.destination).len(), 1);
        }
    }
}
