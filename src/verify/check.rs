//! Checks one file: fetches it once, and hashes and decodes the same bytes.
//!
//! ```text
//! store ─ranges of 4 MiB→ channel → a blocking thread: SHA-256, FileDecoder
//! ```

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error as StoreError, GetOptions, GetRange};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::format::{DecodeOutcome, json};
use crate::human;
use crate::store::{CONCURRENCY, Destination};
use crate::verify::plan::{FileContent, ObjectState, RecordedFile};
use crate::verify::progress::VerifyProgress;
use crate::verify::report::{Finding, FindingKind, VerifyTotals};

/// The bytes of one request.
const REQUEST_BYTES: u64 = 4 << 20;

/// The content of a file, as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Observed {
    bytes: u64,
    /// The SHA-256, hexadecimal.
    sha256: String,
    decoded: DecodeOutcome,
}

/// Compares the metadata that the store returns with the record of a file; quick mode compares
/// nothing else.
pub(super) fn metadata(recorded: &RecordedFile, state: &ObjectState) -> Option<Finding> {
    let ObjectState::Present { bytes, etag } = state else {
        return None;
    };
    let size = recorded
        .size_difference(*bytes)
        .map(|detail| (FindingKind::Size, detail));
    let etag = || {
        let detail = recorded.etag_difference(etag.as_deref())?;
        Some((FindingKind::Etag, detail))
    };
    size.or_else(etag)
        .map(|(kind, detail)| recorded.finding(kind, detail))
}

/// Reads a file to its end and compares it with its record.
///
/// # Errors
/// Fails if the store or this machine does.
pub(super) async fn file(
    destination: &Destination,
    recorded: &RecordedFile,
    state: &ObjectState,
    progress: &dyn VerifyProgress,
) -> Result<(Vec<Finding>, VerifyTotals)> {
    let ObjectState::Present { bytes: size, etag } = state else {
        return Ok((Vec::new(), VerifyTotals::default()));
    };
    let (chunks, received) = mpsc::channel(CONCURRENCY.verified_ranges_ahead);
    let content = recorded.content.clone();
    let decoding = tokio::task::spawn_blocking(move || decode(received, &content));
    let fetched = fetch(
        destination,
        recorded,
        *size,
        etag.as_deref(),
        chunks,
        progress,
    )
    .await;
    let decoded = decoding.await.map_err(|error| {
        Error::internal(format!("reading `{}` ended unexpectedly", recorded.path))
            .with_source(error)
    })?;
    let finding = match fetched? {
        Fetched::Whole => {
            let observed = decoded?;
            let rows = match &observed.decoded {
                DecodeOutcome::Whole { rows, .. } => *rows,
                DecodeOutcome::Broken(_) => 0,
            };
            let totals = recorded.totals(rows, observed.bytes);
            return Ok((compare(recorded, etag.as_deref(), &observed), totals));
        }
        Fetched::Gone => recorded.finding(FindingKind::Missing, "deleted while it was verified"),
        Fetched::Changed => recorded.finding(FindingKind::Etag, "written again while it was read"),
        Fetched::Forbidden => {
            recorded.finding(FindingKind::Unreadable, "these credentials may not read it")
        }
    };
    Ok((vec![finding], VerifyTotals::default()))
}

/// Compares a file with its record.
///
/// Names causes, not consequences: a file of another size has another hash and ETag too, and damaged
/// bytes need no second complaint if they do not decode.
fn compare(recorded: &RecordedFile, etag: Option<&str>, observed: &Observed) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_damaged = if let Some(detail) = recorded.size_difference(observed.bytes) {
        found.push((FindingKind::Size, detail));
        true
    } else if recorded.sha256 != observed.sha256 {
        let (actual, expected) = (&observed.sha256, &recorded.sha256);
        let detail = format!("SHA-256 {actual}, recorded as {expected}");
        found.push((FindingKind::Sha256, detail));
        true
    } else {
        if let Some(detail) = recorded.etag_difference(etag) {
            found.push((
                FindingKind::Etag,
                format!("{detail}; the bytes are as recorded"),
            ));
        }
        false
    };
    match &observed.decoded {
        DecodeOutcome::Whole { rows, mismatch } => {
            if *rows != recorded.rows {
                let expected = recorded.rows;
                found.push((
                    FindingKind::Rows,
                    format!("{}, recorded as {expected}", human::counted(*rows, "row")),
                ));
            }
            found.extend(mismatch.clone().map(|detail| (FindingKind::Schema, detail)));
        }
        DecodeOutcome::Broken(reason) if !is_damaged => {
            found.push((FindingKind::Rows, format!("cannot be decoded: {reason}")));
        }
        DecodeOutcome::Broken(_) => {}
    }
    let finding = |(kind, detail)| recorded.finding(kind, detail);
    found.into_iter().map(finding).collect()
}

/// The outcome of fetching a file.
enum Fetched {
    Whole,
    Gone,
    Changed,
    Forbidden,
}

async fn fetch(
    destination: &Destination,
    recorded: &RecordedFile,
    size: u64,
    etag: Option<&str>,
    chunks: mpsc::Sender<Bytes>,
    progress: &dyn VerifyProgress,
) -> Result<Fetched> {
    let path = Path::parse(&recorded.path).map_err(|error| {
        Error::data(format!("`{}` is not a key", recorded.path)).with_source(error)
    })?;
    let key = destination.absolute(&path);
    let store = destination.object_store();
    let starts = (0..size.div_ceil(REQUEST_BYTES)).map(|index| index * REQUEST_BYTES);
    let requests: Vec<_> = starts
        .map(|start| {
            let (store, key) = (Arc::clone(&store), key.clone());
            let options = GetOptions {
                range: Some(GetRange::Bounded(start..size.min(start + REQUEST_BYTES))),
                // All chunks are of one version of the object.
                if_match: etag.map(str::to_owned),
                ..GetOptions::default()
            };
            async move { store.get_opts(&key, options).await?.bytes().await }
        })
        .collect();
    let mut responses = futures::stream::iter(requests).buffered(CONCURRENCY.verified_ranges_ahead);
    loop {
        match responses.try_next().await {
            Ok(Some(bytes)) => {
                progress.read(bytes.len() as u64);
                if chunks.send(bytes).await.is_err() {
                    // The thread has failed, and its error says why.
                    return Ok(Fetched::Whole);
                }
            }
            Ok(None) => return Ok(Fetched::Whole),
            Err(StoreError::NotFound { .. }) => return Ok(Fetched::Gone),
            Err(StoreError::Precondition { .. }) => return Ok(Fetched::Changed),
            Err(StoreError::PermissionDenied { .. }) => return Ok(Fetched::Forbidden),
            Err(error) => return Err(Error::store("read", &recorded.path, error)),
        }
    }
}

/// Receives chunks until the channel closes. Must not be called on an async task.
fn decode(mut chunks: mpsc::Receiver<Bytes>, content: &FileContent) -> Result<Observed> {
    let mut decoder = match content {
        FileContent::Rejects => json::line_decoder(),
        FileContent::Rows { format, schema } => (format.info().decoder)(schema)?,
    };
    let (mut bytes, mut digest) = (0, Sha256::new());
    while let Some(chunk) = chunks.blocking_recv() {
        bytes += chunk.len() as u64;
        digest.update(&chunk);
        decoder.write(&chunk)?;
    }
    Ok(Observed {
        bytes,
        sha256: format!("{:x}", digest.finalize()),
        decoded: decoder.finish()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> RecordedFile {
        RecordedFile {
            table: "t".to_owned(),
            cycle: "2026-01-15".parse().unwrap(),
            path: "data/t/data-000000000000.json.gz".to_owned(),
            rows: 3,
            bytes: 10,
            etag: Some("e".to_owned()),
            sha256: "s".to_owned(),
            content: FileContent::Rejects,
        }
    }

    fn kinds(
        etag: Option<&str>,
        bytes: u64,
        sha256: &str,
        decoded: DecodeOutcome,
    ) -> Vec<FindingKind> {
        let observed = Observed {
            bytes,
            sha256: sha256.to_owned(),
            decoded,
        };
        let findings = compare(&recorded(), etag, &observed);
        findings.into_iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn causes_are_named_and_consequences_are_not() {
        let whole = |rows, mismatch| DecodeOutcome::Whole { rows, mismatch };
        let rows = |rows| whole(rows, None);
        let broken = || DecodeOutcome::Broken("torn".to_owned());
        let mismatch = whole(3, Some("`a`".to_owned()));
        let none: [FindingKind; 0] = [];
        assert_eq!(kinds(Some("e"), 10, "s", rows(3)), none);
        assert_eq!(kinds(None, 10, "s", rows(3)), none);
        assert_eq!(kinds(Some("f"), 9, "x", broken()), [FindingKind::Size]);
        assert_eq!(kinds(Some("f"), 10, "x", broken()), [FindingKind::Sha256]);
        assert_eq!(kinds(Some("f"), 10, "s", rows(3)), [FindingKind::Etag]);
        assert_eq!(
            kinds(Some("f"), 11, "x", rows(4)),
            [FindingKind::Size, FindingKind::Rows]
        );
        assert_eq!(kinds(Some("e"), 10, "s", rows(2)), [FindingKind::Rows]);
        assert_eq!(kinds(Some("e"), 10, "s", broken()), [FindingKind::Rows]);
        assert_eq!(kinds(Some("e"), 10, "s", mismatch), [FindingKind::Schema]);
    }

    #[test]
    fn metadata_alone_shows_size_and_etag() {
        let kind = |bytes, etag: Option<&str>| {
            let state = ObjectState::Present {
                bytes,
                etag: etag.map(str::to_owned),
            };
            metadata(&recorded(), &state).map(|finding| finding.kind)
        };
        assert_eq!(kind(10, Some("e")), None);
        assert_eq!(kind(10, None), None);
        assert_eq!(kind(9, Some("f")), Some(FindingKind::Size));
        assert_eq!(kind(10, Some("f")), Some(FindingKind::Etag));
    }
}
