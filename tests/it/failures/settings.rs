//! Settings of AWS that are wrong, and answers of a store that say which one is.

use super::{one_day_published, run_without_effect};
use crate::s3::{Action, Fault, Operation};
use crate::support::TestDestination;

/// The request must not go to AWS, where such an endpoint would be ignored.
#[test]
fn an_endpoint_without_a_scheme_is_a_wrong_call() {
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
        let mut sandbox = one_day_published(TestDestination::s3());
        sandbox.set_env(variable, "127.0.0.1:9000");
        let output = run_without_effect(&sandbox, &[]).exited_with(2);
        output
            .stderr_has("the endpoint of S3 has no scheme: `127.0.0.1:9000`")
            .hint_has("`http://127.0.0.1:9000`");
    }
}

#[test]
fn an_endpoint_of_the_profile_is_read_and_checked() {
    let mut sandbox = one_day_published(TestDestination::s3());
    let endpoint = sandbox.destination.env();
    let endpoint = endpoint
        .iter()
        .find(|(name, _)| *name == "AWS_ENDPOINT_URL")
        .map(|(_, url)| url.clone())
        .expect("an endpoint");
    let profiles = format!(
        "[profile good]\nservices = local\n[services local]\ns3 =\n  endpoint_url = {endpoint}\n\
         [profile bad]\nendpoint_url = localhost:9000\n"
    );
    sandbox.write(".aws/config", profiles);
    sandbox.unset_env("AWS_ENDPOINT_URL");
    sandbox.set_env("AWS_PROFILE", "bad");
    run_without_effect(&sandbox, &[])
        .exited_with(2)
        .stderr_has("the endpoint of S3 has no scheme: `localhost:9000`");
    sandbox.set_env("AWS_PROFILE", "good");
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let mut sandbox = one_day_published(TestDestination::s3());
    sandbox.write(".aws/config", "[profile prod]\nregion = eu-west-1\n");
    sandbox.set_env("AWS_PROFILE", "prd");
    let output = run_without_effect(&sandbox, &[]).exited_with(2);
    output
        .stderr_has("AWS_PROFILE: there is no profile `prd`")
        .hint_has("the profiles are: prod");
    sandbox.set_env("AWS_PROFILE", "prod");
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
}

const OTHER_REGION: &str = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization \
    header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message>\
    <Region>eu-west-1</Region></Error>";
const EXPIRED: &str = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>\
    <Token-0>FwoGZXIvYXdzEBYaDL</Token-0></Error>";
const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the \
    request time and the current time is too large.</Message></Error>";
const NO_BUCKET: &str = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not \
    exist</Message></Error>";

#[test]
fn the_code_of_an_error_says_what_to_do() {
    let sandbox = one_day_published(TestDestination::s3());
    let server = sandbox.destination.server();
    for (status, body, shown, hint) in [
        (400, OTHER_REGION, "expecting 'eu-west-1'", "AWS_REGION"),
        (301, OTHER_REGION, "redirect", "AWS_REGION"),
        (400, EXPIRED, "ExpiredToken: The provided token", "session"),
        (403, SKEWED, "RequestTimeTooSkewed: The difference", "clock"),
        (
            404,
            NO_BUCKET,
            "NoSuchBucket: The specified",
            "name of the bucket",
        ),
    ] {
        let answer = Action::Respond { status, body };
        server.inject(Fault::on(Operation::ListObjects, answer));
        let output = run_without_effect(&sandbox, &[]).exited_with(2);
        let output = output.stderr_has(shown).hint_has(hint);
        assert!(!output.stderr.contains("<Code>"), "{output}");
        assert!(!output.stderr.contains("FwoGZXIvYXdz"), "{output}");
        server.clear_faults();
    }
}
