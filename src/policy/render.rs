//! Renders the policies in the formats that a bucket's owner applies.

use serde_json::{Value, json};

use crate::policy::Grant;
use crate::policy::statement::document;

/// The format in which the policies are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyFormat {
    /// JSON for the AWS command line and the console.
    Json,
    Terraform,
    CloudFormation,
}

/// A document of [`PolicyFormat::Json`], or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyDocument {
    All,
    BucketPolicy,
    RoleTrustPolicy,
    RolePolicy,
    KeyPolicyStatement,
    Lifecycle,
}

/// Renders the policies. Returns `None` for a document that the grant does not need.
///
/// With an external id the rights belong to a role of the bucket's owner, which the principal assumes;
/// without one the bucket policy grants them to the principal itself.
pub(crate) fn render(grant: &Grant, format: PolicyFormat, part: PolicyDocument) -> Option<String> {
    match format {
        PolicyFormat::Json => json_document(grant, part).map(|value| pretty(&value)),
        PolicyFormat::Terraform => Some(terraform(grant)),
        PolicyFormat::CloudFormation => Some(pretty(&cloudformation(grant))),
    }
}

fn bucket_policy(grant: &Grant) -> Value {
    match grant.external_id {
        Some(_) => document(&[grant.tls_only()]),
        None => document(&grant.bucket_policy()),
    }
}

fn json_document(grant: &Grant, part: PolicyDocument) -> Option<Value> {
    let key = grant.key_policy().map(|statement| json!(statement));
    let trust = document(&grant.trust_policy());
    let role = document(&grant.role_policy());
    match part {
        PolicyDocument::BucketPolicy => Some(bucket_policy(grant)),
        PolicyDocument::RoleTrustPolicy => Some(trust),
        PolicyDocument::RolePolicy => Some(role),
        PolicyDocument::KeyPolicyStatement => key,
        PolicyDocument::Lifecycle => Some(grant.lifecycle()),
        PolicyDocument::All => {
            let mut all = json!({
                "bucket_policy": bucket_policy(grant),
                "lifecycle": grant.lifecycle(),
                "role_trust_policy": trust,
                "role_policy": role,
            });
            if let Some(key) = key {
                all["key_policy_statement"] = key;
            }
            Some(all)
        }
    }
}

/// Renders HCL for Terraform. The policies are embedded as JSON; nothing in them is parsed as an
/// interpolation, since names and keys contain no `{`.
fn terraform(grant: &Grant) -> String {
    let mut text = String::new();
    let bucket = &grant.bucket;
    let heredoc = |value: &Value| format!("<<-JSON\n{}\n  JSON", indented(&pretty(value)));
    text.push_str(&format!(
        "resource \"aws_s3_bucket_policy\" \"dayport\" {{\n  bucket = \"{bucket}\"\n  policy = {}\n}}\n",
        heredoc(&bucket_policy(grant))
    ));
    text.push_str(&format!(
        "\n# A bucket has one lifecycle configuration: add the rule to yours if there is one.\n\
         resource \"aws_s3_bucket_lifecycle_configuration\" \"dayport\" {{\n  bucket = \"{bucket}\"\n\n\
         \x20 rule {{\n    id     = \"dayport-abort-unfinished-uploads\"\n    status = \"Enabled\"\n\n\
         \x20   filter {{\n      prefix = {}\n    }}\n\n\
         \x20   abort_incomplete_multipart_upload {{\n      days_after_initiation = {}\n    }}\n  }}\n}}\n",
        grant.lifecycle()["Rules"][0]["Filter"]["Prefix"],
        Grant::ABORT_AFTER_DAYS
    ));
    if grant.external_id.is_some() {
        text.push_str(&format!(
            "\nresource \"aws_iam_role\" \"dayport\" {{\n  name               = \"dayport-export\"\n  assume_role_policy = {}\n}}\n",
            heredoc(&document(&grant.trust_policy()))
        ));
        text.push_str(&format!(
            "\nresource \"aws_iam_role_policy\" \"dayport\" {{\n  name   = \"dayport-export\"\n  role   = aws_iam_role.dayport.id\n  policy = {}\n}}\n",
            heredoc(&document(&grant.role_policy()))
        ));
    } else if let Some(key) = grant.key_policy() {
        text.push_str(&format!(
            "\n# Add this statement to the policy of the KMS key:\n{}\n",
            commented(&pretty(&json!(key)))
        ));
    }
    text
}

/// Builds the CloudFormation template. CloudFormation can set a lifecycle only on a bucket that it
/// creates, so the rule is put into the metadata, to be copied.
fn cloudformation(grant: &Grant) -> Value {
    let rule = json!({
        "Id": "dayport-abort-unfinished-uploads",
        "Status": "Enabled",
        "Prefix": grant.lifecycle()["Rules"][0]["Filter"]["Prefix"],
        "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": Grant::ABORT_AFTER_DAYS },
    });
    let mut metadata = json!({ "LifecycleRuleForTheBucket": rule });
    let mut resources = json!({
        "DayportBucketPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": { "Bucket": grant.bucket, "PolicyDocument": bucket_policy(grant) },
        },
    });
    if grant.external_id.is_some() {
        resources["DayportRole"] = json!({
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": document(&grant.trust_policy()),
                "Policies": [{
                    "PolicyName": "dayport-export",
                    "PolicyDocument": document(&grant.role_policy()),
                }],
            },
        });
    } else if let Some(key) = grant.key_policy() {
        metadata["StatementForTheKeyPolicy"] = json!(key);
    }
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Lets dayport export to the bucket",
        "Metadata": metadata,
        "Resources": resources,
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

fn commented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("#   {line}")).collect();
    lines.join("\n")
}
