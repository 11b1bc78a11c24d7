//! The types of exported columns: a small set that every receiver can read, the same in both formats.
//!
//! [`ExportSchema::of`] maps the columns of a query onto it; [`ExportSchema::cast`] casts a batch to
//! it.
//! | query yields | exported as |
//! |---|---|
//! | any string, dictionary of strings | `string` |
//! | Int8 to Int32, UInt8, UInt16 | `int32` |
//! | Int64, UInt32, UInt64 (checked) | `int64` |
//! | Float16, Float32, Float64 | `float64` |
//! | any timestamp (without zone: taken as UTC) | `timestamp`, microseconds, UTC |
//! | Date32, Date64 | `date` |
//! | Decimal | `decimal` |
//! | Boolean, binary, struct, list | unchanged |

mod cast;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use self::cast::cast_column;
use crate::error::{Error, Result};

/// An exported column, or a field of an exported struct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    pub nullable: bool,
}

/// The type of an exported column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    Boolean,
    Int32,
    Int64,
    Float64,
    String,
    Binary,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01, UTC.
    Timestamp,
    Decimal {
        precision: u8,
        scale: i8,
    },
    List(Box<ExportColumn>),
    Struct(Vec<ExportColumn>),
}

impl ExportColumn {
    fn of(field: &Field, path: &str) -> Result<Self> {
        Ok(Self {
            name: field.name().clone(),
            kind: ColumnType::of(field.data_type(), path)?,
            nullable: field.is_nullable(),
        })
    }

    fn field(&self, strings: &DataType) -> Field {
        Field::new(&self.name, self.kind.data_type(strings), self.nullable)
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Boolean => f.write_str("boolean"),
            ColumnType::Int32 => f.write_str("int32"),
            ColumnType::Int64 => f.write_str("int64"),
            ColumnType::Float64 => f.write_str("float64"),
            ColumnType::String => f.write_str("string"),
            ColumnType::Binary => f.write_str("binary"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Timestamp => f.write_str("timestamp"),
            ColumnType::Decimal { precision, scale } => write!(f, "decimal({precision}, {scale})"),
            ColumnType::List(item) => write!(f, "list<{}>", item.kind),
            ColumnType::Struct(columns) => {
                f.write_str("struct<")?;
                for (index, column) in columns.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{} {}", column.name, column.kind)?;
                }
                f.write_str(">")
            }
        }
    }
}

impl ColumnType {
    fn of(data_type: &DataType, path: &str) -> Result<Self> {
        Ok(match data_type {
            DataType::Boolean => ColumnType::Boolean,
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::UInt8
            | DataType::UInt16 => ColumnType::Int32,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => ColumnType::Int64,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Float64,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::String,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => ColumnType::Binary,
            DataType::Date32 | DataType::Date64 => ColumnType::Date,
            DataType::Timestamp(_, _) => ColumnType::Timestamp,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => ColumnType::Decimal {
                precision: *precision,
                scale: *scale,
            },
            DataType::Dictionary(_, values) => ColumnType::of(values, path)?,
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => {
                // Parquet and every catalogue call the item of a list `element`.
                let mut column = ExportColumn::of(item, &format!("{path}[]"))?;
                column.name = "element".to_owned();
                ColumnType::List(Box::new(column))
            }
            DataType::Struct(fields) => ColumnType::Struct(
                fields
                    .iter()
                    .map(|field| ExportColumn::of(field, &format!("{path}.{}", field.name())))
                    .collect::<Result<_>>()?,
            ),
            other => {
                return Err(Error::invalid(format!(
                    "column `{path}` has the type {other}, which an export cannot carry"
                ))
                .with_hint("cast it in the query, for example to VARCHAR"));
            }
        })
    }

    /// Returns the Arrow type. `strings` is the Arrow type of strings.
    fn data_type(&self, strings: &DataType) -> DataType {
        match self {
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Int32 => DataType::Int32,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::Float64 => DataType::Float64,
            ColumnType::String => strings.clone(),
            ColumnType::Binary => DataType::Binary,
            ColumnType::Date => DataType::Date32,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            ColumnType::List(item) => DataType::List(Arc::new(item.field(strings))),
            ColumnType::Struct(columns) => DataType::Struct(fields(columns, strings)),
        }
    }
}

fn fields(columns: &[ExportColumn], strings: &DataType) -> Fields {
    columns.iter().map(|column| column.field(strings)).collect()
}

/// The columns inside the files of a table, partition columns left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExportSchema(Vec<ExportColumn>);

impl ExportSchema {
    /// Maps the columns of a query.
    ///
    /// # Errors
    /// Fails on a type that an export cannot carry, and on two columns whose names differ in case
    /// only, which Athena and others cannot distinguish.
    pub fn of<'a>(query: impl IntoIterator<Item = &'a Field>) -> Result<Self> {
        let columns = query
            .into_iter()
            .map(|field| ExportColumn::of(field, field.name()))
            .collect::<Result<Vec<_>>>()?;
        for (index, column) in columns.iter().enumerate() {
            let twin = columns[..index]
                .iter()
                .find(|earlier| earlier.name.eq_ignore_ascii_case(&column.name));
            if let Some(twin) = twin {
                return Err(Error::invalid(format!(
                    "columns `{}` and `{}` differ in case only",
                    twin.name, column.name
                ))
                .with_hint("rename one of them with AS; many catalogues ignore case"));
            }
        }
        Ok(Self(columns))
    }

    /// Returns the columns.
    pub fn columns(&self) -> &[ExportColumn] {
        &self.0
    }

    /// Returns the Arrow schema of rows in memory: strings are views, so that rows are filtered and
    /// forwarded without copying their bytes.
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(fields(&self.0, &DataType::Utf8View)))
    }

    /// Returns the Arrow schema that a reader of the files gets by default.
    pub fn arrow_of_files(&self) -> SchemaRef {
        Arc::new(Schema::new(fields(&self.0, &DataType::Utf8)))
    }

    /// Casts columns, given in order, into a batch of `schema`, which is [`ExportSchema::arrow`].
    ///
    /// # Errors
    /// Fails on a value that does not fit its type; it never becomes NULL.
    pub fn cast(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
        let cast_columns = columns
            .into_iter()
            .zip(schema.fields())
            .map(|(array, field)| {
                // The error of Arrow quotes the value, which may be personal.
                cast_column(&array, field.data_type()).map_err(|_| {
                    Error::data(format!(
                        "column `{}` has a value that {} cannot hold",
                        field.name(),
                        field.data_type()
                    ))
                    .with_hint("cast it in the query, for example to DECIMAL(20, 0) or VARCHAR")
                })
            })
            .collect::<Result<Vec<_>>>()?;
        RecordBatch::try_new(Arc::clone(schema), cast_columns).map_err(|error| {
            Error::data("the rows of the query do not fit the schema of the table")
                .with_source(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Array, AsArray, Int64Array, StringViewArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::TimestampMicrosecondType;

    use super::*;

    fn schema_of(fields: Vec<Field>) -> Result<ExportSchema> {
        ExportSchema::of(&fields)
    }

    #[test]
    fn a_schema_survives_its_published_form() {
        let schema = schema_of(vec![
            Field::new(
                "time",
                DataType::Timestamp(TimeUnit::Nanosecond, None),
                false,
            ),
            Field::new_list(
                "segments",
                Field::new("item", DataType::Int64, false),
                false,
            ),
            Field::new_struct(
                "properties",
                vec![Field::new("url", DataType::Utf8View, true)],
                true,
            ),
            Field::new("price", DataType::Decimal128(10, 2), true),
        ])
        .unwrap();
        let text = serde_json::to_string(&schema).unwrap();
        assert!(
            text.contains(r#"{"name":"time","type":"timestamp","nullable":false}"#),
            "{text}"
        );
        assert!(
            text.contains(r#"{"list":{"name":"element","type":"int64","nullable":false}}"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<ExportSchema>(&text).unwrap(), schema);
    }

    #[test]
    fn batches_are_cast_and_what_does_not_fit_is_an_error() {
        let fields = vec![
            Field::new(
                "time",
                DataType::Timestamp(TimeUnit::Nanosecond, None),
                false,
            ),
            Field::new("name", DataType::Utf8View, false),
            Field::new("n", DataType::UInt64, false),
        ];
        let schema = schema_of(fields).unwrap().arrow();
        let columns = |n: u64| -> Vec<ArrayRef> {
            vec![
                Arc::new(TimestampNanosecondArray::from(vec![
                    1_700_000_000_123_456_000,
                ])),
                Arc::new(StringViewArray::from(vec!["a"])),
                Arc::new(UInt64Array::from(vec![n])),
            ]
        };
        let batch = ExportSchema::cast(&schema, columns(9_007_199_254_740_993)).unwrap();
        let time = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(time.value(0), 1_700_000_000_123_456);
        let n: &Int64Array = batch.column(2).as_primitive();
        assert_eq!(n.value(0), 9_007_199_254_740_993);
        let error = ExportSchema::cast(&schema, columns(u64::MAX)).unwrap_err();
        assert_eq!(
            error.render(),
            "error: column `n` has a value that Int64 cannot hold\n\
             hint: cast it in the query, for example to DECIMAL(20, 0) or VARCHAR"
        );
        assert_eq!(batch.column(1).data_type(), &DataType::Utf8View);
    }

    #[test]
    fn what_receivers_cannot_read_is_refused() {
        let interval = Field::new("i", DataType::Duration(TimeUnit::Second), true);
        let nested = Field::new_struct("p", vec![interval], true);
        let error = schema_of(vec![nested]).unwrap_err();
        assert!(error.to_string().contains("`p.i`"), "{error}");
        let twins = vec![
            Field::new("url", DataType::Utf8, true),
            Field::new("URL", DataType::Utf8, true),
        ];
        assert!(schema_of(twins).is_err());
    }
}
