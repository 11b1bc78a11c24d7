//! The options about the values of columns, resolved to the leaves of these columns.

use datafusion::arrow::datatypes::{DataType, FieldRef};

use crate::catalog::column_option::{Leaf, leaves_of};
use crate::catalog::options::SourceOptions;
use crate::error::Result;
use crate::jsonl::{LeafRule, LeafRules, TimeFormat};
use crate::sql_file::SqlFile;

impl SourceOptions {
    /// Returns the rules of the leaves of `fields`, the columns of the files.
    ///
    /// # Errors
    /// [`Error::invalid`](crate::error::Error::invalid) with file and line if an option names a column
    /// that it is not about, or if there is none at all.
    pub(super) fn leaf_rules(&self, file: &SqlFile, fields: &[FieldRef]) -> Result<LeafRules> {
        let leaves = leaves_of(fields);
        let time_unit = &self.time_unit;
        time_unit.check(file, ("time_unit", "TIMESTAMP"), &leaves, is_timestamp)?;
        let time_zone = &self.time_zone;
        time_zone.check(file, ("time_zone", "TIMESTAMP"), &leaves, is_timestamp)?;
        self.check_formats(file, &leaves)?;
        let rule = |leaf: &Leaf| match &leaf.data_type {
            DataType::Timestamp(_, _) => LeafRule {
                unit: time_unit.of(&leaf.path).copied(),
                time_format: self.time_format.of(&leaf.path).cloned(),
                time_zone: time_zone.of(&leaf.path).cloned(),
            },
            DataType::Date32 => LeafRule {
                time_format: self.time_format.of_column(&leaf.path).cloned(),
                ..LeafRule::default()
            },
            _ => LeafRule::default(),
        };
        Ok(LeafRules::new(leaves.iter().map(rule).collect()))
    }

    fn check_formats(&self, file: &SqlFile, leaves: &[Leaf]) -> Result<()> {
        let formats = &self.time_format;
        let has_format = |data_type: &DataType| {
            matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32)
        };
        let type_names = "TIMESTAMP or DATE";
        formats.check(file, ("time_format", type_names), leaves, has_format)?;
        for leaf in leaves {
            let format = formats.of_column(&leaf.path);
            let cuts_time = format.is_some_and(TimeFormat::has_time_of_day);
            if leaf.data_type == DataType::Date32 && cuts_time {
                let option = format!("time_format.{}", leaf.path);
                let what = format!(
                    "`{option}` has a time of day, which a DATE cannot keep; declare a TIMESTAMP"
                );
                return Err(file.complaint(file.last_line_of(&option), what));
            }
        }
        Ok(())
    }
}

fn is_timestamp(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, _))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{Field, TimeUnit};

    use super::*;
    use crate::catalog::column_option::ColumnOption;
    use crate::jsonl::EpochUnit;

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

    fn units(source: Option<EpochUnit>, columns: &[(&str, EpochUnit)]) -> ColumnOption<EpochUnit> {
        let mut option = ColumnOption::default();
        for (column, unit) in columns {
            option.set(Some(column), *unit);
        }
        if let Some(unit) = source {
            option.set(None, unit);
        }
        option
    }

    fn resolve(options: SourceOptions) -> Result<LeafRules> {
        let file = SqlFile::new("x.sql".to_owned(), "SELECT 1".to_owned())?;
        options.leaf_rules(&file, &fields())
    }

    #[test]
    fn the_unit_of_a_column_goes_before_that_of_the_source() {
        let units = resolve(SourceOptions {
            time_unit: units(
                Some(EpochUnit::Millisecond),
                &[("user.created", EpochUnit::Second)],
            ),
            ..SourceOptions::default()
        });
        let milli = || LeafRule::of_unit(EpochUnit::Millisecond);
        let second = LeafRule::of_unit(EpochUnit::Second);
        let expected = LeafRules::new(vec![milli(), LeafRule::default(), second, milli()]);
        assert_eq!(units.unwrap(), expected);
        let none = resolve(SourceOptions::default()).unwrap();
        assert_eq!(none, LeafRules::default());
    }

    #[test]
    fn a_unit_of_what_is_no_timestamp_is_refused() {
        let error = |path: &str| {
            let options = SourceOptions {
                time_unit: units(None, &[(path, EpochUnit::Second)]),
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
            time_unit: units(Some(EpochUnit::Second), &[]),
            ..SourceOptions::default()
        };
        let file = SqlFile::new("x.sql".to_owned(), "SELECT 1".to_owned()).unwrap();
        assert!(only.leaf_rules(&file, &[]).is_err());
    }
}
