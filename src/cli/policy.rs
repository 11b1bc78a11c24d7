//! `dayport policy`: prints the policies that grant the rights of a run, and those of readers.

use clap::{Args, ValueEnum};

use crate::cli::print;
use crate::error::{Error, ExitCode, Result};
use crate::policy::{Grant, GrantPurpose, PolicyDocument, PolicyFormat, render as render_policies};
use crate::store::{Location, S3Prefix};

pub(super) const EXAMPLES: &str = "\
For the bucket's owner. Grants what `run` does below the prefix, and no more: listing, reading and
writing data, manifests, markers and the log; deleting data that a rerun replaces, but no manifest,
marker or log entry; over TLS only. The lifecycle rule aborts the unfinished uploads of runs that died.

--for sources grants what `run`, `plan` and `check` do with raw files below --from: listing and
reading. --for receivers grants what `verify`, `wait`, `status`, `ddl` and `query` do with the export
below --to: listing and reading. Both hold over TLS only. A bucket has one policy: add the statements
to the one that it has.

Without --external-id, the bucket policy grants the rights to the principal. With it, a role of the
bucket's owner has the rights, and the principal assumes it:
`dayport run --role-arn … --external-id …`.

Examples:
  dayport policy --to s3://bucket/prefix/ --principal arn:aws:iam::111122223333:role/export
      everything, as JSON
  dayport policy --to s3://bucket/prefix/ --principal arn:aws:iam::111122223333:role/export --part bucket-policy
      a file for `aws s3api put-bucket-policy --policy file://…`
  dayport policy --to s3://bucket/prefix/ --principal arn:aws:iam::111122223333:role/export --form terraform
  dayport policy --for sources --from s3://raw/events/ --principal arn:aws:iam::111122223333:role/export
      for the owner of the raw bucket
  dayport policy --for receivers --to s3://bucket/prefix/ --principal arn:aws:iam::444455556666:role/load
      for a team that only reads the export

Exit codes: 0 done, 2 the call is wrong.";

/// The arguments of `dayport policy`.
#[derive(Debug, Args)]
pub(super) struct PolicyArguments {
    /// What the principal does with the bucket
    #[arg(long = "for", value_name = "PURPOSE", default_value = "destination")]
    pub purpose: PurposeKind,

    /// The destination: s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_TO", value_name = "URL", hide_env_values = true)]
    pub to: Option<String>,

    /// The sources, with --for sources: s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_FROM", value_name = "URL", hide_env_values = true)]
    pub from: Option<String>,

    /// The principal that runs dayport, or reads the export: the ARN of a role, a user or an account's root; on Ceph
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

/// The values of `--for`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PurposeKind {
    /// It exports to --to
    Destination,
    /// It reads raw files below --from
    Sources,
    /// It reads the export below --to
    Receivers,
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
    let purpose = match arguments.purpose {
        PurposeKind::Destination => GrantPurpose::Destination,
        PurposeKind::Sources => GrantPurpose::Sources,
        PurposeKind::Receivers => GrantPurpose::Receivers,
    };
    let location = location(arguments)?;
    let Some(S3Prefix { bucket, prefix }) = location.s3_prefix() else {
        let hint = format!("give {} s3://…", location_flag(arguments.purpose));
        return Err(Error::invalid("a folder has no policy").with_hint(hint));
    };
    if arguments.settings && purpose != GrantPurpose::Destination {
        return Err(Error::invalid("--settings is for --for destination"));
    }
    let external_id = match purpose {
        GrantPurpose::Sources => None,
        GrantPurpose::Destination | GrantPurpose::Receivers => arguments.external_id.clone(),
    };
    if external_id != arguments.external_id {
        // It may be that of the environment, which is for the destination.
        print::message("note: --external-id is not used: sources are read without a role\n");
    }
    let grant = Grant {
        purpose,
        bucket: bucket.to_owned(),
        prefix: prefix.clone(),
        principal: Some(arguments.principal.parse()?),
        kms_key: arguments.kms_key.clone(),
        external_id,
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
    let text =
        render_policies(&grant, form, part).ok_or_else(|| nothing_to_print(arguments.part))?;
    print::raw(&format!("{}\n", text.trim_end()));
    Ok(ExitCode::Done)
}

/// Parses the location that the rights are for.
fn location(arguments: &PolicyArguments) -> Result<Location> {
    let text = match arguments.purpose {
        PurposeKind::Sources => &arguments.from,
        PurposeKind::Destination | PurposeKind::Receivers => &arguments.to,
    };
    let flag = location_flag(arguments.purpose);
    match text {
        Some(text) => Location::parse(text),
        None => Err(Error::invalid(format!("{flag} is missing"))
            .with_hint(format!("give {flag} s3://bucket/prefix/"))),
    }
}

fn location_flag(purpose: PurposeKind) -> &'static str {
    match purpose {
        PurposeKind::Sources => "--from",
        PurposeKind::Destination | PurposeKind::Receivers => "--to",
    }
}

/// Returns the error of a part that these rights do not have.
fn nothing_to_print(part: PartKind) -> Error {
    match part {
        PartKind::KeyPolicyStatement => {
            Error::invalid("there is no statement for a key policy").with_hint("give --kms-key")
        }
        PartKind::Lifecycle => Error::invalid("those who only read need no lifecycle rule"),
        PartKind::BucketPolicy => {
            Error::invalid("a role has the rights: no bucket policy is needed")
                .with_hint("print --part role-policy and --part role-trust-policy")
        }
        PartKind::RoleTrustPolicy => Error::invalid("no role is assumed to read sources"),
        PartKind::All | PartKind::RolePolicy => Error::internal("a policy without statements"),
    }
}
