//! A Parquet file: its columns against the schema, its rows by the footer and by decoding.

use std::fs::File;

use arrow::datatypes::{Field, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::schema::ExportSchema;
use crate::verify::check::Decoded;

/// Decodes a whole file, batch by batch.
pub fn decode(file: File, schema: &ExportSchema) -> Decoded {
    let broken = |error: &dyn std::fmt::Display| Decoded::Broken(error.to_string());
    let reader = match ParquetRecordBatchReaderBuilder::try_new(file) {
        Ok(reader) => reader,
        Err(error) => return broken(&error),
    };
    let misfit = misfit(reader.schema(), &schema.arrow_of_files());
    let footer = reader.metadata().file_metadata().num_rows();
    let batches = match reader.build() {
        Ok(batches) => batches,
        Err(error) => return broken(&error),
    };
    let mut rows = 0;
    for batch in batches {
        match batch {
            Ok(batch) => rows += batch.num_rows() as u64,
            Err(error) => return Decoded::Broken(format!("after {rows} rows: {error}")),
        }
    }
    if u64::try_from(footer) != Ok(rows) {
        return Decoded::Broken(format!("{rows} rows, but its footer says {footer}"));
    }
    Decoded::Whole { rows, misfit }
}

/// The first difference between the columns of a file and those of its manifest.
fn misfit(file: &Schema, manifest: &Schema) -> Option<String> {
    let name = |field: &Field| format!("`{}`", field.name());
    let differs = |(there, recorded): (&Field, &Field)| {
        if there.name() != recorded.name() {
            let (there, recorded) = (name(there), name(recorded));
            return Some(format!("{there} stands where {recorded} should"));
        }
        let column = name(there);
        if there.data_type() != recorded.data_type() {
            let (there, recorded) = (there.data_type(), recorded.data_type());
            return Some(format!("{column} is {there}, recorded as {recorded}"));
        }
        (there.is_nullable() && !recorded.is_nullable())
            .then(|| format!("{column} may be null, recorded as never null"))
    };
    let (there, recorded) = (file.fields(), manifest.fields());
    for field in recorded {
        if file.field_with_name(field.name()).is_err() {
            return Some(format!("{} is not there", name(field)));
        }
    }
    for field in there {
        if manifest.field_with_name(field.name()).is_err() {
            return Some(format!("{} is not in the manifest's schema", name(field)));
        }
    }
    let pairs = there.iter().zip(recorded);
    pairs
        .map(|(there, recorded)| (there.as_ref(), recorded.as_ref()))
        .find_map(differs)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn the_first_column_that_differs_is_named() {
        let id = Field::new("id", DataType::Int64, false);
        let name = Field::new("name", DataType::Utf8, true);
        let misfit = |file: Vec<Field>| {
            let manifest = Schema::new(vec![id.clone(), name.clone()]);
            misfit(&Schema::new(file), &manifest)
        };
        assert_eq!(misfit(vec![id.clone(), name.clone()]), None);
        // Fewer nulls than announced do no harm.
        let full = name.clone().with_nullable(false);
        assert_eq!(misfit(vec![id.clone(), full]), None);
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
            assert_eq!(misfit(file).as_deref(), Some(complaint));
        }
    }
}
