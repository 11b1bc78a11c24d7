//! The rows that the definitions promise, computed from the raw files without SQL.
//!
//! An exported row is the raw object reduced to the columns of the manifest: fields that are null
//! or absent are left out, and instants have one form.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

use crate::support::{FIRST_DAY, SECOND_DAY, THIRD_DAY, instant, number_of, repository};

const DAYS: [&str; 3] = [FIRST_DAY, SECOND_DAY, THIRD_DAY];

/// The raw events, read once for all tables of events.
static EVENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let hours = DAYS
        .iter()
        .flat_map(|day| (0..24).map(move |hour| (day, hour)));
    hours
        .flat_map(|(day, hour)| raw(&format!("events/date={day}/hour={hour:02}/events.json.gz")))
        .collect()
});

/// The tables of events, with their event types.
pub(super) const EVENT_TABLES: [(&str, &str); 7] = [
    ("formsubmission_events", "FormSubmission"),
    ("pageview_events", "Pageview"),
    ("pageviewengagement_events", "PageviewEngagement"),
    ("segmententry_events", "SegmentEntry"),
    ("slotclicked_events", "SlotClicked"),
    ("slotviewable_events", "SlotViewable"),
    ("videoview_events", "Videoview"),
];

/// Returns the events of one type in the 24 hours of a day, from all files.
pub(super) fn events(name: &str, day: &str, schema: &Value) -> Vec<Value> {
    let of_day = EVENTS.iter().filter(|event| is_in_day(event, day));
    of_day
        .filter(|event| event["name"] == name)
        .map(|event| {
            let mut row = reduced(event, schema);
            // Receivers are promised a list, and a struct of properties.
            let members = row.as_object_mut().expect("an object");
            members.entry("segments").or_insert(json!([]));
            members.entry("properties").or_insert(json!({}));
            row
        })
        .collect()
}

pub(super) fn aliases(day: &str, schema: &Value) -> Vec<Value> {
    let raw = DAYS
        .iter()
        .flat_map(|day| raw(&format!("aliases/date={day}/aliases.json.gz")));
    raw.filter(|alias| is_in_day(alias, day))
        .map(|alias| reduced(&alias, schema))
        .collect()
}

/// Returns the domains of the newest dump.
pub(super) fn domains(schema: &Value) -> Vec<Value> {
    let dump = raw(&format!("domains/date={THIRD_DAY}/domains.json.zst"));
    dump.iter().map(|domain| reduced(domain, schema)).collect()
}

/// Returns the record with the latest `updated_at` of each cohort.
pub(super) fn cohorts(schema: &Value) -> Vec<Value> {
    let mut latest: BTreeMap<(String, String), Value> = BTreeMap::new();
    for day in DAYS {
        for cohort in raw(&format!("cohorts/date={day}/cohorts.json")) {
            let key = (cohort["workspace_id"].to_string(), cohort["id"].to_string());
            let known = latest.get(&key);
            if known.is_none_or(|known| at(&known["updated_at"]) < at(&cohort["updated_at"])) {
                latest.insert(key, cohort);
            }
        }
    }
    latest
        .values()
        .map(|cohort| reduced(cohort, schema))
        .collect()
}

/// Reads the objects of a file below `fixtures/raw`.
fn raw(path: &str) -> Vec<Value> {
    let stored = fs::read(repository().join("fixtures/raw").join(path)).expect("a fixture");
    let mut text = String::new();
    match Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str())
    {
        Some("gz") => {
            let mut gzip = GzDecoder::new(stored.as_slice());
            gzip.read_to_string(&mut text).expect("gzip of UTF-8 text");
        }
        Some("zst") => {
            let bytes = zstd::decode_all(stored.as_slice()).expect("zstd");
            text = String::from_utf8(bytes).expect("UTF-8");
        }
        _ => text = String::from_utf8(stored).expect("UTF-8"),
    }
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn is_in_day(row: &Value, day: &str) -> bool {
    let time = at(&row["time"]);
    let start = at(&json!(format!("{day}T00:00:00Z")));
    (start..start + chrono::TimeDelta::days(1)).contains(&time)
}

fn at(instant: &Value) -> DateTime<Utc> {
    let text = instant.as_str().expect("a text");
    DateTime::parse_from_rfc3339(text)
        .expect("RFC 3339")
        .to_utc()
}

/// Reduces an object to the members that are columns (or fields of a struct), without nulls.
fn reduced(object: &Value, columns: &Value) -> Value {
    let mut members = Map::new();
    for column in columns.as_array().expect("a list of columns") {
        let name = column["name"].as_str().expect("a name");
        let value = converted(&object[name], &column["type"]);
        if !value.is_null() {
            members.insert(name.to_owned(), value);
        }
    }
    Value::Object(members)
}

fn converted(raw: &Value, kind: &Value) -> Value {
    if raw.is_null() {
        return Value::Null;
    }
    match kind.as_str() {
        Some("timestamp") => instant(at(raw).timestamp_micros()).into(),
        // `1` and `1.0` are one value.
        Some("float64") => number_of(raw.as_f64().expect("a number")),
        Some("string") => raw.as_str().expect("a text").into(),
        Some("int32" | "int64") => raw.as_i64().expect("a whole number").into(),
        Some("boolean") => raw.as_bool().expect("true or false").into(),
        Some(other) => panic!("no column of the fixtures is a {other}"),
        None if kind["list"].is_object() => {
            let items = raw.as_array().expect("a list").iter();
            items
                .map(|item| converted(item, &kind["list"]["type"]))
                .collect()
        }
        None => reduced(raw, &kind["struct"]),
    }
}
