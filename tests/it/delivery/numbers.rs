//! The number of files, and the numbers in their names.

use std::collections::BTreeSet;

use super::{ids, views_file};
use crate::support::{
    CommandOutput, TestDestination, check_data, check_published, check_tidy, for_each_destination,
    rows,
};
use crate::world::{set_views, view, world};

for_each_destination!(
    shards_end_soon_after_the_target_size,
    late_rows_go_into_the_next_file_of_an_old_day,
    foreign_files_stay_and_their_numbers_are_not_used,
    foreign_numbers_at_the_end_of_the_range_are_passed_over,
);

fn shards_end_soon_after_the_target_size(destination: TestDestination) {
    let sandbox = world(destination);
    let views: Vec<_> = (0..60_000).map(|id| view(id, 15)).collect();
    set_views(&sandbox, 15, &views);
    let args = [
        "--date",
        "2026-01-15",
        "--target-file-size",
        "256KiB",
        "views",
        "--format",
    ];
    for (format, rerun) in [
        ("json", &[][..]),
        ("parquet", &["--rerun", "--accept-change"]),
    ] {
        sandbox
            .run(&[&args[..], &[format], rerun].concat())
            .exited_with(0);

        let published = check_published(&sandbox.destination);
        let files = published["views"][0]["files"]
            .as_array()
            .expect("a list of files");
        let sizes: Vec<u64> = files
            .iter()
            .map(|file| file["bytes"].as_u64().expect("a size"))
            .collect();
        assert!(sizes.len() >= 3, "{format}: {sizes:?}");
        let rolled = &sizes[..sizes.len() - 1];
        // A file may overshoot by the rows of one encoded batch.
        let soon_after = (256 << 10)..(1 << 20);
        assert!(
            rolled.iter().all(|size| soon_after.contains(size)),
            "{format}: {sizes:?}"
        );
        assert!(
            ids(&rows(&sandbox.destination, "views"))
                .into_iter()
                .eq(0..60_000)
        );
    }
}

fn late_rows_go_into_the_next_file_of_an_old_day(destination: TestDestination) {
    let sandbox = world(destination);
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15)]);
    set_views(&sandbox, 16, &[view(3, 15), view(4, 16)]);
    sandbox
        .run(&["--since", "2026-01-15", "--through", "2026-01-16", "views"])
        .succeeded();
    check_published(&sandbox.destination);
    let keys = [
        views_file(15, 0, "parquet"),
        views_file(15, 1, "parquet"),
        views_file(16, 0, "parquet"),
    ];
    assert_eq!(sandbox.destination.keys_below("data/"), keys);
    let late = sandbox.destination.read(&keys[1]);

    // The rows of the 15th are replaced in their file; the late rows belong to the cycle of the 16th.
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15), view(5, 15)]);
    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "views"])
        .succeeded();
    check_published(&sandbox.destination);
    assert_eq!(sandbox.destination.keys_below("data/"), keys);
    assert_eq!(sandbox.destination.read(&keys[1]), late);
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [1, 2, 3, 4, 5]);
}

fn foreign_files_stay_and_their_numbers_are_not_used(destination: TestDestination) {
    let sandbox = world(destination);
    let foreign = [
        "data/sites/readme.txt".to_owned(),
        views_file(15, 0, "parquet"),
        views_file(15, 7, "json.gz"),
    ];
    for key in &foreign {
        sandbox.destination.put(key, format!("foreign {key}"));
    }
    let untouched = |output: CommandOutput| {
        for key in &foreign {
            let is_mentioned = output
                .stderr
                .lines()
                .any(|line| line.contains(&format!("`{key}`")));
            assert!(is_mentioned, "`{key}` is not mentioned:\n{output}");
        }
        let keys: Vec<&str> = foreign.iter().map(String::as_str).collect();
        check_data(&sandbox.destination, &keys);
        check_tidy(&sandbox.destination);
        for key in &foreign {
            assert_eq!(sandbox.destination.read(key), format!("foreign {key}"));
        }
    };

    untouched(sandbox.run(&["--date", "2026-01-15"]).exited_with(0));
    untouched(
        sandbox
            .run(&["--date", "2026-01-15", "--rerun"])
            .exited_with(0),
    );
    // Replacing its own file under another extension must not take the foreign one's name.
    let json = [
        "--date",
        "2026-01-15",
        "--rerun",
        "--format",
        "json",
        "--accept-change",
    ];
    untouched(sandbox.run(&json).exited_with(0));

    let keys = sandbox.destination.keys_below("data/views/");
    let new: BTreeSet<&String> = keys.iter().filter(|key| !foreign.contains(key)).collect();
    assert_eq!(new, BTreeSet::from([&views_file(15, 8, "json.gz")]));
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [15]);
}

fn foreign_numbers_at_the_end_of_the_range_are_passed_over(destination: TestDestination) {
    let sandbox = world(destination);
    let foreign = [
        format!("_dayport/log/views/{}.json", u64::MAX),
        views_file(15, u64::MAX, "parquet"),
        format!("manifests/views/2026-01-15.r{}.json", u32::MAX),
        "manifests/views/2026-01-16.r99999999999.json".to_owned(),
    ];
    for key in &foreign {
        sandbox.destination.put(key, format!("foreign {key}"));
    }
    let run = |args: &[&str], number: u64| {
        let output = sandbox.run(&[args, &["views"]].concat()).exited_with(0);
        for key in &foreign {
            assert_eq!(sandbox.destination.read(key), format!("foreign {key}"));
            assert!(output.stderr.contains(&format!("`{key}`")), "{output}");
        }
        let entry = format!("_dayport/log/views/{number:020}.json");
        assert!(sandbox.destination.find(&entry).is_some(), "no `{entry}`");
    };
    run(&["--date", "2026-01-15"], 1);
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15)]);
    run(&["--date", "2026-01-15", "--rerun"], 2);
    // Late rows go into another file of the day.
    set_views(&sandbox, 16, &[view(3, 15), view(4, 16)]);
    run(&["--date", "2026-01-16"], 3);
    for key in &foreign {
        sandbox.destination.delete(key);
    }
    let published = check_published(&sandbox.destination);
    assert_eq!(published["views"][0]["revision"], 1);
    assert_eq!(published["views"][1]["revision"], 0);
    let keys = [
        views_file(15, 0, "parquet"),
        views_file(15, 1, "parquet"),
        views_file(16, 0, "parquet"),
    ];
    assert_eq!(sandbox.destination.keys_below("data/"), keys);
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [1, 2, 3, 4]);
}
