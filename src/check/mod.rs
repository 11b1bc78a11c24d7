//! Whether a run can succeed: definitions, sources, and a destination that does what it must.
//!
//! ```text
//! definitions ─bind→ sources ─sample→ destination ─real calls, in an order that leaves nothing→ settings
//! ```
//! Every answer is an [`Item`] of the list: fine, a finding, or something that could not be seen.

mod calls;
mod denial;
mod leftovers;
mod lifecycle;
mod list;
mod settings;
mod sources;

pub use list::{Area, Item, List, Verdict};
pub use sources::check_sources;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::check::calls::Calls;
use crate::check::settings::Settings;
use crate::error::Result;
use crate::policy::Grant;
use crate::store::{Destination, Location, S3Bucket, S3Prefix, StoreOptions};

/// The destination to be checked.
pub struct Target<'a> {
    pub location: &'a Location,
    pub options: &'a StoreOptions,
    /// Names the objects of this check.
    pub id: &'a str,
    /// When this check began, by the clock that its id is of.
    pub began: DateTime<Utc>,
    /// The real time, for the clocks to be compared.
    pub now: DateTime<Utc>,
    /// When it is set, what is there is taken away, and nothing more is tried.
    pub stop: &'a CancellationToken,
}

/// Checks the destination by doing what a run does.
pub async fn check_destination(target: &Target<'_>, list: &mut List) -> Result<()> {
    let grant = grant(target);
    let bucket = S3Bucket::open(target.location, target.options).await?;
    if let Some(bucket) = &bucket {
        let settings = Settings {
            bucket,
            grant: &grant,
            now: target.now,
        };
        if !settings.reach(list).await {
            return Ok(());
        }
    }
    let destination = Destination::open(target.location, target.options).await?;
    let calls = Calls {
        destination: &destination,
        bucket: bucket.as_ref(),
        grant: &grant,
        encryption: &target.options.s3.encryption,
        id: target.id,
        began: target.began,
        stop: target.stop,
    };
    calls.check(list).await;
    if let Some(bucket) = bucket.filter(|_| !target.stop.is_cancelled()) {
        let settings = Settings {
            bucket: &bucket,
            grant: &grant,
            now: target.now,
        };
        settings.check(list).await;
    }
    Ok(())
}

/// The rights at issue, without a principal: who asks is for the store to know.
fn grant(target: &Target<'_>) -> Grant {
    let (bucket, prefix) = match target.location.s3_prefix() {
        Some(S3Prefix { bucket, prefix }) => (bucket.to_owned(), prefix.clone()),
        None => Default::default(),
    };
    Grant {
        bucket,
        prefix,
        principal: None,
        kms_key: target.options.s3.encryption.kms_key().map(str::to_owned),
        external_id: None,
        settings: true,
    }
}
