//! The options `time_unit` of a source, resolved to the leaves of its columns.

use datafusion::arrow::datatypes::{DataType, FieldRef};

use crate::catalog::options::SourceOptions;
use crate::error::Result;
use crate::jsonl::{EpochUnit, TimeUnits};
use crate::sql_file::SqlFile;

impl SourceOptions {
    /// Returns the units of the leaves of `fields`, the columns of the files.
    ///
    /// # Errors
    /// [`Error::invalid`](crate::error::Error::invalid) with file and line if an option names no
    /// timestamp, or if there is none at all.
    pub(super) fn time_units(&self, file: &SqlFile, fields: &[FieldRef]) -> Result<TimeUnits> {
        let mut leaves = Vec::new();
        for field in fields {
            push_leaves(field, field.name().clone(), &mut leaves);
        }
        let complain = |key: &str, what: String| Err(file.complaint(file.last_line_of(key), what));
        for (path, _) in &self.column_time_units {
            let option = format!("time_unit.{path}");
            match leaves.iter().find(|leaf| leaf.path == *path) {
                Some(leaf) if leaf.is_timestamp => {}
                Some(_) => {
                    let what = format!("`{option}`: `{path}` is not a TIMESTAMP");
                    return complain(&option, what);
                }
                None => {
                    let what = format!("`{option}`: the files have no column `{path}`");
                    return complain(&option, what);
                }
            }
        }
        if self.time_unit.is_some() && !leaves.iter().any(|leaf| leaf.is_timestamp) {
            let what = "`time_unit`: the files have no TIMESTAMP column".to_owned();
            return complain("time_unit", what);
        }
        let unit = |leaf: &Leaf| -> Option<EpochUnit> {
            let own = self.column_time_units.iter();
            let own = own.rev().find(|(path, _)| leaf.path == *path);
            own.map(|(_, unit)| *unit)
                .or(self.time_unit)
                .filter(|_| leaf.is_timestamp)
        };
        Ok(TimeUnits::new(leaves.iter().map(unit).collect()))
    }
}

/// A leaf of a column. The elements of a list have the path of the list.
struct Leaf {
    path: String,
    is_timestamp: bool,
}

/// Appends the leaves of a field in the order of [`crate::arrow_leaves`].
fn push_leaves(field: &FieldRef, path: String, leaves: &mut Vec<Leaf>) {
    match field.data_type() {
        DataType::Struct(members) => {
            for member in members {
                push_leaves(member, format!("{path}.{}", member.name()), leaves);
            }
        }
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _)
        | DataType::Map(element, _) => push_leaves(element, path, leaves),
        data_type => leaves.push(Leaf {
            path,
            is_timestamp: matches!(data_type, DataType::Timestamp(_, _)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{Field, TimeUnit};

    use super::*;

    fn fields() -> Vec<FieldRef> {
        let time = |name: &str| {
            let data_type = DataType::Timestamp(TimeUnit::Microsecond, None);
            Field::new(name, data_type, true)
        };
        let user = vec![Field::new("id", DataType::Int64, true), time("created")];
        let visits = Field::new_list("visits", time("item"), true);
        let all = [time("at"), Field::new_struct("user", user, true), visits];
        all.into_iter().map(Arc::new).collect()
    }

    fn resolve(options: SourceOptions) -> Result<TimeUnits> {
        let file = SqlFile::new("x.sql".to_owned(), "SELECT 1".to_owned())?;
        options.time_units(&file, &fields())
    }

    #[test]
    fn the_unit_of_a_column_goes_before_that_of_the_source() {
        let units = resolve(SourceOptions {
            time_unit: Some(EpochUnit::Millisecond),
            column_time_units: vec![("user.created".to_owned(), EpochUnit::Second)],
            ..SourceOptions::default()
        });
        let (milli, second) = (Some(EpochUnit::Millisecond), Some(EpochUnit::Second));
        let expected = TimeUnits::new(vec![milli, None, second, milli]);
        assert_eq!(units.unwrap(), expected);
        let none = resolve(SourceOptions::default()).unwrap();
        assert_eq!(none, TimeUnits::default());
    }

    #[test]
    fn a_unit_of_what_is_no_timestamp_is_refused() {
        let error = |path: &str| {
            let options = SourceOptions {
                column_time_units: vec![(path.to_owned(), EpochUnit::Second)],
                ..SourceOptions::default()
            };
            resolve(options).unwrap_err().to_string()
        };
        assert_eq!(
            error("user.id"),
            "x.sql:1: `time_unit.user.id`: `user.id` is not a TIMESTAMP"
        );
        assert_eq!(
            error("user"),
            "x.sql:1: `time_unit.user`: the files have no column `user`"
        );
        let only = SourceOptions {
            time_unit: Some(EpochUnit::Second),
            ..SourceOptions::default()
        };
        let file = SqlFile::new("x.sql".to_owned(), "SELECT 1".to_owned()).unwrap();
        assert!(only.time_units(&file, &[]).is_err());
    }
}
