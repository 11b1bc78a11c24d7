//! Reads published tables back by their manifests: every row exactly once.

use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::{DataFrame, SessionContext};
use object_store::ObjectMeta;
use std::sync::Arc;

use crate::delivery::History;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::jsonl::Compression;
use crate::layout::{self, FileFormat, HIVE_NULL, TableName};
use crate::manifest::{self, DataFile, Manifest};
use crate::scan::fixed_table::FixedTable;
use crate::scan::spec::SourceFormat;
use crate::store::Destination;

/// The URL of the destination's store, which no source can have.
const STORE_URL: &str = "dayport-destination://published/";

/// Returns a schema with every published table whose name is `selected`.
pub(crate) async fn register(
    context: &SessionContext,
    destination: &Destination,
    selected: impl Fn(&str) -> bool,
) -> Result<MemorySchemaProvider> {
    let store = register_store(context, destination)?;
    let schema = MemorySchemaProvider::new();
    for name in destination.folders(&layout::manifests_folder()).await? {
        let Ok(table) = name.parse::<TableName>() else {
            continue;
        };
        if !selected(&name) {
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
    let store = ObjectStoreUrl::parse(STORE_URL).map_err(from_datafusion)?;
    context.register_object_store(store.as_ref(), destination.object_store());
    Ok(store)
}

/// Returns one published file as a table: its columns, then those of its folders.
pub(crate) fn file(
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

/// Returns the rows of the files of one manifest, with its columns and those of its folders.
pub(crate) fn rows(
    context: &SessionContext,
    destination: &Destination,
    manifest: &Manifest,
) -> Result<(DataFrame, SchemaRef)> {
    let store = register_store(context, destination)?;
    let partition_fields = partition_fields(manifest);
    let files = manifest
        .files
        .iter()
        .map(|file| {
            let values = partition_values(file, &partition_fields)?;
            Ok((object(destination, manifest, file)?, values))
        })
        .collect::<Result<Vec<_>>>()?;
    let table = table(store, manifest, manifest.format, files, partition_fields);
    let columns = table.schema();
    let rows = context
        .read_table(Arc::new(table))
        .map_err(from_datafusion)?;
    Ok((rows, columns))
}

fn partition_fields(manifest: &Manifest) -> Vec<Field> {
    let schema = manifest.partition_by.arrow();
    let fields = schema.fields().iter();
    fields.map(|field| field.as_ref().clone()).collect()
}

/// Returns a table of files in one format, with the columns of `manifest`.
fn table(
    store: ObjectStoreUrl,
    manifest: &Manifest,
    format: FileFormat,
    files: Vec<(ObjectMeta, Vec<ScalarValue>)>,
    partition_fields: Vec<Field>,
) -> FixedTable {
    let read_as = match format {
        FileFormat::Json => SourceFormat::Json(Compression::Gzip),
        FileFormat::Parquet => SourceFormat::Parquet,
    };
    let columns = manifest.schema.arrow();
    FixedTable::new(store, files, read_as, columns, partition_fields)
}

/// Reads the manifests that make up a table now, oldest cycle first.
async fn current(destination: &Destination, table: &TableName) -> Result<Vec<Manifest>> {
    // No commit is finished here: a reader follows the manifests that exist.
    let history = History::load(destination, table, None).await?;
    let manifests = history.manifests(destination).await?;
    Ok(manifest::current(manifests))
}

/// Returns the union of the files of `manifests` as a view, or `None` without a manifest.
///
/// The columns are those of the newest manifest; those that older files lack are NULL.
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
    for format in FileFormat::ALL {
        let files = manifests
            .iter()
            .filter(|manifest| manifest.format == format)
            .flat_map(|manifest| manifest.files.iter().map(move |file| (manifest, file)))
            .map(|(manifest, file)| {
                let values = partition_values(file, &partition_fields)?;
                Ok((object(destination, manifest, file)?, values))
            })
            .collect::<Result<Vec<_>>>()?;
        if files.is_empty() && format != newest.format {
            continue;
        }
        let provider = table(
            store.clone(),
            newest,
            format,
            files,
            partition_fields.clone(),
        );
        let name = newest.table.as_str();
        let scan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(provider)), None)
            .map_err(from_datafusion)?;
        union = Some(match union {
            None => scan,
            Some(others) => {
                let plan = scan.build().map_err(from_datafusion)?;
                others.union(plan).map_err(from_datafusion)?
            }
        });
    }
    let plan = union
        .map(LogicalPlanBuilder::build)
        .transpose()
        .map_err(from_datafusion)?;
    Ok(plan.map(|plan| ViewTable::new(plan, None)))
}

/// Returns the metadata of a file, as its manifest records it.
fn object(destination: &Destination, manifest: &Manifest, file: &DataFile) -> Result<ObjectMeta> {
    Ok(ObjectMeta {
        location: destination.absolute(&layout::parse_recorded(&file.path)?),
        last_modified: manifest.committed_at,
        size: file.bytes,
        e_tag: None,
        version: None,
    })
}

/// Returns the values of the partition columns of a file.
fn partition_values(file: &DataFile, fields: &[Field]) -> Result<Vec<ScalarValue>> {
    let values = file.partition.values();
    fields
        .iter()
        .map(|field| {
            let value = values.iter().find(|(column, _)| column == field.name());
            let (_, text) = value.ok_or_else(|| {
                Error::data(format!(
                    "`{}` has no value of the partition column `{}`",
                    file.path,
                    field.name()
                ))
                .with_hint("was the table partitioned in another way before?")
            })?;
            if text == HIVE_NULL {
                return ScalarValue::try_from(field.data_type()).map_err(from_datafusion);
            }
            ScalarValue::try_from_string(text.clone(), field.data_type()).map_err(from_datafusion)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::compute::concat_batches;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::format::tests::{encode, rows};
    use crate::store::{Location, StoreOptions};

    const PATH: &str = "data/t/part=15/data-000000000000";

    fn manifest(format: FileFormat, schema: &crate::schema::ExportSchema, file: &[u8]) -> Manifest {
        let path = format!("{PATH}.{}", format.extension());
        let digest = format!("{:x}", Sha256::digest(file));
        serde_json::from_value(serde_json::json!({
            "version": 1, "table": "t", "description": "", "sync_mode": "incremental",
            "cycle": {"id": "2026-01-15", "start": "2026-01-15T00:00:00Z",
                      "end": "2026-01-16T00:00:00Z"},
            "revision": 0, "run_id": "r", "started_at": "2026-01-17T00:00:00Z",
            "committed_at": "2026-01-17T00:00:00Z", "writer": "w", "format": format,
            "compression": "", "schema": schema,
            "partition_by": [{"name": "part", "type": "int32", "nullable": false}],
            "definition": {"file": "t.sql", "sha256": ""}, "sources": [],
            "rows": 3000, "bytes": file.len(),
            "files": [{"path": path, "partition": {"part": "15"}, "rows": 3000,
                       "bytes": file.len(), "sha256": digest}],
            "replaced": []
        }))
        .unwrap()
    }

    /// Every format is read back as it was written, with the columns of its folders.
    #[tokio::test]
    async fn files_are_read_back_as_they_were_written() {
        let (schema, batch) = rows(3000);
        for format in FileFormat::ALL {
            let folder = tempfile::tempdir().unwrap();
            let file = encode(
                format,
                &batch.schema(),
                std::slice::from_ref(&batch),
                usize::MAX,
            );
            let path = folder.path().join(format!("{PATH}.{}", format.extension()));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &file).unwrap();
            let location = Location::parse(&folder.path().display().to_string()).unwrap();
            let options = StoreOptions::default();
            let destination = Destination::open(&location, &options).await.unwrap();

            let context = SessionContext::new();
            let manifest = manifest(format, &schema, &file);
            let table = super::file(&context, &destination, &manifest, &manifest.files[0]);
            let frame = context.read_table(Arc::new(table.unwrap())).unwrap();
            let batches = frame.collect().await.unwrap();
            let read = concat_batches(&batches[0].schema(), &batches).unwrap();
            assert_eq!(read.num_columns(), batch.num_columns() + 1, "{format}");
            for (column, written) in read.columns().iter().zip(batch.columns()) {
                assert_eq!(column, written, "{format}");
            }
        }
    }
}
