//! Times that have no text, as an error: `arrow::json` writes the text of its error as the value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::Array;
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;
use arrow::json::writer::NullableEncoder;
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Encodes the times that are left to `arrow::json`, at every depth, and notes those without a text.
#[derive(Debug, Default)]
pub struct StrictTimes {
    failed: Arc<AtomicBool>,
}

impl StrictTimes {
    /// Checks that all times had a text since the last check.
    ///
    /// # Errors
    /// Fails on a time outside of what its type can display; what was written must be dropped.
    pub fn check(&self) -> Result<(), ArrowError> {
        if self.failed.swap(false, Ordering::Relaxed) {
            let problem = "a time is outside of the years that can be written";
            return Err(ArrowError::CastError(problem.to_owned()));
        }
        Ok(())
    }
}

impl EncoderFactory for StrictTimes {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if !array.data_type().is_temporal() {
            return Ok(None);
        }
        let options = FormatOptions::new().with_display_error(false);
        let times = TimeEncoder {
            formatter: ArrayFormatter::try_new(array, &options)?,
            failed: Arc::clone(&self.failed),
        };
        let nulls = array.nulls().cloned();
        Ok(Some(NullableEncoder::new(Box::new(times), nulls)))
    }
}

struct TimeEncoder<'a> {
    formatter: ArrayFormatter<'a>,
    failed: Arc<AtomicBool>,
}

impl Encoder for TimeEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match self.formatter.value(row).try_to_string() {
            Ok(text) => {
                out.push(b'"');
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
            Err(_) => {
                self.failed.store(true, Ordering::Relaxed);
                out.extend_from_slice(b"null");
            }
        }
    }
}
