//! Says what the error of a store means: its kind, and what to do about it.

use std::error::Error as StdError;
use std::io;

use object_store::Error as StoreError;

use crate::error::causes::causes;
use crate::error::kind::ErrorKind;

/// What an error of a store means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StoreFault {
    pub kind: ErrorKind,
    pub hint: Option<String>,
}

/// The error codes of S3 that say more than the status, with what to do. The client of S3 cuts the bodies
/// of errors to code and message (`store::s3_answers`), so a code follows the status.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
const CODES: [(&[&str], ErrorKind, &str); 9] = [
    (
        &["NoSuchBucket"],
        ErrorKind::Invalid,
        "check the name of the bucket, and AWS_ENDPOINT_URL; dayport creates no bucket",
    ),
    (
        &[
            "PermanentRedirect",
            "TemporaryRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
        ],
        ErrorKind::Invalid,
        OTHER_REGION,
    ),
    (
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "TokenRefreshRequired",
        ],
        ErrorKind::Invalid,
        "the credentials are those of a session that is over: sign in again, or use a role that is refreshed",
    ),
    (
        &["InvalidToken"],
        ErrorKind::Invalid,
        "the session token does not belong to the credentials: set AWS_SESSION_TOKEN, or unset it",
    ),
    (
        &["InvalidAccessKeyId"],
        ErrorKind::Invalid,
        "the store does not know the access key: check the credentials, and AWS_ENDPOINT_URL",
    ),
    (
        &["SignatureDoesNotMatch"],
        ErrorKind::Invalid,
        "the secret key does not belong to the access key: check the credentials",
    ),
    (
        &["RequestTimeTooSkewed", "RequestExpired"],
        ErrorKind::Invalid,
        "the clock of this machine differs from that of the store by more than 15 minutes: set it",
    ),
    (
        &["InvalidBucketName"],
        ErrorKind::Invalid,
        "no bucket can have this name: check --to and --from",
    ),
    (
        &["KeyTooLongError", "KeyTooLong", "InvalidURI"],
        ErrorKind::Data,
        "the store cannot have such a key",
    ),
];

const OTHER_REGION: &str = "the bucket is in another region: set AWS_REGION to it";

/// What the client says of a redirect without an address, whose body it drops.
const BARE_REDIRECT: &str = "Received redirect without LOCATION";

/// The name of the store in errors about files of this machine.
const LOCAL: &str = "LocalFileSystem";

impl From<ErrorKind> for StoreFault {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, hint: None }
    }
}

impl StoreFault {
    pub(super) fn new(kind: ErrorKind, hint: &str) -> Self {
        Self {
            kind,
            hint: Some(hint.to_owned()),
        }
    }

    /// Classifies an error: what needs a human is invalid or a matter of data, and every other error may be
    /// transient.
    pub(super) fn of(error: &StoreError) -> Self {
        if let Some(fault) = code_fault(error) {
            return fault;
        }
        match error {
            StoreError::PermissionDenied { .. } => Self::new(
                ErrorKind::Invalid,
                "the credentials are refused; check them and the bucket policy",
            ),
            StoreError::Unauthenticated { .. } => Self::new(
                ErrorKind::Invalid,
                "check the credentials, and the trust policy of a role",
            ),
            StoreError::NotFound { .. } => Self::from(ErrorKind::Invalid),
            StoreError::Generic { store, source } if *store == LOCAL => {
                file_fault(source.as_ref()).unwrap_or(Self::from(ErrorKind::Unavailable))
            }
            StoreError::Generic { source, .. } if is_refusal(source.as_ref()) => Self::new(
                ErrorKind::Invalid,
                "check the bucket's name, the credentials and the bucket policy",
            ),
            StoreError::InvalidPath { .. } => Self::new(ErrorKind::Data, "rename it"),
            StoreError::NotImplemented { .. } | StoreError::NotSupported { .. } => Self::new(
                ErrorKind::Invalid,
                "this store lacks an operation that a safe export needs",
            ),
            _ => Self::from(ErrorKind::Unavailable),
        }
    }
}

/// Returns the fault of an error code of S3.
fn code_fault(error: &StoreError) -> Option<StoreFault> {
    let messages: Vec<String> = causes(error).map(ToString::to_string).collect();
    let says = |text: &str| messages.iter().any(|message| message.contains(text));
    if says(BARE_REDIRECT) {
        return Some(StoreFault::new(ErrorKind::Invalid, OTHER_REGION));
    }
    // A code in a success or a fault of the server says nothing about the call.
    if !says("status code: 4") {
        return None;
    }
    let has = |code: &&str| {
        let code = format!(": {code}");
        says(&format!("{code}: ")) || messages.iter().any(|message| message.ends_with(&code))
    };
    let (_, kind, hint) = CODES.iter().find(|(codes, ..)| codes.iter().any(has))?;
    Some(StoreFault::new(*kind, hint))
}

/// Returns the fault of a file or folder of this machine, if no retry can help.
fn file_fault(error: &(dyn StdError + 'static)) -> Option<StoreFault> {
    let error = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>())?;
    let (kind, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Invalid,
            "check the permissions of the file and of the folders above it",
        ),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::Invalid, "the disk is mounted read-only"),
        io::ErrorKind::InvalidFilename => (ErrorKind::Data, "a name or the whole path is too long"),
        io::ErrorKind::InvalidInput => (
            ErrorKind::Data,
            "put a file in its place, rename it, or remove it",
        ),
        io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::DirectoryNotEmpty
        | io::ErrorKind::AlreadyExists => (
            ErrorKind::Data,
            "a file is where a folder is needed, or the other way round: move it away",
        ),
        _ if error.raw_os_error() == Some(libc::ELOOP) => {
            (ErrorKind::Data, "remove the circle of links")
        }
        _ => return None,
    };
    Some(StoreFault::new(kind, hint))
}

/// What the client says of a request that the store refused to these credentials.
const FORBIDDEN: &str = "status code: 403 Forbidden";

/// Returns true if a store refused a request in a way that no retry can help.
fn is_refusal(error: &(dyn StdError + 'static)) -> bool {
    const OTHERS: [&str; 2] = [
        "status code: 401 Unauthorized",
        "status code: 404 Not Found",
    ];
    says(error, FORBIDDEN) || OTHERS.iter().any(|status| says(error, status))
}

/// Returns true if a store refused a request to these credentials.
pub(super) fn is_forbidden(error: &StoreError) -> bool {
    match error {
        StoreError::PermissionDenied { .. } => true,
        // The refusal of a listing.
        StoreError::Generic { source, .. } => says(source.as_ref(), FORBIDDEN),
        _ => false,
    }
}

/// Returns true if an error or one of its causes has a text.
///
/// For listings `object_store` keeps the status inside its retry error, which is not public, so it is
/// found in the text.
fn says(error: &(dyn StdError + 'static), text: &str) -> bool {
    causes(error).any(|cause| cause.to_string().contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(store: &'static str, source: impl StdError + Send + Sync + 'static) -> StoreFault {
        let source = Box::new(source);
        StoreFault::of(&StoreError::Generic { store, source })
    }

    #[test]
    fn permanent_faults_of_files_are_not_retried() {
        let kind = |errno| generic(LOCAL, io::Error::from_raw_os_error(errno)).kind;
        for errno in [
            libc::ENAMETOOLONG,
            libc::EINVAL,
            libc::EISDIR,
            libc::ENOTDIR,
            libc::ELOOP,
        ] {
            assert_eq!(kind(errno), ErrorKind::Data);
        }
        for errno in [libc::EACCES, libc::EPERM, libc::EROFS] {
            assert_eq!(kind(errno), ErrorKind::Invalid);
        }
        for errno in [libc::EIO, libc::ENOSPC, libc::EAGAIN, libc::ESTALE] {
            assert_eq!(kind(errno), ErrorKind::Unavailable);
        }
    }

    #[test]
    fn error_codes_of_s3_say_what_to_do() {
        let answered = |text: &str| {
            let text = format!("Server returned non-2xx status code: {text}");
            generic("S3", io::Error::other(text))
        };
        for (text, kind, hint) in [
            (
                "404 Not Found: NoSuchBucket: no such bucket",
                ErrorKind::Invalid,
                "name of the bucket",
            ),
            (
                "400 Bad Request: AuthorizationHeaderMalformed: expecting 'eu-west-1'",
                ErrorKind::Invalid,
                "AWS_REGION",
            ),
            (
                "400 Bad Request: ExpiredToken: expired",
                ErrorKind::Invalid,
                "session",
            ),
            (
                "403 Forbidden: RequestTimeTooSkewed: too large",
                ErrorKind::Invalid,
                "clock",
            ),
            (
                "403 Forbidden: SignatureDoesNotMatch",
                ErrorKind::Invalid,
                "secret key",
            ),
            (
                "400 Bad Request: KeyTooLongError: too long",
                ErrorKind::Data,
                "such a key",
            ),
            (
                "403 Forbidden: AccessDenied: Access Denied",
                ErrorKind::Invalid,
                "bucket policy",
            ),
        ] {
            let fault = answered(text);
            assert_eq!(fault.kind, kind, "{text}");
            assert!(fault.hint.unwrap().contains(hint), "{text}");
        }
        let of_server = answered("500 Internal Server Error: SignatureDoesNotMatch: x");
        assert_eq!(of_server, StoreFault::from(ErrorKind::Unavailable));
        // A code is a word of its own.
        let other = answered("400 Bad Request: NoSuchBucketPolicy: x");
        assert_eq!(other, StoreFault::from(ErrorKind::Unavailable));
        let redirect = generic("S3", io::Error::other(BARE_REDIRECT));
        assert!(redirect.hint.unwrap().contains("AWS_REGION"));
    }
}
