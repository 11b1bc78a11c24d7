//! Errors on their way across the border with DataFusion, both ways.

use std::error::Error as StdError;

use datafusion::common::DataFusionError;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

impl From<Error> for DataFusionError {
    /// Kept whole, so that it comes back as it went in.
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

/// The error of ours that DataFusion carries, however deep, if it does.
///
/// A copy without its sources: operators share one error between their outputs.
pub fn own(error: &DataFusionError) -> Option<Error> {
    match error.find_root() {
        DataFusionError::External(inner) => {
            let inner: &(dyn StdError + 'static) = inner.as_ref();
            inner.downcast_ref::<Error>().map(Error::detached)
        }
        _ => None,
    }
}

/// What went wrong while a plan was made or ran. Errors of our own come back as they went in.
pub fn from_datafusion(error: DataFusionError) -> Error {
    if let Some(ours) = own(&error) {
        return ours;
    }
    match error.find_root() {
        DataFusionError::ObjectStore(_) => {
            Error::unavailable("cannot read a source").with_source(error)
        }
        DataFusionError::ResourcesExhausted(text) => {
            Error::invalid(format!("the memory limit is too small: {text}"))
                .with_hint("raise it with --memory-limit")
        }
        DataFusionError::Internal(text) => Error::internal(text),
        DataFusionError::Plan(_)
        | DataFusionError::SchemaError(_, _)
        | DataFusionError::SQL(_, _)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_) => Error::invalid(error.strip_backtrace()),
        _ => Error::data(error.strip_backtrace()),
    }
}

/// Begins an error of ours inside the text of another process, and ends it.
const WIRE: (&str, &str) = ("dayport-error[", "]");

/// An error as plain text: what another process tells of its errors is text alone.
#[derive(Serialize, Deserialize)]
struct Wire {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

/// The error with which a task on another machine fails. Whoever runs the task tries again what
/// may pass by itself.
pub fn for_elsewhere(error: DataFusionError) -> DataFusionError {
    if error.to_string().contains(WIRE.0) {
        return error;
    }
    let ours = from_datafusion(error);
    let wire = Wire {
        kind: ours.kind(),
        message: ours.chain(),
        hint: ours.hint().map(str::to_owned),
    };
    // Letters and digits alone survive every quoting on the way.
    let text = serde_json::to_string(&wire).unwrap_or_default();
    let text = utf8_percent_encode(&text, NON_ALPHANUMERIC);
    let text = format!("{}{text}{}", WIRE.0, WIRE.1);
    match ours.kind() {
        ErrorKind::Unavailable => DataFusionError::IoError(std::io::Error::other(text)),
        _ => DataFusionError::Execution(text),
    }
}

/// The error of ours in what another process tells, if there is one.
pub fn from_elsewhere(text: &str) -> Option<Error> {
    let (_, rest) = text.split_once(WIRE.0)?;
    let (encoded, _) = rest.split_once(WIRE.1)?;
    let decoded = percent_decode_str(encoded).decode_utf8().ok()?;
    let wire: Wire = serde_json::from_str(&decoded).ok()?;
    let error = match wire.kind {
        ErrorKind::Invalid => Error::invalid(wire.message),
        ErrorKind::Data => Error::data(wire.message),
        ErrorKind::Unavailable => Error::unavailable(wire.message),
        ErrorKind::Internal => Error::internal(wire.message),
    };
    Some(match wire.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::error::ArrowError;

    use super::*;

    #[test]
    fn our_errors_survive_the_journey_in_a_text() {
        let ours = Error::data("`a \"b\"` [line 7] is not JSON").with_hint("mend it");
        let failed = for_elsewhere(for_elsewhere(ours.into()));
        let told = format!("Job x failed: {:?}", failed.to_string());
        let back = from_elsewhere(&told).unwrap();
        assert_eq!(back.kind(), ErrorKind::Data);
        assert_eq!(
            back.render(),
            "error: `a \"b\"` [line 7] is not JSON\nhint: mend it"
        );
        let again = for_elsewhere(Error::unavailable("slow down").into());
        assert!(matches!(again, DataFusionError::IoError(_)));
        assert!(from_elsewhere("Job x failed: disk full").is_none());
    }

    #[test]
    fn our_errors_survive_every_wrapping() {
        let ours = || DataFusionError::from(Error::unavailable("slow down").with_hint("wait"));
        let shared = Arc::new(ours());
        let wrapped = [
            ours(),
            ours().context("scan"),
            DataFusionError::ArrowError(
                Box::new(ArrowError::ExternalError(Box::new(ours()))),
                None,
            ),
            DataFusionError::Shared(Arc::clone(&shared)),
        ];
        for error in wrapped {
            let error = from_datafusion(error);
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.render(), "error: slow down\nhint: wait");
        }
    }
}
