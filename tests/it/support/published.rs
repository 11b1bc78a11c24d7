//! The promise to the receiver, held against what is really there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Place, decode};

/// The manifests that make up each table now, oldest cycle first.
pub(crate) type Published = BTreeMap<String, Vec<Value>>;

/// One published manifest.
pub(crate) fn manifest(place: &Place, table: &str, cycle: &str, revision: u64) -> Value {
    let key = format!("manifests/{table}/{cycle}.r{revision}.json");
    parse(&place.read(&key))
}

/// What a receiver follows: of an incremental table the newest revision of each cycle, of a
/// snapshot the newest revision of the newest cycle.
pub(crate) fn current_manifests(place: &Place) -> Published {
    let mut newest: BTreeMap<(String, String), (u64, Value)> = BTreeMap::new();
    for key in place.keys_below("manifests/") {
        let (table, cycle, revision) = manifest_name(&key);
        let manifest = parse(&place.read(&key));
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

/// Everything that holds whenever no run is under way and none was interrupted.
#[track_caller]
pub(crate) fn check_published(place: &Place) -> Published {
    let published = check_data(place, &[]);
    check_tidy(place);
    published
}

/// That nothing unfinished is left behind.
#[track_caller]
pub(crate) fn check_tidy(place: &Place) {
    assert_eq!(place.leftovers(), Vec::<String>::new(), "left behind");
}

/// That the manifests are true, and that `data/` holds their files and the `foreign` ones alone.
#[track_caller]
pub(crate) fn check_data(place: &Place, foreign: &[&str]) -> Published {
    let published = current_manifests(place);
    let mut named: BTreeSet<String> = BTreeSet::new();
    for manifest in published.values().flatten() {
        for file in list(&manifest["files"]) {
            let path = text(&file["path"]);
            check_file(place, manifest, file);
            assert!(named.insert(path.to_owned()), "`{path}` is named twice");
        }
        check_sums(manifest);
    }
    check_rejects(place, &published);
    named.extend(foreign.iter().map(|key| (*key).to_owned()));
    let there: BTreeSet<String> = place.keys_below("data/").into_iter().collect();
    assert_eq!(there, named, "what is under data/, and what manifests name");
    for table in published.keys() {
        check_log(place, table);
    }
    published
}

/// That malformed lines are on record where the manifests say, and nowhere else.
fn check_rejects(place: &Place, published: &Published) {
    let mut named = BTreeSet::new();
    for manifest in published.values().flatten() {
        let files = manifest["rejects"].as_array().into_iter().flatten();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for file in files {
            let lines = check_object(place, file);
            let whole = |line: &Value| {
                text(&line["file"]).len() * text(&line["reason"]).len() > 0
                    && line["line"].is_u64()
                    && line["offset"].is_u64()
            };
            assert!(lines.iter().all(whole), "{lines:?}");
            counts.insert(text(&file["source"]), lines.len() as u64);
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
    let there: BTreeSet<String> = place.keys_below("rejects/").into_iter().collect();
    assert_eq!(
        there, named,
        "what is under rejects/, and what manifests name"
    );
}

/// That an object is the recorded one. Gives its rows.
fn check_object(place: &Place, file: &Value) -> Vec<Value> {
    let path = text(&file["path"]);
    let bytes = place
        .find(path)
        .unwrap_or_else(|| panic!("a manifest names `{path}`, which is not there"));
    assert_eq!(file["bytes"], bytes.len() as u64, "size of `{path}`");
    let sha256 = format!("{:x}", Sha256::digest(&bytes));
    assert_eq!(file["sha256"], sha256, "digest of `{path}`");
    assert_eq!(file["etag"], place.etag(path), "ETag of `{path}`");
    let rows = decode(path, &bytes);
    assert_eq!(file["rows"], rows.len() as u64, "rows of `{path}`");
    rows
}

fn check_file(place: &Place, manifest: &Value, file: &Value) {
    let path = text(&file["path"]);
    let rows = check_object(place, file);
    if let Some(column) = manifest["window_column"].as_str() {
        let times = rows.iter().map(|row| in_full(text(&row[column])));
        let times: BTreeSet<String> = times.collect();
        let bounds = (times.first(), times.last());
        let recorded = ["window_min", "window_max"].map(|end| in_full(text(&file[end])));
        assert_eq!(bounds, (Some(&recorded[0]), Some(&recorded[1])), "`{path}`");
    }

    let extension = match text(&manifest["format"]) {
        "json" => "json.gz",
        "parquet" => "parquet",
        other => panic!("no format `{other}`"),
    };
    let folders = file["partition"].as_object().expect("an object").iter();
    let columns = list(&manifest["partition_by"]).iter();
    let columns: Vec<&str> = columns.map(|column| text(&column["name"])).collect();
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

/// Entries are numbered from 1 without gaps, and the newest one has its manifest.
fn check_log(place: &Place, table: &str) {
    let entries = place.keys_below(&format!("_dayport/log/{table}/"));
    let numbers: Vec<String> = (1..=entries.len())
        .map(|number| format!("_dayport/log/{table}/{number:020}.json"))
        .collect();
    assert_eq!(entries, numbers);
    let newest = parse(&place.read(entries.last().expect("a log")));
    if newest["action"]["kind"] == "publish" {
        let announced = &newest["action"]["manifest"];
        let key = format!(
            "manifests/{table}/{}.r{}.json",
            text(&announced["cycle"]["id"]),
            announced["revision"]
        );
        assert!(place.find(&key).is_some(), "`{key}` is in the log alone");
    }
}

/// `manifests/<table>/<cycle>.r<revision>.json`
fn manifest_name(key: &str) -> (String, String, u64) {
    let parse = || {
        let (table, name) = key.strip_prefix("manifests/")?.split_once('/')?;
        let (cycle, revision) = name.strip_suffix(".json")?.split_once(".r")?;
        Some((table.to_owned(), cycle.to_owned(), revision.parse().ok()?))
    };
    parse().unwrap_or_else(|| panic!("`{key}` is not a manifest"))
}

/// `…T00:00:00Z` and `…T00:00:00.000001Z` in one length, so that texts sort as instants.
fn in_full(instant: &str) -> String {
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
