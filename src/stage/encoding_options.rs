//! `OPTIONS` of a `COPY`, as plain data, and the encoding that they describe.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::{ConfigFileType, TableOptions};
use datafusion::parquet::file::properties::WriterPropertiesBuilder;
use serde::{Deserialize, Serialize};

use crate::codec::deflate::{GzipLevel, GzipPool};
use crate::error::Error;
use crate::format::json;
use crate::format::parquet::{self, ParquetEncoding};
use crate::format::{FileEncoding, FileFormat};

/// The format of a table's files and its options.
///
/// Serialized with the plan for other machines, which make the same [`FileEncoding`] of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodingOptions {
    format: FileFormat,
    /// All options, including our defaults.
    options: BTreeMap<String, String>,
}

impl EncodingOptions {
    /// Checks `given` and adds our defaults; returns also the encoding.
    ///
    /// JSON files without a level are compressed by `gzip`; `defaults` are the session's options for
    /// tables.
    ///
    /// # Errors
    /// Fails on an unknown option or value.
    pub(super) fn new(
        format: FileFormat,
        given: HashMap<String, String>,
        gzip: &GzipPool,
        defaults: TableOptions,
    ) -> Result<(Self, Arc<dyn FileEncoding>)> {
        let mut options = given.into_iter().collect();
        let encoding = encoding(format, &mut options, gzip, defaults)?;
        Ok((Self { format, options }, encoding))
    }

    /// Returns the encoding, given the session's options for tables.
    pub fn encoding(&self, defaults: TableOptions) -> Result<Arc<dyn FileEncoding>> {
        let gzip = GzipPool::new(GzipLevel::default());
        encoding(self.format, &mut self.options.clone(), &gzip, defaults)
    }
}

/// Checks and completes `options`, so that they determine the encoding.
fn encoding(
    format: FileFormat,
    options: &mut BTreeMap<String, String>,
    gzip: &GzipPool,
    defaults: TableOptions,
) -> Result<Arc<dyn FileEncoding>> {
    Ok(match format {
        FileFormat::Json => Arc::new(json::options::parse(options, gzip)?),
        FileFormat::Parquet => Arc::new(parquet_encoding(options, defaults)?),
    })
}

/// Parses the options of Parquet files, which are DataFusion's.
fn parquet_encoding(
    options: &mut BTreeMap<String, String>,
    mut defaults: TableOptions,
) -> Result<ParquetEncoding> {
    refuse_foreign(options)?;
    options
        .entry("format.compression".to_owned())
        .or_insert_with(|| "snappy".to_owned());
    defaults.set_config_format(ConfigFileType::PARQUET);
    defaults.alter_with_string_hash_map(&options.clone().into_iter().collect())?;
    let table_options = defaults.parquet.with_skip_arrow_metadata(true);
    let mut properties = WriterPropertiesBuilder::try_from(&table_options)?
        .set_created_by(concat!("dayport version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_bytes(Some(parquet::ROW_GROUP_BYTES));
    if !options.contains_key("format.max_row_group_size") {
        properties = properties.set_max_row_group_row_count(Some(parquet::ROW_GROUP_ROWS));
    }
    let mut keys = options.keys();
    Ok(ParquetEncoding {
        properties: properties.build(),
        choose_dictionaries: !keys.any(|key| key.starts_with("format.dictionary_enabled")),
    })
}

/// Refuses options that are not about the format, which DataFusion would ignore.
fn refuse_foreign(options: &BTreeMap<String, String>) -> Result<(), Error> {
    match options.keys().find(|key| !key.starts_with("format.")) {
        None => Ok(()),
        Some(key) => Err(Error::invalid(format!("unknown option '{key}'"))
            .with_hint("OPTIONS takes format options, for example `compression 'zstd(3)'`")),
    }
}
