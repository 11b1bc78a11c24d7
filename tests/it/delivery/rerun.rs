//! Reruns replace a published cycle.

use serde_json::json;

use super::{ids, views_file};
use crate::support::{TestDestination, check_published, for_each_destination, manifest, rows};
use crate::world::{set_views, view, world};

for_each_destination!(
    a_rerun_is_a_new_revision_under_the_same_names,
    another_format_removes_the_old_files,
    a_partition_that_becomes_empty_loses_its_file,
    a_cycle_without_rows_gets_rows_later,
);

fn a_rerun_is_a_new_revision_under_the_same_names(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox
        .run(&["--since", "2026-01-14", "--through", "2026-01-15"])
        .succeeded();
    let before = sandbox.destination.contents();
    set_views(&sandbox, 15, &[view(15, 15), view(150, 15)]);

    let args = ["--date", "2026-01-15", "--rerun", "views"];
    sandbox
        .run(&args)
        .succeeded()
        .stdout_has("published as revision 1");

    let published = check_published(&sandbox.destination);
    assert_eq!(published["views"][1]["revision"], 1);
    assert_eq!(published["views"][1]["replaced"], json!([]));
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [14, 15, 150]);
    let mut after = sandbox.destination.contents();
    // The new revision adds its manifest, its log entry, a list of source files, and one of the marker;
    // one file of data and the hint change.
    let is_new_list =
        |key: &String| key.starts_with("_dayport/lists/") && !before.contains_key(key);
    let lists: Vec<String> = after
        .keys()
        .filter(|key| is_new_list(key))
        .cloned()
        .collect();
    assert_eq!(lists.len(), 1, "{lists:?}");
    after.remove(&lists[0]);
    let added = [
        "_dayport/log/views/00000000000000000003.json",
        "cycles/2026-01-15.r1.json",
        "manifests/views/2026-01-15.r1.json",
    ];
    for key in added {
        assert!(after.remove(key).is_some(), "no `{key}`");
    }
    for changed in [views_file(15, 0, "parquet"), "latest.json".to_owned()] {
        let new = after.insert(changed.clone(), before[&changed].clone());
        assert_ne!(new.as_ref(), Some(&before[&changed]), "`{changed}`");
    }
    assert_eq!(after, before);
}

fn another_format_removes_the_old_files(destination: TestDestination) {
    let sandbox = world(destination);
    set_views(&sandbox, 15, &[view(1, 14), view(2, 15)]);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let old = [views_file(14, 0, "parquet"), views_file(15, 0, "parquet")];
    assert_eq!(sandbox.destination.keys_below("data/views/"), old);

    sandbox
        .run(&[
            "--date",
            "2026-01-15",
            "--rerun",
            "--format",
            "json",
            "--accept-change",
        ])
        .exited_with(0);

    let published = check_published(&sandbox.destination);
    let new = [views_file(14, 0, "json.gz"), views_file(15, 0, "json.gz")];
    assert_eq!(sandbox.destination.keys_below("data/views/"), new);
    assert_eq!(published["views"][0]["replaced"], json!(old));
    let sites = sandbox.destination.keys_below("data/sites/");
    assert_eq!(sites, ["data/sites/data-000000000000.json.gz"]);
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [1, 2]);

    // The names of the old format are never reused.
    let back = [
        "--date",
        "2026-01-15",
        "--rerun",
        "views",
        "--accept-change",
    ];
    sandbox.run(&back).exited_with(0);
    check_published(&sandbox.destination);
    let again = [views_file(14, 1, "parquet"), views_file(15, 1, "parquet")];
    assert_eq!(sandbox.destination.keys_below("data/views/"), again);
}

fn a_partition_that_becomes_empty_loses_its_file(destination: TestDestination) {
    let sandbox = world(destination);
    set_views(&sandbox, 15, &[view(1, 14), view(2, 15), view(3, 15)]);
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    set_views(&sandbox, 15, &[view(2, 15), view(3, 15)]);

    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "views"])
        .succeeded();

    let published = check_published(&sandbox.destination);
    assert_eq!(
        published["views"][0]["replaced"],
        json!([views_file(14, 0, "parquet")])
    );
    assert_eq!(
        sandbox.destination.keys_below("data/"),
        [views_file(15, 0, "parquet")]
    );
}

fn a_cycle_without_rows_gets_rows_later(destination: TestDestination) {
    let sandbox = world(destination);
    set_views(&sandbox, 15, &[]);
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    let empty = manifest(&sandbox.destination, "views", "2026-01-15", 0);
    assert_eq!((&empty["rows"], &empty["files"]), (&json!(0), &json!([])));
    assert_eq!(
        sandbox.destination.keys_below("data/"),
        Vec::<String>::new()
    );
    check_published(&sandbox.destination);

    set_views(&sandbox, 15, &[view(1, 15)]);
    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "views"])
        .succeeded();
    check_published(&sandbox.destination);
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [1]);
}
