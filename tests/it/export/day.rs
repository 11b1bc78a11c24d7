//! The keys of an exported day, and all of its rows compared with the raw data.

use serde_json::{Value, json};

use super::{expected, exported};
use crate::support::{SECOND_DAY, TestDestination, check_published, manifest, rows, sorted};

/// The incremental tables, with the number of rows that their definition yields for the second day.
const INCREMENTAL: [(&str, u64); 8] = [
    ("aliases", 439),
    ("formsubmission_events", 0),
    ("pageview_events", 1595),
    ("pageviewengagement_events", 2731),
    ("segmententry_events", 350),
    ("slotclicked_events", 59),
    ("slotviewable_events", 1604),
    ("videoview_events", 306),
];
const SNAPSHOTS: [(&str, u64); 2] = [("domains", 11), ("segment_metadata", 211)];

macro_rules! in_each_place_and_format {
    ($($test:ident: $destination:ident, $format:literal;)+) => {
        $(#[test] fn $test() { a_day(TestDestination::$destination(), $format); })+
    };
}

in_each_place_and_format! {
    parquet_in_a_folder: local, "parquet";
    json_in_a_folder: local, "json";
    parquet_on_s3: s3, "parquet";
    json_on_s3: s3, "json";
}

fn a_day(destination: TestDestination, format: &str) {
    let sandbox = exported(destination, format);
    let destination = &sandbox.destination;

    let (lists, others): (Vec<String>, Vec<String>) = destination
        .keys()
        .into_iter()
        .partition(|key| key.starts_with("_dayport/lists/"));
    assert_eq!(others, tree(format));
    assert_eq!(lists.len(), 2, "tables share sources: {lists:?}");
    let published = check_published(destination);
    for (table, count) in INCREMENTAL.iter().chain(&SNAPSHOTS) {
        assert_eq!(published[*table][0]["rows"], *count, "{table}");
    }
    for (table, name) in expected::EVENT_TABLES {
        let schema = &published[table][0]["schema"];
        let events = expected::events(name, SECOND_DAY, schema);
        assert_same(table, rows(destination, table), events);
    }
    let schema = |table: &str| &published[table][0]["schema"];
    let aliases = expected::aliases(SECOND_DAY, schema("aliases"));
    assert_same("aliases", rows(destination, "aliases"), aliases);
    let domains = expected::domains(schema("domains"));
    assert_same("domains", rows(destination, "domains"), domains);
    let cohorts = expected::cohorts(schema("segment_metadata"));
    assert_same(
        "segment_metadata",
        rows(destination, "segment_metadata"),
        cohorts,
    );
}

/// Returns all expected keys, sorted.
fn tree(format: &str) -> Vec<String> {
    let extension = if format == "json" { "json.gz" } else { format };
    let file = format!("data-000000000000.{extension}");
    let mut keys = Vec::new();
    for (table, count) in INCREMENTAL.iter().chain(&SNAPSHOTS) {
        keys.push(format!("_dayport/log/{table}/00000000000000000001.json"));
        keys.push(format!("manifests/{table}/2026-01-15.r0.json"));
        keys.push(format!("schema/{table}/v1.json"));
        let is_snapshot = SNAPSHOTS.iter().any(|(snapshot, _)| snapshot == table);
        if is_snapshot {
            keys.push(format!("data/{table}/{file}"));
        } else if *count > 0 {
            keys.push(format!("data/{table}/year=2026/month=1/day=15/{file}"));
        }
    }
    keys.push("cycles/2026-01-15.r0.json".to_owned());
    keys.push("latest.json".to_owned());
    keys.sort();
    keys
}

/// Asserts that both have the same rows, equally often, in any order.
fn assert_same(table: &str, exported: Vec<Value>, expected: Vec<Value>) {
    assert_eq!(exported.len(), expected.len(), "rows of {table}");
    let (exported, expected) = (sorted(exported), sorted(expected));
    for (exported, expected) in exported.iter().zip(&expected) {
        assert_eq!(exported, expected, "a row of {table}");
    }
}

#[test]
fn a_manifest_records_the_run() {
    let sandbox = exported(TestDestination::s3(), "parquet");
    let manifest = manifest(&sandbox.destination, "slotclicked_events", SECOND_DAY, 0);

    assert_eq!(manifest["version"], 1);
    assert_eq!(manifest["sync_mode"], "incremental");
    let cycle = json!({
        "id": "2026-01-15",
        "start": "2026-01-15T00:00:00Z",
        "end": "2026-01-16T00:00:00Z",
    });
    assert_eq!(manifest["cycle"], cycle);
    assert_eq!(manifest["compression"], "snappy");
    assert_eq!(manifest["window_column"], "time");
    let definition = &manifest["definition"];
    assert_eq!(definition["file"], "slotclicked_events.sql");
    assert_eq!(
        manifest["description"],
        "Advertisement slots that were clicked."
    );
    assert_eq!(manifest["replaced"], json!([]));

    // The window opens only the day's folders: 24 of the 72 files, with the 6,738 events in them.
    let source = &manifest["sources"][0];
    let read = ["name", "files", "rows_read", "rows_rejected"].map(|member| &source[member]);
    assert_eq!(
        read,
        [&json!("events"), &json!(24), &json!(6738), &json!(0)]
    );
}
