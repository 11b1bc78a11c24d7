//! `dayport trace`: where an event is, and why it is not in the export.

use serde_json::{Value, json};

use crate::support::{Place, Ran, Sandbox, gzip, in_both_places, lines};

in_both_places!(
    a_kept_row_is_found_in_source_and_export,
    a_dropped_row_names_the_condition,
    a_malformed_line_names_the_reason_and_its_record,
    an_unknown_event_is_not_found,
    what_is_published_outlives_its_source,
    an_event_that_came_after_the_run_is_told,
    rows_of_parquet_sources_are_numbered,
);

const DAY: &str = "2026-01-15";

const EVENTS: &str = "CREATE EXTERNAL TABLE events (
    event_id VARCHAR NOT NULL, name VARCHAR NOT NULL, n BIGINT, unread BIGINT,
    page STRUCT<url VARCHAR, title VARCHAR>,
    received TIMESTAMP(6) WITH TIME ZONE NOT NULL, time TIMESTAMP(6) WITH TIME ZONE NOT NULL, date DATE
  ) STORED AS JSON PARTITIONED BY (date) LOCATION 'events/'";

/// Partitioned by the day of the event, and bound to the day of receipt.
const CLICKS: &str = "COPY (
    SELECT event_id, received, n, page['url'] AS url, date_part('day', time) AS day
    FROM events
    WHERE name = 'click' AND n % 10 < 5 AND received >= $window_start AND received < $window_end
  ) TO 'clicks' PARTITIONED BY (day)";

/// By way of a subquery and a join.
const NAMED: &str = "COPY (
    SELECT event_id, label
    FROM (SELECT event_id, upper(name) AS name, received FROM events WHERE n IS NOT NULL)
    JOIN (VALUES ('CLICK', 'a click')) AS labels (key, label) ON name = key
    WHERE received >= $window_start AND received < $window_end
  ) TO 'named'";

fn event(id: &str, name: &str, n: Value, day: u64) -> Value {
    json!({
        "event_id": id, "name": name, "n": n,
        "received": format!("{DAY}T1{day}:00:00Z"),
        "time": format!("2026-01-1{day}T23:00:00.000001Z"),
    })
}

fn from(sandbox: &Sandbox) -> String {
    format!("{}/raw/", sandbox.place.url().trim_end_matches('/'))
}

fn raw_file() -> String {
    format!("raw/events/date={DAY}/events.json.gz")
}

/// The raw data is in the place too, and the day is exported.
fn exported(place: Place) -> Sandbox {
    let sandbox = Sandbox::empty(place);
    sandbox.write("sql/sources/events.sql", EVENTS);
    sandbox.write("sql/clicks.sql", CLICKS);
    sandbox.write("sql/named.sql", NAMED);
    let text = lines([
        event("first", "click", json!(11), 5),
        event("view", "view", json!(12), 5),
        event("late", "click", json!(13), 4),
        event("odd", "click", json!(16), 5),
        event("null", "click", Value::Null, 5),
        event("bad", "click", json!("many"), 5),
    ]);
    // JSON may be written in more than one way, and columns and leaves that no query reads may be
    // anything.
    let text = text + &lines([event("a/b", "click", json!(14), 5)]).replace("a/b", "a\\/b");
    let unread = event("unread", "click", json!(10), 5);
    let text = text
        + &unread
            .to_string()
            .replace('}', ",\"unread\":\"x\",\"page\":{\"title\":0}}");
    sandbox.place.put(&raw_file(), gzip(&text));
    let (from, to) = (from(&sandbox), sandbox.place.url());
    let run = ["run", "--from", &from, "--to", &to, "--date", DAY];
    let ran = sandbox.dayport(&[&run[..], &["--max-rejects", "1"]].concat());
    ran.ended(0);
    sandbox
}

fn trace(sandbox: &Sandbox, id: &str, args: &[&str]) -> Ran {
    let (from, to) = (from(sandbox), sandbox.place.url());
    let places = ["trace", id, "--date", DAY, "--from", &from, "--to", &to];
    sandbox.dayport(&[&places[..], args].concat())
}

/// The report of a trace that has found something.
#[track_caller]
fn traced(sandbox: &Sandbox, id: &str) -> Value {
    let ran = trace(sandbox, id, &["--output", "json"]).succeeded();
    ran.report()
}

/// What a table's definition makes of the only occurrence.
fn outcome(report: &Value, table: &str) -> Value {
    let tables = report["tables"].as_array().expect("a list");
    let table = tables.iter().find(|traced| traced["table"] == table);
    let seen = &table.expect("the table")["seen"];
    assert_eq!(seen.as_array().map(Vec::len), Some(1), "{report:#}");
    seen[0].clone()
}

fn a_kept_row_is_found_in_source_and_export(place: Place) {
    let sandbox = exported(place);
    let before = sandbox.place.contents();
    // Of the cycle's two files, the manifest says which can hold it: the other one is not opened.
    sandbox
        .place
        .delete("data/clicks/day=14/data-000000000000.parquet");
    let ran = trace(&sandbox, "first", &[]).succeeded();
    ran.says(&format!("events/date={DAY}/events.json.gz (byte 0)\n"))
        .says("events: line 1 of ")
        .says("\nclicks: kept, published in data/clicks/day=15/data-000000000000.parquet\n")
        .says("\nnamed: kept, published in data/named/data-000000000000.parquet\n")
        .says("  true   n % 10 < 5");
    let mut after = sandbox.place.contents();
    after.extend(before.clone());
    assert_eq!(after, before, "something was written");

    let report = traced(&sandbox, "a/b");
    assert_eq!(report["occurrences"][0]["line"], 7);
    assert_eq!(outcome(&report, "clicks")["result"], "kept");
    let report = traced(&sandbox, "unread");
    assert_eq!(outcome(&report, "clicks")["result"], "kept");
}

fn a_dropped_row_names_the_condition(place: Place) {
    let sandbox = exported(place);
    let ran = trace(&sandbox, "odd", &["clicks"]).succeeded();
    ran.says("\nclicks: dropped, not in the published files\n")
        .says("  FALSE  n % 10 < 5 ")
        .says("n % 10: 6\n");

    let report = traced(&sandbox, "null");
    let clicks = outcome(&report, "clicks");
    assert_eq!(clicks["result"], "dropped");
    let conditions = clicks["conditions"].as_array().expect("a list").iter();
    let holds: Vec<&Value> = conditions.map(|condition| &condition["holds"]).collect();
    assert_eq!(holds, ["true", "null", "true", "true"]);
    let named = outcome(&report, "named");
    let conditions = named["conditions"].as_array().expect("a list");
    let is_null = json!({
        "condition": "n IS NOT NULL",
        "holds": "false",
        "values": [{ "expression": "n", "value": "NULL" }],
    });
    assert!(conditions.contains(&is_null), "{named:#}");
    // The window is asked above the join.
    assert_eq!(conditions.len(), 3, "{named:#}");

    // All conditions hold, and the join finds no partner.
    let report = traced(&sandbox, "view");
    let named = outcome(&report, "named");
    assert_eq!(named["result"], "dropped");
    let conditions = named["conditions"].as_array().expect("a list");
    assert!(
        conditions
            .iter()
            .all(|condition| condition["holds"] == "true")
    );
}

fn a_malformed_line_names_the_reason_and_its_record(place: Place) {
    let sandbox = exported(place);
    let ran = trace(&sandbox, "bad", &["clicks"]).succeeded();
    ran.says("events: line 6 of ")
        .says("\nclicks: malformed, not in the published files\n  field `n`: ")
        .says(&format!("\n  set aside in rejects/events/{DAY}/clicks"));
}

fn an_unknown_event_is_not_found(place: Place) {
    let sandbox = exported(place);
    let ran = trace(&sandbox, "nobody", &[]).ended(1).hints("--date");
    ran.says("events: not in 1 files")
        .says("\nclicks: not in the published files\n");
    // A part of an id is not the id.
    trace(&sandbox, "firs", &[]).ended(1);
    let ran = trace(&sandbox, "first", &["nowhere"]).ended(2);
    ran.complains("the table `nowhere` is neither defined nor published");
}

fn what_is_published_outlives_its_source(place: Place) {
    let sandbox = exported(place);
    sandbox.place.delete(&raw_file());
    let ran = trace(&sandbox, "late", &[]).ended(0);
    let published = "published in data/clicks/day=14/data-000000000000.parquet\n";
    let ran = ran.says(&format!("\nclicks: {published}"));
    match &sandbox.place {
        // The empty folder is still there.
        Place::Local(_) => ran.says("events: not in 0 files"),
        Place::S3(_) => {
            ran.complains("warning: not searched: source `events`: there is nothing at")
        }
    };

    // A receiver has neither sources nor definitions.
    let receiver = Sandbox::empty(sandbox.place);
    let to = receiver.place.url();
    let args = ["trace", "late", "--date", DAY, "--to", &to];
    let ran = receiver.dayport(&args).succeeded();
    ran.says(&format!("\nclicks: {published}"));
}

fn an_event_that_came_after_the_run_is_told(place: Place) {
    let sandbox = exported(place);
    let new = lines([event("new", "click", json!(20), 5)]);
    let second = raw_file().replace("events.json", "more.json");
    sandbox.place.put(&second, gzip(&new));
    let ran = trace(&sandbox, "new", &["clicks"]).succeeded();
    ran.says("\nclicks: kept, not in the published files\n")
        .says("note: the files of the source `events` have changed since");
    // And twice in the source.
    sandbox.place.put(&second, gzip(&new.repeat(2)));
    let ran = trace(&sandbox, "new", &["clicks"]).succeeded();
    ran.says("[1] events: line 1 of ")
        .says("[2] events: line 2 of ")
        .says("\nclicks: [1] kept, [2] kept, not in the published files\n");
}

fn rows_of_parquet_sources_are_numbered(place: Place) {
    let sandbox = exported(place);
    let columns = "event_id VARCHAR, received TIMESTAMP(6) WITH TIME ZONE, n BIGINT, day INT";
    sandbox.write(
        "sql/sources/earlier.sql",
        format!(
            "CREATE EXTERNAL TABLE earlier ({columns}) STORED AS PARQUET PARTITIONED BY (day)
             LOCATION '../data/clicks/'"
        )
        .replace("../", ""),
    );
    sandbox.write(
        "sql/again.sql",
        "COPY (SELECT event_id, n FROM earlier WHERE n > 11 AND day = 15) TO 'again'",
    );
    let to = sandbox.place.url();
    let trace = |id: &str| {
        let args = ["trace", id, "again", "--date", DAY, "--from", &to];
        sandbox.dayport(&args)
    };
    let ran = trace("a/b").succeeded();
    ran.says("earlier: row 2 of ").says("\nagain: kept\n");
    let ran = trace("first").succeeded();
    ran.says("earlier: row 1 of ")
        .says("\nagain: dropped\n")
        .says("  FALSE  n > 11 ");
    // In the other partition, which the query does not read.
    trace("late").ended(1);
}
