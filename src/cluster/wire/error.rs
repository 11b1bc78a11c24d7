//! Encodes errors as plain text: of the errors of a task, only the text reaches another process.

use datafusion::common::DataFusionError;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::engine_error::from_datafusion;
use crate::error::{Error, ErrorKind};

/// The delimiters of an encoded error inside the text of another process.
const DELIMITERS: (&str, &str) = ("dayport-error[", "]");

/// An error as plain data.
#[derive(Serialize, Deserialize)]
struct WireError {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

/// Encodes the error with which a task on another machine fails, so that its text carries the kind,
/// the message and the hint. An error that is already encoded is returned unchanged.
///
/// The scheduler retries a task that failed with an I/O error, so errors that may pass by themselves
/// become one.
pub(crate) fn encode_for_wire(error: DataFusionError) -> DataFusionError {
    if error.to_string().contains(DELIMITERS.0) {
        return error;
    }
    let ours = from_datafusion(error);
    let wire = WireError {
        kind: ours.kind(),
        message: ours.chain(),
        hint: ours.hint().map(str::to_owned),
    };
    // Only letters and digits survive every quoting on the way.
    let json = serde_json::to_string(&wire).unwrap_or_default();
    let encoded = utf8_percent_encode(&json, NON_ALPHANUMERIC);
    let text = format!("{}{encoded}{}", DELIMITERS.0, DELIMITERS.1);
    match ours.kind() {
        ErrorKind::Unavailable => DataFusionError::IoError(std::io::Error::other(text)),
        _ => DataFusionError::Execution(text),
    }
}

/// Decodes the error that [`encode_for_wire`] put into the text of another process, if there is one.
pub(crate) fn decode_from_wire(text: &str) -> Option<Error> {
    let (_, rest) = text.split_once(DELIMITERS.0)?;
    let (encoded, _) = rest.split_once(DELIMITERS.1)?;
    let json = percent_decode_str(encoded).decode_utf8().ok()?;
    let wire: WireError = serde_json::from_str(&json).ok()?;
    let error = match wire.kind {
        ErrorKind::Invalid => Error::invalid(wire.message),
        ErrorKind::Data => Error::data(wire.message),
        ErrorKind::Unavailable => Error::unavailable(wire.message),
        ErrorKind::Internal => Error::internal(wire.message),
        ErrorKind::Outdated => Error::outdated(wire.message),
    };
    Some(match wire.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_errors_survive_the_round_trip_as_text() {
        let ours = Error::data("`a \"b\"` [line 7] is not JSON").with_hint("fix it");
        let failed = encode_for_wire(encode_for_wire(ours.into()));
        let text = format!("Job x failed: {:?}", failed.to_string());
        let decoded = decode_from_wire(&text).unwrap();
        assert_eq!(decoded.kind(), ErrorKind::Data);
        assert_eq!(
            decoded.render(),
            "error: `a \"b\"` [line 7] is not JSON\nhint: fix it"
        );
        let transient = encode_for_wire(Error::unavailable("slow down").into());
        assert!(matches!(transient, DataFusionError::IoError(_)));
        assert!(decode_from_wire("Job x failed: disk full").is_none());
    }
}
