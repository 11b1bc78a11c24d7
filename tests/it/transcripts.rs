//! Transcripts of the command line: arguments, exit code, stdout and stderr.

use serde_json::Value;

use crate::support::{CommandOutput, Sandbox, TestDestination};
use crate::world::{VIEWS, set_sites, world};

/// Compares a transcript with `transcripts/<name>.snap`.
fn assert_transcript(name: &str, sandbox: &Sandbox, output: &CommandOutput) {
    let text = sandbox.redacted(&output.to_string());
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::with_settings!({ snapshot_path => "transcripts" }, {
            insta::assert_snapshot!(name, text);
        });
    });
}

#[test]
fn help() {
    let sandbox = Sandbox::empty(TestDestination::local());
    for (name, args) in [
        ("help", &["--help"][..]),
        ("help_run", &["run", "--help"]),
        ("help_query", &["query", "--help"]),
        ("help_ddl", &["ddl", "--help"]),
        ("help_trace", &["trace", "--help"]),
        ("version", &["--version"]),
        ("no_arguments", &[]),
        ("missing_argument", &["run", "--from", "raw"]),
    ] {
        assert_transcript(name, &sandbox, &sandbox.dayport(args));
    }
}

/// Arguments of every run. The format is JSON, because sizes of Parquet files depend on the version of
/// the encoder.
const DAY: [&str; 4] = ["--date", "2026-01-15", "--format", "json"];

#[test]
fn runs() {
    let sandbox = world(TestDestination::local());
    let run = |args: &[&str]| sandbox.run(&[&DAY, args].concat());
    assert_transcript("first_run", &sandbox, &run(&[]));
    assert_transcript("skipped_run", &sandbox, &run(&[]));
    assert_transcript("rerun", &sandbox, &run(&["--rerun", "views"]));
    assert_transcript(
        "quiet_run",
        &sandbox,
        &run(&["--rerun", "views", "--quiet"]),
    );

    sandbox.run(&["--format", "json"]).succeeded();
    assert_transcript("nothing_due", &sandbox, &sandbox.run(&[]));
    let superseded = sandbox.run(&["--date", "2026-01-14", "sites"]);
    assert_transcript("superseded_run", &sandbox, &superseded);
}

#[test]
fn runs_that_fail() {
    let sandbox = world(TestDestination::local());
    let run = |args: &[&str]| sandbox.run(&[&DAY, args].concat());
    sandbox.write("raw/sites/sites.json", "{\"id\":1}\nnot JSON\n");
    assert_transcript("failed_run", &sandbox, &run(&[]));
    assert_transcript("failed_quiet_run", &sandbox, &run(&["--quiet", "sites"]));
    assert_transcript("unknown_table", &sandbox, &run(&["vews"]));
    assert_transcript(
        "open_cycle",
        &sandbox,
        &sandbox.run(&["--date", "2026-01-17"]),
    );

    sandbox.write(
        "sql/sites.sql",
        "COPY (\n  SELECT id, nme\n  FROM sites\n) TO 'sites'",
    );
    sandbox.write("sql/views.sql", "COPY (SELECT id FROM views) TO 'veiws'");
    assert_transcript("wrong_definitions", &sandbox, &run(&[]));
}

#[test]
fn runs_that_wait() {
    let sandbox = world(TestDestination::local());
    sandbox.remove("raw/views/date=2026-01-15/views.json");
    assert_transcript("awaited_run", &sandbox, &sandbox.run(&DAY));
}

/// The members of the report that differ from run to run or from machine to machine.
const VARYING: [&str; 4] = ["run_id", "digest", "destination", "etag"];

fn redact(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(members) => {
            for (name, member) in members {
                if VARYING.contains(&name.as_str()) && member.is_string() {
                    *member = Value::from(format!("[{}]", name.to_uppercase()));
                } else {
                    redact(member);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn reports_in_json() {
    let sandbox = world(TestDestination::local());
    sandbox.write(
        "sql/wrong.sql",
        "COPY (SELECT 1 / (id - 1) AS x FROM sites) TO 'wrong'",
    );
    for (name, args) in [
        ("json_report", &[][..]),
        ("json_report_of_a_skipped_run", &["views"]),
    ] {
        let mut output = sandbox.run(&[&DAY, args, &["--output", "json"]].concat());
        let mut report = output.report();
        redact(&mut report);
        output.stdout = format!("{report:#}\n");
        assert_transcript(name, &sandbox, &output);
    }
}

/// A key that is spelled in another case, and a column for which no line has a value.
#[test]
fn runs_over_keys_that_do_not_occur() {
    let sandbox = world(TestDestination::local());
    let sites = |columns: &str, query: &str| {
        let source =
            format!("CREATE EXTERNAL TABLE sites ({columns}) STORED AS JSON LOCATION 'sites/'");
        sandbox.write("sql/sources/sites.sql", source);
        sandbox.write(
            "sql/sites.sql",
            format!("COPY ({query} FROM sites) TO 'sites'"),
        );
        sandbox.run(&[&DAY[..], &["sites"]].concat())
    };
    sandbox.write("raw/sites/sites.json", "{\"siteId\":1}\n{\"siteId\":2}\n");
    let folded = sites("siteId BIGINT", "SELECT siteId");
    assert_transcript("key_in_another_case", &sandbox, &folded);
    set_sites(&sandbox, 2);
    let absent = sites("id BIGINT, owner VARCHAR", "SELECT id, owner");
    assert_transcript("absent_column", &sandbox, &absent);
}

/// A definition that changes between two cycles.
#[test]
fn runs_of_a_changed_definition() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&[&DAY[..], &["views"]].concat()).succeeded();
    let to = sandbox.destination.url();
    let changed = VIEWS.replace(
        "id, time, note",
        "CAST(id AS INT) AS id, time, upper(note) AS loud",
    );
    sandbox.write("sql/views.sql", changed);
    let next = ["--date", "2026-01-16", "--format", "json", "views"];
    let plan = ["plan", "--from", "raw", "--to", &to];
    let planned = sandbox.dayport(&[&plan[..], &next].concat());
    assert_transcript("plan_of_a_changed_definition", &sandbox, &planned);
    assert_transcript("changed_definition", &sandbox, &sandbox.run(&next));
    let accepted = sandbox.run(&[&next[..], &["--accept-schema"]].concat());
    assert_transcript("accepted_change", &sandbox, &accepted);
}
