//! How S3 is spoken to: the standard AWS environment, profiles, and encryption.

use crate::s3::{ACCESS_KEY_ID, Attributes, REGION, SECRET_ACCESS_KEY, TestS3};
use crate::support::{BUCKET, Place, Sandbox, check_published};
use crate::world::world;

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";

/// What the writer asked for, for every object that there is: data, manifests and the log.
fn attributes(server: &TestS3) -> Vec<(String, Attributes)> {
    let keys = server.keys(BUCKET).into_iter();
    keys.map(|key| {
        let object = server.object(BUCKET, &key).expect("an object");
        (key, object.attributes)
    })
    .collect()
}

#[test]
fn encryption_is_asked_for_with_every_object() {
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
        let sandbox = world(Place::s3());
        let day = ["--date", "2026-01-15"];
        sandbox.run(&[&day, args].concat()).succeeded();
        check_published(&sandbox.place);
        let attributes = attributes(sandbox.place.server());
        assert_eq!(attributes.len(), 6, "{attributes:?}");
        for (object, attributes) in attributes {
            assert_eq!(attributes.sse.as_deref(), sse, "{object}");
            assert_eq!(attributes.kms_key_id.as_deref(), key, "{object}");
        }
    }
    let sandbox = world(Place::local());
    let wrong = sandbox.run(&["--sse-kms-key", KEY]).ended(2);
    wrong.complains("--sse-kms-key without --sse kms");
}

/// Everything that the environment told is told by a profile.
#[test]
fn a_profile_tells_credentials_region_and_endpoint() {
    let mut sandbox: Sandbox = world(Place::s3());
    let endpoint = sandbox.place.server().endpoint();
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
    sandbox.run(&day).ended(2);
    sandbox.set_env("AWS_PROFILE", "partner");
    sandbox.run(&day).succeeded();
    check_published(&sandbox.place);
}

#[test]
fn an_endpoint_for_s3_alone_goes_first() {
    let mut sandbox = world(Place::s3());
    let endpoint = sandbox.place.server().endpoint();
    sandbox.set_env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    sandbox.set_env("AWS_ENDPOINT_URL_S3", &endpoint);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    check_published(&sandbox.place);
}
