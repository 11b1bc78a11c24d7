//! The names of the exported types in a dialect.

use crate::format::FileFormat;
use crate::schema::{ColumnType, ExportColumn};

/// The names of one dialect.
pub(super) struct TypeNames {
    pub boolean: &'static str,
    pub int32: &'static str,
    pub int64: &'static str,
    pub float64: &'static str,
    pub string: &'static str,
    pub binary: &'static str,
    pub date: &'static str,
    pub timestamp: &'static str,
    pub decimal: fn(u8, i8) -> String,
    /// The list of items of a type.
    pub list: fn(&str) -> String,
    /// The field of a name and type.
    pub field: fn(&str, &str) -> String,
    /// The record of fields, which are separated by commas.
    pub record: fn(&str) -> String,
}

impl TypeNames {
    /// Returns the name of a type.
    pub(super) fn of(&self, kind: &ColumnType) -> String {
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
                let named = |field: &ExportColumn| (self.field)(&field.name, &self.of(&field.kind));
                let names: Vec<String> = fields.iter().map(named).collect();
                (self.record)(&names.join(", "))
            }
        }
    }

    /// Returns the names for columns inside files of a format, where binary values may be text.
    pub(super) fn inside(&self, format: FileFormat) -> TypeNames {
        let binary = match format.info().binary_is_hex {
            true => self.string,
            false => self.binary,
        };
        TypeNames { binary, ..*self }
    }
}
