//! `dayport policy`: prints the policies that grant the rights of a run.

use clap::{Args, ValueEnum};

use crate::cli::print;
use crate::error::{Error, ExitCode, Result};
use crate::policy::{Grant, PolicyDocument, PolicyFormat, render as render_policies};
use crate::store::{Location, S3Prefix};

pub(super) const EXAMPLES: &str = "\
For the bucket's owner. Grants what `run` does below the prefix, and no more: listing, reading and
writing data, manifests, markers and the log; deleting data that a rerun replaces, but no manifest,
marker or log entry; over TLS only. The lifecycle rule aborts the unfinished uploads of runs that died.

Without --external-id, the bucket policy grants the rights to the principal. With it, a role of the
bucket's owner has the rights, and the principal assumes it:
`dayport run --role-arn … --external-id …`.

Examples:
  dayport policy --to s3://bucket/prefix/ --principal arn:aws:iam::111122223333:role/export
      everything, as JSON
  dayport policy --to s3://bucket/prefix/ --principal arn:aws:iam::111122223333:role/export --part bucket-policy
      a file for `aws s3api put-bucket-policy --policy file://…`
  dayport policy --to s3://bucket/prefix/ --principal arn:aws:iam::111122223333:role/export --form terraform

Exit codes: 0 done, 2 the call is wrong.";

/// The arguments of `dayport policy`.
#[derive(Debug, Args)]
pub(super) struct PolicyArguments {
    /// The destination: s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_TO", value_name = "URL", hide_env_values = true)]
    pub to: String,

    /// The principal that runs dayport: the ARN of a role, a user or an account's root; on Ceph
    /// arn:aws:iam:::user/NAME
    #[arg(long, value_name = "ARN")]
    pub principal: String,

    /// The KMS key that encrypts the bucket's objects
    #[arg(long, env = "DAYPORT_SSE_KMS_KEY", value_name = "ARN")]
    pub kms_key: Option<String>,

    /// The id with which the principal assumes a role of the bucket's owner
    #[arg(long, env = "DAYPORT_EXTERNAL_ID", value_name = "ID")]
    pub external_id: Option<String>,

    /// Also let `dayport check` read the public access block, versioning and lifecycle rules
    #[arg(long)]
    pub settings: bool,

    /// The tool that the policies are for
    #[arg(long, value_name = "FORM", default_value = "json")]
    pub form: FormKind,

    /// The one document to print, with --form json
    #[arg(long, value_name = "PART", default_value = "all")]
    pub part: PartKind,
}

/// The values of `--form`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormKind {
    Json,
    Terraform,
    Cloudformation,
}

/// The values of `--part`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PartKind {
    All,
    BucketPolicy,
    RoleTrustPolicy,
    RolePolicy,
    KeyPolicyStatement,
    Lifecycle,
}

/// Runs the command.
pub(super) fn policy(arguments: &PolicyArguments) -> Result<ExitCode> {
    let location = Location::parse(&arguments.to)?;
    let Some(S3Prefix { bucket, prefix }) = location.s3_prefix() else {
        return Err(Error::invalid("a folder has no policy").with_hint("give --to s3://…"));
    };
    let grant = Grant {
        bucket: bucket.to_owned(),
        prefix: prefix.clone(),
        principal: Some(arguments.principal.parse()?),
        kms_key: arguments.kms_key.clone(),
        external_id: arguments.external_id.clone(),
        settings: arguments.settings,
    };
    grant.validate()?;
    let form = match arguments.form {
        FormKind::Json => PolicyFormat::Json,
        FormKind::Terraform => PolicyFormat::Terraform,
        FormKind::Cloudformation => PolicyFormat::CloudFormation,
    };
    if form != PolicyFormat::Json && arguments.part != PartKind::All {
        return Err(Error::invalid("--part is for --form json"));
    }
    let part = match arguments.part {
        PartKind::All => PolicyDocument::All,
        PartKind::BucketPolicy => PolicyDocument::BucketPolicy,
        PartKind::RoleTrustPolicy => PolicyDocument::RoleTrustPolicy,
        PartKind::RolePolicy => PolicyDocument::RolePolicy,
        PartKind::KeyPolicyStatement => PolicyDocument::KeyPolicyStatement,
        PartKind::Lifecycle => PolicyDocument::Lifecycle,
    };
    let text = render_policies(&grant, form, part).ok_or_else(|| {
        Error::invalid("there is no statement for a key policy").with_hint("give --kms-key")
    })?;
    print::raw(&format!("{}\n", text.trim_end()));
    Ok(ExitCode::Done)
}
