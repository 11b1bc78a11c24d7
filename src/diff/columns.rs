//! The columns of two tables, aligned: what is compared, what is not, and how the schemas differ.
//!
//! Structs are taken apart: each of their fields is compared by itself, under its path, such as
//! `properties.url`. A struct that may be NULL is compared, too, as to whether it is. Lists are compared
//! as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, make_array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

use crate::diff::report::{NotCompared, SchemaChange};
use crate::error::{Error, Result};
use crate::schema::{ColumnType, ExportColumn, ExportSchema};

/// A value of a row that is compared: a column, or a field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ComparedColumn {
    /// The names from the column to the field.
    pub steps: Vec<String>,
    /// The type in which both sides are compared, as a report shows it.
    pub shown_type: String,
    content: ComparedContent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ComparedContent {
    Value,
    /// The value, converted to a type that holds the values of both sides exactly.
    Converted(DataType),
    /// True where the struct is not NULL.
    Presence,
}

/// The columns of two tables.
#[derive(Debug, Default)]
pub(super) struct AlignedColumns {
    pub compared: Vec<ComparedColumn>,
    pub changes: Vec<SchemaChange>,
    pub not_compared: Vec<NotCompared>,
}

/// A column that is left out of the comparison, with the reason.
#[derive(Debug, Clone)]
pub(super) struct LeftOut {
    /// The path of the column or the field.
    pub path: String,
    pub reason: &'static str,
}

impl ComparedColumn {
    /// Returns the names from the column to the field, joined by dots.
    pub(super) fn path(&self) -> String {
        self.steps.join(".")
    }

    /// Returns true if the column is a struct, of which only whether it is NULL is compared.
    pub(super) fn is_presence(&self) -> bool {
        self.content == ComparedContent::Presence
    }

    /// Returns the values of a batch.
    pub(super) fn values(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let absent = || Error::internal(format!("the rows have no column `{}`", self.path()));
        let (first, rest) = self.steps.split_first().ok_or_else(absent)?;
        let mut array = batch.column_by_name(first).ok_or_else(absent)?;
        let mut nulls: Option<NullBuffer> = None;
        for step in rest {
            let members = array.as_struct_opt().ok_or_else(absent)?;
            nulls = NullBuffer::union(nulls.as_ref(), members.nulls());
            array = members.column_by_name(step).ok_or_else(absent)?;
        }
        let all_nulls = NullBuffer::union(nulls.as_ref(), array.nulls());
        if self.is_presence() {
            let is_present = match all_nulls {
                Some(nulls) => nulls.into_inner(),
                None => BooleanBuffer::new_set(array.len()),
            };
            return Ok(Arc::new(BooleanArray::new(is_present, None)));
        }
        let masked = match nulls {
            Some(_) => masked(array, all_nulls).map_err(unreadable)?,
            None => ArrayRef::clone(array),
        };
        match &self.content {
            ComparedContent::Converted(data_type) => {
                cast_with_options(&masked, data_type, &EXACT).map_err(unreadable)
            }
            _ => Ok(masked),
        }
    }
}

/// A value that does not fit is an error and no NULL.
const EXACT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: FormatOptions::new(),
};

/// Returns the array with other NULLs.
fn masked(array: &ArrayRef, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let data = array.to_data().into_builder().nulls(nulls).build()?;
    Ok(make_array(data))
}

fn unreadable(error: ArrowError) -> Error {
    Error::data("these rows cannot be compared").with_source(error)
}

impl AlignedColumns {
    /// Aligns the columns of two tables by their names.
    pub(super) fn new(left: &ExportSchema, right: &ExportSchema, left_out: &[LeftOut]) -> Self {
        let mut aligned = Self::default();
        aligned.align(&[], left.columns(), right.columns());
        let is_below = |path: &str, folder: &str| {
            let rest = path.strip_prefix(folder);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        for LeftOut { path, reason } in left_out {
            let count = aligned.compared.len();
            aligned
                .compared
                .retain(|column| !is_below(&column.path(), path));
            if aligned.compared.len() < count {
                aligned.leave_out(path, reason);
            }
        }
        aligned
    }

    /// Leaves out changes of the schema of a column.
    pub(super) fn ignore_changes(&mut self, column: &str) {
        let count = self.changes.len();
        self.changes.retain(|change| !change.names(column));
        if self.changes.len() < count {
            self.leave_out(column, "--ignore-columns");
        }
    }

    fn leave_out(&mut self, column: &str, reason: &str) {
        self.not_compared
            .retain(|left_out| left_out.column != column);
        self.not_compared.push(NotCompared {
            column: column.to_owned(),
            reason: reason.to_owned(),
        });
    }

    fn align(&mut self, parent: &[String], left: &[ExportColumn], right: &[ExportColumn]) {
        let path_of = |name: &str| {
            let mut steps = parent.to_vec();
            steps.push(name.to_owned());
            steps
        };
        for column in left {
            let steps = path_of(&column.name);
            match right.iter().find(|other| other.name == column.name) {
                Some(other) => self.align_pair(steps, column, other),
                None => self.changes.push(SchemaChange::Removed {
                    column: steps.join("."),
                    kind: column.kind.to_string(),
                }),
            }
        }
        for column in right {
            if !left.iter().any(|other| other.name == column.name) {
                self.changes.push(SchemaChange::Added {
                    column: path_of(&column.name).join("."),
                    kind: column.kind.to_string(),
                });
            }
        }
        self.find_reordered(parent, left, right);
    }

    fn find_reordered(&mut self, parent: &[String], left: &[ExportColumn], right: &[ExportColumn]) {
        let names = |columns: &[ExportColumn]| -> Vec<String> {
            columns.iter().map(|column| column.name.clone()).collect()
        };
        let (left, right) = (names(left), names(right));
        let in_both = |names: &[String], others: &[String]| -> Vec<String> {
            let others: BTreeSet<&String> = others.iter().collect();
            let names = names.iter().filter(|name| others.contains(name));
            names.cloned().collect()
        };
        let (left, right) = (in_both(&left, &right), in_both(&right, &left));
        if left != right {
            self.changes.push(SchemaChange::Reordered {
                column: (!parent.is_empty()).then(|| parent.join(".")),
                left,
                right,
            });
        }
    }

    fn align_pair(&mut self, steps: Vec<String>, left: &ExportColumn, right: &ExportColumn) {
        let path = steps.join(".");
        if left.nullable != right.nullable {
            self.changes.push(SchemaChange::Nullability {
                column: path.clone(),
                left_nullable: left.nullable,
                right_nullable: right.nullable,
            });
        }
        if let (ColumnType::Struct(members), ColumnType::Struct(others)) = (&left.kind, &right.kind)
        {
            if left.nullable || right.nullable {
                self.compared.push(ComparedColumn {
                    steps: steps.clone(),
                    shown_type: "struct".to_owned(),
                    content: ComparedContent::Presence,
                });
            }
            self.align(&steps, members, others);
            return;
        }
        let is_same = has_same_values(&left.kind, &right.kind);
        if !is_same {
            self.changes.push(SchemaChange::Retyped {
                column: path.clone(),
                left: left.kind.to_string(),
                right: right.kind.to_string(),
            });
        } else if left.kind != right.kind {
            self.changes.push(SchemaChange::Nullability {
                column: format!("{path}[]"),
                left_nullable: has_nullable_items(&left.kind),
                right_nullable: has_nullable_items(&right.kind),
            });
        }
        let common = common_type(&left.kind, &right.kind);
        match common {
            _ if is_same => self.compared.push(ComparedColumn {
                steps,
                shown_type: left.kind.to_string(),
                content: ComparedContent::Value,
            }),
            Some(common) => self.compared.push(ComparedColumn {
                steps,
                shown_type: common.to_string(),
                content: ComparedContent::Converted(data_type(&common)),
            }),
            None => self.not_compared.push(NotCompared {
                column: path,
                reason: "no type holds the values of both sides exactly".to_owned(),
            }),
        }
    }
}

/// Returns true if the types hold the same values. They may differ in which parts of a list may be NULL.
fn has_same_values(left: &ColumnType, right: &ColumnType) -> bool {
    match (left, right) {
        (ColumnType::List(left), ColumnType::List(right)) => {
            has_same_values(&left.kind, &right.kind)
        }
        (ColumnType::Struct(left), ColumnType::Struct(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| {
                    left.name == right.name && has_same_values(&left.kind, &right.kind)
                })
        }
        _ => left == right,
    }
}

fn has_nullable_items(kind: &ColumnType) -> bool {
    match kind {
        ColumnType::List(item) => item.nullable || has_nullable_items(&item.kind),
        ColumnType::Struct(members) => members
            .iter()
            .any(|member| member.nullable || has_nullable_items(&member.kind)),
        _ => false,
    }
}

/// The digits before the point of the integers.
const INT32_DIGITS: u8 = 10;
const INT64_DIGITS: u8 = 19;

/// The maximum number of digits of a decimal.
const MAX_DIGITS: u8 = 38;

/// Returns a type that holds all values of both types exactly, if there is one.
fn common_type(left: &ColumnType, right: &ColumnType) -> Option<ColumnType> {
    match (left, right) {
        (ColumnType::Int32, ColumnType::Int64) | (ColumnType::Int64, ColumnType::Int32) => {
            Some(ColumnType::Int64)
        }
        (ColumnType::Int32, ColumnType::Float64) | (ColumnType::Float64, ColumnType::Int32) => {
            Some(ColumnType::Float64)
        }
        (left, right) => {
            let (left_digits, left_scale) = digits(left)?;
            let (right_digits, right_scale) = digits(right)?;
            let scale = left_scale.max(right_scale);
            let precision = left_digits.max(right_digits).checked_add(scale)?;
            (precision <= MAX_DIGITS).then_some(ColumnType::Decimal {
                precision,
                scale: i8::try_from(scale).ok()?,
            })
        }
    }
}

/// Returns the digits before and after the point of a number.
fn digits(kind: &ColumnType) -> Option<(u8, u8)> {
    match kind {
        ColumnType::Int32 => Some((INT32_DIGITS, 0)),
        ColumnType::Int64 => Some((INT64_DIGITS, 0)),
        ColumnType::Decimal { precision, scale } => {
            let scale = u8::try_from(*scale).ok()?;
            Some((precision.checked_sub(scale)?, scale))
        }
        _ => None,
    }
}

fn data_type(kind: &ColumnType) -> DataType {
    match kind {
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
        ColumnType::Float64 => DataType::Float64,
        _ => DataType::Int64,
    }
}

/// Returns the schema of all columns of a table: those inside of the files, then those of the folders.
pub(super) fn whole_schema(inside: &ExportSchema, folders: &ExportSchema) -> Result<ExportSchema> {
    let (inside, folders) = (inside.arrow(), folders.arrow());
    let fields = inside.fields().iter().chain(folders.fields());
    ExportSchema::of(fields.map(|field| -> &Field { field.as_ref() }))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringViewArray, StructArray};
    use arrow::datatypes::Fields;

    use super::*;

    fn schema(text: &str) -> ExportSchema {
        serde_json::from_str(text).unwrap()
    }

    fn aligned(left: &str, right: &str) -> AlignedColumns {
        AlignedColumns::new(&schema(left), &schema(right), &[])
    }

    fn paths(columns: &AlignedColumns) -> Vec<String> {
        columns.compared.iter().map(ComparedColumn::path).collect()
    }

    #[test]
    fn fields_of_structs_are_columns_of_their_own() {
        let left = r#"[{"name":"id","type":"int32","nullable":false},
            {"name":"p","type":{"struct":[{"name":"a","type":"string","nullable":true},
             {"name":"gone","type":"string","nullable":true}]},"nullable":true}]"#;
        let right = r#"[{"name":"p","type":{"struct":[{"name":"a","type":"string","nullable":true},
             {"name":"new","type":"date","nullable":true}]},"nullable":true},
            {"name":"id","type":"int64","nullable":true}]"#;
        let columns = aligned(left, right);
        assert_eq!(paths(&columns), ["id", "p", "p.a"]);
        let changes: Vec<String> = columns.changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            changes,
            [
                "`id` may be NULL on the right",
                "`id` has another type: int32, int64",
                "`p.gone` is on the left only: string",
                "`p.new` is on the right only: date",
                "the columns have another order: id, p; p, id",
            ]
        );
    }

    #[test]
    fn types_without_a_common_one_are_not_compared() {
        let one = |kind: &str| format!(r#"[{{"name":"a","type":{kind},"nullable":true}}]"#);
        let decimal = |p, s| one(&format!(r#"{{"decimal":{{"precision":{p},"scale":{s}}}}}"#));
        let shown = |left: &str, right: &str| {
            let columns = aligned(left, right);
            assert_eq!(columns.changes.len(), 1);
            let compared = columns.compared.first();
            compared.map(|column| column.shown_type.clone())
        };
        let int64 = one("\"int64\"");
        assert_eq!(shown(&int64, &one("\"string\"")), None);
        assert_eq!(shown(&int64, &one("\"float64\"")), None);
        assert_eq!(
            shown(&one("\"int32\""), &one("\"float64\"")).as_deref(),
            Some("float64")
        );
        assert_eq!(
            shown(&decimal(10, 2), &int64).as_deref(),
            Some("decimal(21, 2)")
        );
        assert_eq!(
            shown(&decimal(38, 2), &decimal(38, 4)).as_deref(),
            None,
            "40 digits"
        );
    }

    #[test]
    fn a_field_of_a_struct_that_is_null_is_null() {
        let fields = Fields::from(vec![Field::new("a", DataType::Int32, true)]);
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), None]));
        let nulls = NullBuffer::from(vec![true, false, true]);
        let members = StructArray::new(fields, vec![values], Some(nulls));
        let names: ArrayRef = Arc::new(StringViewArray::from(vec!["x", "y", "z"]));
        let members: ArrayRef = Arc::new(members);
        let batch = RecordBatch::try_from_iter([("p", members), ("n", names)]).unwrap();
        let one = r#"[{"name":"p","type":{"struct":[{"name":"a","type":"int32","nullable":true}]},
            "nullable":true}]"#;
        let columns = aligned(one, one);
        let presence = columns.compared[0].values(&batch).unwrap();
        let is_present: Vec<Option<bool>> = presence.as_boolean().iter().collect();
        assert_eq!(is_present, [Some(true), Some(false), Some(true)]);
        let value = columns.compared[1].values(&batch).unwrap();
        assert_eq!(
            value.as_ref(),
            &Int32Array::from(vec![Some(1), None, None]) as &dyn Array
        );
    }
}
