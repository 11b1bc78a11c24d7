//! The options of JSON files in `OPTIONS` of a `COPY`.

use std::collections::BTreeMap;

use crate::codec::deflate::{GzipLevel, GzipPool};
use crate::error::{Error, Result};
use crate::format::json::JsonEncoding;

const LEVEL: &str = "format.compression_level";

/// Parses `options`, whose level defaults to that of `gzip`, and adds the level to them.
///
/// # Errors
/// Fails on an unknown option or value.
pub(crate) fn parse(
    options: &mut BTreeMap<String, String>,
    gzip: &GzipPool,
) -> Result<JsonEncoding> {
    let mut pool = gzip.clone();
    for (key, value) in &*options {
        match key.as_str() {
            "format.compression" if value.eq_ignore_ascii_case("gzip") => {}
            "format.compression" => {
                return Err(Error::invalid(format!(
                    "compression '{value}' is not a compression of JSON files"
                ))
                .with_hint("JSON files are always gzip; leave the option out"));
            }
            LEVEL => {
                let level = value.parse().ok().and_then(GzipLevel::new);
                pool = GzipPool::new(level.ok_or_else(|| {
                    Error::invalid(format!("compression_level '{value}' is not 1 to 12"))
                        .with_hint("1 is the fastest, 12 the smallest")
                })?);
            }
            other => {
                let name = other.trim_start_matches("format.");
                return Err(Error::invalid(format!("unknown option '{name}'"))
                    .with_hint("JSON files take `compression` and `compression_level`"));
            }
        }
    }
    options.insert(LEVEL.to_owned(), pool.level().number().to_string());
    Ok(JsonEncoding(pool))
}
