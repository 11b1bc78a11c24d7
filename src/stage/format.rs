//! The door: file formats whose writer is [`StagedWriteExec`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::config::{ConfigFileType, TableOptions, TableParquetOptions};
use datafusion::common::{GetExt, Result, Statistics};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormatFactory;
use datafusion::datasource::file_format::parquet::ParquetFormatFactory;
use datafusion::datasource::file_format::{
    FileFormat as StockFormat, FileFormatFactory, file_type_to_format,
};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;
use object_store::{ObjectMeta, ObjectStore};
use serde::{Deserialize, Serialize};

use crate::encode::{Encoding, Gzip, GzipLevel, ParquetSettings};
use crate::error::Error;
use crate::layout::FileFormat;
use crate::schema::{ColumnType, ExportSchema};
use crate::stage::exec::{DistributionMode, StageSpec, StagedWriteExec};
use crate::stage::splitter::Splitter;

/// Set by the engine, never by a user: the column that the window selects by.
pub const WINDOW_COLUMN_OPTION: &str = "dayport.window_column";

/// Set by the engine: `true` if no rows at all make one empty file.
pub const EMPTY_FILE_OPTION: &str = "dayport.empty_file";

/// About the size of a row group, in bytes and rows: whichever comes first. Of event tables, a
/// dictionary page of 1 MiB is full before a larger one is, and the rest of it would go without.
const ROW_GROUP_BYTES: usize = 32 << 20;
const ROW_GROUP_ROWS: usize = 1 << 20;

/// The formats of an export.
pub struct StageFormats;

impl StageFormats {
    /// Replaces the JSON and Parquet formats of a session. JSON files whose `OPTIONS` say nothing
    /// are compressed at `gzip_level`.
    pub fn register(state: &mut SessionState, gzip_level: GzipLevel) -> Result<()> {
        let gzip = Gzip::new(gzip_level);
        let stock: [(FileFormat, Arc<dyn FileFormatFactory>); 2] = [
            (FileFormat::Json, Arc::new(JsonFormatFactory::new())),
            (FileFormat::Parquet, Arc::new(ParquetFormatFactory::new())),
        ];
        for (format, stock) in stock {
            let gzip = gzip.clone();
            let factory = StageFormatFactory {
                format,
                stock,
                gzip,
            };
            state.register_file_format(Arc::new(factory), true)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct StageFormatFactory {
    format: FileFormat,
    stock: Arc<dyn FileFormatFactory>,
    /// Shared by all tables.
    gzip: Gzip,
}

impl GetExt for StageFormatFactory {
    fn get_ext(&self) -> String {
        self.stock.get_ext()
    }
}

impl FileFormatFactory for StageFormatFactory {
    fn create(
        &self,
        state: &dyn Session,
        options: &HashMap<String, String>,
    ) -> Result<Arc<dyn StockFormat>> {
        let mut options = options.clone();
        let window_column = options.remove(WINDOW_COLUMN_OPTION);
        let empty_file = options.remove(EMPTY_FILE_OPTION).as_deref() == Some("true");
        let defaults = state.default_table_options();
        let encoding = encoding(self.format, &mut options, &self.gzip, defaults)?;
        let stock_options = match self.format {
            FileFormat::Json => HashMap::new(),
            FileFormat::Parquet => options.clone(),
        };
        Ok(Arc::new(StageFormat {
            stock: self.stock.create(state, &stock_options)?,
            recipe: EncodingRecipe {
                format: self.format,
                options: options.into_iter().collect(),
            },
            encoding,
            window_column,
            empty_file,
        }))
    }

    fn default(&self) -> Arc<dyn StockFormat> {
        self.stock.default()
    }
}

/// Checks and completes `options`, so that they say all there is to say about the files.
fn encoding(
    format: FileFormat,
    options: &mut HashMap<String, String>,
    gzip: &Gzip,
    mut defaults: TableOptions,
) -> Result<Encoding> {
    match format {
        FileFormat::Json => {
            let gzip = JsonOptions::parse(options, gzip)?;
            let level = gzip.level().number().to_string();
            options.insert("format.compression_level".to_owned(), level);
            Ok(Encoding::Json(gzip))
        }
        FileFormat::Parquet => {
            refuse_foreign(options)?;
            options
                .entry("format.compression".to_owned())
                .or_insert_with(|| "snappy".to_owned());
            defaults.set_config_format(ConfigFileType::PARQUET);
            defaults.alter_with_string_hash_map(options)?;
            let properties = writer_properties(&defaults.parquet, options)?;
            let settings = ParquetSettings {
                properties,
                choose_dictionaries: !options
                    .keys()
                    .any(|key| key.starts_with("format.dictionary_enabled")),
            };
            Ok(Encoding::Parquet(Box::new(settings)))
        }
    }
}

/// What an [`Encoding`] is made of, as plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodingRecipe {
    format: FileFormat,
    /// All that `OPTIONS` say, with the defaults that are ours.
    options: BTreeMap<String, String>,
}

impl EncodingRecipe {
    /// The encoding, where the session's options for tables are `defaults`.
    pub fn encoding(&self, defaults: TableOptions) -> Result<Encoding> {
        let mut options = self.options.clone().into_iter().collect();
        let gzip = Gzip::new(GzipLevel::default());
        encoding(self.format, &mut options, &gzip, defaults)
    }
}

/// What `OPTIONS` may say about JSON files.
struct JsonOptions;

impl JsonOptions {
    fn parse(options: &HashMap<String, String>, default: &Gzip) -> Result<Gzip, Error> {
        let mut gzip = default.clone();
        for (key, value) in options {
            match key.as_str() {
                "format.compression" if value.eq_ignore_ascii_case("gzip") => {}
                "format.compression" => {
                    return Err(Error::invalid(format!(
                        "compression '{value}' is not a compression of JSON files"
                    ))
                    .with_hint("JSON files are always gzip; leave the option out"));
                }
                "format.compression_level" => {
                    let level = value.parse().ok().and_then(GzipLevel::new);
                    gzip = Gzip::new(level.ok_or_else(|| {
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
        Ok(gzip)
    }
}

/// Options that are not about the format would be dropped silently.
fn refuse_foreign(options: &HashMap<String, String>) -> Result<(), Error> {
    match options.keys().find(|key| !key.starts_with("format.")) {
        None => Ok(()),
        Some(key) => Err(Error::invalid(format!("unknown option '{key}'"))
            .with_hint("OPTIONS takes format options, for example `compression 'zstd(3)'`")),
    }
}

fn writer_properties(
    options: &TableParquetOptions,
    given: &HashMap<String, String>,
) -> Result<WriterProperties> {
    let options = options.clone().with_skip_arrow_metadata(true);
    let mut builder = WriterPropertiesBuilder::try_from(&options)?
        .set_created_by(concat!("dayport version ", env!("CARGO_PKG_VERSION")).to_owned());
    if !given.contains_key("format.max_row_group_size") {
        builder = builder.set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    }
    Ok(builder
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build())
}

/// Reads like the stock format, writes into a stage.
#[derive(Debug)]
struct StageFormat {
    stock: Arc<dyn StockFormat>,
    recipe: EncodingRecipe,
    encoding: Encoding,
    window_column: Option<String>,
    empty_file: bool,
}

impl StageFormat {
    /// `query` is what the query yields, partition columns included.
    fn spec(&self, partition_by: &[String], query: &Schema) -> Result<StageSpec, Error> {
        // Fails on partition columns that are not there or have no place in a folder name.
        Splitter::new(partition_by, query)?;
        let (outside, inside): (Vec<&Field>, Vec<&Field>) = query
            .fields()
            .iter()
            .map(AsRef::as_ref)
            .partition(|field| partition_by.contains(field.name()));
        if inside.is_empty() {
            return Err(Error::invalid("all columns are partition columns")
                .with_hint("the files would have no columns; select at least one more"));
        }
        let schema = ExportSchema::of(inside)?;
        let window_column = self.window_column.clone().filter(|name| {
            let of_name = schema.columns().iter().find(|column| column.name == *name);
            of_name.is_some_and(|column| column.kind == ColumnType::Timestamp)
        });
        Ok(StageSpec {
            encoding: self.encoding.clone(),
            recipe: self.recipe.clone(),
            schema,
            partition_by: partition_by.to_vec(),
            partition_columns: ExportSchema::of(outside)?,
            window_column,
            empty_file: self.empty_file,
        })
    }
}

/// What a `COPY` of a session with [`StageFormats`] will write, before it is planned to the end.
pub fn spec_of(copy: &CopyTo, state: &SessionState) -> Result<StageSpec> {
    let format = file_type_to_format(&copy.file_type)?.create(state, &copy.options)?;
    let Some(format) = format.downcast_ref::<StageFormat>() else {
        return Err(Error::internal("a COPY into a format that is not ours").into());
    };
    Ok(format.spec(&copy.partition_by, copy.input.schema().as_arrow())?)
}

#[async_trait]
impl StockFormat for StageFormat {
    fn get_ext(&self) -> String {
        self.stock.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        self.stock.get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        self.stock.compression_type()
    }

    async fn infer_schema(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        self.stock.infer_schema(state, store, objects).await
    }

    async fn infer_stats(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Statistics> {
        self.stock.infer_stats(state, store, schema, object).await
    }

    async fn create_physical_plan(
        &self,
        state: &dyn Session,
        scan: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.stock.create_physical_plan(state, scan).await
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        state: &dyn Session,
        sink: FileSinkConfig,
        order: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partition_by: Vec<String> = sink
            .table_partition_cols
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        let spec = self.spec(&partition_by, &sink.output_schema)?;
        let mode = state.config().get_extension::<DistributionMode>();
        let mode = mode.map_or(DistributionMode::Single, |mode| *mode);
        Ok(Arc::new(StagedWriteExec::new(input, spec, order, mode)))
    }

    fn file_source(&self, schema: TableSchema) -> Arc<dyn FileSource> {
        self.stock.file_source(schema)
    }
}
