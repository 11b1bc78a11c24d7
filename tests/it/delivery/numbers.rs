//! How many files, and which numbers they get.

use std::collections::BTreeSet;

use super::{ids, views_file};
use crate::support::{Place, Ran, check_data, check_published, check_tidy, in_both_places, rows};
use crate::world::{set_views, view, world};

in_both_places!(
    shards_end_soon_after_the_target_size,
    late_rows_go_into_the_next_file_of_an_old_day,
    what_is_not_dayports_stays_and_its_number_is_not_taken,
);

fn shards_end_soon_after_the_target_size(place: Place) {
    let sandbox = world(place);
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
    for (format, rerun) in [("json", &[][..]), ("parquet", &["--rerun"])] {
        sandbox
            .run(&[&args[..], &[format], rerun].concat())
            .succeeded();

        let published = check_published(&sandbox.place);
        let files = published["views"][0]["files"]
            .as_array()
            .expect("a list of files");
        let sizes = files
            .iter()
            .map(|file| file["bytes"].as_u64().expect("a size"));
        let sizes: Vec<u64> = sizes.collect();
        assert!(sizes.len() >= 3, "{format}: {sizes:?}");
        let rolled = &sizes[..sizes.len() - 1];
        // A file may overshoot by the rows that are encoded in one go.
        let soon_after = (256 << 10)..(1 << 20);
        assert!(
            rolled.iter().all(|size| soon_after.contains(size)),
            "{format}: {sizes:?}"
        );
        assert!(
            ids(&rows(&sandbox.place, "views"))
                .into_iter()
                .eq(0..60_000)
        );
    }
}

fn late_rows_go_into_the_next_file_of_an_old_day(place: Place) {
    let sandbox = world(place);
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15)]);
    set_views(&sandbox, 16, &[view(3, 15), view(4, 16)]);
    sandbox
        .run(&["--since", "2026-01-15", "--through", "2026-01-16", "views"])
        .succeeded();
    check_published(&sandbox.place);
    let keys = [
        views_file(15, 0, "parquet"),
        views_file(15, 1, "parquet"),
        views_file(16, 0, "parquet"),
    ];
    assert_eq!(sandbox.place.keys_below("data/"), keys);
    let late = sandbox.place.read(&keys[1]);

    // The rows of the 15th are replaced where they are; the late ones belong to the 16th.
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15), view(5, 15)]);
    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "views"])
        .succeeded();
    check_published(&sandbox.place);
    assert_eq!(sandbox.place.keys_below("data/"), keys);
    assert_eq!(sandbox.place.read(&keys[1]), late);
    assert_eq!(ids(&rows(&sandbox.place, "views")), [1, 2, 3, 4, 5]);
}

fn what_is_not_dayports_stays_and_its_number_is_not_taken(place: Place) {
    let sandbox = world(place);
    let foreign = [
        "data/sites/readme.txt".to_owned(),
        views_file(15, 0, "parquet"),
        views_file(15, 7, "json.gz"),
    ];
    for key in &foreign {
        sandbox.place.put(key, format!("foreign {key}"));
    }
    let untouched = |ran: Ran| {
        for key in &foreign {
            let known = ran
                .stderr
                .lines()
                .any(|line| line.contains(&format!("`{key}`")));
            assert!(known, "nothing is said of `{key}`:\n{ran}");
        }
        let keys: Vec<&str> = foreign.iter().map(String::as_str).collect();
        check_data(&sandbox.place, &keys);
        check_tidy(&sandbox.place);
        for key in &foreign {
            assert_eq!(sandbox.place.read(key), format!("foreign {key}"));
        }
    };

    untouched(sandbox.run(&["--date", "2026-01-15"]).ended(0));
    untouched(sandbox.run(&["--date", "2026-01-15", "--rerun"]).ended(0));
    // Replacing its own file under another extension must not take the foreign one's name.
    let json = ["--date", "2026-01-15", "--rerun", "--format", "json"];
    untouched(sandbox.run(&json).ended(0));

    let keys = sandbox.place.keys_below("data/views/");
    let new: BTreeSet<&String> = keys.iter().filter(|key| !foreign.contains(key)).collect();
    assert_eq!(new, BTreeSet::from([&views_file(15, 8, "json.gz")]));
    assert_eq!(ids(&rows(&sandbox.place, "views")), [15]);
}
