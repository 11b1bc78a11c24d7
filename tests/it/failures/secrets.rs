//! Secrets are in no message, whoever repeats them.

use super::one_day_published;
use crate::s3::{Action, Fault, Operation};
use crate::support::{CommandOutput, Sandbox, TestDestination};

const TOKEN: &str = "FwoGZXIvYXdzEJr-hunter2-session-token";

const SIGNATURE_ERROR: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\
    <Code>SignatureDoesNotMatch</Code>\
    <Message>The signature of FwoGZXIvYXdzEJr-hunter2-session-token does not match.</Message>\
    <StringToSign>AWS4-HMAC-SHA256 hunter2</StringToSign>\
    <CanonicalRequest>GET x-amz-security-token:FwoGZXIvYXdzEJr-hunter2-session-token</CanonicalRequest>\
    <Token-0>FwoGZXIvYXdzEJr-hunter2-session-token</Token-0></Error>";

#[track_caller]
fn has_no_secret(output: &CommandOutput) {
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(!all.contains("hunter2"), "{output}");
}

#[test]
fn errors_of_a_store_are_cut_to_code_and_message() {
    for (status, code) in [(403, 2), (400, 2), (500, 75), (200, 75)] {
        let mut sandbox = one_day_published(TestDestination::s3());
        sandbox.set_env("AWS_SESSION_TOKEN", TOKEN);
        sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
        let body = SIGNATURE_ERROR;
        let failed = Fault::on(Operation::ListObjects, Action::Respond { status, body });
        sandbox.destination.server().inject(failed);
        let args = ["--date", "2026-01-15", "-vvv", "--output", "json"];
        let output = sandbox
            .run(&args)
            .exited_with(code)
            .stderr_has("SignatureDoesNotMatch: The signature of … does not match.");
        assert!(!output.stderr.contains("StringToSign"), "{output}");
        has_no_secret(&output);
    }
}

/// A proxy may answer with anything, such as the headers that it got.
#[test]
fn the_body_of_an_error_that_is_none_of_s3_is_not_shown() {
    let mut sandbox = one_day_published(TestDestination::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    let body = "<html>x-amz-security-token: hunter2</html>";
    let failed = Fault::on(
        Operation::ListObjects,
        Action::Respond { status: 502, body },
    );
    sandbox.destination.server().inject(failed);
    let output = sandbox.run(&["--date", "2026-01-15"]).exited_with(75);
    let output = output.stderr_has("502 Bad Gateway");
    has_no_secret(&output);
}

#[test]
fn addresses_are_shown_without_user_and_password() {
    let sandbox = one_day_published(TestDestination::local());
    for address in [
        "s3://id:hunter2@bucket/x/",
        "https://id:hunter2@host/x/",
        "s3://id:hunter2@/",
        "s3://bucket/x?X-Amz-Security-Token=hunter2",
        "file://id:hunter2@host/x",
    ] {
        for args in [
            vec!["run", "--from", "raw", "--to", address],
            vec!["run", "--from", address, "--to", "out"],
            vec!["status", "--to", address],
            vec!["verify", "--to", address],
            vec!["check", "--from", "raw", "--to", address],
            vec!["ddl", "--dialect", "duckdb", "--to", address],
            vec![
                "serve",
                "--from",
                "raw",
                "--listen",
                "127.0.0.1:0",
                "--to",
                address,
            ],
        ] {
            let output = sandbox.dayport(&args).exited_with(2);
            has_no_secret(&output);
        }
    }
    // A source of its own.
    let location = "CREATE EXTERNAL TABLE sites (id BIGINT) STORED AS JSON \
                    LOCATION 's3://id:hunter2@bucket/x/'";
    sandbox.write("sql/sources/sites.sql", location);
    let output = sandbox.run(&["--date", "2026-01-15"]).exited_with(2);
    has_no_secret(&output);
}

#[test]
fn values_of_the_environment_are_not_in_the_help() {
    let mut sandbox = Sandbox::empty(TestDestination::local());
    for name in [
        "DAYPORT_TO",
        "DAYPORT_FROM",
        "DAYPORT_CLUSTER",
        "DAYPORT_NOTIFY",
    ] {
        sandbox.set_env(name, "s3://id:hunter2@bucket/x/");
    }
    for command in [
        "run", "plan", "check", "serve", "status", "verify", "wait", "ddl", "trace", "query",
        "policy",
    ] {
        let output = sandbox.dayport(&[command, "--help"]).succeeded();
        has_no_secret(&output);
    }
}

#[test]
fn an_endpoint_with_a_password_is_refused() {
    let mut sandbox = one_day_published(TestDestination::s3());
    sandbox.set_env("AWS_ENDPOINT_URL", "http://id:hunter2@127.0.0.1:1");
    let output = sandbox
        .run(&["--date", "2026-01-15", "-vvv"])
        .exited_with(2)
        .stderr_has("the endpoint of S3 has a user name or a password in it")
        .hint_has("AWS_ENDPOINT_URL");
    has_no_secret(&output);
    let to = sandbox.destination.url();
    let output = sandbox.dayport(&["check", "--to", &to]);
    assert_ne!(output.code, 0, "{output}");
    has_no_secret(&output);
}

/// Proxies have passwords.
#[test]
fn the_password_of_a_proxy_is_in_no_message() {
    let mut sandbox = one_day_published(TestDestination::s3());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
        sandbox.set_env(name, "http://id:hunter2@127.0.0.1:1");
    }
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    for endpoint in ["http://store.invalid", "https://store.invalid"] {
        sandbox.set_env("AWS_ENDPOINT_URL", endpoint);
        let args = ["--date", "2026-01-15", "-vvv", "--output", "json"];
        let output = sandbox.run(&args).exited_with(75);
        let output = output.stderr_has("onnection refused");
        has_no_secret(&output);
    }
}
