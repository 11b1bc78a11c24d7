//! `--rejects-to`: the operator's place for the texts of malformed lines.

use std::time::Duration;

use crate::catalog::Sources;
use crate::cli::access::Access;
use crate::cli::shared::JobArguments;
use crate::error::{Error, Result};
use crate::store::{Destination, Location, S3Options, StoreOptions};

/// Parses the place, and checks that it is apart from the sources and the destination.
///
/// # Errors
/// [`Error::invalid`] if it overlaps one of them: the receiver, or the next run, would read the lines.
pub(super) fn place(
    arguments: &JobArguments,
    sources: &Sources,
    from: Option<&Location>,
    to: &Location,
) -> Result<Option<Location>> {
    let Some(text) = &arguments.rejects_to else {
        return Ok(None);
    };
    let place = Location::parse(text).map_err(|error| error.context("--rejects-to"))?;
    if place.overlaps(to) {
        return Err(Error::invalid(format!(
            "--rejects-to `{place}` overlaps the destination `{to}`, whose readers would see the lines"
        ))
        .with_hint("give it a folder or a prefix of your own"));
    }
    if let Some((name, location)) = sources.overlapping(from.map(Location::url), &place) {
        return Err(Error::invalid(format!(
            "--rejects-to `{place}` overlaps the source `{name}` at `{location}`, which would read the lines"
        ))
        .with_hint("give it a folder or a prefix of its own"));
    }
    Ok(Some(place))
}

/// Opens the place.
pub(super) async fn open(
    place: &Location,
    arguments: &JobArguments,
    retry_timeout: Duration,
    access: Access,
) -> Result<Destination> {
    let options = StoreOptions {
        retry_timeout,
        // It belongs to the operator, like the sources: neither the role nor the encryption of the
        // destination applies. Whether ETags are opaque is a property of the server, which is the same.
        s3: S3Options {
            opaque_etags: arguments.s3.opaque_etags,
            ..S3Options::default()
        },
    };
    let opened = match access {
        Access::ReadWrite => Destination::open(place, &options).await,
        Access::ReadOnly => Destination::open_read_only(place, &options).await,
    };
    opened.map_err(|error| error.context("--rejects-to"))
}
