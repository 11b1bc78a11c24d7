//! Object stores: parses `--from` and `--to`, opens the store behind them, and stages uploads.
//!
//! The seam is `object_store`. This module adds the one thing that the seam lacks: an upload whose
//! completion is withheld ([`Destination`], [`Upload`]).
//!
//! ```text
//! text ─location→ Address ─backend→ local | s3 ─→ object_store client + Staging ─→ Destination
//!                                         rows ─upload→ parts ─completion→ file at its final key
//! ```
//! All differences between the kinds of stores are in `address` and `backend` and in the file of
//! the kind. Above, only what a person sets up distinguishes folders and buckets: `check`, `ddl` and the
//! policies; and only the rows of staged files spell the kinds of upload tokens.

mod address;
mod backend;
mod clock;
mod completion;
mod concurrency;
mod credentials;
mod destination;
mod escaped_path;
mod etag;
mod key_fault;
mod links;
mod local;
mod local_files;
mod location;
mod missing_key;
mod options;
mod overlap;
mod response_watch;
mod retry;
mod s3;
mod s3_answers;
mod s3_bucket;
mod s3_keys;
mod s3_settings;
mod s3_xml;
mod sent_digest;
mod shown_url;
mod staging;
mod tls_fault;
mod upload;
mod upload_lookup;
mod watched_client;

pub use backend::{SourceStore, open_source};
pub use clock::{StoreClock, StoreClocks};
pub use completion::Completion;
pub use concurrency::{CONCURRENCY, StoreConcurrency};
pub use destination::{Created, Destination};
pub use escaped_path::{file_name, is_marker, is_plain_name, path_of_url, shown};
pub use etag::{expected_etag, unquoted_etag};
pub use key_fault::{KeyFault, KeyFaultCause, key_fault};
pub use location::{Location, S3Prefix};
pub use missing_key::is_missing;
pub use options::{AssumedRole, Encryption, S3Options, StoreOptions};
pub use response_watch::silent_store;
pub use s3_bucket::{S3Bucket, S3Response};
pub use shown_url::shown_url;
pub use upload::{StartedUpload, Upload};
pub use upload_lookup::UploadLookup;
