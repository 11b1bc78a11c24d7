//! Snapshots replace all rows of a table.

use serde_json::json;

use super::ids;
use crate::support::{
    TestDestination, check_published, decode, for_each_destination, manifest, rows,
};
use crate::world::{set_sites, world};

for_each_destination!(
    the_next_cycle_replaces_the_last_one,
    a_smaller_snapshot_removes_the_stale_shards,
    an_empty_snapshot_is_one_readable_file,
    an_older_cycle_does_not_replace_a_newer_one,
);

fn the_next_cycle_replaces_the_last_one(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    set_sites(&sandbox, 3);
    sandbox.run(&["--date", "2026-01-16", "sites"]).succeeded();

    let published = check_published(&sandbox.destination);
    let current: Vec<_> = published["sites"]
        .iter()
        .map(|m| &m["cycle"]["id"])
        .collect();
    assert_eq!(current, ["2026-01-16"]);
    assert_eq!(
        sandbox.destination.keys_below("data/"),
        ["data/sites/data-000000000000.parquet"]
    );
    assert_eq!(ids(&rows(&sandbox.destination, "sites")), [0, 1, 2]);
    // The manifest of the previous day stays as a record of its publication.
    assert_eq!(
        manifest(&sandbox.destination, "sites", "2026-01-15", 0)["rows"],
        2
    );
}

fn a_smaller_snapshot_removes_the_stale_shards(destination: TestDestination) {
    let sandbox = world(destination);
    set_sites(&sandbox, 40_000);
    let shards = ["--target-file-size", "64KiB", "--format", "json"];
    let first = ["--date", "2026-01-15", "sites"];
    sandbox.run(&[&first[..], &shards].concat()).succeeded();
    check_published(&sandbox.destination);
    let old = sandbox.destination.keys_below("data/sites/");
    assert!(old.len() >= 3, "{old:?}");

    set_sites(&sandbox, 5);
    let second = ["--date", "2026-01-16", "sites", "--format", "json"];
    sandbox
        .run(&[&second[..], &["--allow-shrink"]].concat())
        .succeeded();

    let published = check_published(&sandbox.destination);
    assert_eq!(published["sites"][0]["replaced"], json!(old[1..]));
    assert_eq!(sandbox.destination.keys_below("data/sites/"), old[..1]);
    assert_eq!(ids(&rows(&sandbox.destination, "sites")), [0, 1, 2, 3, 4]);
}

fn an_empty_snapshot_is_one_readable_file(destination: TestDestination) {
    let sandbox = world(destination);
    set_sites(&sandbox, 0);
    for (day, format, extension) in [
        ("2026-01-15", "parquet", "parquet"),
        ("2026-01-16", "json", "json.gz"),
    ] {
        sandbox
            .run(&[
                "--date",
                day,
                "--format",
                format,
                "--accept-change",
                "sites",
            ])
            .exited_with(0);

        let published = check_published(&sandbox.destination);
        let manifest = &published["sites"][0];
        assert_eq!(manifest["rows"], 0);
        let keys = sandbox.destination.keys_below("data/");
        assert_eq!(keys, [format!("data/sites/data-000000000000.{extension}")]);
        assert!(
            !sandbox.destination.read(&keys[0]).is_empty(),
            "a file of no bytes"
        );
        assert!(decode(&keys[0], &sandbox.destination.read(&keys[0])).is_empty());
    }
}

fn an_older_cycle_does_not_replace_a_newer_one(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-16", "sites"]).succeeded();
    let before = sandbox.destination.contents();
    for rerun in [&[][..], &["--rerun"]] {
        let older = ["--date", "2026-01-15", "sites"];
        let output = sandbox.run(&[&older[..], rerun].concat()).succeeded();
        output.stdout_has("superseded by the snapshot of 2026-01-16");
        assert_eq!(sandbox.destination.contents(), before);
    }
}
