//! The policy that `dayport policy` prints suffices for a run and grants no more; `dayport check` names
//! missing permissions. Tested with servers of other projects that enforce policies.

mod account;
mod reading;
mod server;

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination};
use crate::world::{set_views, view, world};
use account::{ACCOUNT, Account, Key, REGION};
use server::Server;

const BUCKET: &str = "exports";
const TO: &str = "s3://exports/acme/dayport/";

/// Creates a sandbox whose runs use the access key `key`.
fn exporter(account: &Account, key: &Key) -> Sandbox {
    let mut sandbox = world(TestDestination::local());
    sandbox.set_env("AWS_ENDPOINT_URL", account.endpoint());
    sandbox.set_env("AWS_ACCESS_KEY_ID", &key.id);
    sandbox.set_env("AWS_SECRET_ACCESS_KEY", &key.secret);
    sandbox.set_env("AWS_REGION", REGION);
    let authority = account.server.authority();
    if authority.is_file() {
        sandbox.set_env("SSL_CERT_FILE", &authority.display().to_string());
    }
    sandbox
}

fn principal() -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/exporter")
}

fn policy(sandbox: &Sandbox, args: &[&str]) -> Value {
    let principal = principal();
    let fixed = ["policy", "--to", TO, "--principal", &principal];
    sandbox
        .dayport(&[&fixed, args].concat())
        .succeeded()
        .report()
}

fn attach(account: &Account, policy: &Value) {
    account.s3(
        Method::PUT,
        &format!("/{BUCKET}?policy="),
        policy.to_string(),
    );
}

fn dayport(sandbox: &Sandbox, command: &str, args: &[&str]) -> CommandOutput {
    let fixed = [command, "--from", "raw", "--to", TO];
    sandbox.dayport(&[&fixed, args].concat())
}

/// Creates a bucket, and a user with the permissions of the bucket policy alone.
fn set_up(tls: bool) -> Option<(Account, Key, Sandbox)> {
    let account = Account::open(tls)?;
    account.s3(Method::PUT, &format!("/{BUCKET}"), "");
    let key = account.user("exporter");
    let sandbox = exporter(&account, &key);
    attach(&account, &policy(&sandbox, &["--part", "bucket-policy"]));
    Some((account, key, sandbox))
}

#[test]
fn with_this_policy_alone_a_cycle_a_rerun_and_a_rollback_succeed() {
    let Some((account, _, sandbox)) = set_up(true) else {
        return;
    };
    dayport(&sandbox, "check", &[]).succeeded();
    assert_eq!(account.keys(BUCKET), Vec::<String>::new());

    sandbox.write(
        "raw/sites/more.json",
        "not JSON\n{\"id\":7,\"name\":\"x\"}\n",
    );
    let day = ["--date", "2026-01-15", "--max-rejects", "1"];
    dayport(&sandbox, "run", &day)
        .exited_with(0)
        .stdout_has("2 published");
    set_views(&sandbox, 15, &[view(1, 14), view(2, 15), view(3, 15)]);
    dayport(
        &sandbox,
        "run",
        &[&day[..], &["--rerun", "--allow-shrink"]].concat(),
    )
    .exited_with(0)
    .stdout_has("published as revision 1");

    forge_half_published_commit(&account, &sandbox);
    let output = dayport(
        &sandbox,
        "run",
        &["--date", "2026-01-16", "views", "--output", "json"],
    );
    assert_eq!(
        output.exited_with(0).results(),
        ["views 2026-01-16 published"]
    );
    let keys = account.keys(BUCKET);
    let has = |key: &str| keys.iter().any(|existing| existing.ends_with(key));
    assert!(
        has("_dayport/log/views/00000000000000000004.json"),
        "{keys:?}"
    );
    assert!(!has("day=16/data-000000000000.parquet"), "{keys:?}");
    assert!(has("day=16/data-000000000001.parquet"), "{keys:?}");
    let verify = ["verify", "--to", TO];
    sandbox
        .dayport(&verify)
        .succeeded()
        .stdout_has("all as published");
}

/// Forges a commit of 2026-01-16 of which one file is visible and the other uploads are gone.
fn forge_half_published_commit(account: &Account, sandbox: &Sandbox) {
    let log = "/exports/acme/dayport/_dayport/log/views";
    let text = account.s3(Method::GET, &format!("{log}/00000000000000000002.json"), "");
    let mut entry: Value = serde_json::from_str(&text).expect("a log entry");
    // As if it were from before there were checksums.
    entry.as_object_mut().expect("an object").remove("checksum");
    entry["sequence"] = json!(3);
    entry["run_id"] = json!("20260117T020000Z-dead00000000");
    let manifest = &mut entry["action"]["manifest"];
    manifest["revision"] = json!(0);
    manifest["replaced"] = json!([]);
    manifest["cycle"] = json!({
        "id": "2026-01-16", "start": "2026-01-16T00:00:00Z", "end": "2026-01-17T00:00:00Z",
    });
    let path = "data/views/year=2026/month=1/day=16/data-000000000000.parquet";
    let lost = "data/views/year=2026/month=1/day=17/data-000000000000.parquet";
    let mut files = vec![manifest["files"][0].clone(), manifest["files"][0].clone()];
    let mut uploads = Vec::new();
    for (file, path) in files.iter_mut().zip([path, lost]) {
        file["path"] = json!(path);
        uploads.push(json!({ "path": path, "bytes": 5, "token": {
            "kind": "multipart", "upload_id": "swept-away", "part_etags": ["opaque"],
        } }));
    }
    manifest["files"] = json!(files);
    entry["action"]["uploads"] = json!(uploads);
    account.s3(
        Method::PUT,
        &format!("{log}/00000000000000000003.json"),
        entry.to_string(),
    );
    account.s3(
        Method::PUT,
        &format!("/exports/acme/dayport/{path}"),
        "bytes",
    );
    let plan = dayport(
        sandbox,
        "plan",
        &["--date", "2026-01-16", "--rerun", "views"],
    );
    plan.exited_with(0)
        .stderr_has("first finishes the publication that run 20260117T020000Z-dead");
}

#[test]
fn any_one_denied_action_is_named_by_the_check() {
    let Some((account, _, sandbox)) = set_up(true) else {
        return;
    };
    let whole = policy(&sandbox, &["--part", "bucket-policy"]);
    for denied in [
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
    ] {
        attach(&account, &without(&whole, denied));
        let output = dayport(&sandbox, "check", &["--output", "json"]).exited_with(1);
        let report = output.report();
        let items = report["items"].as_array().expect("items");
        let named: BTreeSet<&str> = items
            .iter()
            .filter_map(|item| item["permission"].as_str())
            .collect();
        assert_eq!(named, BTreeSet::from([denied]), "{output}");
        assert_eq!(account.keys(BUCKET), Vec::<String>::new(), "{denied}");
        let uploads = account.s3(Method::GET, "/exports?uploads=", "");
        assert!(!uploads.contains("<UploadId>"), "{denied}: {uploads}");
    }

    attach(&account, &policy(&sandbox, &["--part", "bucket-policy"]));
    let without_settings = dayport(&sandbox, "check", &[]);
    without_settings
        .succeeded()
        .stdout_has("s3:GetBucketVersioning is not allowed; a run does not need it");
    attach(
        &account,
        &policy(&sandbox, &["--part", "bucket-policy", "--settings"]),
    );
    dayport(&sandbox, "check", &[])
        .exited_with(1)
        .stdout_has("versioning")
        .stdout_has(" 0 unknown");
}

/// Returns the policy without one action.
fn without(policy: &Value, denied: &str) -> Value {
    let mut policy = policy.clone();
    let statements = policy["Statement"].as_array_mut().expect("statements");
    statements.retain_mut(|statement| match &mut statement["Action"] {
        Value::Array(actions) => {
            actions.retain(|action| action != denied);
            true
        }
        action => action != denied,
    });
    policy
}

/// A policy that was attached before there were schema files and markers.
#[test]
fn an_older_policy_publishes_tables_and_is_told_what_it_lacks() {
    let Some((account, _, sandbox)) = set_up(true) else {
        return;
    };
    let whole = policy(&sandbox, &["--part", "bucket-policy"]);
    let mut older = whole.clone();
    let statements = older["Statement"].as_array_mut().expect("statements");
    let newer = ["DayportSchema", "DayportListCycles", "DayportCycles"];
    statements.retain(|statement| newer.iter().all(|sid| statement["Sid"] != *sid));
    attach(&account, &older);
    dayport(&sandbox, "check", &[])
        .exited_with(0)
        .stdout_has("complete cycles get no marker")
        .stdout_has("add these statements to the policy: {")
        .stdout_has("schema files")
        .stdout_has("add this statement to the policy: {");
    dayport(&sandbox, "run", &["--date", "2026-01-15"])
        .exited_with(0)
        .stdout_has("2 published")
        .stderr_has("warning: 2 tables published without the description of the schema")
        .stderr_has("warning: complete cycles get no marker: ")
        .hint_has("add these statements to the policy: {")
        .hint_has("add this statement to the policy: {");
    attach(&account, &whole);
    dayport(&sandbox, "run", &["--date", "2026-01-16", "views"]).succeeded();
    let keys = account.keys(BUCKET);
    let schemas = keys.iter().filter(|key| key.contains("/schema/"));
    assert_eq!(schemas.count(), 1, "{keys:?}");
    // The first day is marked now, and the hint is created.
    let is_marker = |key: &&String| key.contains("/cycles/") || key.ends_with("/latest.json");
    let markers: Vec<&String> = keys.iter().filter(is_marker).collect();
    assert_eq!(
        markers,
        [
            "acme/dayport/cycles/2026-01-15.r0.json",
            "acme/dayport/latest.json"
        ]
    );
}

#[test]
fn everything_outside_the_prefix_is_refused() {
    let Some((account, key, sandbox)) = set_up(true) else {
        return;
    };
    account.s3(Method::PUT, "/exports/acme/secret.txt", "secret");
    dayport(&sandbox, "run", &["--date", "2026-01-15"]).succeeded();
    let before = account.keys(BUCKET);
    let manifest = "/exports/acme/dayport/manifests/views/2026-01-15.r0.json";
    let log = "/exports/acme/dayport/_dayport/log/views/00000000000000000001.json";
    let schema = "/exports/acme/dayport/schema/views/v1.json";
    let marker = "/exports/acme/dayport/cycles/2026-01-15.r0.json";
    let latest = "/exports/acme/dayport/latest.json";
    for (method, target) in [
        (Method::GET, "/exports/acme/secret.txt"),
        (Method::PUT, "/exports/acme/secret.txt"),
        (Method::DELETE, "/exports/acme/secret.txt"),
        (Method::PUT, "/exports/acme/dayport/other/x"),
        (Method::DELETE, manifest),
        (Method::DELETE, log),
        (Method::DELETE, schema),
        (Method::DELETE, marker),
        (Method::DELETE, latest),
        (Method::GET, "/exports?list-type=2"),
        (Method::GET, "/exports?list-type=2&prefix=acme%2F"),
        (Method::GET, "/exports?policy="),
        (Method::PUT, "/exports?policy="),
        (Method::DELETE, "/exports"),
    ] {
        let (status, body) = account.call(&key, "s3", method.clone(), target, "");
        assert_eq!(status, 403, "{method} {target}: {body}");
    }
    let other_prefix = ["run", "--from", "raw", "--to", "s3://exports/acme/other/"];
    sandbox
        .dayport(&other_prefix)
        .exited_with(2)
        .stderr_has("cannot list");
    assert_eq!(account.keys(BUCKET), before);
}

#[test]
fn a_role_is_assumed_with_its_external_id_alone() {
    let Some((account, _, sandbox)) = set_up(true) else {
        return;
    };
    let args = ["--external-id", "acme-7"];
    let all = policy(&sandbox, &args);
    attach(&account, &all["bucket_policy"]);
    let trust = all["role_trust_policy"].to_string();
    let role = [
        ("RoleName", "export"),
        ("AssumeRolePolicyDocument", &*trust),
    ];
    account.iam("CreateRole", &role);
    let rights = all["role_policy"].to_string();
    let put = [
        ("RoleName", "export"),
        ("PolicyName", "export"),
        ("PolicyDocument", &*rights),
    ];
    account.iam("PutRolePolicy", &put);
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/export");
    let assume = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn },
    ] })
    .to_string();
    let own = [
        ("UserName", "exporter"),
        ("PolicyName", "assume"),
        ("PolicyDocument", &*assume),
    ];
    account.iam("PutUserPolicy", &own);

    let day = ["--date", "2026-01-15"];
    dayport(&sandbox, "run", &day).exited_with(2);
    let assumed = |id: &str| {
        let role = ["--role-arn", &arn, "--external-id", id];
        dayport(&sandbox, "run", &[&day[..], &role].concat())
    };
    assumed("acme-8").exited_with(2).stderr_has("AccessDenied");
    assumed("acme-7").succeeded().stdout_has("2 published");
}

#[test]
fn nothing_is_allowed_without_tls() {
    let Some((account, key, sandbox)) = set_up(false) else {
        return;
    };
    dayport(&sandbox, "run", &["--date", "2026-01-15"])
        .exited_with(2)
        .stderr_has("cannot list");
    let target = "/exports/acme/dayport/data/x";
    let (status, _) = account.call(&key, "s3", Method::PUT, target, "x");
    assert_eq!(status, 403);
    let mut open = policy(&sandbox, &["--part", "bucket-policy"]);
    let statements = open["Statement"].as_array_mut().expect("statements");
    statements.retain(|statement| statement["Sid"] != "DayportTlsOnly");
    attach(&account, &open);
    dayport(&sandbox, "run", &["--date", "2026-01-15"]).succeeded();
}

#[test]
fn a_server_that_ignores_if_none_match_is_refused() {
    let Some(server) = Server::rclone() else {
        return;
    };
    let mut sandbox = world(TestDestination::local());
    let endpoint = format!("http://127.0.0.1:{}", server.port());
    sandbox.set_env("AWS_ENDPOINT_URL", &endpoint);
    sandbox.set_env("AWS_ACCESS_KEY_ID", "key");
    sandbox.set_env("AWS_SECRET_ACCESS_KEY", "secret");
    sandbox.set_env("AWS_REGION", REGION);
    let output = dayport(&sandbox, "check", &[]).exited_with(1);
    output.stdout_has("the store ignores `If-None-Match: *`");
    let left = walk(&server.folder().join("data"));
    assert_eq!(left, 0, "files left behind");
}

fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let counts = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() { walk(&path) } else { 1 }
    });
    counts.sum()
}
