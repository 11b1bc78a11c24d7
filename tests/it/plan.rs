//! `dayport plan`: reports what a run would do, and writes nothing.

use serde_json::{Value, json};

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{CommandOutput, Sandbox, TestDestination, for_each_destination};
use crate::world::{set_sites, set_views, world};

for_each_destination!(
    the_plan_matches_the_run_that_follows,
    nothing_is_written,
    a_rerun_names_the_files_it_replaces,
    guards_that_would_stop_a_run_are_predicted,
    all_errors_are_reported_at_once,
);

fn plan(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let to = sandbox.destination.url();
    sandbox.dayport(&[&["plan", "--from", "raw", "--to", &to], args].concat())
}

/// Returns table, cycle and step of each line of the plan.
fn steps(output: &CommandOutput) -> Vec<String> {
    let plan = output.report();
    let tables = plan["tables"].as_array().expect("tables");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |table: &Value| {
        let [name, cycle, step] = ["table", "cycle", "plan"].map(|key| text(&table[key]));
        format!("{name} {cycle} {step}")
    };
    tables.iter().map(line).collect()
}

const JSON: [&str; 2] = ["--output", "json"];

fn the_plan_matches_the_run_that_follows(destination: TestDestination) {
    let mut sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-13"]).succeeded();
    let planned = plan(&sandbox, &JSON).succeeded();
    let expected = [
        "sites 2026-01-16 publish",
        "views 2026-01-14 publish",
        "views 2026-01-15 publish",
        "views 2026-01-16 publish",
    ];
    assert_eq!(steps(&planned), expected);
    let output = sandbox.run(&JSON).succeeded();
    let published = expected.map(|step| format!("{step}ed"));
    assert_eq!(output.results(), published);
    // The planned sources are those that the run has read.
    for table in [0, 1, 3] {
        let planned_source = planned_source(&planned, table);
        let read_source = &output.report()["tables"][table]["sources"][0];
        for key in ["name", "files", "bytes"] {
            assert_eq!(
                planned_source[key], read_source[key],
                "{key} of {planned_source}"
            );
        }
    }

    sandbox.set_clock("2026-01-18T03:00:00Z");
    set_views(&sandbox, 17, &[]);
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
    text.stdout_has("nothing is due").stdout_has("0 to publish");
}

fn planned_source(output: &CommandOutput, table: usize) -> Value {
    output.report()["tables"][table]["sources"][0].clone()
}

fn nothing_is_written(destination: TestDestination) {
    let sandbox = world(destination);
    let before = plan(&sandbox, &[]).succeeded();
    before.stdout_has("2 to publish");
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
    if let TestDestination::S3(server) = &sandbox.destination {
        let writes = server
            .calls()
            .iter()
            .filter(|call| call.operation.is_write())
            .count();
        assert_eq!(writes, 0);
    }

    // A missing folder is not created either.
    let missing = sandbox.folder().join("not/there");
    let to = missing.display().to_string();
    sandbox
        .dayport(&["plan", "--from", "raw", "--to", &to])
        .succeeded()
        .stdout_has("2 to publish");
    assert!(!missing.exists());
}

fn a_rerun_names_the_files_it_replaces(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let before = sandbox.destination.contents();
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
        .stdout_has("publish as revision 1, replacing 1 file with 1 row");
    assert_eq!(sandbox.destination.contents(), before);
}

fn guards_that_would_stop_a_run_are_predicted(destination: TestDestination) {
    let sandbox = world(destination);
    set_sites(&sandbox, 50);
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    set_sites(&sandbox, 3);
    let planned = plan(&sandbox, &["sites"]).exited_with(0);
    planned
        .stderr_has("the 50 rows to be replaced")
        .stderr_has("--max-shrink 50 may stop it");
    sandbox
        .run(&["sites"])
        .exited_with(1)
        .stderr_has("more than 50 % would be gone");
    plan(&sandbox, &["sites", "--allow-shrink"]).succeeded();
    sandbox.run(&["sites", "--allow-shrink"]).succeeded();
}

fn all_errors_are_reported_at_once(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.write("sql/sites.sql", "COPY (SELECT id FROM sites) TO 'pages'");
    sandbox.write(
        "sql/sources/one.sql",
        "CREATE EXTERNAL TABLE one (id BIGINT",
    );
    sandbox.write("sql/sources/two.sql", "SELECT 1");
    let args = ["--date", "2026-1-5", "--jobs", "0", "--max-rejects", "some"];
    let output = plan(&sandbox, &args).exited_with(2);
    for complaint in [
        "sql/sites.sql:1: COPY goes TO 'pages'",
        "sql/sources/one.sql:1",
        "sql/sources/two.sql:1",
        "--date: `2026-1-5` is not a day",
        "--jobs 0",
        "--max-rejects: `some`",
    ] {
        assert!(
            output.stderr.contains(complaint),
            "no `{complaint}` in\n{output}"
        );
    }
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
}

/// The metadata of Parquet sources gives the number of rows without reading them.
#[test]
fn rows_of_parquet_sources_are_counted() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
    let file = sandbox
        .destination
        .read("data/sites/data-000000000000.parquet");
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

/// A committed but unfinished cycle counts as published, because the run will finish it first.
#[test]
fn an_unfinished_publication_is_finished_first() {
    let mut sandbox = world(TestDestination::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    let server = sandbox.destination.server();
    let dead = Fault::on(
        Operation::CompleteMultipartUpload,
        Action::Before(Failure::Hangup),
    );
    server.inject(dead.crash_at(1));
    let broken = sandbox.run(&["--date", "2026-01-15", "views"]);
    assert_ne!(broken.code, 0);
    sandbox.destination.server().clear_faults();

    let before = sandbox.destination.contents();
    let planned = plan(&sandbox, &["views"]).exited_with(0);
    planned
        .stdout_has("views  incremental  2026-01-16")
        .stderr_has("first finishes the publication that run");
    assert_eq!(sandbox.destination.contents(), before);
    let output = sandbox.run(&["views", "--output", "json"]).succeeded();
    assert_eq!(output.results(), ["views 2026-01-16 published"]);
    let finished = sandbox
        .destination
        .find("manifests/views/2026-01-15.r0.json");
    assert!(finished.is_some());
}
