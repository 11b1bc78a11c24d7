//! The policies for the raw bucket and for receivers: each command that reads succeeds with them alone, and
//! nothing else is allowed.

use http::Method;
use serde_json::Value;

use super::account::{ACCOUNT, Account, Key};
use super::{BUCKET, TO, attach, dayport, exporter, policy, set_up};
use crate::support::{CommandOutput, Sandbox, files_below};

const RAW: &str = "raw";
const FROM: &str = "s3://raw/org/events/";

/// Requests that neither a reader of sources nor a receiver may make of the bucket.
fn refuse_all(account: &Account, key: &Key, targets: &[(Method, &str)]) {
    for (method, target) in targets {
        let (status, body) = account.call(key, "s3", method.clone(), target, "x");
        assert_eq!(status, 403, "{method} {target}: {body}");
    }
}

/// Attaches policies of several principals to one bucket, which has one policy.
fn attach_all(account: &Account, bucket: &str, policies: &[Value]) {
    let mut all = policies[0].clone();
    let statements = all["Statement"].as_array_mut().expect("statements");
    for policy in &policies[1..] {
        statements.extend(policy["Statement"].as_array().expect("statements").clone());
    }
    account.s3(Method::PUT, &format!("/{bucket}?policy="), all.to_string());
}

fn policy_of(sandbox: &Sandbox, user: &str, args: &[&str]) -> Value {
    let principal = format!("arn:aws:iam::{ACCOUNT}:user/{user}");
    let fixed = [
        "policy",
        "--part",
        "bucket-policy",
        "--principal",
        &principal,
    ];
    sandbox
        .dayport(&[&fixed, args].concat())
        .succeeded()
        .report()
}

#[test]
fn a_run_reads_sources_with_the_policy_of_the_raw_bucket_alone() {
    let Some((account, key, sandbox)) = set_up(true) else {
        return;
    };
    account.s3(Method::PUT, &format!("/{RAW}"), "");
    account.s3(Method::PUT, "/raw/org/secret.json", "{\"id\":1}");
    let folder = sandbox.folder().join("raw");
    for key in files_below(&folder) {
        let target = format!("/raw/org/events/{key}").replace('=', "%3D");
        let bytes = std::fs::read(folder.join(&key)).expect("a file");
        account.s3(Method::PUT, &target, bytes);
    }
    // A folder without a slash at its end, which is looked for as a file first; and a single file.
    let declaration = |location: &str| {
        format!(
            "CREATE EXTERNAL TABLE sites (id BIGINT NOT NULL, name VARCHAR)
             STORED AS JSON LOCATION '{location}'"
        )
    };
    sandbox.write("sql/sources/sites.sql", declaration("sites"));
    let with = |command: &str, args: &[&str]| {
        let fixed = [command, "--from", FROM, "--to", TO];
        sandbox.dayport(&[&fixed, args].concat())
    };
    let day = ["--date", "2026-01-15"];
    with("run", &day).exited_with(1).stderr_has("403");

    let raw = policy_of(&sandbox, "exporter", &["--for", "sources", "--from", FROM]);
    attach_all(&account, RAW, &[raw]);
    with("check", &[]).succeeded();
    with("plan", &day).succeeded().stdout_has("2026-01-15");
    with("run", &day).succeeded().stdout_has("2 published");
    sandbox.write("sql/sources/sites.sql", declaration("sites/sites.json"));
    with("run", &["--date", "2026-01-15", "--rerun", "sites"]).succeeded();
    sandbox
        .dayport(&["query", "--from", FROM, "SELECT count(*) FROM views"])
        .exited_with(0);
    let parquet = account.keys(BUCKET);
    assert!(
        parquet.iter().any(|key| key.contains("/data/views/")),
        "{parquet:?}"
    );

    let before = account.keys(RAW);
    refuse_all(
        &account,
        &key,
        &[
            (Method::PUT, "/raw/org/events/sites/new.json"),
            (Method::PUT, "/raw/org/events/sites/sites.json"),
            (Method::DELETE, "/raw/org/events/sites/sites.json"),
            (Method::POST, "/raw/org/events/sites/new.json?uploads="),
            (Method::GET, "/raw/org/secret.json"),
            (Method::GET, "/raw?list-type=2"),
            (Method::GET, "/raw?list-type=2&prefix=org%2F"),
            (Method::GET, "/raw?policy="),
            (Method::PUT, "/raw?policy="),
        ],
    );
    assert_eq!(account.keys(RAW), before);
}

#[test]
fn a_receiver_reads_the_export_and_changes_nothing() {
    let Some((account, _, sandbox)) = set_up(true) else {
        return;
    };
    sandbox.write(
        "raw/sites/more.json",
        "not JSON\n{\"id\":7,\"name\":\"x\"}\n",
    );
    let day = ["--date", "2026-01-15", "--max-rejects", "1"];
    dayport(&sandbox, "run", &day).exited_with(0);

    let key = account.user("receiver");
    let receiver = exporter(&account, &key);
    let read = |command: &str, args: &[&str]| -> CommandOutput {
        let fixed = [command, "--to", TO];
        receiver.dayport(&[&fixed, args].concat())
    };
    read("verify", &[]).exited_with(2).stderr_has("cannot list");
    let own = policy(&sandbox, &["--part", "bucket-policy"]);
    let reading = policy_of(&sandbox, "receiver", &["--for", "receivers", "--to", TO]);
    attach_all(&account, BUCKET, &[own, reading]);

    let before = account.keys(BUCKET);
    read("verify", &[])
        .succeeded()
        .stdout_has("all as published");
    read(
        "verify",
        &[
            "--quick",
            "--since",
            "2026-01-15",
            "--through",
            "2026-01-15",
        ],
    )
    .succeeded();
    read("wait", &["--date", "2026-01-15", "--timeout", "60s"]).succeeded();
    read("wait", &["--date", "2026-01-16", "--timeout", "1s"]).exited_with(75);
    read("changes", &["--since", "2026-01-01T00:00Z"])
        .succeeded()
        .stdout_has("views");
    read("status", &[]).succeeded().stdout_has("views");
    read("ddl", &["--dialect", "athena"])
        .succeeded()
        .stdout_has("views");
    read("query", &["SELECT count(*) FROM exported.views"]).exited_with(0);
    // What is missing is found out although S3 does not say so.
    let lost = before
        .iter()
        .find(|key| key.contains("/data/sites/"))
        .expect("a file");
    let rejects = before
        .iter()
        .find(|key| key.contains("/rejects/"))
        .expect("rejects");
    for missing in [lost, rejects] {
        let target = format!("/{BUCKET}/{missing}");
        let content = account.s3(Method::GET, &target, "");
        assert!(!content.is_empty());
    }
    account.s3(Method::DELETE, &format!("/{BUCKET}/{rejects}"), "");
    read("verify", &[]).exited_with(1).stdout_has("missing");

    let key_of = |part: &str| {
        let key = before.iter().find(|key| key.contains(part));
        format!("/{BUCKET}/{}", key.expect("a key"))
    };
    let (data, manifest) = (key_of("/data/sites/"), key_of("/manifests/sites/"));
    let (log, schema) = (key_of("/_dayport/log/sites/"), key_of("/schema/sites/"));
    for target in [&data, &manifest, &log, &schema] {
        let (status, _) = account.call(&key, "s3", Method::GET, target, "");
        assert_eq!(status, 200, "{target}");
        refuse_all(
            &account,
            &key,
            &[(Method::PUT, target), (Method::DELETE, target)],
        );
    }
    account.s3(
        Method::PUT,
        "/exports/acme/dayport/_dayport/staging/x/y",
        "staged",
    );
    account.s3(Method::PUT, "/exports/acme/secret.txt", "secret");
    refuse_all(
        &account,
        &key,
        &[
            (Method::PUT, "/exports/acme/dayport/data/new"),
            (Method::POST, "/exports/acme/dayport/data/new?uploads="),
            (Method::GET, "/exports/acme/dayport/_dayport/staging/x/y"),
            (Method::GET, "/exports/acme/secret.txt"),
            (Method::GET, "/exports?list-type=2"),
            (
                Method::GET,
                "/exports?list-type=2&prefix=acme%2Fdayport%2F_dayport%2Fstaging%2F",
            ),
            (Method::GET, "/exports?policy="),
            (Method::PUT, "/exports?policy="),
        ],
    );
    let run = receiver.dayport(&["run", "--from", "raw", "--to", TO, "--date", "2026-01-16"]);
    assert_ne!(run.code, 0, "{run}");
}

#[test]
fn readers_are_refused_without_tls() {
    let Some((account, _, sandbox)) = set_up(false) else {
        return;
    };
    let key = account.user("receiver");
    let reading = policy_of(&sandbox, "receiver", &["--for", "receivers", "--to", TO]);
    attach(&account, &reading);
    account.s3(Method::PUT, "/exports/acme/dayport/data/x", "x");
    refuse_all(
        &account,
        &key,
        &[
            (Method::GET, "/exports/acme/dayport/data/x"),
            (
                Method::GET,
                "/exports?list-type=2&prefix=acme%2Fdayport%2Fdata%2F",
            ),
        ],
    );
}
