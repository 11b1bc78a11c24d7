//! `dayport trace`: finds an event, or the reason why it is not in the export.

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination, for_each_destination, gzip, lines};

for_each_destination!(
    a_kept_row_is_found_in_source_and_export,
    a_dropped_row_names_the_condition,
    a_malformed_line_names_the_reason_and_its_record,
    an_unknown_event_is_not_found,
    a_published_event_outlives_its_source,
    an_event_that_arrived_after_the_run_is_reported,
    rows_of_parquet_sources_are_numbered,
);

const DAY: &str = "2026-01-15";

const EVENTS: &str = "CREATE EXTERNAL TABLE events (
    event_id VARCHAR NOT NULL, name VARCHAR NOT NULL, n BIGINT, unread BIGINT,
    page STRUCT<url VARCHAR, title VARCHAR>,
    received TIMESTAMP(6) WITH TIME ZONE NOT NULL, time TIMESTAMP(6) WITH TIME ZONE NOT NULL, date DATE
  ) STORED AS JSON PARTITIONED BY (date) LOCATION 'events/'";

/// A table that is partitioned by the day of the event, with a window over the instant of receipt.
const CLICKS: &str = "COPY (
    SELECT event_id, received, n, page['url'] AS url, date_part('day', time) AS day
    FROM events
    WHERE name = 'click' AND n % 10 < 5 AND received >= $window_start AND received < $window_end
  ) TO 'clicks' PARTITIONED BY (day)";

/// A table with a subquery and a join.
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
    format!("{}/raw/", sandbox.destination.url().trim_end_matches('/'))
}

fn raw_file() -> String {
    format!("raw/events/date={DAY}/events.json.gz")
}

/// Exports a day; the raw data is in the destination, too.
fn exported(destination: TestDestination) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    sandbox.write("sql/sources/events.sql", EVENTS);
    sandbox.write("sql/clicks.sql", CLICKS);
    sandbox.write("sql/named.sql", NAMED);
    let mut text = lines([
        event("first", "click", json!(11), 5),
        event("view", "view", json!(12), 5),
        event("late", "click", json!(13), 4),
        event("odd", "click", json!(16), 5),
        event("null", "click", Value::Null, 5),
        event("bad", "click", json!("many"), 5),
    ]);
    // The same JSON text has several spellings, and columns and leaves that no query reads may have any
    // value.
    text += &lines([event("a/b", "click", json!(14), 5)]).replace("a/b", "a\\/b");
    let unread = event("unread", "click", json!(10), 5);
    text += &unread
        .to_string()
        .replace('}', ",\"unread\":\"x\",\"page\":{\"title\":0}}");
    sandbox.destination.put(&raw_file(), gzip(&text));
    let (from, to) = (from(&sandbox), sandbox.destination.url());
    let run = ["run", "--from", &from, "--to", &to, "--date", DAY];
    let output = sandbox.dayport(&[&run[..], &["--max-rejects", "1"]].concat());
    output.exited_with(0);
    sandbox
}

fn trace(sandbox: &Sandbox, id: &str, args: &[&str]) -> CommandOutput {
    let (from, to) = (from(sandbox), sandbox.destination.url());
    let fixed = ["trace", id, "--date", DAY, "--from", &from, "--to", &to];
    sandbox.dayport(&[&fixed[..], args].concat())
}

/// Traces an event that must be found, and returns the report.
#[track_caller]
fn traced(sandbox: &Sandbox, id: &str) -> Value {
    let output = trace(sandbox, id, &["--output", "json"]).succeeded();
    output.report()
}

/// Returns the outcome of the only occurrence for a table.
fn outcome(report: &Value, table: &str) -> Value {
    let tables = report["tables"].as_array().expect("a list");
    let table = tables.iter().find(|traced| traced["table"] == table);
    let occurrences = &table.expect("the table")["seen"];
    assert_eq!(occurrences.as_array().map(Vec::len), Some(1), "{report:#}");
    occurrences[0].clone()
}

fn a_kept_row_is_found_in_source_and_export(destination: TestDestination) {
    let sandbox = exported(destination);
    let before = sandbox.destination.contents();
    // The manifest says which of the two files can contain the event: the other one is not opened.
    sandbox
        .destination
        .delete("data/clicks/day=14/data-000000000000.parquet");
    let output = trace(&sandbox, "first", &[]).succeeded();
    output
        .stdout_has(&format!("events/date={DAY}/events.json.gz (byte 0)\n"))
        .stdout_has("events: line 1 of ")
        .stdout_has("\nclicks: kept, published in data/clicks/day=15/data-000000000000.parquet\n")
        .stdout_has("\nnamed: kept, published in data/named/data-000000000000.parquet\n")
        .stdout_has("  true   n % 10 < 5");
    let mut after = sandbox.destination.contents();
    after.extend(before.clone());
    assert_eq!(after, before, "something was written");

    let report = traced(&sandbox, "a/b");
    assert_eq!(report["occurrences"][0]["line"], 7);
    assert_eq!(outcome(&report, "clicks")["result"], "kept");
    let report = traced(&sandbox, "unread");
    assert_eq!(outcome(&report, "clicks")["result"], "kept");
}

fn a_dropped_row_names_the_condition(destination: TestDestination) {
    let sandbox = exported(destination);
    let output = trace(&sandbox, "odd", &["clicks"]).succeeded();
    output
        .stdout_has("\nclicks: dropped, not in the published files\n")
        .stdout_has("  FALSE  n % 10 < 5 ")
        .stdout_has("n % 10: 6\n");

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
    // The condition on the window is above the join.
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

fn a_malformed_line_names_the_reason_and_its_record(destination: TestDestination) {
    let sandbox = exported(destination);
    let output = trace(&sandbox, "bad", &["clicks"]).succeeded();
    output
        .stdout_has("events: line 6 of ")
        .stdout_has("\nclicks: malformed, not in the published files\n  field `n`: ")
        .stdout_has(&format!("\n  set aside in rejects/events/{DAY}/clicks"));
}

fn an_unknown_event_is_not_found(destination: TestDestination) {
    let sandbox = exported(destination);
    let output = trace(&sandbox, "nobody", &[])
        .exited_with(1)
        .hint_has("--date");
    output
        .stdout_has("events: not in 1 file")
        .stdout_has("\nclicks: not in the published files\n");
    // A part of an id is not the id.
    trace(&sandbox, "firs", &[]).exited_with(1);
    let output = trace(&sandbox, "first", &["nowhere"]).exited_with(2);
    output.stderr_has("the table `nowhere` is neither defined nor published");
}

fn a_published_event_outlives_its_source(destination: TestDestination) {
    let sandbox = exported(destination);
    sandbox.destination.delete(&raw_file());
    let published = "published in data/clicks/day=14/data-000000000000.parquet\n";
    let output = trace(&sandbox, "late", &[])
        .exited_with(0)
        .stdout_has(&format!("\nclicks: {published}"));
    match &sandbox.destination {
        // The empty folder is still there.
        TestDestination::Local(_) => output.stdout_has("events: not in 0 files"),
        TestDestination::S3(_) => {
            output.stderr_has("warning: not searched: source `events`: there is nothing at")
        }
    };

    // A receiver has neither sources nor definitions.
    let receiver = Sandbox::empty(sandbox.destination);
    let to = receiver.destination.url();
    let args = ["trace", "late", "--date", DAY, "--to", &to];
    receiver
        .dayport(&args)
        .succeeded()
        .stdout_has(&format!("\nclicks: {published}"));
}

fn an_event_that_arrived_after_the_run_is_reported(destination: TestDestination) {
    let sandbox = exported(destination);
    let new = lines([event("new", "click", json!(20), 5)]);
    let second = raw_file().replace("events.json", "more.json");
    sandbox.destination.put(&second, gzip(&new));
    let output = trace(&sandbox, "new", &["clicks"]).succeeded();
    output
        .stdout_has("\nclicks: kept, not in the published files\n")
        .stdout_has("note: the files of the source `events` have changed since");
    // Now the event is in the source twice.
    sandbox.destination.put(&second, gzip(&new.repeat(2)));
    let output = trace(&sandbox, "new", &["clicks"]).succeeded();
    output
        .stdout_has("[1] events: line 1 of ")
        .stdout_has("[2] events: line 2 of ")
        .stdout_has("\nclicks: [1] kept, [2] kept, not in the published files\n");
}

fn rows_of_parquet_sources_are_numbered(destination: TestDestination) {
    let sandbox = exported(destination);
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
    let to = sandbox.destination.url();
    let trace = |id: &str| {
        let args = ["trace", id, "again", "--date", DAY, "--from", &to];
        sandbox.dayport(&args)
    };
    let output = trace("a/b").succeeded();
    output
        .stdout_has("earlier: row 2 of ")
        .stdout_has("\nagain: kept\n");
    let output = trace("first").succeeded();
    output
        .stdout_has("earlier: row 1 of ")
        .stdout_has("\nagain: dropped\n")
        .stdout_has("  FALSE  n > 11 ");
    // The event is in the other partition, which the query does not read.
    trace("late").exited_with(1);
}
