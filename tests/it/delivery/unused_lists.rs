//! Lists of source files that no manifest names are removed.

use std::time::{Duration, SystemTime};

use crate::support::{Sandbox, TestDestination};
use crate::world::{set_views, view, world};

/// Sets the time of an object to a number of days before 2026-01-21, which is 20,474 days after 1970.
fn age(sandbox: &Sandbox, key: &str, days: u64) {
    let TestDestination::Local(folder) = &sandbox.destination else {
        panic!("only the times of files can be set");
    };
    let path = folder.path().join("acme/dayport").join(key);
    let file = std::fs::File::options().append(true).open(path);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs((20_474 - days) * 86_400);
    file.expect("a file")
        .set_modified(time)
        .expect("set its time");
}

/// The sweep is on the day after a Sunday: 2026-01-26.
#[test]
fn a_list_that_no_manifest_names_is_removed_after_a_week() {
    let mut sandbox = world(TestDestination::local());
    sandbox.set_clock("2026-01-16T03:00:00Z");
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    let own = sandbox.destination.keys_below("_dayport/lists/");
    assert!(!own.is_empty());
    for key in own
        .iter()
        .chain(["manifests/views/2026-01-15.r0.json".to_owned()].iter())
    {
        age(&sandbox, key, 5);
    }
    let unused = ["old", "young", "ancient"].map(|name| format!("_dayport/lists/{name}.gz"));
    for (key, days) in unused.iter().zip([10, 2, 40]) {
        sandbox.destination.put(key, "x");
        age(&sandbox, key, days);
    }
    for day in 16..=25 {
        set_views(&sandbox, day, &[view(day, day)]);
    }
    let days = ["--since", "2026-01-16", "--through", "2026-01-24", "views"];
    sandbox.set_clock("2026-01-25T03:00:00Z");
    sandbox.run(&days).succeeded();
    let lists = |sandbox: &Sandbox| sandbox.destination.keys_below("_dayport/lists/");
    assert!(lists(&sandbox).contains(&unused[0]), "not on this day");
    sandbox.set_clock("2026-01-26T03:00:00Z");
    sandbox.run(&["views"]).succeeded();
    let left = lists(&sandbox);
    // Ten days before 2026-01-21 is 15 days before the run, two days are 7, and 40 are too many.
    assert!(!left.contains(&unused[0]));
    assert!(!left.contains(&unused[1]));
    assert!(left.contains(&unused[2]), "an earlier sweep has seen it");
    assert!(own.iter().all(|key| left.contains(key)));
}
