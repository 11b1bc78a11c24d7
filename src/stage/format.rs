//! The door to DataFusion: file formats whose writer is [`StagedWriteExec`].

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{GetExt, Result, Statistics};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{
    FileFormat as StockFormat, FileFormatFactory, file_type_to_format,
};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;
use object_store::{ObjectMeta, ObjectStore};

use crate::codec::deflate::{GzipLevel, GzipPool};
use crate::error::Error;
use crate::format::{FileEncoding, FileFormat};
use crate::stage::encoding_options::EncodingOptions;
use crate::stage::exec::{DistributionMode, StagedWriteExec};
use crate::stage::format_binding::{FormatDefaults, binding};
use crate::stage::spec::{CopyContext, StageSpec};

/// The formats of an export.
pub struct StageFormats;

impl StageFormats {
    /// Replaces the formats of the session that an export can have. JSON files whose `OPTIONS` have
    /// no level are compressed at `gzip_level`.
    pub fn register(state: &mut SessionState, gzip_level: GzipLevel) -> Result<()> {
        let gzip = GzipPool::new(gzip_level);
        for format in FileFormat::ALL {
            let factory = StageFormatFactory {
                format,
                stock: (binding(format).stock)(),
                gzip: gzip.clone(),
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
    /// The compressors of JSON files, shared by all tables.
    gzip: GzipPool,
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
        let defaults = FormatDefaults {
            gzip: &self.gzip,
            tables: state.default_table_options(),
        };
        let (options, encoding) = EncodingOptions::new(self.format, options.clone(), defaults)?;
        Ok(Arc::new(StageFormat {
            stock: self.stock.default(),
            options,
            encoding,
        }))
    }

    fn default(&self) -> Arc<dyn StockFormat> {
        self.stock.default()
    }
}

/// A file format that reads like the stock one and writes by [`StagedWriteExec`].
#[derive(Debug)]
struct StageFormat {
    stock: Arc<dyn StockFormat>,
    options: EncodingOptions,
    encoding: Arc<dyn FileEncoding>,
}

impl StageFormat {
    /// Specifies the files of a query with the columns `query`, including partition columns.
    fn spec(
        &self,
        partition_by: &[String],
        query: &Schema,
        context: &CopyContext,
    ) -> Result<StageSpec, Error> {
        let (options, encoding) = (self.options.clone(), Arc::clone(&self.encoding));
        StageSpec::new(options, encoding, partition_by, query, context)
    }
}

/// Returns the files that a `COPY` of a session with [`StageFormats`] will write, before it is planned
/// physically.
///
/// # Errors
/// Fails if the options, the columns or the partition columns are not those of an export.
pub fn spec_of(copy: &CopyTo, context: &CopyContext, state: &SessionState) -> Result<StageSpec> {
    let format = file_type_to_format(&copy.file_type)?.create(state, &copy.options)?;
    let Some(format) = format.downcast_ref::<StageFormat>() else {
        return Err(Error::internal("a COPY into a format that is not ours").into());
    };
    let query = copy.input.schema().as_arrow();
    Ok(format.spec(&copy.partition_by, query, context)?)
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
        let extension = state.config().get_extension::<CopyContext>();
        let context = extension.as_deref().cloned().unwrap_or_default();
        let spec = self.spec(&partition_by, &sink.output_schema, &context)?;
        let distribution = state.config().get_extension::<DistributionMode>();
        let mode = distribution.map_or(DistributionMode::Single, |mode| *mode);
        Ok(Arc::new(StagedWriteExec::new(input, spec, order, mode)))
    }

    fn file_source(&self, schema: TableSchema) -> Arc<dyn FileSource> {
        self.stock.file_source(schema)
    }
}
