//! Tests of the harness: the check of published objects finds every kind of damage.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{TestDestination, check_published, for_each_destination, gzip};
use crate::world::world;

for_each_destination!(every_kind_of_damage_is_found);

const FILE: &str = "data/views/year=2026/month=1/day=15/data-000000000000.parquet";
const MANIFEST: &str = "manifests/views/2026-01-15.r0.json";

fn every_kind_of_damage_is_found(destination: TestDestination) {
    let sandbox = world(destination);
    let destination = &sandbox.destination;
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    let whole = destination.contents();
    let manifest = |from: &str, to: &str| {
        let text = String::from_utf8(whole[MANIFEST].to_vec()).expect("UTF-8");
        assert!(text.contains(from), "no `{from}` in {text}");
        text.replace(from, to).into_bytes()
    };
    let mut other_bytes = whole[FILE].to_vec();
    other_bytes[10] ^= 1;

    // The data file comes last: a file that is written back to disk has another ETag.
    let damages: [(&str, Option<Vec<u8>>); 8] = [
        (MANIFEST, None),
        (MANIFEST, Some(manifest("\"rows\": 1", "\"rows\": 2"))),
        (MANIFEST, Some(manifest("\"etag\": \"", "\"etag\": \"0"))),
        (
            "data/views/data-000000000000.parquet",
            Some(whole[FILE].to_vec()),
        ),
        ("rejects/views/2026-01-15/views.json.gz", Some(gzip(""))),
        ("_dayport/staging/run/000000000000", Some(Vec::new())),
        (FILE, Some(other_bytes)),
        (FILE, None),
    ];
    for (key, bytes) in damages {
        if key != FILE {
            check_published(destination);
        }
        match bytes {
            Some(bytes) => destination.put(key, bytes),
            None => destination.delete(key),
        }
        let found = catch_unwind(AssertUnwindSafe(|| check_published(destination)));
        assert!(found.is_err(), "the damage of `{key}` is not found");
        match whole.get(key) {
            Some(bytes) => destination.put(key, bytes.clone()),
            None => destination.delete(key),
        }
    }
}
