//! Decodes a Parquet file: compares its columns with the schema and counts its rows.
//!
//! A Parquet file can be read only from its end, so it is spooled to a nameless temporary file
//! instead of being fetched twice or held in memory: a receiver pays for each byte once.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{Error, Result};
use crate::format::{DecodeOutcome, FileDecoder};
use crate::schema::ExportSchema;

/// Opens a decoder of a file of `schema`.
///
/// # Errors
/// Fails if no temporary file can be created.
pub(super) fn open(schema: &Arc<ExportSchema>) -> Result<Box<dyn FileDecoder>> {
    Ok(Box::new(ParquetDecoder {
        spool: tempfile::tempfile().map_err(cannot_spool)?,
        schema: Arc::clone(schema),
    }))
}

/// Decodes one Parquet file.
struct ParquetDecoder {
    spool: File,
    schema: Arc<ExportSchema>,
}

impl FileDecoder for ParquetDecoder {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.spool.write_all(bytes).map_err(cannot_spool)
    }

    fn finish(mut self: Box<Self>) -> Result<DecodeOutcome> {
        self.spool.rewind().map_err(cannot_spool)?;
        let (file, schema) = (self.spool, &self.schema);
        // The reader panics on some damaged files. The message is printed where that happens.
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(file, schema)));
        Ok(decoded.unwrap_or_else(|_| DecodeOutcome::Broken("the reader panicked".to_owned())))
    }
}

fn cannot_spool(error: io::Error) -> Error {
    Error::unavailable("cannot spool a file to the folder for temporary files")
        .with_source(error)
        .with_hint("it needs room for the files read at once; TMPDIR names another folder")
}

/// Decodes a whole file, batch by batch.
fn decode(file: File, schema: &ExportSchema) -> DecodeOutcome {
    let broken = |error: &dyn std::fmt::Display| DecodeOutcome::Broken(error.to_string());
    let reader = match ParquetRecordBatchReaderBuilder::try_new(file) {
        Ok(reader) => reader,
        Err(error) => return broken(&error),
    };
    let mismatch = schema_mismatch(reader.schema(), &schema.arrow_of_files());
    let footer = reader.metadata().file_metadata().num_rows();
    let batches = match reader.build() {
        Ok(batches) => batches,
        Err(error) => return broken(&error),
    };
    let mut rows = 0;
    for batch in batches {
        match batch {
            Ok(batch) => rows += batch.num_rows() as u64,
            Err(error) => return DecodeOutcome::Broken(format!("after {rows} rows: {error}")),
        }
    }
    if u64::try_from(footer) != Ok(rows) {
        return DecodeOutcome::Broken(format!("{rows} rows, but its footer says {footer}"));
    }
    DecodeOutcome::Whole { rows, mismatch }
}

/// Returns the first difference between the columns of a file and those of its manifest.
fn schema_mismatch(file: &Schema, manifest: &Schema) -> Option<String> {
    let name = |field: &Field| format!("`{}`", field.name());
    for field in manifest.fields() {
        if file.field_with_name(field.name()).is_err() {
            return Some(format!("{} is not there", name(field)));
        }
    }
    for field in file.fields() {
        if manifest.field_with_name(field.name()).is_err() {
            return Some(format!("{} is not in the manifest's schema", name(field)));
        }
    }
    let mut pairs = file.fields().iter().zip(manifest.fields());
    pairs.find_map(|(found, recorded)| {
        let column = name(found);
        if found.name() != recorded.name() {
            return Some(format!("{column} stands where {} should", name(recorded)));
        }
        let (found_type, recorded_type) = (found.data_type(), recorded.data_type());
        if found_type != recorded_type {
            return Some(format!(
                "{column} is {found_type}, recorded as {recorded_type}"
            ));
        }
        (found.is_nullable() && !recorded.is_nullable())
            .then(|| format!("{column} may be null, recorded as never null"))
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Int64Type};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    #[test]
    fn the_first_column_that_differs_is_named() {
        let id = Field::new("id", DataType::Int64, false);
        let name = Field::new("name", DataType::Utf8, true);
        let mismatch = |file: Vec<Field>| {
            let manifest = Schema::new(vec![id.clone(), name.clone()]);
            schema_mismatch(&Schema::new(file), &manifest)
        };
        assert_eq!(mismatch(vec![id.clone(), name.clone()]), None);
        // Fewer nulls than announced do no harm.
        let never_null = name.clone().with_nullable(false);
        assert_eq!(mismatch(vec![id.clone(), never_null]), None);
        for (file, complaint) in [
            (vec![id.clone()], "`name` is not there"),
            (
                vec![
                    id.clone(),
                    name.clone(),
                    Field::new("x", DataType::Utf8, true),
                ],
                "`x` is not in the manifest's schema",
            ),
            (
                vec![name.clone(), id.clone()],
                "`name` stands where `id` should",
            ),
            (
                vec![Field::new("id", DataType::Int32, false), name.clone()],
                "`id` is Int32, recorded as Int64",
            ),
            (
                vec![id.clone().with_nullable(true), name.clone()],
                "`id` may be null, recorded as never null",
            ),
        ] {
            assert_eq!(mismatch(file).as_deref(), Some(complaint));
        }
    }

    /// Returns a small file with strings, lists and nulls.
    fn small_file() -> Vec<u8> {
        let ids = Int64Array::from_iter_values(0..200);
        let names = (0..200).map(|n| (n % 5 > 0).then(|| format!("name {}", n % 7)));
        let names = StringArray::from_iter(names);
        let lists = (0..200).map(|n| (n % 3 > 0).then(|| (0..n % 4).map(Some).collect::<Vec<_>>()));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
        let columns: [(&str, ArrayRef); 3] = [
            ("id", Arc::new(ids)),
            ("name", Arc::new(names)),
            ("list", Arc::new(lists)),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(100))
            .build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    /// Changes a few bytes, most of them of the footer.
    fn damage(file: &mut [u8], random: &mut fastrand::Rng) {
        let footer_length = file[file.len() - 8..].first_chunk::<4>().unwrap();
        let footer_length = usize::try_from(u32::from_le_bytes(*footer_length)).unwrap();
        let (end, footer) = (file.len() - 8, file.len() - 8 - footer_length);
        for _ in 0..random.usize(1..4) {
            let start = if random.u8(..4) > 0 { footer } else { 4 };
            let at = random.usize(start..end);
            file[at] = match random.u8(..3) {
                0 => random.u8(..),
                1 => file[at] ^ (1 << random.u8(..8)),
                _ => *random.choice(&[0, 1, 127, 128, 255]).unwrap(),
            };
        }
    }

    #[test]
    fn no_damage_ends_the_program() {
        let schema: Arc<ExportSchema> = Arc::new(serde_json::from_str("[]").unwrap());
        let whole = small_file();
        let mut panics = 0;
        for seed in 0..3_000 {
            let mut file = whole.clone();
            damage(&mut file, &mut fastrand::Rng::with_seed(seed));
            let mut decoder = open(&schema).unwrap();
            decoder.write(&file).unwrap();
            if let DecodeOutcome::Broken(reason) = decoder.finish().unwrap() {
                panics += u32::from(reason == "the reader panicked");
            }
        }
        println!("{panics} panics");
        assert!(
            panics > 0,
            "the reader does not panic any more: nothing is tested"
        );
    }
}
