//! The columns of a source: a type for each path, or the reason why it has none.

use crate::init::names::identifier;
use crate::init::place::Place;
use crate::jsonl::EpochUnit;

/// A type of SQL that a source declares.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ColumnType {
    /// A type without inner ones, as SQL writes it.
    Plain(&'static str),
    Decimal {
        precision: u32,
        scale: u32,
    },
    /// A time, which counts `unit` since 1970 if it is a number.
    Timestamp {
        unit: Option<EpochUnit>,
    },
    /// A type of a Parquet file, as SQL writes it.
    OfFile(String),
    Struct(Vec<Column>),
    List(Box<ColumnType>),
}

/// A whole number, as sources declare it.
pub(super) const BIGINT: ColumnType = ColumnType::Plain("BIGINT");
/// A text.
pub(super) const VARCHAR: ColumnType = ColumnType::Plain("VARCHAR");

impl ColumnType {
    /// Returns the members of a struct.
    pub(super) fn members(&self) -> &[Column] {
        match self {
            Self::Struct(members) => members,
            _ => &[],
        }
    }

    /// Writes a type without inner comments on one line.
    pub(super) fn inline(&self) -> String {
        match self {
            Self::Plain(name) => (*name).to_owned(),
            Self::OfFile(name) => name.clone(),
            Self::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
            Self::Timestamp { .. } => "TIMESTAMP(6) WITH TIME ZONE".to_owned(),
            Self::List(element) => format!("{}[]", element.inline()),
            Self::Struct(members) => {
                let members = members.iter().filter_map(|member| {
                    let data_type = member.declared.as_ref().ok()?;
                    Some(format!(
                        "{} {}",
                        identifier(&member.name),
                        data_type.inline()
                    ))
                });
                format!("STRUCT<{}>", members.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A column of a source, or a member of a struct.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type, or the reason why it cannot be declared.
    pub(super) declared: Result<ColumnType, LeftOut>,
    pub(super) notes: Vec<Note>,
    /// True if each row of the sample has a value, and must have one.
    pub(super) is_required: bool,
    /// True if few rows have a value.
    pub(super) is_rare: bool,
}

/// The reason why a path of the sample is not declared, which continues "`x` is left out:".
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LeftOut {
    /// It has values of kinds that no type holds together.
    Mixed(Vec<(&'static str, Place)>),
    /// Its keys are data, and not names.
    Map { keys: usize, first: Option<Place> },
    /// It has objects without keys only, or without any key that can be declared.
    NoMembers(Option<Place>),
    /// It has an empty name.
    NoName,
    /// It has numbers of more digits than a type holds.
    Digits(Option<Place>),
    /// The folders have a column of this name.
    OfFolders,
    /// The type of the Parquet files cannot be declared, or differs from file to file.
    FileType(String),
    /// The decoder rejects values for which the type was chosen.
    Rejected { reason: String, place: Place },
}

/// A remark about a declared column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Note {
    /// It has values in few rows.
    Rare { values: u64, rows: u64 },
    /// It has null only.
    OnlyNull,
    /// It has empty lists only.
    OnlyEmptyLists,
    /// Most strings are times, and some are not.
    NotAllTimes(Option<Place>),
    /// Some strings are numbers, or all numbers are in strings.
    NumbersInText(Option<Place>),
    /// Times have finer digits than microseconds.
    FinerThanMicroseconds(Option<Place>),
    /// Times have a zone other than UTC.
    Offsets(Option<Place>),
    /// Times have no zone.
    NoZone,
    /// Some fractions have more digits than DOUBLE has.
    Rounded(Option<Place>),
    /// A line has the key more than once.
    Repeated(Option<Place>),
    /// Another key differs in its case only.
    CaseOnly(String),
}
