//! The file formats of an export: all that dayport knows of each, in one place.
//!
//! ```text
//! RecordBatch ─FileEncoder→ bytes of a file ─FileDecoder→ rows, counted and compared with the schema
//! ```
//! [`FileFormat`] is the name of a format and its extension; [`FileFormat::info`] is the entry point to
//! everything else. The module handles bytes only, and knows of neither stores nor the engine. What DataFusion has to know of a format stands
//! above: its options in `stage::format_binding`, how its files are read in `exported`, and how
//! the engines of receivers read them in `ddl::format_clauses`.

pub(crate) mod decoder;
pub(crate) mod encoder;
mod info;
pub(crate) mod json;
pub(crate) mod parquet;
pub(crate) mod value_range;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use crate::layout::FileFormat;
pub(crate) use decoder::{DecodeOutcome, FileDecoder};
pub(crate) use encoder::{FileEncoder, FileEncoding};
pub(crate) use info::FormatInfo;

impl FileFormat {
    /// Returns the facts about the format.
    pub fn info(self) -> &'static FormatInfo {
        match self {
            FileFormat::Json => &json::INFO,
            FileFormat::Parquet => &parquet::INFO,
        }
    }

    /// Returns the format of a name in `STORED AS`, in any case.
    pub fn from_sql_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        FileFormat::ALL
            .into_iter()
            .find(|format| format.info().sql_names.contains(&name.as_str()))
    }
}
