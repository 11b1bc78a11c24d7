//! Checks one JSON line against the schema of its table, without building a value.
//!
//! Complaints name columns and types, never values, which may be personal data.

use std::fmt;

use chrono::{DateTime, NaiveDate};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use crate::schema::{ColumnType, ExportColumn, ExportSchema};

/// The result of checking a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowCheck {
    /// The line is a row of the schema.
    Match,
    /// The line is a JSON object, but not of the schema.
    Mismatch(String),
    /// The line is not a JSON object.
    Broken(String),
}

/// Checks one line; without a schema any object is a row.
pub(super) fn check(line: &[u8], schema: Option<&ExportSchema>) -> RowCheck {
    let mut json = serde_json::Deserializer::from_slice(line);
    let row = ObjectCheck {
        columns: schema.map(ExportSchema::columns),
        path: None,
    };
    let parsed = json.deserialize_map(row).and_then(|()| json.end());
    match parsed {
        Ok(()) => RowCheck::Match,
        Err(error) if error.classify() == Category::Data && line.starts_with(b"{") => {
            RowCheck::Mismatch(without_position(&error.to_string()))
        }
        Err(error) => RowCheck::Broken(error.to_string()),
    }
}

/// Removes the position from a message of serde_json: the line is always 1, and the column is inside
/// data that is not printed.
fn without_position(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

/// The path of a value: `properties.client.url`, `segments[]`.
#[derive(Clone, Copy)]
struct ValuePath<'a> {
    name: &'a str,
    parent: Option<&'a ValuePath<'a>>,
}

impl fmt::Display for ValuePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(outer) = self.parent else {
            return f.write_str(self.name);
        };
        match self.name {
            "[]" => write!(f, "{outer}[]"),
            name => write!(f, "{outer}.{name}"),
        }
    }
}

/// Checks the members of an object.
struct ObjectCheck<'a> {
    /// The columns; `None` accepts any member.
    columns: Option<&'a [ExportColumn]>,
    path: Option<&'a ValuePath<'a>>,
}

impl<'de> Visitor<'de> for ObjectCheck<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(columns) = self.columns else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let path_of = |column: usize| ValuePath {
            name: &columns[column].name,
            parent: self.path,
        };
        let mut seen = vec![false; columns.len()];
        let mut next = 0;
        while let Some(index) = map.next_key_seed(ColumnName {
            columns,
            next,
            path: self.path,
        })? {
            let path = path_of(index);
            if std::mem::replace(&mut seen[index], true) {
                return Err(A::Error::custom(format!("`{path}` is there twice")));
            }
            map.next_value_seed(ValueCheck {
                kind: &columns[index].kind,
                nullable: columns[index].nullable,
                path,
            })?;
            next = index + 1;
        }
        // NULL fields are omitted.
        let missing = (0..columns.len()).find(|index| !seen[*index] && !columns[*index].nullable);
        match missing.map(path_of) {
            None => Ok(()),
            Some(path) => Err(A::Error::custom(format!("`{path}` is not there"))),
        }
    }
}

/// Looks up the index of the column that a member names.
struct ColumnName<'a> {
    columns: &'a [ExportColumn],
    /// The likely index: members stand in the order of the columns.
    next: usize,
    path: Option<&'a ValuePath<'a>>,
}

impl<'de> DeserializeSeed<'de> for ColumnName<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ColumnName<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a column")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        let has_name = |index: &usize| self.columns[*index].name == name;
        let (before, after) = (0..self.next, self.next..self.columns.len());
        after.chain(before).find(has_name).ok_or_else(|| {
            let path = ValuePath {
                name,
                parent: self.path,
            };
            E::custom(format!("`{path}` is not in the manifest's schema"))
        })
    }
}

/// Checks one value of a declared type.
struct ValueCheck<'a> {
    kind: &'a ColumnType,
    nullable: bool,
    path: ValuePath<'a>,
}

impl ValueCheck<'_> {
    fn mismatch<T, E: Error>(&self, found: &str) -> Result<T, E> {
        let expected = match self.kind {
            ColumnType::Boolean => "boolean",
            ColumnType::Int32 => "int32",
            ColumnType::Int64 => "int64",
            ColumnType::Float64 => "float64",
            ColumnType::String => "string",
            ColumnType::Binary => "binary",
            ColumnType::Date => "date",
            ColumnType::Timestamp => "timestamp",
            ColumnType::Decimal { .. } => "decimal",
            ColumnType::List(_) => "list",
            ColumnType::Struct(_) => "struct",
        };
        Err(E::custom(format!(
            "`{}` is {found}, not {expected}",
            self.path
        )))
    }
}

impl<'de> DeserializeSeed<'de> for ValueCheck<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueCheck<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of `{}`", self.path)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        match self.kind {
            ColumnType::Boolean => Ok(()),
            _ => self.mismatch("a boolean"),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        match self.kind {
            ColumnType::Int32 if i32::try_from(value).is_err() => self.mismatch("beyond 32 bits"),
            ColumnType::Int32
            | ColumnType::Int64
            | ColumnType::Float64
            | ColumnType::Decimal { .. } => Ok(()),
            _ => self.mismatch("a number"),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match (i64::try_from(value), self.kind) {
            (Ok(value), _) => self.visit_i64(value),
            (Err(_), ColumnType::Float64 | ColumnType::Decimal { .. }) => Ok(()),
            (Err(_), _) => self.mismatch("beyond 63 bits"),
        }
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        match self.kind {
            ColumnType::Float64 | ColumnType::Decimal { .. } => Ok(()),
            _ => self.mismatch("a fractional number"),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let is_match = match self.kind {
            ColumnType::String => true,
            ColumnType::Timestamp => DateTime::parse_from_rfc3339(text).is_ok(),
            ColumnType::Date => NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok(),
            ColumnType::Binary => {
                text.len().is_multiple_of(2) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
            }
            ColumnType::Decimal { .. } => text.parse::<f64>().is_ok(),
            _ => false,
        };
        if is_match {
            Ok(())
        } else {
            self.mismatch("a text")
        }
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        // JSON has no numbers for NaN and the infinities: they are written as null.
        if self.nullable || *self.kind == ColumnType::Float64 {
            Ok(())
        } else {
            self.mismatch("null")
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let ColumnType::List(item) = self.kind else {
            return self.mismatch("a list");
        };
        let path = ValuePath {
            name: "[]",
            parent: Some(&self.path),
        };
        let value = || ValueCheck {
            kind: &item.kind,
            nullable: item.nullable,
            path,
        };
        while items.next_element_seed(value())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let ColumnType::Struct(columns) = self.kind else {
            return self.mismatch("an object");
        };
        let members = ObjectCheck {
            columns: Some(columns),
            path: Some(&self.path),
        };
        members.visit_map(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> ExportSchema {
        serde_json::from_str(
            r#"[{"name":"id","type":"int64","nullable":false},
                {"name":"time","type":"timestamp","nullable":true},
                {"name":"score","type":"float64","nullable":false},
                {"name":"tags","type":{"list":{"name":"element","type":"int32","nullable":true}},
                 "nullable":true},
                {"name":"client","type":{"struct":[{"name":"url","type":"string","nullable":false}]},
                 "nullable":true}]"#,
        )
        .unwrap()
    }

    #[test]
    fn rows_of_the_dialect_match() {
        for line in [
            r#"{"id":9007199254740993,"score":0.5}"#,
            r#"{"id":-1,"time":"2026-01-14T23:59:59.999999Z","score":null,"tags":[],"client":null}"#,
            r#"{"client":{"url":"\"\n😀"},"tags":[1,null],"score":1,"id":0}"#,
        ] {
            assert_eq!(
                check(line.as_bytes(), Some(&schema())),
                RowCheck::Match,
                "{line}"
            );
        }
    }

    #[test]
    fn mismatches_name_columns_without_their_values() {
        for (line, complaint) in [
            (r#"{"score":1}"#, "`id` is not there"),
            (r#"{"id":"secret","score":1}"#, "`id` is a text, not int64"),
            (
                r#"{"id":1.5,"score":1}"#,
                "`id` is a fractional number, not int64",
            ),
            (
                r#"{"id":18446744073709551615,"score":1}"#,
                "`id` is beyond 63 bits, not int64",
            ),
            (
                r#"{"id":1,"score":1,"time":"secret"}"#,
                "`time` is a text, not timestamp",
            ),
            (
                r#"{"id":1,"score":1,"tags":[1,3000000000]}"#,
                "`tags[]` is beyond 32 bits, not int32",
            ),
            (
                r#"{"id":1,"score":1,"client":{}}"#,
                "`client.url` is not there",
            ),
            (
                r#"{"id":1,"score":1,"client":{"url":null}}"#,
                "`client.url` is null, not string",
            ),
            (
                r#"{"id":1,"score":1,"client":{"url":"","uri":""}}"#,
                "`client.uri` is not in the manifest's schema",
            ),
            (r#"{"id":1,"id":1,"score":1}"#, "`id` is there twice"),
        ] {
            let expected = RowCheck::Mismatch(complaint.to_owned());
            assert_eq!(check(line.as_bytes(), Some(&schema())), expected, "{line}");
        }
    }

    #[test]
    fn lines_without_an_object_are_broken() {
        for line in ["", "[]", "1", "{", r#"{"id":1,"score":1} {}"#, "null"] {
            for schema in [None, Some(&schema())] {
                let line = check(line.as_bytes(), schema);
                assert!(matches!(line, RowCheck::Broken(_)), "{line:?}");
            }
        }
        assert_eq!(check(br#"{"any":{"thing":[1]}}"#, None), RowCheck::Match);
    }
}
