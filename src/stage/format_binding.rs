//! The binding of each format to DataFusion: its stock format, and the options in `OPTIONS`.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::{ConfigFileType, TableOptions};
use datafusion::datasource::file_format::FileFormatFactory;
use datafusion::datasource::file_format::json::JsonFormatFactory;
use datafusion::datasource::file_format::parquet::ParquetFormatFactory;
use datafusion::parquet::file::properties::WriterPropertiesBuilder;

use crate::codec::deflate::GzipPool;
use crate::error::Error;
use crate::format::json;
use crate::format::parquet::{self, ParquetEncoding};
use crate::format::{FileEncoding, FileFormat};

/// The options of a format by their keys, such as `format.compression`.
pub(super) type FormatOptions = BTreeMap<String, String>;

/// The defaults of options that are not given.
pub(super) struct FormatDefaults<'a> {
    /// The compressors of gzip files.
    pub(super) gzip: &'a GzipPool,
    /// The session's options for tables.
    pub(super) tables: TableOptions,
}

/// The binding of one format to DataFusion.
pub(super) struct FormatBinding {
    /// Makes DataFusion's own factory of the format, which reads its files.
    pub(super) stock: fn() -> Arc<dyn FileFormatFactory>,
    /// Checks the options and adds the defaults, so that they determine the encoding.
    pub(super) encoding:
        fn(&mut FormatOptions, FormatDefaults<'_>) -> Result<Arc<dyn FileEncoding>>,
}

/// Returns the binding of a format.
pub(super) fn binding(format: FileFormat) -> FormatBinding {
    match format {
        FileFormat::Json => FormatBinding {
            stock: || Arc::new(JsonFormatFactory::new()),
            encoding: |options, defaults| {
                Ok(Arc::new(json::options::parse(options, defaults.gzip)?))
            },
        },
        FileFormat::Parquet => FormatBinding {
            stock: || Arc::new(ParquetFormatFactory::new()),
            encoding: |options, defaults| Ok(Arc::new(parquet_encoding(options, defaults.tables)?)),
        },
    }
}

/// Parses the options of Parquet files, which are DataFusion's.
fn parquet_encoding(
    options: &mut FormatOptions,
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
fn refuse_foreign(options: &FormatOptions) -> Result<(), Error> {
    match options.keys().find(|key| !key.starts_with("format.")) {
        None => Ok(()),
        Some(key) => Err(Error::invalid(format!("unknown option '{key}'"))
            .with_hint("OPTIONS takes format options, for example `compression 'zstd(3)'`")),
    }
}
