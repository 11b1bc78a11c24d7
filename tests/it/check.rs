//! `dayport check`: reports findings and leaves nothing behind.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::s3::{Action, Failure, Fault, Operation, Settings, TestS3};
use crate::support::{BUCKET, CommandOutput, Sandbox, TestDestination, for_each_destination};
use crate::world::{set_sites, world};

for_each_destination!(
    a_suitable_destination_is_left_unchanged,
    all_wrong_definitions_and_sources_are_reported_at_once,
    late_and_malformed_sources_are_findings,
    leftovers_of_killed_checks_are_removed,
);

fn check(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let to = sandbox.destination.url();
    let fixed = ["check", "--from", "raw", "--to", &to];
    sandbox.dayport(&[&fixed, args].concat())
}

/// Returns name and verdict of each item of the report.
fn verdicts(output: &CommandOutput) -> Vec<String> {
    let report = output.report();
    let items = report["items"].as_array().expect("items");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    items
        .iter()
        .map(|item| format!("{}: {}", text(&item["name"]), text(&item["verdict"])))
        .collect()
}

fn findings(output: &CommandOutput) -> Vec<Value> {
    let report = output.report();
    let items = report["items"].as_array().expect("items").clone();
    items
        .into_iter()
        .filter(|item| item["verdict"] == "finding")
        .collect()
}

/// Gives the bucket the settings that its owner should choose.
fn set_up(server: &TestS3) {
    let settings = Settings {
        public_access_blocked: true,
        aborts_uploads: Some(("acme/dayport/".to_owned(), 7)),
        ..Settings::default()
    };
    server.set(BUCKET, settings);
}

fn ready(destination: TestDestination) -> Sandbox {
    if let TestDestination::S3(server) = &destination {
        set_up(server);
    }
    let mut sandbox = world(destination);
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    sandbox
}

const JSON: [&str; 2] = ["--output", "json"];

fn a_suitable_destination_is_left_unchanged(destination: TestDestination) {
    let sandbox = ready(destination);
    let output = check(&sandbox, &JSON).succeeded();
    let is_s3 = matches!(sandbox.destination, TestDestination::S3(_));
    let both = ["definitions", "sites", "views"];
    let reach: &[&str] = if is_s3 {
        &["bucket", "region", "clock"]
    } else {
        &[]
    };
    let calls = ["list", "delete", "put", "create-if-absent", "read back"];
    let encryption: &[&str] = if is_s3 { &["encryption"] } else { &[] };
    let more: &[&str] = match is_s3 {
        true => &[
            "multipart",
            "abort",
            "schema files",
            "cycle markers",
            "newest cycle",
            "clean up",
        ],
        false => &["multipart", "abort", "clean up"],
    };
    let settings: &[&str] = match is_s3 {
        true => &["public access block", "versioning", "lifecycle"],
        false => &[],
    };
    let all = [&both[..], reach, &calls, encryption, more, settings].concat();
    let fine: Vec<String> = all.iter().map(|name| format!("{name}: fine")).collect();
    assert_eq!(verdicts(&output), fine);
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
    if let TestDestination::S3(server) = &sandbox.destination {
        assert_eq!(server.uploads(BUCKET), []);
        assert_eq!(server.count(Operation::CompleteMultipartUpload), 2);
    }

    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    let before = sandbox.destination.contents();
    check(&sandbox, &[]).succeeded().stdout_has("0 findings");
    assert_eq!(sandbox.destination.contents(), before);
}

fn all_wrong_definitions_and_sources_are_reported_at_once(destination: TestDestination) {
    let sandbox = ready(destination);
    sandbox.write("sql/sites.sql", "COPY (SELECT nme FROM sites) TO 'sites'");
    sandbox.write("sql/views.sql", "COPY (SELECT idd FROM views) TO 'views'");
    let output = check(&sandbox, &[]).exited_with(1);
    output
        .stdout_has("sql/sites.sql:1: ")
        .stdout_has("sql/views.sql:1: ")
        .stdout_has("2 findings")
        .stdout_has("put");

    sandbox.write("sql/views.sql", "COPY (SELECT id FROM views) TO 'pages'");
    sandbox.write("sql/sources/more.sql", "CREATE EXTERNAL TABLE more (id");
    let output = check(&sandbox, &[]).exited_with(1);
    output
        .stdout_has("COPY goes TO 'pages'")
        .stdout_has("sql/sources/more.sql:1")
        .stdout_has("2 findings");
    check(&sandbox, &["--jobs", "x"]).exited_with(2);
}

fn late_and_malformed_sources_are_findings(destination: TestDestination) {
    let sandbox = ready(destination);
    sandbox.write("raw/sites/sites.json", "{\"id\":1}\n{\"id\":\"one\"}\n");
    let output = check(&sandbox, &[]).exited_with(1);
    output
        .stdout_has("1 of 2 lines of the source")
        .stdout_has("sites.json` line 2");
    set_sites(&sandbox, 2);
    sandbox.write(
        "sql/sources/views.sql",
        "CREATE EXTERNAL TABLE views (
           id BIGINT NOT NULL, time TIMESTAMP(6) WITH TIME ZONE NOT NULL,
           received TIMESTAMP(6) WITH TIME ZONE NOT NULL, note VARCHAR, date DATE
         ) STORED AS JSON PARTITIONED BY (date) LOCATION 'views/' OPTIONS ('time_column' 'time')",
    );
    check(&sandbox, &[])
        .succeeded()
        .stdout_has("1 file, ")
        .stdout_has(" for 2026-01-16");
    sandbox.remove("raw/views/date=2026-01-16/views.json");
    check(&sandbox, &[])
        .exited_with(1)
        .stdout_has("there is no file for 2026-01-16");
}

fn leftovers_of_killed_checks_are_removed(destination: TestDestination) {
    let mut sandbox = ready(destination);
    let object = "_dayport/check/20260117T030000Z-0123456789ab";
    let foreign = "_dayport/check/readme";
    for key in [object, &format!("{object}-multipart"), foreign] {
        sandbox.destination.put(key, "dayport check");
    }
    sandbox.set_clock("2026-01-17T03:59:00Z");
    check(&sandbox, &[]).succeeded();
    assert_eq!(sandbox.destination.keys().len(), 3);
    sandbox.set_clock("2026-01-17T04:01:00Z");
    check(&sandbox, &[])
        .succeeded()
        .stdout_has("2 of killed checks deleted");
    assert_eq!(sandbox.destination.keys(), [foreign]);
}

/// Interrupts the check while its probe object exists.
#[test]
fn an_interrupted_check_leaves_nothing_behind() {
    let sandbox = ready(TestDestination::s3());
    let server = sandbox.destination.server();
    let silent = Action::Before(Failure::Silence);
    server.inject(Fault::on(Operation::GetObject, silent));
    let to = sandbox.destination.url();
    let child = sandbox
        .command(&["check", "--from", "raw", "--to", &to])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start dayport");
    assert!(
        server.wait_for_faults(1, Duration::from_secs(120)),
        "the probe object is not read back"
    );
    assert_eq!(sandbox.destination.keys().len(), 1);
    let id = child.id().to_string();
    let interrupted = Command::new("kill").args(["-TERM", &id]).status();
    assert!(interrupted.expect("run kill").success());
    let output = child.wait_with_output().expect("an end");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{stdout}{stderr}");
    assert!(stdout.contains("not tried: interrupted"), "{stdout}");
    assert!(stderr.contains("are deleted"), "{stderr}");
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
    assert_eq!(server.count(Operation::CreateMultipartUpload), 0);
}

/// Denies one action at a time: the check names it and the policy statement that grants it.
#[test]
fn a_missing_permission_is_named_with_its_statement() {
    for (operation, action, sid) in [
        (Operation::ListObjects, "s3:ListBucket", "DayportList"),
        (Operation::DeleteObjects, "s3:DeleteObject", "DayportRemove"),
        (
            Operation::AbortMultipartUpload,
            "s3:AbortMultipartUpload",
            "DayportRemove",
        ),
        (Operation::PutObject, "s3:PutObject", "DayportWrite"),
        (
            Operation::CreateMultipartUpload,
            "s3:PutObject",
            "DayportWrite",
        ),
        (Operation::GetObject, "s3:GetObject", "DayportRead"),
    ] {
        let sandbox = ready(TestDestination::s3());
        let server = sandbox.destination.server();
        server.inject(Fault::on(operation, Action::Before(Failure::AccessDenied)));
        let output = check(&sandbox, &JSON).exited_with(1);
        let findings = findings(&output);
        assert!(!findings.is_empty(), "{output}");
        for finding in &findings {
            assert_eq!(finding["permission"], action, "{finding}");
            let policy = finding["policy"].as_str().expect("a statement");
            assert!(policy.contains(sid) && policy.contains(action), "{policy}");
        }
        assert_eq!(
            sandbox.destination.keys(),
            Vec::<String>::new(),
            "{operation:?}"
        );
        assert_eq!(server.uploads(BUCKET), [], "{operation:?}");
    }
}

#[test]
fn a_store_that_ignores_conditions_is_refused() {
    let sandbox = ready(TestDestination::s3());
    let settings = Settings {
        ignores_conditions: true,
        public_access_blocked: true,
        aborts_uploads: Some((String::new(), 7)),
        ..Settings::default()
    };
    sandbox.destination.server().set(BUCKET, settings);
    let output = check(&sandbox, &JSON).exited_with(1);
    let findings = findings(&output);
    assert_eq!(findings.len(), 1, "{output}");
    assert_eq!(findings[0]["name"], "create-if-absent");
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
}

#[test]
fn the_settings_of_the_bucket_are_checked() {
    let sandbox = ready(TestDestination::s3());
    let server = sandbox.destination.server();
    server.set(BUCKET, Settings::default());
    let output = check(&sandbox, &[]).exited_with(1);
    output
        .stdout_has("public access is not blocked")
        .stdout_has("no rule aborts the unfinished uploads")
        .stdout_has("\"DaysAfterInitiation\":7")
        .stdout_has("2 findings");

    let settings = Settings {
        public_access_blocked: true,
        is_versioned: true,
        aborts_uploads: Some(("acme/".to_owned(), 1)),
        expires: Some("acme/dayport/manifests/".to_owned()),
        ..Settings::default()
    };
    sandbox.destination.server().set(BUCKET, settings);
    let output = check(&sandbox, &[]).exited_with(1);
    output
        .stdout_has("on: replaced files stay as old versions")
        .stdout_has("aborted after 1 day")
        .stdout_has("`acme/dayport/manifests/` expires, by old")
        .stdout_has("2 findings");

    // Permissions that a run does not need are not required.
    for operation in [
        Operation::HeadBucket,
        Operation::GetPublicAccessBlock,
        Operation::GetBucketVersioning,
        Operation::GetBucketLifecycle,
    ] {
        let denied = Fault::on(operation, Action::Before(Failure::AccessDenied));
        sandbox.destination.server().inject(denied);
    }
    let output = check(&sandbox, &[]).exited_with(0);
    output
        .stdout_has("s3:GetLifecycleConfiguration is not allowed; a run does not need it")
        .stdout_has("4 unknown");
}

#[test]
fn encryption_region_and_bucket_are_checked_against_the_arguments() {
    let mut sandbox = ready(TestDestination::s3());
    check(&sandbox, &["--sse", "aes256"])
        .succeeded()
        .stdout_has("AES256");
    let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";
    let kms = ["--sse", "kms", "--sse-kms-key", key];
    check(&sandbox, &kms)
        .succeeded()
        .stdout_has("aws:kms with arn:aws:kms");

    let to = ["check", "--from", "raw", "--to", "s3://nowhere/x/"];
    sandbox
        .dayport(&to)
        .exited_with(1)
        .stdout_has("there is no bucket `nowhere`");
    sandbox.set_env("AWS_REGION", "us-east-2");
    let output = check(&sandbox, &[]).exited_with(1);
    output
        .stdout_has("is in eu-west-1, not in us-east-2")
        .stdout_has("set AWS_REGION=eu-west-1");
    sandbox.set_env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    check(&sandbox, &[])
        .exited_with(1)
        .stdout_has("does not respond");
}

#[test]
fn only_the_sources_of_the_named_tables_are_sampled() {
    let sandbox = ready(TestDestination::local());
    sandbox.write("raw/sites/bad.json", "not JSON\n".repeat(3));
    let sampled = |args: &[&str]| {
        let output = check(&sandbox, &[args, &JSON].concat());
        let names = ["sites", "views"];
        let verdicts = verdicts(&output).into_iter();
        verdicts
            .filter(|line| {
                names
                    .iter()
                    .any(|name| line.starts_with(&format!("{name}: ")))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(sampled(&[]), ["sites: finding", "views: fine"]);
    assert_eq!(sampled(&["views"]), ["views: fine"]);
    assert_eq!(sampled(&["sites"]), ["sites: finding"]);
    check(&sandbox, &["--date", "14.1.2026"]).exited_with(2);
}

#[test]
fn the_sample_is_of_the_date() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    check(&sandbox, &["--date", "2026-01-15", "pageview_events"])
        .exited_with(0)
        .stdout_has(" for 2026-01-15");
    check(&sandbox, &["--date", "2025-01-15", "pageview_events"])
        .exited_with(1)
        .stdout_has("there is no file for 2025-01-15");
}

#[test]
fn malformed_lines_of_a_sample_are_counted() {
    let sandbox = ready(TestDestination::local());
    sandbox.write("raw/sites/bad.json", "not JSON\n".repeat(3));
    check(&sandbox, &["--max-rejects", "100%", "sites"])
        .exited_with(0)
        .stdout_has("3 malformed lines set aside, the first in ")
        .stdout_has("bad.json` line 1: ")
        .stdout_has("hint: --max-rejects 100% allows them");
}
