//! Writes Arrow types as the SQL types that a declaration of a source has, nested ones over several lines.

use std::fmt::Write;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};

/// The indentation of the fields of a struct below their column.
const INDENT: usize = 2;

/// Returns one line for each column, and one for each field of a struct. Columns and fields of one level
/// are aligned.
pub(crate) fn column_lines(columns: &[FieldRef], indent: usize) -> String {
    aligned(columns, indent, "")
}

/// Returns the SQL type. The fields of a struct stand on lines of their own, further in than `indent`.
pub(crate) fn sql_type(data_type: &DataType, indent: usize) -> String {
    match data_type {
        DataType::Struct(fields) => structure(fields, indent),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => format!("{}[]", sql_type(item.data_type(), indent)),
        DataType::FixedSizeList(item, length) => {
            format!("{}[{length}]", sql_type(item.data_type(), indent))
        }
        DataType::Map(entries, _) => map(entries, indent),
        DataType::Dictionary(_, values) => sql_type(values, indent),
        DataType::RunEndEncoded(_, values) => sql_type(values.data_type(), indent),
        flat => flat_type(flat),
    }
}

/// Quotes a name if SQL requires it, for example because it has capital letters.
pub(crate) fn quoted_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    match starts_plain && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

fn structure(fields: &Fields, indent: usize) -> String {
    if fields.is_empty() {
        return "STRUCT<>".to_owned();
    }
    let inner = aligned(fields, indent + INDENT, ",");
    format!("STRUCT<\n{inner}{:indent$}>", "")
}

/// Returns a line for each field, whose types are aligned. `separator` stands behind each but the last.
fn aligned(fields: &[FieldRef], indent: usize, separator: &str) -> String {
    let names: Vec<String> = fields
        .iter()
        .map(|field| quoted_name(field.name()))
        .collect();
    let widths = names.iter().map(|name| name.chars().count());
    let width = widths.max().unwrap_or(0);
    let mut text = String::new();
    for (index, (field, name)) in fields.iter().zip(&names).enumerate() {
        let kind = sql_type(field.data_type(), indent);
        let not_null = match field.is_nullable() {
            true => "",
            false => " NOT NULL",
        };
        let separator = match index + 1 == fields.len() {
            true => "",
            false => separator,
        };
        let _ = writeln!(
            text,
            "{:indent$}{name:<width$}  {kind}{not_null}{separator}",
            ""
        );
    }
    text
}

fn map(entries: &Field, indent: usize) -> String {
    match entries.data_type() {
        DataType::Struct(fields) => {
            let types = fields
                .iter()
                .map(|field| sql_type(field.data_type(), indent));
            format!("MAP<{}>", types.collect::<Vec<String>>().join(", "))
        }
        // Arrow knows no other entries.
        other => format!("MAP<{}>", sql_type(other, indent)),
    }
}

/// Returns the SQL type of a value without parts.
fn flat_type(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Null => "NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INT UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float16 => "FLOAT16",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "BYTEA",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Interval(IntervalUnit::YearMonth) => "INTERVAL YEAR TO MONTH",
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL",
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            return format!("DECIMAL({precision}, {scale})");
        }
        DataType::Timestamp(unit, zone) => return timestamp(*unit, zone.as_deref()),
        // SQL has no name for it.
        other => return other.to_string(),
    };
    name.to_owned()
}

fn timestamp(unit: TimeUnit, zone: Option<&str>) -> String {
    let digits = match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    match zone {
        None => format!("TIMESTAMP({digits})"),
        Some("UTC" | "+00:00" | "Z") => format!("TIMESTAMP({digits}) WITH TIME ZONE"),
        // The instant is the same, and the zone is the one that it is shown in.
        Some(zone) => format!("TIMESTAMP({digits}) WITH TIME ZONE ({zone})"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn field(name: &str, data_type: DataType) -> FieldRef {
        Arc::new(Field::new(name, data_type, true))
    }

    fn list(item: DataType) -> DataType {
        DataType::List(field("item", item))
    }

    #[test]
    fn nested_types_are_indented() {
        let labels = DataType::Struct(Fields::from(vec![
            field("label", DataType::Utf8View),
            Arc::new(Field::new("score", DataType::Float64, false)),
        ]));
        let entries = DataType::Struct(Fields::from(vec![
            Arc::new(Field::new("key", DataType::Utf8, false)),
            field("value", list(DataType::Int64)),
        ]));
        let columns = [
            Arc::new(Field::new("id", DataType::Int64, false)),
            field(
                "properties",
                DataType::Struct(Fields::from(vec![
                    field("publishedAt", timestamp_type()),
                    field("labels", list(labels)),
                    field("none", DataType::Struct(Fields::empty())),
                ])),
            ),
            field("counts", DataType::Map(field("entries", entries), false)),
        ];
        assert_eq!(
            column_lines(&columns, 2),
            r#"  id          BIGINT NOT NULL
  properties  STRUCT<
    "publishedAt"  TIMESTAMP(6) WITH TIME ZONE,
    labels         STRUCT<
      label  VARCHAR,
      score  DOUBLE NOT NULL
    >[],
    none           STRUCT<>
  >
  counts      MAP<VARCHAR, BIGINT[]>
"#
        );
    }

    fn timestamp_type() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
    }

    #[test]
    fn flat_types_have_the_names_of_sql() {
        let zoned = DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into()));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for (data_type, name) in [
            (DataType::Decimal128(10, 2), "DECIMAL(10, 2)"),
            (
                DataType::Timestamp(TimeUnit::Nanosecond, None),
                "TIMESTAMP(9)",
            ),
            (zoned, "TIMESTAMP(0) WITH TIME ZONE (Europe/Berlin)"),
            (dictionary, "VARCHAR"),
            (list(list(DataType::Date32)), "DATE[][]"),
            (
                DataType::FixedSizeList(field("item", DataType::Float32), 3),
                "FLOAT[3]",
            ),
            (DataType::UInt16, "SMALLINT UNSIGNED"),
        ] {
            assert_eq!(sql_type(&data_type, 0), name);
        }
    }

    #[test]
    fn names_are_quoted_where_sql_requires_it() {
        for (name, quoted) in [
            ("event_id", "event_id"),
            ("eventId", "\"eventId\""),
            ("a\"b", "\"a\"\"b\""),
            ("1st", "\"1st\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted_name(name), quoted);
        }
    }
}
