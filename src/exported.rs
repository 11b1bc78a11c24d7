//! Published tables, read back by their manifests: every row exactly once.

use datafusion::arrow::datatypes::Field;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::SessionContext;
use object_store::ObjectMeta;
use std::sync::Arc;

use crate::cycle::SyncMode;
use crate::delivery::History;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::jsonl::Compression;
use crate::layout::{self, FileFormat, TableName};
use crate::manifest::{DataFile, Manifest};
use crate::scan::fixed_table::FixedTable;
use crate::scan::spec::SourceFormat;
use crate::store::Destination;

/// The destination's store, under a name of its own, so that it cannot be taken for a source.
const STORE: &str = "dayport-destination://published/";

/// A schema with every published table whose name is `wanted`.
pub async fn register(
    context: &SessionContext,
    destination: &Destination,
    wanted: impl Fn(&str) -> bool,
) -> Result<MemorySchemaProvider> {
    let store = register_store(context, destination)?;
    let schema = MemorySchemaProvider::new();
    for name in destination.folders(&layout::manifests_folder()).await? {
        let Ok(table) = name.parse::<TableName>() else {
            continue;
        };
        if !wanted(&name) {
            continue;
        }
        let manifests = current(destination, &table).await?;
        if let Some(view) = view(destination, &store, &manifests)? {
            schema
                .register_table(name, Arc::new(view))
                .map_err(from_datafusion)?;
        }
    }
    Ok(schema)
}

fn register_store(context: &SessionContext, destination: &Destination) -> Result<ObjectStoreUrl> {
    let store = ObjectStoreUrl::parse(STORE).map_err(from_datafusion)?;
    context.register_object_store(store.as_ref(), destination.object_store());
    Ok(store)
}

/// One published file as a table: its columns, then those of its folders.
pub fn file(
    context: &SessionContext,
    destination: &Destination,
    manifest: &Manifest,
    file: &DataFile,
) -> Result<FixedTable> {
    let store = register_store(context, destination)?;
    let partition_fields = partition_fields(manifest);
    let values = partition_values(file, &partition_fields)?;
    let files = vec![(object(destination, manifest, file)?, values)];
    Ok(table(
        store,
        manifest,
        manifest.format,
        files,
        partition_fields,
    ))
}

fn partition_fields(manifest: &Manifest) -> Vec<Field> {
    let schema = manifest.partition_by.arrow();
    let fields = schema.fields().iter();
    fields.map(|field| field.as_ref().clone()).collect()
}

/// A table of files in one format, with the columns of `manifest`.
fn table(
    store: ObjectStoreUrl,
    manifest: &Manifest,
    format: FileFormat,
    files: Vec<(ObjectMeta, Vec<ScalarValue>)>,
    partition_fields: Vec<Field>,
) -> FixedTable {
    let format = match format {
        FileFormat::Json => SourceFormat::Json(Compression::Gzip),
        FileFormat::Parquet => SourceFormat::Parquet,
    };
    let columns = manifest.schema.arrow();
    FixedTable::new(store, files, format, columns, partition_fields)
}

/// The manifests that make up a table now, oldest cycle first.
async fn current(destination: &Destination, table: &TableName) -> Result<Vec<Manifest>> {
    // Nothing is finished here: a reader follows the manifests that are there.
    let history = History::load(destination, table, None).await?;
    let mut manifests = history.manifests(destination).await?;
    let newest_is_all = manifests
        .last()
        .is_some_and(|newest| newest.sync_mode == SyncMode::Snapshot);
    if newest_is_all {
        manifests.drain(..manifests.len() - 1);
    }
    Ok(manifests)
}

/// The columns are those of the newest manifest; what older files lack is NULL.
fn view(
    destination: &Destination,
    store: &ObjectStoreUrl,
    manifests: &[Manifest],
) -> Result<Option<ViewTable>> {
    let Some(newest) = manifests.last() else {
        return Ok(None);
    };
    let partition_fields = partition_fields(newest);
    let mut union: Option<LogicalPlanBuilder> = None;
    for format in [FileFormat::Json, FileFormat::Parquet] {
        let of_format = manifests
            .iter()
            .filter(|manifest| manifest.format == format);
        let files = of_format
            .flat_map(|manifest| manifest.files.iter().map(move |file| (manifest, file)))
            .map(|(manifest, file)| {
                let values = partition_values(file, &partition_fields)?;
                Ok((object(destination, manifest, file)?, values))
            })
            .collect::<Result<Vec<_>>>()?;
        if files.is_empty() && format != newest.format {
            continue;
        }
        let table = table(
            store.clone(),
            newest,
            format,
            files,
            partition_fields.clone(),
        );
        let name = newest.table.as_str();
        let scan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)
            .map_err(from_datafusion)?;
        union = Some(match union {
            None => scan,
            Some(other) => {
                let scan = scan.build().map_err(from_datafusion)?;
                other.union(scan).map_err(from_datafusion)?
            }
        });
    }
    let plan = union
        .map(LogicalPlanBuilder::build)
        .transpose()
        .map_err(from_datafusion)?;
    Ok(plan.map(|plan| ViewTable::new(plan, None)))
}

fn object(destination: &Destination, manifest: &Manifest, file: &DataFile) -> Result<ObjectMeta> {
    Ok(ObjectMeta {
        location: destination.absolute(&layout::parse_recorded(&file.path)?),
        last_modified: manifest.committed_at,
        size: file.bytes,
        e_tag: None,
        version: None,
    })
}

fn partition_values(file: &DataFile, fields: &[Field]) -> Result<Vec<ScalarValue>> {
    let values = file.partition.values();
    fields
        .iter()
        .map(|field| {
            let text = values.iter().find(|(column, _)| column == field.name());
            let (_, text) = text.ok_or_else(|| {
                Error::data(format!(
                    "`{}` has no value of the partition column `{}`",
                    file.path,
                    field.name()
                ))
                .with_hint("was the table partitioned in another way before?")
            })?;
            ScalarValue::try_from_string(text.clone(), field.data_type()).map_err(from_datafusion)
        })
        .collect()
}
