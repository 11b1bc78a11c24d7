//! The exported types in the words of a dialect.

use crate::layout::FileFormat;
use crate::schema::ColumnType;

/// The words of one dialect.
pub struct TypeNames {
    pub boolean: &'static str,
    pub int32: &'static str,
    pub int64: &'static str,
    pub float64: &'static str,
    pub string: &'static str,
    pub binary: &'static str,
    pub date: &'static str,
    pub timestamp: &'static str,
    pub decimal: fn(u8, i8) -> String,
    /// Given the item's type.
    pub list: fn(&str) -> String,
    /// Given a field's name and type.
    pub field: fn(&str, &str) -> String,
    /// Given the fields, separated by commas.
    pub record: fn(&str) -> String,
}

impl TypeNames {
    pub fn of(&self, kind: &ColumnType) -> String {
        match kind {
            ColumnType::Boolean => self.boolean.to_owned(),
            ColumnType::Int32 => self.int32.to_owned(),
            ColumnType::Int64 => self.int64.to_owned(),
            ColumnType::Float64 => self.float64.to_owned(),
            ColumnType::String => self.string.to_owned(),
            ColumnType::Binary => self.binary.to_owned(),
            ColumnType::Date => self.date.to_owned(),
            ColumnType::Timestamp => self.timestamp.to_owned(),
            ColumnType::Decimal { precision, scale } => (self.decimal)(*precision, *scale),
            ColumnType::List(item) => (self.list)(&self.of(&item.kind)),
            ColumnType::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|field| (self.field)(&field.name, &self.of(&field.kind)));
                (self.record)(&fields.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// The words for columns inside the files: JSON holds binary values as hexadecimal text.
    pub fn inside(&self, format: FileFormat) -> TypeNames {
        let binary = match format {
            FileFormat::Json => self.string,
            FileFormat::Parquet => self.binary,
        };
        TypeNames { binary, ..*self }
    }
}
