//! Parquet: row groups of about 32 MiB or 1 M rows, statistics per page, 3-level lists.

mod decoder;
mod encoder;

use crate::format::FormatInfo;

pub(crate) use encoder::{ParquetEncoding, ROW_GROUP_BYTES, ROW_GROUP_ROWS};

/// The facts about Parquet.
pub(super) const INFO: FormatInfo = FormatInfo {
    sql_names: &["PARQUET"],
    default_target_file_size: 256 << 20,
    binary_is_hex: false,
    timestamp_is_text: false,
    decoder: decoder::open,
};
