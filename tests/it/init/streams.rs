//! Five event streams, written after their public documentation: each is exported whole without an edit by
//! hand.

use serde_json::{Value, json};

use super::{counts, export, sql};
use crate::support::{Sandbox, TestDestination, gzip};

const GH_ARCHIVE: &str = include_str!("samples/gharchive.jsonl");
const SNOWPLOW: &str = include_str!("samples/snowplow.jsonl");
const CLOUDTRAIL: &str = include_str!("samples/cloudtrail.json");
const WIKIPEDIA: &str = include_str!("samples/wikipedia.jsonl");
const GA4: &str = include_str!("samples/ga4.jsonl");

fn sandbox() -> Sandbox {
    Sandbox::empty(TestDestination::local())
}

fn init(sandbox: &Sandbox) {
    sandbox.dayport(&["init", "--from", "raw"]).succeeded();
}

#[test]
fn gh_archive() {
    let sandbox = sandbox();
    let lines: Vec<&str> = GH_ARCHIVE.lines().collect();
    for (hour, lines) in lines.chunks(20).enumerate() {
        let text = lines.join("\n") + "\n";
        sandbox.write(&format!("raw/2026-01-15-{hour}.json.gz"), gzip(&text));
    }
    init(&sandbox);

    let exported = export(&sandbox);
    assert_eq!(
        counts(&exported),
        "create_events 6, delete_events 2, fork_events 2, gollum_events 1, issue_comment_events 4, \
         issues_events 4, pull_request_events 4, push_events 14, watch_events 6"
    );
    let pushes = &exported["push_events"];
    assert!(
        pushes
            .iter()
            .all(|push| push["payload"]["push_id"].as_u64() >= Some(20_000_000_000))
    );
    assert!(
        pushes[0]["payload"].get("issue").is_none(),
        "of other events"
    );
    assert!(
        sql(&sandbox, "sources/events.sql")
            .contains("created_at TIMESTAMP(6) WITH TIME ZONE NOT NULL")
    );
}

#[test]
fn snowplow_enriched() {
    let sandbox = sandbox();
    sandbox.write(
        "raw/enriched/date=2026-01-15/hour=03/part-0.jsonl.gz",
        gzip(SNOWPLOW),
    );
    init(&sandbox);

    let exported = export(&sandbox);
    assert_eq!(
        counts(&exported),
        "add_to_cart_events 5, events 5, link_click_events 5, page_ping_events 10, page_view_events 15"
    );
    let declaration = sql(&sandbox, "sources/enriched.sql");
    assert!(declaration.contains("PARTITIONED BY (date, hour)"));
    assert!(
        declaration.contains("OPTIONS ('time_column' 'collector_tstamp');"),
        "{declaration}"
    );
    let cart = &exported["add_to_cart_events"][0];
    let sku = cart["unstruct_event_com_shop_add_to_cart_1"]["sku"].as_str();
    assert!(
        sku.unwrap().starts_with('0'),
        "a zero in front of an id stays"
    );
}

/// Trails are documents in dated folders. Their records as lines are exported in the same way.
#[test]
fn cloudtrail() {
    let trails = sandbox();
    let folder = "raw/AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/15";
    let file = format!("{folder}/111122223333_CloudTrail_us-east-1_20260115T0305Z_x.json.gz");
    trails.write(&file, gzip(CLOUDTRAIL));
    init(&trails);
    let declared = sql(&trails, "sources/us_east_1.sql");
    for part in [
        "LOCATION 'AWSLogs/111122223333/CloudTrail/us-east-1/{year}/{month}/{day}/'",
        "OPTIONS ('records' '$.Records[*]'",
    ] {
        assert!(declared.contains(part), "{declared}");
    }
    let document: Value = serde_json::from_str(CLOUDTRAIL).unwrap();
    let records = document["Records"].as_array().unwrap();
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    let in_lines = sandbox();
    in_lines.write(&format!("{folder}/x.json"), lines);
    init(&in_lines);
    let exported = export(&trails);
    assert_eq!(exported, export(&in_lines));
    assert_eq!(
        counts(&exported),
        "assume_role_events 6, console_login_events 6, describe_instances_events 6, get_object_events 6, \
         put_object_events 6"
    );
    let login = &exported["console_login_events"][0];
    assert_eq!(login["recipient_account_id"], "011122223333");
    assert!(login.get("resources").is_none(), "no login has any");
}

#[test]
fn wikipedia_recent_changes() {
    let sandbox = sandbox();
    sandbox.write("raw/recentchange/dt=2026-01-15/a.jsonl", WIKIPEDIA);
    sandbox
        .dayport(&["init", "--from", "raw"])
        .succeeded()
        .stdout_has(
            "left out: `log_params`: it is an object in `recentchange/dt=2026-01-15/a.jsonl` line",
        );

    let exported = export(&sandbox);
    assert_eq!(
        counts(&exported),
        "categorize_events 5, edit_events 25, log_events 5, new_events 5"
    );
    let declaration = sql(&sandbox, "sources/recentchange.sql");
    assert!(
        declaration.contains("'time_unit.timestamp' 's'"),
        "{declaration}"
    );
    assert_eq!(
        exported["edit_events"][0]["timestamp"],
        "2026-01-15T00:00:00Z"
    );
    assert_eq!(
        exported["edit_events"][0]["meta"]["offset"],
        5_000_000_000_u64
    );
}

#[test]
fn ga4() {
    let sandbox = sandbox();
    sandbox.write("raw/ga4/events_20260115.json", GA4);
    init(&sandbox);

    let exported = export(&sandbox);
    assert_eq!(
        counts(&exported),
        "first_visit_events 6, page_view_events 12, purchase_events 6, scroll_events 6, session_start_events 6"
    );
    let purchase = &exported["purchase_events"][0];
    assert_eq!(purchase["event_timestamp"], "2026-01-15T00:05:00.000005Z");
    assert_eq!(purchase["items"][0]["item_id"], "007");
    assert_eq!(purchase["ecommerce"]["total_item_quantity"], json!("2"));
}

/// Arrays, pretty-printed and joined objects are exported as lines are.
#[test]
fn documents_of_every_form() {
    let object = |id: u64| json!({"id": id, "time": "2026-01-15T03:00:00Z", "note": "}{"});
    let objects: Vec<Value> = (0..40).map(object).collect();
    let joined: String = objects.iter().map(Value::to_string).collect();
    let printed: String = objects
        .iter()
        .map(|object| format!("{object:#}\n"))
        .collect();
    let list = Value::from(objects.clone());
    for (text, option) in [
        (list.to_string(), None),
        (format!("{list:#}"), None),
        (printed.clone(), None),
        (printed.replace("{\n", "{"), Some("'records' '$'")),
        (joined, Some("'records' '$'")),
        (
            format!("{:#}", json!({ "items": list })),
            Some("'records' '$.items[*]'"),
        ),
    ] {
        let sandbox = sandbox();
        sandbox.write("raw/hits/date=2026-01-15/a.json", text);
        init(&sandbox);
        let declaration = sql(&sandbox, "sources/hits.sql");
        assert!(
            declaration.starts_with("-- JSON documents of "),
            "{declaration}"
        );
        match option {
            Some(option) => assert!(declaration.contains(option), "{declaration}"),
            None => assert!(!declaration.contains("'records'"), "{declaration}"),
        }
        assert_eq!(counts(&export(&sandbox)), "hits 40");
    }
}
