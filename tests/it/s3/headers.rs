//! The attributes of an object and the conditions of a request, parsed from request headers.

use super::state::Object;
use hyper::{HeaderMap, header};
use s3s::{
    S3Result,
    dto::{ETag, ETagCondition},
    s3_error,
};
use std::collections::HashMap;

/// The attributes that a writer gives to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    /// The user metadata, without the prefix `x-amz-meta-`.
    pub metadata: HashMap<String, String>,
    /// The encryption: `AES256`, `aws:kms`, or `None` if the writer requested none. (The real S3 then
    /// encrypts with `AES256` and returns that.)
    pub sse: Option<String>,
    pub kms_key_id: Option<String>,
}

impl Attributes {
    pub(crate) fn from_headers(headers: &HeaderMap) -> S3Result<Attributes> {
        let text = |name: &str| {
            let value = headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        if headers.contains_key("x-amz-server-side-encryption-customer-algorithm") {
            return Err(s3_error!(NotImplemented));
        }
        let metadata = headers.keys().filter_map(|name| {
            let short = name.as_str().strip_prefix("x-amz-meta-")?;
            Some((short.to_owned(), text(name.as_str())?))
        });
        let attributes = Attributes {
            content_type: text("content-type"),
            // `aws-chunked` describes the request, not the object.
            content_encoding: text("content-encoding").filter(|coding| coding != "aws-chunked"),
            metadata: metadata.collect(),
            sse: text("x-amz-server-side-encryption"),
            kms_key_id: text("x-amz-server-side-encryption-aws-kms-key-id"),
        };
        match (attributes.sse.as_deref(), &attributes.kms_key_id) {
            (None | Some("AES256"), None) | (Some("aws:kms" | "aws:kms:dsse"), _) => Ok(attributes),
            _ => Err(s3_error!(
                InvalidArgument,
                "encryption method and key do not fit"
            )),
        }
    }
}

/// The conditions of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
}

impl Conditions {
    pub(super) fn from_headers(headers: &HeaderMap) -> S3Result<Conditions> {
        let condition = |name| {
            let parse = |value: &header::HeaderValue| {
                let condition = ETagCondition::parse_http_header(value.as_bytes());
                condition.map_err(|error| s3_error!(error, InvalidArgument))
            };
            headers.get(name).map(parse).transpose()
        };
        Ok(Conditions {
            if_match: condition(header::IF_MATCH)?,
            if_none_match: condition(header::IF_NONE_MATCH)?,
        })
    }

    pub(super) fn check_write(&self, current: Option<&Object>) -> S3Result<()> {
        match (&self.if_none_match, current) {
            (Some(ETagCondition::Any), Some(_)) => return Err(s3_error!(PreconditionFailed)),
            (Some(ETagCondition::ETag(_)), _) => return Err(s3_error!(NotImplemented)),
            _ => {}
        }
        match (&self.if_match, current) {
            (Some(_), None) => Err(s3_error!(NoSuchKey)),
            (Some(condition), Some(object)) if !holds(condition, object) => {
                Err(s3_error!(PreconditionFailed))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_read(&self, object: &Object) -> S3Result<()> {
        match (&self.if_match, &self.if_none_match) {
            (Some(needed), _) if !holds(needed, object) => Err(s3_error!(PreconditionFailed)),
            (_, Some(known)) if holds(known, object) => Err(s3_error!(NotModified)),
            _ => Ok(()),
        }
    }
}

fn holds(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => same_etag(&object.etag, etag),
    }
}

/// Compares ETags regardless of their quotes.
pub(super) fn same_etag(ours: &str, theirs: &ETag) -> bool {
    ours.trim_matches('"') == theirs.value()
}
