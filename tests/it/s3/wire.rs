//! Conversions between the types of the server and those of s3s.

use super::headers::Attributes;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use s3s::{
    S3Error, S3ErrorCode, S3Response, S3Result,
    checksum::ChecksumHasher,
    crypto::Sha256,
    dto::{self, StreamingBlob},
    s3_error,
};

pub(super) type Answer<T> = S3Result<S3Response<T>>;

pub(super) fn ok<T>(output: T) -> Answer<T> {
    Ok(S3Response::new(output))
}

/// Parses the quoted form of [`Object::etag`](super::Object::etag).
pub(super) fn etag(quoted: &str) -> Option<dto::ETag> {
    Some(dto::ETag::Strong(quoted.trim_matches('"').to_owned()))
}

pub(super) fn encryption(attributes: &Attributes) -> Option<dto::ServerSideEncryption> {
    attributes.sse.clone().map(dto::ServerSideEncryption::from)
}

/// Returns the requested page size, within the limit of the server.
pub(super) fn page_size(requested: Option<i32>, limit: usize) -> usize {
    requested.map_or(limit, |requested| {
        usize::try_from(requested).unwrap_or(0).min(limit)
    })
}

/// The maximum initial capacity of a body, in bytes.
const MAX_INITIAL_CAPACITY: usize = 64 << 20;

/// Reads the whole body. s3s fails the stream if the body does not match the signed SHA-256. This
/// checks the only checksum header that object_store can send; others are ignored.
pub(super) async fn read_body(
    body: Option<StreamingBlob>,
    length: Option<i64>,
    sha256: Option<&str>,
) -> S3Result<Bytes> {
    let length = length.and_then(|length| usize::try_from(length).ok());
    let mut data = BytesMut::with_capacity(length.unwrap_or(0).min(MAX_INITIAL_CAPACITY));
    if let Some(mut stream) = body {
        while let Some(chunk) = stream.next().await {
            let bad = |error| S3Error::with_source(S3ErrorCode::BadDigest, error);
            data.extend_from_slice(&chunk.map_err(bad)?);
        }
    }
    if let Some(sent) = sha256 {
        let mut hasher = ChecksumHasher {
            sha256: Some(Sha256::default()),
            ..Default::default()
        };
        hasher.update(&data);
        if hasher.finalize().checksum_sha256.as_deref() != Some(sent) {
            return Err(s3_error!(BadDigest));
        }
    }
    Ok(data.freeze())
}
