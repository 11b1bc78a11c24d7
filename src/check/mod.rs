//! Checks that a run can succeed: its definitions, sources and destination, before the run.
//!
//! ```text
//! definitions ─bind→ sources ─sample→ destination ─real calls, in an order that leaves nothing→ settings
//! ```
//! Each result is a [`CheckItem`] of the list: passed, a finding, or unknown for want of a right.

mod changes;
mod leftovers;
mod lifecycle;
mod list;
mod place;
mod probe;
mod rejected_lines;
mod settings;
mod sources;

pub(crate) use changes::{DefinedTable, check_changes};
pub(crate) use list::{CheckArea, CheckItem, CheckList, Verdict};
pub(crate) use place::Place;
pub(crate) use rejected_lines::check_rejected_lines;
pub(crate) use sources::check_sources;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::check::probe::DestinationProbe;
use crate::check::settings::SettingsProbe;
use crate::error::Result;
use crate::policy::{Grant, GrantPurpose};
use crate::store::{Destination, Location, S3Bucket, S3Prefix, StoreOptions};

/// The destination to check, and the identity of this check.
pub(crate) struct CheckTarget<'a> {
    pub location: &'a Location,
    pub options: &'a StoreOptions,
    /// The id of this check, which names its objects.
    pub id: &'a str,
    /// The start of this check, by the same clock as its id.
    pub started: DateTime<Utc>,
    /// The real time, to compare with the clock of the store.
    pub now: DateTime<Utc>,
    /// The tables, to be compared with what is published.
    pub tables: &'a [DefinedTable],
    /// True if runs write marks of complete cycles.
    pub has_marks: bool,
    /// Cancels the check: it then deletes its objects and tries nothing more.
    pub stop: &'a CancellationToken,
}

/// Checks the destination by doing what a run does.
///
/// # Errors
/// The destination cannot be opened. Everything else becomes an item of `list`.
pub(crate) async fn check_destination(
    target: &CheckTarget<'_>,
    list: &mut CheckList,
) -> Result<()> {
    let grant = grant(target);
    let bucket = S3Bucket::open(target.location, target.options).await?;
    let settings = bucket.as_ref().map(|bucket| SettingsProbe {
        bucket,
        grant: &grant,
        now: target.now,
    });
    if let Some(settings) = &settings
        && !settings.reach(list).await
    {
        return Ok(());
    }
    let destination = Destination::open(target.location, target.options).await?;
    let probe = DestinationProbe {
        destination: &destination,
        bucket: bucket.as_ref(),
        grant: &grant,
        encryption: &target.options.s3.encryption,
        id: target.id,
        started: target.started,
        has_marks: target.has_marks,
        stop: target.stop,
    };
    probe.check(list).await;
    if !target.stop.is_cancelled() {
        check_changes(&destination, target.tables, list).await;
    }
    if let Some(settings) = settings.filter(|_| !target.stop.is_cancelled()) {
        settings.check(list).await;
    }
    Ok(())
}

/// Returns the rights that the check needs, without a principal: the store knows the caller.
fn grant(target: &CheckTarget<'_>) -> Grant {
    let (bucket, prefix) = match target.location.s3_prefix() {
        Some(S3Prefix { bucket, prefix }) => (bucket.to_owned(), prefix.clone()),
        None => Default::default(),
    };
    Grant {
        purpose: GrantPurpose::Destination,
        bucket,
        prefix,
        principal: None,
        kms_key: target.options.s3.encryption.kms_key().map(str::to_owned),
        external_id: None,
        settings: true,
    }
}
