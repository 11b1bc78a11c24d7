//! The columns of Parquet files, as their schemas have them, and some rows as JSON.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::init::column::{Column, ColumnType, LeftOut};

/// A Parquet file: its columns and some of its rows.
#[derive(Debug)]
pub(super) struct ParquetSample {
    pub(super) columns: Vec<Column>,
    /// The rows as objects of JSON.
    pub(super) rows: Vec<String>,
    /// True if the file has more rows.
    pub(super) is_partial: bool,
}

/// Reads the schema and the first rows of a file.
///
/// # Errors
/// Returns the reason why the file cannot be read.
pub(super) fn read_parquet(stored: &Bytes, max_rows: usize) -> Result<ParquetSample, String> {
    // The reader panics on some damaged files.
    let read = catch_unwind(AssertUnwindSafe(|| read(stored, max_rows)));
    read.unwrap_or_else(|_| Err("it is damaged".to_owned()))
}

fn read(stored: &Bytes, max_rows: usize) -> Result<ParquetSample, String> {
    let shown = |error: &dyn std::error::Error| error.to_string();
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(stored.clone()).map_err(|error| shown(&error))?;
    let rows = builder.metadata().file_metadata().num_rows();
    let columns: Vec<Column> = builder
        .schema()
        .fields()
        .iter()
        .map(|field| column(field))
        .collect();
    // JSON has no form for some of the types that no source reads.
    let declared = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.declared.is_ok());
    let mask = ProjectionMask::roots(builder.parquet_schema(), declared.map(|(index, _)| index));
    let builder = builder.with_projection(mask);
    let reader = builder
        .with_limit(max_rows)
        .build()
        .map_err(|error| shown(&error))?;
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    for batch in reader {
        let batch = batch.map_err(|error| shown(&error))?;
        writer.write(&batch).map_err(|error| shown(&error))?;
    }
    writer.finish().map_err(|error| shown(&error))?;
    drop(writer);
    let text = String::from_utf8_lossy(&text);
    Ok(ParquetSample {
        columns,
        rows: text.lines().map(str::to_owned).collect(),
        is_partial: usize::try_from(rows).is_ok_and(|rows| rows > max_rows),
    })
}

fn column(field: &Field) -> Column {
    let declared = match field.name().as_str() {
        "" => Err(LeftOut::NoName),
        _ => data_type(field.data_type()),
    };
    Column {
        name: field.name().clone(),
        declared,
        notes: Vec::new(),
        is_required: false,
        is_rare: false,
    }
}

/// Returns the declaration that reads a type of a file as it is.
fn data_type(of_file: &DataType) -> Result<ColumnType, LeftOut> {
    let plain = |name: &'static str| Ok(ColumnType::Plain(name));
    match of_file {
        DataType::Boolean => plain("BOOLEAN"),
        DataType::Int8 => plain("TINYINT"),
        DataType::Int16 => plain("SMALLINT"),
        DataType::Int32 => plain("INT"),
        DataType::Int64 => plain("BIGINT"),
        DataType::UInt8 => plain("TINYINT UNSIGNED"),
        DataType::UInt16 => plain("SMALLINT UNSIGNED"),
        DataType::UInt32 => plain("INT UNSIGNED"),
        DataType::UInt64 => plain("BIGINT UNSIGNED"),
        DataType::Float16 | DataType::Float32 => plain("REAL"),
        DataType::Float64 => plain("DOUBLE"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => plain("VARCHAR"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => plain("BYTEA"),
        DataType::Date32 | DataType::Date64 => plain("DATE"),
        DataType::Dictionary(_, values) => data_type(values),
        DataType::Decimal128(precision, scale) if *scale >= 0 => Ok(ColumnType::Decimal {
            precision: u32::from(*precision),
            scale: u32::from(scale.unsigned_abs()),
        }),
        DataType::Timestamp(unit, zone) => {
            let digits = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                TimeUnit::Microsecond => 6,
                TimeUnit::Nanosecond => 9,
            };
            let zone = match zone {
                Some(_) => " WITH TIME ZONE",
                None => "",
            };
            Ok(ColumnType::OfFile(format!("TIMESTAMP({digits}){zone}")))
        }
        DataType::List(element) | DataType::LargeList(element) | DataType::ListView(element) => {
            let element = data_type(element.data_type())?;
            Ok(ColumnType::List(Box::new(element)))
        }
        DataType::Struct(fields) => {
            let members: Vec<Column> = fields.iter().map(|field| column(field)).collect();
            match members.iter().any(|member| member.declared.is_ok()) {
                true => Ok(ColumnType::Struct(members)),
                false => Err(LeftOut::NoMembers(None)),
            }
        }
        other => {
            // Without its parameters, which are the library's.
            let name = other.to_string();
            let name = name.split('(').next().unwrap_or_default();
            let what = format!("no type of a source reads {name}");
            Err(LeftOut::FileType(what))
        }
    }
}

/// Unites the columns of several files. A column whose type differs is left out, unless one of its types
/// reads the values of the others.
pub(super) fn united(files: &[(usize, ParquetSample)]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (_, file) in files {
        unite(&mut columns, &file.columns);
    }
    columns
}

fn unite(columns: &mut Vec<Column>, others: &[Column]) {
    for other in others {
        let Some(known) = columns.iter_mut().find(|column| column.name == other.name) else {
            columns.push(other.clone());
            continue;
        };
        let (Ok(one), Ok(two)) = (&mut known.declared, &other.declared) else {
            known.declared = known.declared.clone().and(other.declared.clone());
            continue;
        };
        if let (ColumnType::Struct(members), ColumnType::Struct(others)) = (&mut *one, two) {
            unite(members, others);
            continue;
        }
        match wider(one, two) {
            Some(wider) => *one = wider,
            None => {
                let what = format!(
                    "it is {} in some files and {} in others",
                    one.inline(),
                    two.inline()
                );
                known.declared = Err(LeftOut::FileType(what));
            }
        }
    }
}

/// Returns the type that reads both exactly.
fn wider(one: &ColumnType, two: &ColumnType) -> Option<ColumnType> {
    const INTEGERS: [&str; 7] = [
        "TINYINT",
        "TINYINT UNSIGNED",
        "SMALLINT",
        "SMALLINT UNSIGNED",
        "INT",
        "INT UNSIGNED",
        "BIGINT",
    ];
    if one == two {
        return Some(one.clone());
    }
    let (ColumnType::Plain(one), ColumnType::Plain(two)) = (one, two) else {
        return None;
    };
    let is_number = |name: &&str| INTEGERS.contains(name) || ["REAL", "DOUBLE"].contains(name);
    match (INTEGERS.contains(one), INTEGERS.contains(two)) {
        (true, true) => Some(ColumnType::Plain("BIGINT")),
        _ if is_number(one) && is_number(two) => Some(ColumnType::Plain("DOUBLE")),
        _ => None,
    }
}
