//! The rule by which the values of a file's column become those of the declared column: every value
//! exactly, or none.
//!
//! A rule is made once for a file, from the two types. It says what has to be looked at, which is
//! nothing where the types are equal and every value is good.

mod misfit;
mod nested;
mod numbers;
mod parsed;
mod sql_type;
mod texts;
mod times;

use datafusion::arrow::array::{Array, ArrayRef, new_null_array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{can_cast_types, cast};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};

use self::misfit::Converted;
pub(super) use self::misfit::{Misfit, Problem};
use self::numbers::is_widening;
pub(super) use self::sql_type::sql_name;
use self::times::TimeConversion;
use crate::scan::parquet::stored_as::StoredAs;

/// The rule by which one column of a file, or one field inside it, becomes the declared one.
#[derive(Debug)]
pub(super) struct ColumnRule {
    path: String,
    /// The type that is read from the file, without the fields that are not declared.
    stored: DataType,
    declared: DataType,
    /// True if NULLs must be looked for.
    is_required: bool,
    conversion: Conversion,
}

#[derive(Debug)]
enum Conversion {
    /// The values are taken as they are.
    Keep,
    /// A cast that changes no value of its types.
    Lossless,
    /// All values are NULL.
    Nulls,
    /// Numbers that must be the same after a cast there and back.
    RoundTrip,
    /// Floats, of which the nearest are taken.
    Nearest,
    /// Bytes that must be UTF-8.
    Text,
    /// Texts that must be values of the declared type.
    Parsed,
    Times(TimeConversion),
    /// The rules of the declared fields; `None` if the file does not have the field.
    Struct(Fields, Vec<Option<ColumnRule>>),
    List(FieldRef, Box<ColumnRule>),
    Map(FieldRef, Box<ColumnRule>),
}

/// A column that cannot become the declared one, whatever its values are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) path: String,
    pub(super) problem: String,
    pub(super) hint: String,
}

impl ColumnRule {
    /// Creates the rule for a column of the file.
    ///
    /// # Errors
    /// Fails if values of the stored type cannot become values of the declared type.
    pub(super) fn new(path: &str, stored: &Field, declared: &Field) -> Result<Self, Unreadable> {
        let conversion = match (stored.data_type(), declared.data_type()) {
            (DataType::Struct(from), DataType::Struct(to)) => members(path, from, to)?,
            (
                DataType::List(from)
                | DataType::LargeList(from)
                | DataType::ListView(from)
                | DataType::LargeListView(from)
                | DataType::FixedSizeList(from, _),
                DataType::List(to),
            ) => Conversion::List(FieldRef::clone(to), Box::new(Self::new(path, from, to)?)),
            (DataType::Map(from, _), DataType::Map(to, _)) => {
                Conversion::Map(FieldRef::clone(to), Box::new(Self::new(path, from, to)?))
            }
            _ => leaf(stored, declared.data_type())
                .ok_or_else(|| unreadable(path, stored, declared))?,
        };
        let mut rule = Self {
            path: path.to_owned(),
            stored: read_type(stored.data_type(), &conversion),
            declared: declared.data_type().clone(),
            is_required: stored.is_nullable() && !declared.is_nullable(),
            conversion,
        };
        if rule.stored == rule.declared && rule.conversion.keeps_all() {
            rule.conversion = Conversion::Keep;
        }
        Ok(rule)
    }

    /// Returns the type that is read from the file, without the fields that are not declared.
    pub(super) fn stored(&self) -> &DataType {
        &self.stored
    }

    /// Returns the type of the declared column.
    pub(super) fn declared(&self) -> &DataType {
        &self.declared
    }

    /// Returns true if the column is taken as it is.
    pub(super) fn is_trivial(&self) -> bool {
        !self.is_required && matches!(self.conversion, Conversion::Keep)
    }

    /// Returns true if the values compare as those of the declared type do, whether or not all of
    /// them can be kept.
    pub(super) fn keeps_order(&self) -> bool {
        match &self.conversion {
            Conversion::Keep => true,
            Conversion::Text | Conversion::Times(_) => self.stored == self.declared,
            _ => false,
        }
    }

    /// Returns true if the values are numbers that a plain cast widens.
    pub(super) fn is_widening(&self) -> bool {
        is_widening(&self.stored, &self.declared)
    }

    /// Returns the number of units that a second has in the file and in the declared column, if both
    /// hold instants.
    pub(super) fn time_units(&self) -> Option<(i64, i64)> {
        match &self.conversion {
            Conversion::Times(times) => times.units(),
            _ => None,
        }
    }

    /// Converts the values of a column, whose rows exist where `parent` is not NULL.
    pub(super) fn convert(&self, array: &ArrayRef, parent: Option<&NullBuffer>) -> Converted {
        if let Some(index) = self.first_missing(array, parent) {
            return Ok(Err(self.misfit(index, Problem::Null)));
        }
        let inexact = |index| {
            let (stored, declared) = (self.stored.clone(), self.declared.clone());
            self.misfit(index, Problem::Inexact { stored, declared })
        };
        Ok(match &self.conversion {
            Conversion::Keep => Ok(ArrayRef::clone(array)),
            Conversion::Lossless => Ok(cast(array, &self.declared)?),
            Conversion::Nulls => Ok(new_null_array(&self.declared, array.len())),
            Conversion::RoundTrip => numbers::round_trip(array, &self.declared)?.map_err(inexact),
            Conversion::Nearest => numbers::nearest(array, &self.declared)?.map_err(inexact),
            Conversion::Text => texts::text(array, &self.declared)?
                .map_err(|index| self.misfit(index, Problem::NotUtf8)),
            Conversion::Parsed => parsed::parse(array, &self.declared)?
                .map_err(|(index, problem)| self.misfit(index, problem)),
            Conversion::Times(times) => times
                .convert(array)?
                .map_err(|(index, problem)| self.misfit(index, problem)),
            Conversion::Struct(fields, rules) => {
                let convert =
                    |index: usize, stored: &ArrayRef, parent: Option<&NullBuffer>| match rules
                        .get(index)
                        .and_then(Option::as_ref)
                    {
                        Some(rule) => rule.convert(stored, parent),
                        None => Ok(Ok(ArrayRef::clone(stored))),
                    };
                nested::structs(array, fields, convert)?
            }
            Conversion::List(item, rule) => {
                nested::lists(array, item, |elements| rule.convert(elements, None))?
            }
            Conversion::Map(entry, rule) => {
                nested::maps(array, entry, |entries| rule.convert(entries, None))?
            }
        })
    }

    /// Returns the index of the first NULL in a row that exists, if the column is required.
    fn first_missing(&self, array: &ArrayRef, parent: Option<&NullBuffer>) -> Option<usize> {
        if !self.is_required {
            return None;
        }
        let nulls = array.logical_nulls()?;
        // A row that does not exist is NULL in each of its fields.
        if nulls.null_count() == parent.map_or(0, NullBuffer::null_count) {
            return None;
        }
        let exists = |index: usize| parent.is_none_or(|parent| parent.is_valid(index));
        (0..array.len()).find(|index| nulls.is_null(*index) && exists(*index))
    }

    fn misfit(&self, index: usize, problem: Problem) -> Misfit {
        Misfit {
            path: self.path.clone(),
            index,
            problem,
        }
    }
}

impl Conversion {
    /// Returns true if values of one type are taken as they are, at every depth.
    fn keeps_all(&self) -> bool {
        match self {
            Self::Struct(_, rules) => rules
                .iter()
                .all(|rule| rule.as_ref().is_some_and(ColumnRule::is_trivial)),
            Self::List(_, rule) | Self::Map(_, rule) => rule.is_trivial(),
            Self::Keep => true,
            _ => false,
        }
    }
}

/// Makes the rules of the fields of a struct.
fn members(path: &str, from: &Fields, to: &Fields) -> Result<Conversion, Unreadable> {
    let mut rules = Vec::with_capacity(to.len());
    for field in to {
        let path = format!("{path}.{}", field.name());
        let rule = match from.iter().find(|stored| stored.name() == field.name()) {
            Some(stored) => Some(ColumnRule::new(&path, stored, field)?),
            None if field.is_nullable() => None,
            None => return Err(missing(&path)),
        };
        rules.push(rule);
    }
    if rules.iter().all(Option::is_none) {
        return Err(Unreadable {
            path: path.to_owned(),
            problem: "has none of the declared fields".to_owned(),
            hint: "compare the names of the fields with those of the file".to_owned(),
        });
    }
    Ok(Conversion::Struct(to.clone(), rules))
}

/// Creates the error of a required column that the file does not have.
pub(super) fn missing(path: &str) -> Unreadable {
    Unreadable {
        path: path.to_owned(),
        problem: "is missing in the file, but declared NOT NULL".to_owned(),
        hint: "leave NOT NULL out of the declaration; then its rows are NULL".to_owned(),
    }
}

fn unreadable(path: &str, stored: &Field, declared: &Field) -> Unreadable {
    let stored = match StoredAs::of(stored) {
        Some(StoredAs::Int96) => "TIMESTAMP(9)".to_owned(),
        _ => sql_name(stored.data_type()),
    };
    let declared = sql_name(declared.data_type());
    Unreadable {
        path: path.to_owned(),
        problem: format!("is {stored} in the file, which cannot be read as {declared}"),
        hint: format!("declare the column as {stored}, and convert it in the query"),
    }
}

/// Returns the type that is read from the file: without the fields that are not declared.
fn read_type(stored: &DataType, conversion: &Conversion) -> DataType {
    let with_type = |field: &FieldRef, rule: &ColumnRule| {
        FieldRef::new(Field::clone(field).with_data_type(rule.stored.clone()))
    };
    match (stored, conversion) {
        (DataType::Struct(fields), Conversion::Struct(declared, rules)) => {
            let read = fields.iter().filter_map(|field| {
                let mut declared = declared.iter().zip(rules);
                let (_, rule) = declared.find(|(declared, _)| declared.name() == field.name())?;
                Some(with_type(field, rule.as_ref()?))
            });
            DataType::Struct(read.collect())
        }
        (DataType::List(item), Conversion::List(_, rule)) => DataType::List(with_type(item, rule)),
        (DataType::LargeList(item), Conversion::List(_, rule)) => {
            DataType::LargeList(with_type(item, rule))
        }
        _ => stored.clone(),
    }
}

/// Returns how values of a type without fields become those of the declared type.
fn leaf(stored: &Field, declared: &DataType) -> Option<Conversion> {
    let from = stored.data_type();
    let stored_as = StoredAs::of(stored);
    let is_int96 = stored_as == Some(StoredAs::Int96);
    if let Some(times) = TimeConversion::new(from, is_int96, declared) {
        let conversion = match times.keeps_all(from) {
            true => Conversion::Keep,
            false => Conversion::Times(times),
        };
        return Some(conversion);
    }
    if is_int96 {
        return None;
    }
    let is_text = declared.is_string();
    let is_bytes = |data_type: &DataType| {
        data_type.is_binary() || matches!(data_type, DataType::FixedSizeBinary(_))
    };
    let is_unchecked = stored_as == Some(StoredAs::UncheckedText);
    Some(match from {
        DataType::Null => Conversion::Nulls,
        _ if is_text && (is_bytes(from) || is_unchecked) => Conversion::Text,
        _ if from == declared => Conversion::Keep,
        _ if is_text && from.is_string() => Conversion::Lossless,
        _ if from.is_string() && parsed::is_parsable(declared) => Conversion::Parsed,
        _ if is_text && (from.is_numeric() || *from == DataType::Boolean) => {
            can_cast_types(from, declared).then_some(Conversion::Lossless)?
        }
        _ if is_bytes(declared) && (is_bytes(from) || from.is_string()) => {
            can_cast_types(from, declared).then_some(Conversion::Lossless)?
        }
        _ if is_widening(from, declared) => Conversion::Lossless,
        _ if from.is_floating() && declared.is_floating() => Conversion::Nearest,
        _ if from.is_numeric() && declared.is_numeric() || is_time(from) && is_time(declared) => {
            let is_castable = can_cast_types(from, declared) && can_cast_types(declared, from);
            is_castable.then_some(Conversion::RoundTrip)?
        }
        _ => return None,
    })
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Time32(_) | DataType::Time64(_))
}
