//! Renders the policies in the formats that a bucket's owner applies.

use serde_json::{Value, json};

use crate::policy::statement::document;
use crate::policy::{Grant, GrantPurpose};

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
/// without one the bucket policy grants them to the principal itself. Readers need no lifecycle rule, and
/// the role that reads sources is the principal itself.
pub(crate) fn render(grant: &Grant, format: PolicyFormat, part: PolicyDocument) -> Option<String> {
    match format {
        PolicyFormat::Json => json_document(grant, part).map(|value| pretty(&value)),
        PolicyFormat::Terraform => Some(terraform(grant)),
        PolicyFormat::CloudFormation => Some(pretty(&cloudformation(grant))),
    }
}

/// Returns the bucket policy. `None` if a role has the rights to read.
fn bucket_policy(grant: &Grant) -> Option<Value> {
    match (&grant.external_id, grant.purpose) {
        (Some(_), GrantPurpose::Destination) => Some(document(&[grant.tls_only()])),
        (Some(_), GrantPurpose::Sources | GrantPurpose::Receivers) => None,
        (None, _) => Some(document(&grant.bucket_policy())),
    }
}

fn trust_policy(grant: &Grant) -> Option<Value> {
    let is_assumed = grant.purpose != GrantPurpose::Sources;
    is_assumed.then(|| document(&grant.trust_policy()))
}

fn lifecycle(grant: &Grant) -> Option<Value> {
    (grant.purpose == GrantPurpose::Destination).then(|| grant.lifecycle())
}

/// The names of what the templates of one purpose create.
struct TemplateNames {
    /// The name of Terraform's resources.
    terraform: &'static str,
    /// The beginning of the names of CloudFormation's resources.
    cloudformation: &'static str,
    /// The name of the role.
    role: &'static str,
    /// What the template does.
    description: &'static str,
}

fn template_names(purpose: GrantPurpose) -> TemplateNames {
    let (terraform, cloudformation, role, description) = match purpose {
        GrantPurpose::Destination => (
            "dayport",
            "Dayport",
            "dayport-export",
            "Lets dayport export to the bucket",
        ),
        GrantPurpose::Sources => (
            "dayport_sources",
            "DayportSources",
            "dayport-sources",
            "Lets dayport read the sources in the bucket",
        ),
        GrantPurpose::Receivers => (
            "dayport_receivers",
            "DayportReceivers",
            "dayport-receivers",
            "Lets receivers read what dayport exports to the bucket",
        ),
    };
    TemplateNames {
        terraform,
        cloudformation,
        role,
        description,
    }
}

fn json_document(grant: &Grant, part: PolicyDocument) -> Option<Value> {
    let key = grant.key_policy().map(|statement| json!(statement));
    let role = document(&grant.role_policy());
    match part {
        PolicyDocument::BucketPolicy => bucket_policy(grant),
        PolicyDocument::RoleTrustPolicy => trust_policy(grant),
        PolicyDocument::RolePolicy => Some(role),
        PolicyDocument::KeyPolicyStatement => key,
        PolicyDocument::Lifecycle => lifecycle(grant),
        PolicyDocument::All => {
            let documents = [
                ("bucket_policy", bucket_policy(grant)),
                ("lifecycle", lifecycle(grant)),
                ("role_trust_policy", trust_policy(grant)),
                ("role_policy", Some(role)),
                ("key_policy_statement", key),
            ];
            let needed = documents.into_iter();
            let members = needed.filter_map(|(name, document)| Some((name.to_owned(), document?)));
            Some(Value::Object(members.collect()))
        }
    }
}

/// Renders HCL for Terraform. The policies are embedded as JSON; nothing in them is parsed as an
/// interpolation, since names and keys contain no `{`.
fn terraform(grant: &Grant) -> String {
    let mut resources = Vec::new();
    let bucket = &grant.bucket;
    let TemplateNames {
        terraform: name,
        role,
        ..
    } = template_names(grant.purpose);
    let heredoc = |value: &Value| format!("<<-JSON\n{}\n  JSON", indented(&pretty(value)));
    if let Some(policy) = bucket_policy(grant) {
        let comment = match grant.purpose {
            GrantPurpose::Destination => "",
            _ => "# A bucket has one policy: add the statements to yours if there is one.\n",
        };
        resources.push(format!(
            "{comment}resource \"aws_s3_bucket_policy\" \"{name}\" {{\n  bucket = \"{bucket}\"\n  policy = {}\n}}\n",
            heredoc(&policy)
        ));
    }
    if let Some(lifecycle) = lifecycle(grant) {
        resources.push(format!(
            "# A bucket has one lifecycle configuration: add the rule to yours if there is one.\n\
             resource \"aws_s3_bucket_lifecycle_configuration\" \"{name}\" {{\n  bucket = \"{bucket}\"\n\n\
             \x20 rule {{\n    id     = \"dayport-abort-unfinished-uploads\"\n    status = \"Enabled\"\n\n\
             \x20   filter {{\n      prefix = {}\n    }}\n\n\
             \x20   abort_incomplete_multipart_upload {{\n      days_after_initiation = {}\n    }}\n  }}\n}}\n",
            lifecycle["Rules"][0]["Filter"]["Prefix"],
            Grant::ABORT_AFTER_DAYS
        ));
    }
    if grant.external_id.is_some() {
        resources.push(format!(
            "resource \"aws_iam_role\" \"{name}\" {{\n  name               = \"{role}\"\n  assume_role_policy = {}\n}}\n",
            heredoc(&document(&grant.trust_policy()))
        ));
        resources.push(format!(
            "resource \"aws_iam_role_policy\" \"{name}\" {{\n  name   = \"{role}\"\n  role   = aws_iam_role.{name}.id\n  policy = {}\n}}\n",
            heredoc(&document(&grant.role_policy()))
        ));
    } else if let Some(key) = grant.key_policy() {
        resources.push(format!(
            "# Add this statement to the policy of the KMS key:\n{}\n",
            commented(&pretty(&json!(key)))
        ));
    }
    resources.join("\n")
}

/// Builds the CloudFormation template. CloudFormation can set a lifecycle only on a bucket that it
/// creates, so the rule is put into the metadata, to be copied.
fn cloudformation(grant: &Grant) -> Value {
    let TemplateNames {
        cloudformation: name,
        role,
        description,
        ..
    } = template_names(grant.purpose);
    let (mut metadata, mut resources) = (json!({}), json!({}));
    if let Some(lifecycle) = lifecycle(grant) {
        metadata["LifecycleRuleForTheBucket"] = json!({
            "Id": "dayport-abort-unfinished-uploads",
            "Status": "Enabled",
            "Prefix": lifecycle["Rules"][0]["Filter"]["Prefix"],
            "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": Grant::ABORT_AFTER_DAYS },
        });
    }
    if let Some(policy) = bucket_policy(grant) {
        if grant.purpose != GrantPurpose::Destination {
            metadata["BucketPolicy"] =
                json!("A bucket has one policy: add the statements to yours if there is one.");
        }
        resources[format!("{name}BucketPolicy")] = json!({
            "Type": "AWS::S3::BucketPolicy",
            "Properties": { "Bucket": grant.bucket, "PolicyDocument": policy },
        });
    }
    if grant.external_id.is_some() {
        resources[format!("{name}Role")] = json!({
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": document(&grant.trust_policy()),
                "Policies": [{
                    "PolicyName": role,
                    "PolicyDocument": document(&grant.role_policy()),
                }],
            },
        });
    } else if let Some(key) = grant.key_policy() {
        metadata["StatementForTheKeyPolicy"] = json!(key);
    }
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": description,
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
