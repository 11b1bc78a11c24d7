//! Checks that the objects of a destination are what the manifests promise to receivers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{TestDestination, decode};

/// The current manifests of each table, oldest cycle first.
pub(crate) type Published = BTreeMap<String, Vec<Value>>;

/// Reads a published manifest.
pub(crate) fn manifest(
    destination: &TestDestination,
    table: &str,
    cycle: &str,
    revision: u64,
) -> Value {
    let key = format!("manifests/{table}/{cycle}.r{revision}.json");
    parse(&destination.read(&key))
}

/// Returns the manifests that a receiver follows: for an incremental table the newest revision of
/// each cycle, for a snapshot the newest revision of the newest cycle.
pub(crate) fn current_manifests(destination: &TestDestination) -> Published {
    let mut newest: BTreeMap<(String, String), (u64, Value)> = BTreeMap::new();
    for key in destination.keys_below("manifests/") {
        let (table, cycle, revision) = manifest_name(&key);
        let manifest = parse(&destination.read(&key));
        assert_eq!(manifest["table"], table, "`{key}`");
        assert_eq!(manifest["cycle"]["id"], cycle, "`{key}`");
        assert_eq!(manifest["revision"], revision, "`{key}`");
        let known = newest.get(&(table.clone(), cycle.clone()));
        if known.is_none_or(|(known, _)| *known < revision) {
            newest.insert((table, cycle), (revision, manifest));
        }
    }
    let mut published = Published::new();
    for ((table, _), (_, manifest)) in newest {
        let current = published.entry(table).or_default();
        if manifest["sync_mode"] == "snapshot" {
            current.clear();
        }
        current.push(manifest);
    }
    published
}

/// Checks everything that holds while no run is in progress and none was interrupted.
#[track_caller]
pub(crate) fn check_published(destination: &TestDestination) -> Published {
    let published = check_data(destination, &[]);
    check_tidy(destination);
    published
}

/// Checks that there is no staged file and no unfinished upload.
#[track_caller]
pub(crate) fn check_tidy(destination: &TestDestination) {
    assert_eq!(destination.leftovers(), Vec::<String>::new(), "left behind");
}

/// Checks that the manifests are true, and that `data/` holds only their files and the `foreign` ones.
#[track_caller]
pub(crate) fn check_data(destination: &TestDestination, foreign: &[&str]) -> Published {
    let published = current_manifests(destination);
    let mut named: BTreeSet<String> = BTreeSet::new();
    for manifest in published.values().flatten() {
        for file in list(&manifest["files"]) {
            let path = text(&file["path"]);
            check_file(destination, manifest, file);
            assert!(named.insert(path.to_owned()), "`{path}` is named twice");
        }
        check_sums(manifest);
    }
    check_rejects(destination, &published);
    named.extend(foreign.iter().map(|key| (*key).to_owned()));
    let existing: BTreeSet<String> = destination.keys_below("data/").into_iter().collect();
    assert_eq!(
        existing, named,
        "what is under data/, and what manifests name"
    );
    for table in published.keys() {
        check_log(destination, table);
    }
    published
}

/// Checks that malformed lines are recorded in the files that the manifests name, and nowhere else.
fn check_rejects(destination: &TestDestination, published: &Published) {
    let mut named = BTreeSet::new();
    for manifest in published.values().flatten() {
        let files = manifest["rejects"].as_array().into_iter().flatten();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for file in files {
            let lines = check_object(destination, file);
            let is_complete = |line: &Value| {
                text(&line["file"]).len() * text(&line["reason"]).len() > 0
                    && line["line"].is_u64()
                    && line["offset"].is_u64()
            };
            assert!(lines.iter().all(is_complete), "{lines:?}");
            *counts.entry(text(&file["source"])).or_default() += lines.len() as u64;
            named.insert(text(&file["path"]).to_owned());
        }
        for source in list(&manifest["sources"]) {
            let count = counts
                .get(text(&source["name"]))
                .copied()
                .unwrap_or_default();
            assert_eq!(source["rows_rejected"], count, "of {}", source["name"]);
        }
    }
    let existing: BTreeSet<String> = destination.keys_below("rejects/").into_iter().collect();
    assert_eq!(
        existing, named,
        "what is under rejects/, and what manifests name"
    );
}

/// Checks that an object is the recorded one, and returns its rows.
fn check_object(destination: &TestDestination, file: &Value) -> Vec<Value> {
    let path = text(&file["path"]);
    let bytes = destination
        .find(path)
        .unwrap_or_else(|| panic!("a manifest names `{path}`, which is not there"));
    assert_eq!(file["bytes"], bytes.len() as u64, "size of `{path}`");
    let sha256 = format!("{:x}", Sha256::digest(&bytes));
    assert_eq!(file["sha256"], sha256, "digest of `{path}`");
    assert_eq!(file["etag"], destination.etag(path), "ETag of `{path}`");
    let rows = decode(path, &bytes);
    assert_eq!(file["rows"], rows.len() as u64, "rows of `{path}`");
    rows
}

fn check_file(destination: &TestDestination, manifest: &Value, file: &Value) {
    let path = text(&file["path"]);
    let rows = check_object(destination, file);
    if let Some(column) = manifest["window_column"].as_str() {
        let times: BTreeSet<String> = rows.iter().map(|row| padded(text(&row[column]))).collect();
        let bounds = (times.first(), times.last());
        let recorded = ["window_min", "window_max"].map(|end| padded(text(&file[end])));
        assert_eq!(bounds, (Some(&recorded[0]), Some(&recorded[1])), "`{path}`");
    }

    let extension = match text(&manifest["format"]) {
        "json" => "json.gz",
        "parquet" => "parquet",
        other => panic!("no format `{other}`"),
    };
    let folders = file["partition"].as_object().expect("an object").iter();
    let columns: Vec<&str> = list(&manifest["partition_by"])
        .iter()
        .map(|column| text(&column["name"]))
        .collect();
    assert_eq!(folders.clone().count(), columns.len(), "`{path}`");
    let folders: String = columns
        .iter()
        .map(|column| format!("{column}={}/", text(&file["partition"][column])))
        .collect();
    let start = format!("data/{}/{folders}data-", text(&manifest["table"]));
    let number = path
        .strip_prefix(&start)
        .and_then(|rest| rest.strip_suffix(&format!(".{extension}")))
        .unwrap_or_else(|| panic!("`{path}` is not `{start}….{extension}`"));
    assert!(
        number.len() == 12 && number.bytes().all(|digit| digit.is_ascii_digit()),
        "`{path}` is not numbered with twelve digits"
    );
}

fn check_sums(manifest: &Value) {
    for of in ["rows", "bytes"] {
        let files = list(&manifest["files"]).iter();
        let sum: u64 = files.map(|file| file[of].as_u64().expect("a count")).sum();
        assert_eq!(manifest[of], sum, "{of} of {}", manifest["table"]);
    }
}

/// Checks that log entries are numbered from 1 without gaps, and that the newest one has its manifest.
fn check_log(destination: &TestDestination, table: &str) {
    let entries = destination.keys_below(&format!("_dayport/log/{table}/"));
    let numbers: Vec<String> = (1..=entries.len())
        .map(|number| format!("_dayport/log/{table}/{number:020}.json"))
        .collect();
    assert_eq!(entries, numbers);
    let newest = parse(&destination.read(entries.last().expect("a log")));
    if newest["action"]["kind"] == "publish" {
        let announced = &newest["action"]["manifest"];
        let key = format!(
            "manifests/{table}/{}.r{}.json",
            text(&announced["cycle"]["id"]),
            announced["revision"]
        );
        assert!(
            destination.find(&key).is_some(),
            "`{key}` is in the log alone"
        );
    }
}

/// Parses `manifests/<table>/<cycle>.r<revision>.json`.
fn manifest_name(key: &str) -> (String, String, u64) {
    let parse = || {
        let (table, name) = key.strip_prefix("manifests/")?.split_once('/')?;
        let (cycle, revision) = name.strip_suffix(".json")?.split_once(".r")?;
        Some((table.to_owned(), cycle.to_owned(), revision.parse().ok()?))
    };
    parse().unwrap_or_else(|| panic!("`{key}` is not a manifest"))
}

/// Pads `…T00:00:00Z` and `…T00:00:00.000001Z` to one length, so that texts sort as instants.
fn padded(instant: &str) -> String {
    let bare = instant.strip_suffix('Z').expect("UTC");
    let (seconds, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    format!("{seconds}.{fraction:0<6}Z")
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[track_caller]
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a text"))
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is not a list"))
}
