//! The S3 operation of an HTTP request, determined from its request line alone.
//!
//! The fault layer needs it before the S3 code parses and authenticates the request.

use hyper::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

/// The S3 operations that the server implements, by their AWS names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    CreateBucket,
    HeadBucket,
    DeleteBucket,
    /// The operation ListObjectsV2; version 1 is not implemented.
    ListObjects,
    ListMultipartUploads,
    DeleteObjects,
    PutObject,
    CopyObject,
    GetObject,
    HeadObject,
    DeleteObject,
    CreateMultipartUpload,
    UploadPart,
    ListParts,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    GetPublicAccessBlock,
    GetBucketVersioning,
    GetBucketLifecycle,
    /// An operation of the security token service, at the same address.
    AssumeRole,
    /// All other operations; the response is mostly `NotImplemented`.
    Other,
}

impl Operation {
    /// Returns true if the operation changes a bucket (objects or unfinished uploads) when it succeeds.
    pub(crate) fn is_write(self) -> bool {
        match self {
            Operation::CreateBucket
            | Operation::DeleteBucket
            | Operation::DeleteObjects
            | Operation::PutObject
            | Operation::CopyObject
            | Operation::DeleteObject
            | Operation::CreateMultipartUpload
            | Operation::UploadPart
            | Operation::CompleteMultipartUpload
            | Operation::AbortMultipartUpload => true,
            Operation::HeadBucket
            | Operation::ListObjects
            | Operation::ListMultipartUploads
            | Operation::GetObject
            | Operation::HeadObject
            | Operation::ListParts
            | Operation::GetPublicAccessBlock
            | Operation::GetBucketVersioning
            | Operation::GetBucketLifecycle
            | Operation::AssumeRole
            | Operation::Other => false,
        }
    }
}

/// The operation, bucket and key of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub operation: Operation,
    /// The bucket; empty for a request on the service itself.
    pub bucket: String,
    /// The percent-decoded key; empty for a request on a bucket. For a listing it is the prefix, so that
    /// a fault can be limited to the listing of one folder.
    pub key: String,
}

impl Target {
    /// Parses a request with a path-style address: `/bucket/key`.
    pub(super) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Target {
        let path = uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = Query(uri.query().unwrap_or_default());
        let is_copy = headers.contains_key("x-amz-copy-source");

        let operation = if key.is_empty() {
            bucket_operation(method, bucket, &query)
        } else {
            object_operation(method, &query, is_copy)
        };
        let key = match operation {
            Operation::ListObjects | Operation::ListMultipartUploads => {
                query.value("prefix").unwrap_or_default()
            }
            _ => percent_decode_str(key).decode_utf8_lossy().into_owned(),
        };
        let bucket = bucket.to_owned();
        Target {
            operation,
            bucket,
            key,
        }
    }
}

fn bucket_operation(method: &Method, bucket: &str, query: &Query) -> Operation {
    if bucket.is_empty() {
        return match *method {
            Method::POST => Operation::AssumeRole,
            _ => Operation::Other,
        };
    }
    let is_plain = query.0.is_empty();
    match *method {
        Method::PUT if is_plain => Operation::CreateBucket,
        Method::HEAD if is_plain => Operation::HeadBucket,
        Method::DELETE if is_plain => Operation::DeleteBucket,
        Method::GET if query.has("uploads") => Operation::ListMultipartUploads,
        Method::GET if query.has("list-type") => Operation::ListObjects,
        Method::GET if query.has("publicAccessBlock") => Operation::GetPublicAccessBlock,
        Method::GET if query.has("versioning") => Operation::GetBucketVersioning,
        Method::GET if query.has("lifecycle") => Operation::GetBucketLifecycle,
        Method::POST if query.has("delete") => Operation::DeleteObjects,
        _ => Operation::Other,
    }
}

fn object_operation(method: &Method, query: &Query, is_copy: bool) -> Operation {
    if query.has("tagging") || query.has("acl") || query.has("attributes") {
        return Operation::Other;
    }
    let is_upload = query.has("uploadId");
    match *method {
        Method::PUT if is_upload && is_copy => Operation::Other,
        Method::PUT if is_upload => Operation::UploadPart,
        Method::PUT if is_copy => Operation::CopyObject,
        Method::PUT => Operation::PutObject,
        Method::GET if is_upload => Operation::ListParts,
        Method::GET => Operation::GetObject,
        Method::HEAD => Operation::HeadObject,
        Method::DELETE if is_upload => Operation::AbortMultipartUpload,
        Method::DELETE => Operation::DeleteObject,
        Method::POST if query.has("uploads") => Operation::CreateMultipartUpload,
        Method::POST if is_upload => Operation::CompleteMultipartUpload,
        _ => Operation::Other,
    }
}

struct Query<'a>(&'a str);

impl Query<'_> {
    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn value(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.0.as_bytes())
            .find_map(|(found, value)| (found == name).then(|| value.into_owned()))
    }
}
