//! Sources and tables that are found in files of other forms.

use serde_json::json;

use super::{DAY, counts, export, sql};
use crate::support::{Sandbox, TestDestination, for_each_destination, gzip, lines};

for_each_destination!(several_sources_of_several_kinds);

/// Each kind of folders below `--from` is a source, whatever it is compressed by.
fn several_sources_of_several_kinds(destination: TestDestination) {
    let sandbox = Sandbox::empty(destination);
    let view = |id: u64, time: &str| json!({"id": id, "event": "view", "time": time, "page": "/"});
    let first = lines([
        view(1, "2026-01-15T03:00:00Z"),
        view(2, "2026-01-15T03:59:59Z"),
    ]);
    let late = lines([view(3, "2026-01-15T04:01:00Z")]);
    sandbox.write(
        "raw/web/year=2026/month=01/day=15/hour=03/a.json.gz",
        gzip(&(first + &late)),
    );
    let user = json!({"user": "007", "seen": "2026-01-15T03:00:00.5+02:00"});
    sandbox.write("raw/crm/users/u.jsonl", lines([user]));
    sandbox.write("raw/crm/README.md", "# Not data");
    sandbox.write("raw/_SUCCESS", "");

    sandbox.dayport(&["init", "--from", "raw"]).succeeded();

    assert_eq!(counts(&export(&sandbox)), "users 1, view_events 3");
    let web = sql(&sandbox, "sources/web.sql");
    assert!(
        web.contains("PARTITIONED BY (year, month, day, hour)\nLOCATION 'web/'"),
        "{web}"
    );
    // The last row is 61 seconds behind its hour.
    assert!(
        web.contains("'time_column' 'time', 'time_slack' '5 minutes'"),
        "{web}"
    );
    let users = sql(&sandbox, "sources/users.sql");
    assert!(users.contains("\"user\" VARCHAR"), "{users}");
    assert!(
        users.contains("-- converted to UTC from other zones"),
        "{users}"
    );
}

/// A bucket is sampled through the client of the sources.
#[test]
fn a_bucket() {
    let sandbox = Sandbox::empty(TestDestination::s3());
    let server = sandbox.destination.server();
    server.create_bucket("raw-events");
    for day in 10..20 {
        let row = json!({"id": day, "type": "a", "created_at": format!("2026-01-{day}T01:00:00Z")});
        let other =
            json!({"id": day, "type": "b", "created_at": format!("2026-01-{day}T01:00:00Z")});
        let key = format!("in/events/date=2026-01-{day}/x.json.gz");
        server.put("raw-events", &key, gzip(&lines([row, other])));
    }
    let from = "s3://raw-events/in/";

    sandbox
        .dayport(&["init", "--from", from])
        .succeeded()
        .stdout_has("events: 20 rows in 10 files of `events/`, folders (date), time `created_at`, 2 events by `type`")
        .stdout_has("dayport run --from s3://raw-events/in/ --to out");

    let to = sandbox.destination.url();
    sandbox
        .dayport(&["run", "--from", from, "--to", &to, "--date", DAY])
        .succeeded();
    sandbox
        .dayport(&["verify", "--to", &to])
        .succeeded()
        .stdout_has("2 rows");
}

/// Parquet files have types already: dayport's own export is one.
#[test]
fn parquet() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let rows = [
        json!({"id": 1, "time": "2026-01-15T03:00:00Z", "a": {"b": [1.5], "c": null}, "type": "x"}),
        json!({"id": 2, "time": "2026-01-15T04:00:00Z", "a": null, "type": "y"}),
    ];
    sandbox.write("raw/hits/a.json", lines(rows));
    sandbox
        .dayport(&[
            "init",
            "--from",
            "raw",
            "--one-table",
            "hits",
            "--sql",
            "first",
        ])
        .succeeded();
    let export_first = [
        "run", "--from", "raw", "--sql", "first", "--to", "parquet", "--date", DAY,
    ];
    sandbox.dayport(&export_first).succeeded();
    std::fs::remove_dir_all(sandbox.folder().join("raw")).unwrap();
    std::fs::rename(
        sandbox.folder().join("parquet/data"),
        sandbox.folder().join("raw"),
    )
    .unwrap();

    sandbox.dayport(&["init", "--from", "raw"]).succeeded();

    let declaration = sql(&sandbox, "sources/hits.sql");
    assert!(
        declaration.contains("STORED AS PARQUET\nPARTITIONED BY (year, month, day)"),
        "{declaration}"
    );
    assert!(
        declaration.contains("a STRUCT<b DOUBLE[], c VARCHAR>"),
        "{declaration}"
    );
    let exported = export(&sandbox);
    assert_eq!(counts(&exported), "x_events 1, y_events 1");
    assert_eq!(exported["x_events"][0]["a"]["b"], json!([1.5]));
}

/// Folders whose day is not that of any column: the day of the folder is the cycle, so no row is lost.
#[test]
fn the_day_of_the_folders_goes_before_a_time_that_does_not_agree() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let user = |id: u64| json!({"id": id, "created_at": format!("2019-0{id}-01T00:00:00Z")});
    sandbox.write("raw/users/date=2026-01-15/a.json", lines((1..=9).map(user)));
    sandbox.dayport(&["init", "--from", "raw"]).succeeded();
    assert_eq!(counts(&export(&sandbox)), "users 9");
    assert!(sql(&sandbox, "users.sql").contains("WHERE date >= $window_start"));

    sandbox.write(
        "raw/accounts/year=2026/month=1/day=15/a.json",
        lines((1..=3).map(user)),
    );
    let args = ["init", "--from", "raw/accounts", "--sql", "other"];
    sandbox.dayport(&args).succeeded();
    let run = [
        "run",
        "--from",
        "raw/accounts",
        "--sql",
        "other",
        "--to",
        "out",
        "--date",
        DAY,
    ];
    sandbox.dayport(&run).succeeded().stdout_has("accounts");
    sandbox
        .dayport(&["verify", "--to", "out"])
        .succeeded()
        .stdout_has("3 rows");
}

/// Rows without a time are a snapshot.
#[test]
fn rows_without_a_time_are_a_snapshot() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let country = |code: &str| json!({"code": code, "code\"x": 1, "": 2});
    sandbox.write(
        "raw/countries/a.json",
        lines([country("SE"), country("DE")]),
    );
    sandbox
        .dayport(&["init", "--from", "raw"])
        .succeeded()
        .stdout_has("left out: `\"\"`: its name is empty");
    assert_eq!(counts(&export(&sandbox)), "countries 2");
    let definition = sql(&sandbox, "countries.sql");
    assert!(
        definition.contains("each cycle replaces the whole table"),
        "{definition}"
    );
    assert!(definition.ends_with(") TO 'countries';\n"), "{definition}");
}

/// Rows of events beyond the limit of tables, and rows without a name, are in a table of their own.
#[test]
fn no_event_is_lost() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let names = ["kind a", "kind b", "kind c", "kind d", "kind e"];
    let row = |id: usize| {
        let name = (id % 25 < 24).then(|| names[id % 5]);
        json!({"id": id, "event": name, "time": "2026-01-15T01:00:00Z"})
    };
    sandbox.write("raw/hits/a.json", lines((0..50).map(row)));
    sandbox
        .dayport(&["init", "--from", "raw", "--max-tables", "3"])
        .succeeded();
    assert_eq!(
        counts(&export(&sandbox)),
        "kind_a_events 10, kind_b_events 10, other_hits 30"
    );
}

/// A value that the decoder rejects is found out before anything is written.
#[test]
fn the_decoder_reads_the_sample_before_anything_is_written() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let row = |id: u64, born: &str| json!({"id": id, "at": "2026-01-15T01:00:00Z", "user": {"born": [born]}});
    let born = "0000-01-01";
    sandbox.write(
        "raw/hits/a.json",
        lines([row(1, "1990-01-01"), row(2, born)]),
    );
    sandbox.dayport(&["init", "--from", "raw"]).succeeded();
    let declaration = sql(&sandbox, "sources/hits.sql");
    let expected = "born VARCHAR[]  -- most are times, others are not (`hits/a.json` line 2)";
    assert!(declaration.contains(expected), "{declaration}");
    let exported = export(&sandbox);
    let found = exported["hits"]
        .iter()
        .filter(|row| row["user"]["born"][0] == born);
    assert_eq!(found.count(), 1);
}

/// Keys of several kinds, and a key that the export needs for itself.
#[test]
fn columns_are_what_the_rows_have() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let text = "{\"id\":1,\"time\":\"2026-01-15T01:00:00Z\",\"day\":\"2026-01-15\",\"n\":1}\n\
                {\"id\":2,\"time\":\"2026-01-15T01:00:00Z\",\"day\":\"2026-01-16\",\"n\":\"01\"}\n\
                {\"id\":3,\"time\":\"2026-01-15T01:00:00Z\",\"day\":null,\"n\":1,\"n\":2}\n";
    sandbox.write("raw/hits/a.json", text);
    sandbox
        .dayport(&["init", "--from", "raw"])
        .succeeded()
        .stdout_has("left out: `n`: it is a number in `hits/a.json` line 1, a string in `hits/a.json` line 2");
    let exported = export(&sandbox);
    assert_eq!(counts(&exported), "hits 3");
    let days = exported["hits"]
        .iter()
        .filter(|row| row["day_2"] == "2026-01-15");
    assert_eq!(days.count(), 1, "`day` is a column of the export already");
}

/// Rows that no cycle would export are said, or the folders say their cycle.
#[test]
fn rows_without_the_time_of_the_others() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let rows = [
        json!({"id": 1, "time": "2026-01-15T01:00:00Z"}),
        json!({"id": 2, "time": "2026-01-15T02:00:00Z"}),
        json!({"id": 3, "time": null}),
    ];
    sandbox.write("raw/hits/a.json", lines(rows.clone()));
    sandbox
        .dayport(&["init", "--from", "raw"])
        .succeeded()
        .stdout_has("No cycle exports 1 row of the sample with no time.");
    assert_eq!(counts(&export(&sandbox)), "hits 2");

    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write("raw/hits/date=2026-01-15/a.json", lines(rows));
    sandbox
        .dayport(&["init", "--from", "raw"])
        .succeeded()
        .stdout_has("time of the folders");
    assert_eq!(counts(&export(&sandbox)), "hits 3");
}

/// Columns of folders that say no time are exported, and are members of the lines of test cases.
#[test]
fn other_folders_are_columns() {
    let sandbox = Sandbox::empty(TestDestination::local());
    for org in ["007", "a%2Fb"] {
        let row = json!({"id": 1, "at": "2026-01-15T01:00:00Z", "Org": "x"});
        sandbox.write(
            &format!("raw/hits/org={org}/date=2026-01-15/a.json"),
            lines([row]),
        );
    }
    sandbox.dayport(&["init", "--from", "raw"]).succeeded();
    let exported = export(&sandbox);
    assert_eq!(counts(&exported), "hits 2");
    let orgs: Vec<&str> = exported["hits"]
        .iter()
        .filter_map(|row| row["org_2"].as_str())
        .collect();
    assert!(orgs.contains(&"007") && orgs.contains(&"a/b"), "{orgs:?}");
    let case = sql(&sandbox, "tests/hits/sample/hits.jsonl");
    assert!(
        case.contains("\"org\":\"007\"}") && case.contains("\"org\":\"a/b\"}"),
        "{case}"
    );
    sandbox.dayport(&["test", "--update"]).exited_with(0);
    sandbox.dayport(&["test"]).exited_with(0);
}
