//! Values that the declared type of a column cannot keep, in words that quote none of them.

use std::fmt;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::error::ArrowError;

use super::sql_type::sql_name;
use crate::jsonl::EpochUnit;

/// A converted array, or the first value that cannot be kept.
pub(super) type Converted = Result<Result<ArrayRef, Misfit>, ArrowError>;

/// A value of a column that cannot be kept.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::scan::parquet) struct Misfit {
    /// The path of the column or the field inside it.
    pub(in crate::scan::parquet) path: String,
    /// The index of the row, or of the element in its list's values.
    pub(in crate::scan::parquet) index: usize,
    pub(in crate::scan::parquet) problem: Problem,
}

/// The reason why a value cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scan::parquet) enum Problem {
    /// The declared type has no such value.
    Inexact {
        stored: DataType,
        declared: DataType,
    },
    /// The bytes are no text.
    NotUtf8,
    /// The time is outside the years 0001 to 9999.
    OutOfYears,
    /// The time is outside the years 1677 to 2262.
    OutOfNanoseconds,
    /// The instant is not the start of a day.
    TimeOfDay,
    /// A number that is most likely counted in another unit.
    ImplausibleNumber(TimeUnit),
    /// The text is no value of the declared type, with the reason.
    Unparsable(String),
    /// NULL in a column that is declared NOT NULL.
    Null,
    /// An error of Arrow.
    Unexpected,
}

impl Problem {
    /// Returns the advice for the person who has to fix the declaration or the file.
    pub(in crate::scan::parquet) fn hint(&self) -> String {
        match self {
            Self::Inexact { stored, .. } => {
                let stored = sql_name(stored);
                format!("declare the column as {stored}, and convert it in the query")
            }
            Self::NotUtf8 => "declare the column as BYTEA, and decode it in the query".to_owned(),
            Self::OutOfYears => "check the unit of the file's column".to_owned(),
            Self::OutOfNanoseconds => "declare the column as TIMESTAMP(6)".to_owned(),
            Self::TimeOfDay => {
                "declare the column as TIMESTAMP(6), and cast it to DATE in the query".to_owned()
            }
            Self::ImplausibleNumber(_) => {
                "declare the column as BIGINT, and convert it in the query".to_owned()
            }
            Self::Unparsable(_) => {
                "declare the column as VARCHAR, and convert it in the query".to_owned()
            }
            Self::Null => "leave NOT NULL out of the declaration, or mend the file".to_owned(),
            Self::Unexpected => "check the type that the column is declared as".to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inexact { stored, declared } => write!(
                f,
                "holds a {} value that {} cannot keep exactly",
                sql_name(stored),
                sql_name(declared)
            ),
            Self::NotUtf8 => f.write_str("holds bytes that are not UTF-8, but is declared VARCHAR"),
            Self::OutOfYears => f.write_str("holds a time outside the years 0001 to 9999"),
            Self::OutOfNanoseconds => f.write_str(
                "holds a time outside the years 1677 to 2262, which nanoseconds can count",
            ),
            Self::TimeOfDay => f.write_str("holds a time of day, which DATE cannot keep"),
            Self::ImplausibleNumber(unit) => write!(
                f,
                "holds a number that is not a time from 2000 to 2100, counted in {} since 1970",
                EpochUnit::from(*unit).plural()
            ),
            Self::Unparsable(reason) => write!(f, "holds a text that does not fit: {reason}"),
            Self::Null => f.write_str("is NULL, but declared NOT NULL"),
            Self::Unexpected => f.write_str("holds a value that does not fit the declared type"),
        }
    }
}
