//! Defines what a format says of itself.

use std::sync::Arc;

use crate::error::Result;
use crate::format::decoder::FileDecoder;
use crate::schema::ExportSchema;

/// The facts about one format.
#[derive(Debug)]
pub struct FormatInfo {
    /// The names in `STORED AS`, in upper case.
    pub sql_names: &'static [&'static str],
    /// The target size of files for which none is given, in bytes.
    pub default_target_file_size: u64,
    /// True if binary values are hexadecimal text.
    pub binary_is_hex: bool,
    /// True if timestamps are text, RFC 3339.
    pub timestamp_is_text: bool,
    /// Opens a decoder of a file of a schema.
    pub decoder: fn(&Arc<ExportSchema>) -> Result<Box<dyn FileDecoder>>,
}
