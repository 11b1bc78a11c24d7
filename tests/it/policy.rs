//! `dayport policy`: the printed policies. `enforced.rs` tests that they suffice and grant no more.

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination};

const TO: &str = "s3://exports/acme/dayport/";
const PRINCIPAL: &str = "arn:aws:iam::111122223333:role/export";
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";

fn policy(args: &[&str]) -> CommandOutput {
    let sandbox = Sandbox::empty(TestDestination::local());
    let fixed = ["policy", "--to", TO, "--principal", PRINCIPAL];
    sandbox.dayport(&[&fixed, args].concat())
}

fn sids(policy: &Value) -> Vec<&str> {
    let statements = policy["Statement"].as_array().expect("statements");
    statements
        .iter()
        .map(|statement| statement["Sid"].as_str().expect("a name"))
        .collect()
}

#[test]
fn a_principal_is_granted_access_by_the_bucket_or_by_a_role() {
    let direct = policy(&[]).succeeded().report();
    let all = [
        "DayportTlsOnly",
        "DayportList",
        "DayportRead",
        "DayportWrite",
        "DayportRemove",
        "DayportSchema",
        "DayportListCycles",
        "DayportCycles",
        "DayportMarks",
    ];
    assert_eq!(sids(&direct["bucket_policy"]), all);
    for statement in direct["bucket_policy"]["Statement"]
        .as_array()
        .expect("a list")
        .iter()
        .skip(1)
    {
        assert_eq!(statement["Principal"], json!({ "AWS": PRINCIPAL }));
    }

    let assumed = policy(&["--external-id", "acme-7", "--kms-key", KEY])
        .succeeded()
        .report();
    assert_eq!(sids(&assumed["bucket_policy"]), ["DayportTlsOnly"]);
    assert_eq!(
        sids(&assumed["role_policy"]),
        [
            "DayportList",
            "DayportRead",
            "DayportWrite",
            "DayportRemove",
            "DayportSchema",
            "DayportListCycles",
            "DayportCycles",
            "DayportMarks",
            "DayportEncrypt"
        ]
    );
    let trust = &assumed["role_trust_policy"]["Statement"][0];
    assert_eq!(trust["Principal"], json!({ "AWS": PRINCIPAL }));
    assert_eq!(
        trust["Condition"]["StringEquals"]["sts:ExternalId"],
        "acme-7"
    );
    let encrypt = &assumed["role_policy"]["Statement"][8];
    assert_eq!(encrypt["Resource"], json!([KEY]));
}

/// The rights of those who only read. `enforced` tests that they suffice.
#[test]
fn sources_and_receivers_may_only_read() {
    let raw = ["--for", "sources", "--from", "s3://raw/events/"];
    let receivers = ["--for", "receivers"];
    for (args, first, second) in [
        (&raw[..], "DayportSourcesList", "DayportSourcesRead"),
        (&receivers, "DayportReceiversList", "DayportReceiversRead"),
    ] {
        let all = policy(args).succeeded().report();
        assert_eq!(sids(&all["bucket_policy"]), [first, second]);
        assert_eq!(sids(&all["role_policy"]), [first, second]);
        assert_eq!(all.get("lifecycle"), None);
        for statement in all["bucket_policy"]["Statement"]
            .as_array()
            .expect("a list")
        {
            assert_eq!(statement["Principal"], json!({ "AWS": PRINCIPAL }));
            assert_eq!(
                statement["Condition"]["Bool"]["aws:SecureTransport"],
                "true"
            );
        }
        let key = policy(&[args, &["--kms-key", KEY]].concat())
            .succeeded()
            .report();
        assert_eq!(key["key_policy_statement"]["Action"], "kms:Decrypt");
        let with = |more: &[&str]| policy(&[args, more].concat());
        with(&["--part", "lifecycle"])
            .exited_with(2)
            .stderr_has("no lifecycle rule");
        with(&["--settings"])
            .exited_with(2)
            .stderr_has("--settings is for --for destination");
        assert_eq!(
            with(&["--part", "bucket-policy"]).report(),
            all["bucket_policy"]
        );
        let terraform = with(&["--form", "terraform"]).succeeded().stdout;
        assert!(terraform.contains("A bucket has one policy") && !terraform.contains("lifecycle"));
        let template = with(&["--form", "cloudformation"]).succeeded().report();
        let resources = template["Resources"].as_object().expect("resources");
        let documents = resources
            .values()
            .map(|one| &one["Properties"]["PolicyDocument"]);
        assert_eq!(documents.collect::<Vec<_>>(), [&all["bucket_policy"]]);
    }
    let reading = &policy(&raw).report()["bucket_policy"]["Statement"];
    assert_eq!(
        reading[0]["Condition"]["StringLike"]["s3:prefix"],
        json!(["events/*"])
    );
    assert_eq!(reading[0]["Resource"], json!(["arn:aws:s3:::raw"]));
    assert_eq!(reading[1]["Resource"], json!(["arn:aws:s3:::raw/events/*"]));

    let assumed = policy(&["--for", "receivers", "--external-id", "acme-7"])
        .succeeded()
        .report();
    let members: Vec<&String> = assumed.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["role_policy", "role_trust_policy"]);
    let role = [
        "--for",
        "receivers",
        "--external-id",
        "acme-7",
        "--part",
        "bucket-policy",
    ];
    policy(&role).exited_with(2).hint_has("--part role-policy");

    policy(&["--for", "sources"])
        .exited_with(2)
        .stderr_has("--from is missing");
    policy(&["--for", "sources", "--from", "raw"])
        .exited_with(2)
        .hint_has("--from s3://");
    policy(&[&raw[..], &["--part", "role-trust-policy"]].concat()).exited_with(2);
    policy(&[&raw[..], &["--external-id", "acme-7"]].concat())
        .exited_with(0)
        .stderr_has("note: --external-id is not used");
    let sandbox = Sandbox::empty(TestDestination::local());
    let without = ["policy", "--principal", PRINCIPAL];
    sandbox
        .dayport(&without)
        .exited_with(2)
        .stderr_has("--to is missing");
}

#[test]
fn each_form_holds_the_same_policy() {
    let args = ["--external-id", "acme-7", "--kms-key", KEY];
    let json = policy(&args).succeeded().report();
    let with = |more: &[&str]| policy(&[&args[..], more].concat()).succeeded();
    for (part, member) in [
        ("bucket-policy", "bucket_policy"),
        ("role-trust-policy", "role_trust_policy"),
        ("role-policy", "role_policy"),
        ("key-policy-statement", "key_policy_statement"),
        ("lifecycle", "lifecycle"),
    ] {
        assert_eq!(with(&["--part", part]).report(), json[member], "{part}");
    }

    let template = with(&["--form", "cloudformation"]).report();
    let resources = &template["Resources"];
    let properties = |name: &str| resources[name]["Properties"].clone();
    assert_eq!(
        properties("DayportBucketPolicy")["PolicyDocument"],
        json["bucket_policy"]
    );
    let role = properties("DayportRole");
    assert_eq!(role["AssumeRolePolicyDocument"], json["role_trust_policy"]);
    assert_eq!(role["Policies"][0]["PolicyDocument"], json["role_policy"]);

    let terraform = with(&["--form", "terraform"]).stdout;
    let documents: Vec<Value> = terraform
        .split("<<-JSON\n")
        .skip(1)
        .map(|rest| {
            let document = rest.split("\n  JSON\n").next().unwrap_or_default();
            serde_json::from_str(document).expect("a document")
        })
        .collect();
    let expected = ["bucket_policy", "role_trust_policy", "role_policy"];
    assert_eq!(documents, expected.map(|member| json[member].clone()));
    assert!(
        terraform.contains("prefix = \"acme/dayport/\""),
        "{terraform}"
    );
}

#[test]
fn wrong_arguments_are_refused() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let folder = ["policy", "--to", "out", "--principal", PRINCIPAL];
    sandbox
        .dayport(&folder)
        .exited_with(2)
        .stderr_has("a folder has no policy");
    let name = ["policy", "--to", TO, "--principal", "export"];
    sandbox
        .dayport(&name)
        .exited_with(2)
        .hint_has("arn:aws:iam::");
    policy(&["--kms-key", "alias/x"])
        .exited_with(2)
        .stderr_has("`alias/x` is not the ARN of a KMS key");
    policy(&["--part", "key-policy-statement"])
        .exited_with(2)
        .hint_has("--kms-key");
    policy(&["--part", "lifecycle", "--form", "terraform"]).exited_with(2);
}
