//! Configuration of the S3 client: the standard AWS environment, profiles, and encryption.

use crate::s3::{ACCESS_KEY_ID, Attributes, REGION, SECRET_ACCESS_KEY, TestS3};
use crate::support::{BUCKET, Sandbox, TestDestination, check_published};
use crate::world::world;

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";

/// Returns the attributes of every object: data, manifests and the log.
fn attributes(server: &TestS3) -> Vec<(String, Attributes)> {
    let keys = server.keys(BUCKET).into_iter();
    keys.map(|key| {
        let object = server.object(BUCKET, &key).expect("an object");
        (key, object.attributes)
    })
    .collect()
}

#[test]
fn every_object_is_written_with_the_encryption() {
    for (args, sse, key) in [
        (&[][..], None, None),
        (&["--sse", "aes256"], Some("AES256"), None),
        (&["--sse", "kms"], Some("aws:kms"), None),
        (
            &["--sse", "kms", "--sse-kms-key", KEY],
            Some("aws:kms"),
            Some(KEY),
        ),
    ] {
        let sandbox = world(TestDestination::s3());
        let day = ["--date", "2026-01-15"];
        sandbox.run(&[&day, args].concat()).succeeded();
        check_published(&sandbox.destination);
        let attributes = attributes(sandbox.destination.server());
        assert_eq!(attributes.len(), 11, "{attributes:?}");
        for (object, attributes) in attributes {
            assert_eq!(attributes.sse.as_deref(), sse, "{object}");
            assert_eq!(attributes.kms_key_id.as_deref(), key, "{object}");
        }
    }
    let sandbox = world(TestDestination::local());
    let wrong = sandbox.run(&["--sse-kms-key", KEY]).exited_with(2);
    wrong.stderr_has("--sse-kms-key without --sse kms");
}

/// A profile replaces all AWS variables of the environment.
#[test]
fn a_profile_gives_credentials_region_and_endpoint() {
    let mut sandbox: Sandbox = world(TestDestination::s3());
    let endpoint = sandbox.destination.server().endpoint();
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
    ] {
        sandbox.unset_env(name);
    }
    sandbox.write(
        ".aws/credentials",
        format!(
            "[partner]\naws_access_key_id = {ACCESS_KEY_ID}\n\
             aws_secret_access_key = {SECRET_ACCESS_KEY}\n"
        ),
    );
    let config = format!("[profile partner]\nregion = {REGION}\nendpoint_url = {endpoint}\n");
    sandbox.write(".aws/config", config);

    let day = ["--date", "2026-01-15"];
    sandbox.run(&day).exited_with(2);
    sandbox.set_env("AWS_PROFILE", "partner");
    sandbox.run(&day).succeeded();
    check_published(&sandbox.destination);
}

#[test]
fn the_endpoint_of_s3_takes_precedence() {
    let mut sandbox = world(TestDestination::s3());
    let endpoint = sandbox.destination.server().endpoint();
    sandbox.set_env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    sandbox.set_env("AWS_ENDPOINT_URL_S3", &endpoint);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    check_published(&sandbox.destination);
}
