//! `dayport plan`: what a run would do, and nothing written.

use serde_json::{Value, json};

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Place, Ran, Sandbox, in_both_places};
use crate::world::{set_sites, world};

in_both_places!(
    it_tells_what_the_run_then_does,
    nothing_is_written,
    a_rerun_names_the_files_it_replaces,
    guards_that_would_stop_a_run_are_foreseen,
    what_is_wrong_comes_all_at_once,
);

fn plan(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let to = sandbox.place.url();
    sandbox.dayport(&[&["plan", "--from", "raw", "--to", &to], args].concat())
}

/// Table, cycle and step of each line of the plan.
fn steps(ran: &Ran) -> Vec<String> {
    let plan = ran.report();
    let tables = plan["tables"].as_array().expect("tables");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |table: &Value| {
        let [name, cycle, step] = ["table", "cycle", "plan"].map(|key| text(&table[key]));
        format!("{name} {cycle} {step}")
    };
    tables.iter().map(line).collect()
}

const JSON: [&str; 2] = ["--output", "json"];

fn it_tells_what_the_run_then_does(place: Place) {
    let mut sandbox = world(place);
    sandbox.run(&["--date", "2026-01-13"]).succeeded();
    let planned = plan(&sandbox, &JSON).succeeded();
    let expected = [
        "sites 2026-01-16 publish",
        "views 2026-01-14 publish",
        "views 2026-01-15 publish",
        "views 2026-01-16 publish",
    ];
    assert_eq!(steps(&planned), expected);
    let ran = sandbox.run(&JSON).succeeded();
    let published = expected.map(|step| format!("{step}ed"));
    assert_eq!(ran.results(), published);
    // The sources are those that the run read.
    for (planned, ran) in [(0, 0), (1, 1), (3, 3)].map(|(planned_at, ran_at)| {
        let planned = planned_source(&planned, planned_at);
        let ran = &ran.report()["tables"][ran_at]["sources"][0];
        (planned, ran.clone())
    }) {
        for key in ["name", "files", "bytes"] {
            assert_eq!(planned[key], ran[key], "{key} of {planned}");
        }
    }

    sandbox.set_clock("2026-01-18T03:00:00Z");
    let later = plan(&sandbox, &JSON).succeeded();
    assert_eq!(
        steps(&later),
        ["sites 2026-01-17 publish", "views 2026-01-17 publish"]
    );
    let again = plan(&sandbox, &["--date", "2026-01-15", "--output", "json"]).succeeded();
    assert_eq!(
        steps(&again),
        [
            "sites 2026-01-15 superseded",
            "views 2026-01-15 already_published"
        ]
    );
    sandbox.run(&[]).succeeded();
    let text = plan(&sandbox, &[]).succeeded();
    text.says("nothing is due").says("0 to publish");
}

fn planned_source(ran: &Ran, table: usize) -> Value {
    ran.report()["tables"][table]["sources"][0].clone()
}

fn nothing_is_written(place: Place) {
    let sandbox = world(place);
    let before = plan(&sandbox, &[]).succeeded();
    before.says("2 to publish");
    assert_eq!(sandbox.place.keys(), Vec::<String>::new());
    if let Place::S3(server) = &sandbox.place {
        let writes = server
            .calls()
            .iter()
            .filter(|call| call.operation.is_write())
            .count();
        assert_eq!(writes, 0);
    }

    // Nor a folder that is not there yet.
    let elsewhere = sandbox.folder().join("not/there");
    let to = elsewhere.display().to_string();
    sandbox
        .dayport(&["plan", "--from", "raw", "--to", &to])
        .succeeded()
        .says("2 to publish");
    assert!(!elsewhere.exists());
}

fn a_rerun_names_the_files_it_replaces(place: Place) {
    let sandbox = world(place);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let before = sandbox.place.contents();
    let rerun = ["--date", "2026-01-15", "--rerun"];
    let planned = plan(&sandbox, &[&rerun[..], &JSON].concat()).succeeded();
    let views = &planned.report()["tables"][1];
    assert_eq!(views["revision"], 1);
    let replaced = &views["replaces"];
    assert_eq!(replaced["manifest"], "manifests/views/2026-01-15.r0.json");
    assert_eq!(replaced["rows"], 1);
    assert_eq!(
        replaced["files"],
        json!(["data/views/year=2026/month=1/day=15/data-000000000000.parquet"])
    );
    assert_eq!(views["expected"]["rows"], 1);
    plan(&sandbox, &rerun)
        .succeeded()
        .says("publish as revision 1, replacing 1 file with 1 rows");
    assert_eq!(sandbox.place.contents(), before);
}

fn guards_that_would_stop_a_run_are_foreseen(place: Place) {
    let sandbox = world(place);
    set_sites(&sandbox, 50);
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    set_sites(&sandbox, 3);
    let planned = plan(&sandbox, &["sites"]).ended(0);
    planned
        .complains("the 50 rows to be replaced")
        .complains("--max-shrink 50 may stop it");
    sandbox
        .run(&["sites"])
        .ended(1)
        .complains("more than 50 % would be gone");
    plan(&sandbox, &["sites", "--allow-shrink"]).succeeded();
    sandbox.run(&["sites", "--allow-shrink"]).succeeded();
}

fn what_is_wrong_comes_all_at_once(place: Place) {
    let sandbox = world(place);
    sandbox.write("sql/sites.sql", "COPY (SELECT id FROM sites) TO 'pages'");
    sandbox.write(
        "sql/sources/one.sql",
        "CREATE EXTERNAL TABLE one (id BIGINT",
    );
    sandbox.write("sql/sources/two.sql", "SELECT 1");
    let args = ["--date", "2026-1-5", "--jobs", "0", "--max-rejects", "some"];
    let ran = plan(&sandbox, &args).ended(2);
    for complaint in [
        "sql/sites.sql:1: COPY goes TO 'pages'",
        "sql/sources/one.sql:1",
        "sql/sources/two.sql:1",
        "--date: `2026-1-5` is not a day",
        "--jobs 0",
        "--max-rejects: `some`",
    ] {
        assert!(ran.stderr.contains(complaint), "no `{complaint}` in\n{ran}");
    }
    assert_eq!(sandbox.place.keys(), Vec::<String>::new());
}

/// Rows of Parquet sources are known before they are read.
#[test]
fn rows_of_parquet_sources_are_counted() {
    let sandbox = world(Place::local());
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    let file = sandbox.place.read("data/sites/data-000000000000.parquet");
    sandbox.write("raw/copies/a.parquet", file.clone());
    sandbox.write("raw/copies/b.parquet", file);
    sandbox.write(
        "sql/sources/copies.sql",
        "CREATE EXTERNAL TABLE copies (id BIGINT, name VARCHAR) STORED AS PARQUET LOCATION 'copies/'",
    );
    sandbox.write("sql/copies.sql", "COPY (SELECT id FROM copies) TO 'copies'");
    let planned = plan(&sandbox, &["copies", "--output", "json"]).succeeded();
    let source = planned_source(&planned, 0);
    assert_eq!((&source["files"], &source["rows"]), (&json!(2), &json!(4)));
    let unknown = plan(&sandbox, &["views", "--output", "json"]).succeeded();
    assert_eq!(planned_source(&unknown, 0)["rows"], Value::Null);
}

/// A commit that was not finished is taken for published, as the run will make it.
#[test]
fn an_unfinished_publication_is_finished_first() {
    let mut sandbox = world(Place::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    let server = sandbox.place.server();
    let dead = Fault::on(
        Operation::CompleteMultipartUpload,
        Action::Before(Failure::Hangup),
    );
    server.inject(dead.crash_at(1));
    let broken = sandbox.run(&["--date", "2026-01-15", "views"]);
    assert_ne!(broken.code, 0);
    sandbox.place.server().clear_faults();

    let before = sandbox.place.contents();
    let planned = plan(&sandbox, &["views"]).ended(0);
    planned
        .says("views  incremental  2026-01-16")
        .complains("first finishes the publication that run");
    assert_eq!(sandbox.place.contents(), before);
    let ran = sandbox.run(&["views", "--output", "json"]).succeeded();
    assert_eq!(ran.results(), ["views 2026-01-16 published"]);
    let finished = sandbox.place.find("manifests/views/2026-01-15.r0.json");
    assert!(finished.is_some());
}
