//! One file: fetched once, and hashed and decoded from the same bytes.
//!
//! ```text
//! store ─ranges of 4 MiB→ channel → a blocking thread: SHA-256, and ─JSON→ inflate, lines, schema
//!                                                               └─Parquet→ temporary file → decode
//! ```
//! A Parquet file begins to make sense at its end, so it is spooled to a nameless temporary file
//! instead of being fetched twice or held in memory: verifying costs the receiver each byte once.

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error as StoreError, GetOptions, GetRange};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::layout::FileFormat;
use crate::schema::ExportSchema;
use crate::store::{CONCURRENCY, Destination};
use crate::verify::Progress;
use crate::verify::json::JsonDecoder;
use crate::verify::parquet;
use crate::verify::plan::{Content, Listed, Recorded};
use crate::verify::report::{Finding, Kind, Totals};

/// Fetched by one request.
const PIECE: u64 = 4 << 20;

/// What decoding a file came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    Whole {
        rows: u64,
        /// The first thing that is not of the schema.
        misfit: Option<String>,
    },
    Broken(String),
}

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Observed {
    pub bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
    pub decoded: Decoded,
}

/// Holds what the store says of a file against its record; quick mode knows no more.
pub fn metadata(recorded: &Recorded, listed: &Listed) -> Option<Finding> {
    let Listed::There { bytes, etag } = listed else {
        return None;
    };
    let size = recorded
        .size_differs(*bytes)
        .map(|detail| (Kind::Size, detail));
    let etag = || {
        let detail = recorded.etag_differs(etag.as_deref())?;
        Some((Kind::Etag, detail))
    };
    size.or_else(etag)
        .map(|(kind, detail)| recorded.finding(kind, detail))
}

/// Reads a file to its end. An error means that the store or this machine failed.
pub async fn file(
    destination: &Destination,
    recorded: &Recorded,
    listed: &Listed,
    progress: &dyn Progress,
) -> Result<(Vec<Finding>, Totals)> {
    let Listed::There { bytes: size, etag } = listed else {
        return Ok((Vec::new(), Totals::default()));
    };
    let (pieces, received) = mpsc::channel(CONCURRENCY.verified_ranges_ahead);
    let content = recorded.content.clone();
    let decoding = tokio::task::spawn_blocking(move || decode(received, &content));
    let fetched = fetch(
        destination,
        recorded,
        *size,
        etag.as_deref(),
        pieces,
        progress,
    )
    .await;
    let observed = decoding.await.map_err(|error| {
        Error::internal(format!("reading `{}` broke off", recorded.path)).with_source(error)
    })?;
    let findings = match fetched? {
        Fetched::Whole => {
            let observed = observed?;
            let totals = Totals {
                files: 1,
                rows: match &observed.decoded {
                    Decoded::Whole { rows, .. } => *rows,
                    Decoded::Broken(_) => 0,
                },
                bytes: observed.bytes,
                cycles: 0,
            };
            return Ok((judge(recorded, etag.as_deref(), &observed), totals));
        }
        Fetched::Gone => recorded.finding(Kind::Missing, "deleted while it was verified"),
        Fetched::Changed => recorded.finding(Kind::Etag, "written again while it was read"),
        Fetched::Forbidden => {
            recorded.finding(Kind::Unreadable, "these credentials may not read it")
        }
    };
    Ok((vec![findings], Totals::default()))
}

/// Holds a file against its record. Names causes, not consequences: a file of another size has
/// another hash and ETag too, and damaged bytes need no second complaint if they do not decode.
fn judge(recorded: &Recorded, etag: Option<&str>, observed: &Observed) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_damaged = if let Some(detail) = recorded.size_differs(observed.bytes) {
        found.push((Kind::Size, detail));
        true
    } else if recorded.sha256 != observed.sha256 {
        let (there, said) = (&observed.sha256, &recorded.sha256);
        found.push((Kind::Sha256, format!("SHA-256 {there}, recorded as {said}")));
        true
    } else {
        if let Some(detail) = recorded.etag_differs(etag) {
            found.push((Kind::Etag, format!("{detail}; the bytes are as recorded")));
        }
        false
    };
    match &observed.decoded {
        Decoded::Whole { rows, misfit } => {
            if *rows != recorded.rows {
                let said = recorded.rows;
                found.push((Kind::Rows, format!("{rows} rows, recorded as {said}")));
            }
            let misfit = misfit.iter().cloned();
            found.extend(misfit.map(|misfit| (Kind::Schema, misfit)));
        }
        Decoded::Broken(reason) if !is_damaged => {
            found.push((Kind::Rows, format!("cannot be decoded: {reason}")));
        }
        Decoded::Broken(_) => {}
    }
    let found = found.into_iter();
    found
        .map(|(kind, detail)| recorded.finding(kind, detail))
        .collect()
}

/// What became of fetching a file.
enum Fetched {
    Whole,
    Gone,
    Changed,
    Forbidden,
}

async fn fetch(
    destination: &Destination,
    recorded: &Recorded,
    size: u64,
    etag: Option<&str>,
    pieces: mpsc::Sender<Bytes>,
    progress: &dyn Progress,
) -> Result<Fetched> {
    let path = Path::parse(&recorded.path).map_err(|error| {
        Error::data(format!("`{}` is not a key", recorded.path)).with_source(error)
    })?;
    let key = destination.absolute(&path);
    let store = destination.object_store();
    let starts = (0..size.div_ceil(PIECE)).map(|index| index * PIECE);
    let requests: Vec<_> = starts
        .map(|start| {
            let (store, key) = (Arc::clone(&store), key.clone());
            let options = GetOptions {
                range: Some(GetRange::Bounded(start..size.min(start + PIECE))),
                // All pieces are of one object.
                if_match: etag.map(str::to_owned),
                ..GetOptions::default()
            };
            async move { store.get_opts(&key, options).await?.bytes().await }
        })
        .collect();
    let mut answers = futures::stream::iter(requests).buffered(CONCURRENCY.verified_ranges_ahead);
    loop {
        match answers.try_next().await {
            Ok(Some(bytes)) => {
                progress.read(bytes.len() as u64);
                if pieces.send(bytes).await.is_err() {
                    // The thread has failed, and says why.
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

enum Decoder {
    Json(Box<JsonDecoder>),
    Parquet(File, Arc<ExportSchema>),
}

/// Takes pieces until there are no more. Must not be called on an async task.
fn decode(mut pieces: mpsc::Receiver<Bytes>, content: &Content) -> Result<Observed> {
    let spool = |error: std::io::Error| {
        Error::unavailable("cannot spool a file to the folder for temporary files")
            .with_source(error)
            .with_hint("it needs room for the files read at once; TMPDIR names another folder")
    };
    let mut decoder = match content {
        Content::Rejects => Decoder::Json(Box::new(JsonDecoder::new(None))),
        Content::Rows { format, schema } => match format {
            FileFormat::Json => Decoder::Json(Box::new(JsonDecoder::new(Some(Arc::clone(schema))))),
            FileFormat::Parquet => {
                Decoder::Parquet(tempfile::tempfile().map_err(spool)?, Arc::clone(schema))
            }
        },
    };
    let (mut bytes, mut digest) = (0, Sha256::new());
    while let Some(piece) = pieces.blocking_recv() {
        bytes += piece.len() as u64;
        digest.update(&piece);
        match &mut decoder {
            Decoder::Json(json) => json.write(&piece),
            Decoder::Parquet(file, _) => file.write_all(&piece).map_err(spool)?,
        }
    }
    let decoded = match decoder {
        Decoder::Json(json) => json.finish(),
        Decoder::Parquet(mut file, schema) => {
            file.rewind().map_err(spool)?;
            parquet::decode(file, &schema)
        }
    };
    Ok(Observed {
        bytes,
        sha256: format!("{:x}", digest.finalize()),
        decoded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Recorded {
        Recorded {
            table: "t".to_owned(),
            cycle: "2026-01-15".parse().unwrap(),
            path: "data/t/data-000000000000.json.gz".to_owned(),
            rows: 3,
            bytes: 10,
            etag: Some("e".to_owned()),
            sha256: "s".to_owned(),
            content: Content::Rejects,
        }
    }

    fn kinds(etag: Option<&str>, bytes: u64, sha256: &str, decoded: Decoded) -> Vec<Kind> {
        let observed = Observed {
            bytes,
            sha256: sha256.to_owned(),
            decoded,
        };
        let findings = judge(&recorded(), etag, &observed);
        findings.into_iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn causes_are_named_and_consequences_are_not() {
        let rows = |rows| Decoded::Whole { rows, misfit: None };
        let broken = || Decoded::Broken("torn".to_owned());
        let misfit = Decoded::Whole {
            rows: 3,
            misfit: Some("`a`".to_owned()),
        };
        let none: [Kind; 0] = [];
        assert_eq!(kinds(Some("e"), 10, "s", rows(3)), none);
        assert_eq!(kinds(None, 10, "s", rows(3)), none);
        assert_eq!(kinds(Some("f"), 9, "x", broken()), [Kind::Size]);
        assert_eq!(kinds(Some("f"), 10, "x", broken()), [Kind::Sha256]);
        assert_eq!(kinds(Some("f"), 10, "s", rows(3)), [Kind::Etag]);
        assert_eq!(kinds(Some("f"), 11, "x", rows(4)), [Kind::Size, Kind::Rows]);
        assert_eq!(kinds(Some("e"), 10, "s", rows(2)), [Kind::Rows]);
        assert_eq!(kinds(Some("e"), 10, "s", broken()), [Kind::Rows]);
        assert_eq!(kinds(Some("e"), 10, "s", misfit), [Kind::Schema]);
    }

    #[test]
    fn metadata_alone_tells_size_and_etag() {
        let kind = |bytes, etag: Option<&str>| {
            let listed = Listed::There {
                bytes,
                etag: etag.map(str::to_owned),
            };
            metadata(&recorded(), &listed).map(|finding| finding.kind)
        };
        assert_eq!(kind(10, Some("e")), None);
        assert_eq!(kind(10, None), None);
        assert_eq!(kind(9, Some("f")), Some(Kind::Size));
        assert_eq!(kind(10, Some("f")), Some(Kind::Etag));
    }
}
