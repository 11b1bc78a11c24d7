//! The options of a `COPY` that are about the table and not about its files.

use std::collections::BTreeMap;

use datafusion::sql::parser::CopyToStatement;

use crate::error::Result;
use crate::layout::NullPartitions;
use crate::sql_file::{SqlFile, column_of};

/// The option that says what a cycle without source files is.
const EMPTY: &str = "empty";

/// The option that names the folders of rows with NULL in a partition column, or, with a dot and the name of
/// a column behind it, those of one column.
const NULL_PARTITION: &str = "null_partition";

/// The options of one table.
#[derive(Debug, Default)]
pub(super) struct TableOptions {
    pub(super) allow_empty: bool,
    pub(super) null_partitions: NullPartitions,
}

impl TableOptions {
    /// Takes the options out of a statement, whose other ones are DataFusion's.
    ///
    /// # Errors
    /// [`Error::invalid`](crate::error::Error::invalid) with file and line if a value is none of the
    /// option, or if the table has no such partition column.
    pub(super) fn take(sql: &SqlFile, copy: &mut CopyToStatement) -> Result<Self> {
        let mut options = Self::default();
        let (mut for_all, mut values) = (None, BTreeMap::new());
        let written = std::mem::take(&mut copy.options);
        for (key, value) in written {
            if key.eq_ignore_ascii_case(EMPTY) {
                options.allow_empty =
                    is_empty_allowed(sql, &value.into_string().unwrap_or_default())?;
                continue;
            }
            let Some(column) = column_of(NULL_PARTITION, &key) else {
                copy.options.push((key, value));
                continue;
            };
            let text = value.into_string().unwrap_or_default();
            let complain = |what: String| sql.complaint(sql.last_line_of(&key), what);
            if text.is_empty() {
                let what = format!(
                    "the option '{key}' takes the value of the folders, which is not empty"
                );
                return Err(complain(what));
            }
            let Some(column) = column else {
                if copy.partitioned_by.is_empty() {
                    let what = format!("the option '{key}' needs PARTITIONED BY");
                    return Err(complain(what));
                }
                for_all = Some(text);
                continue;
            };
            if !copy.partitioned_by.iter().any(|name| name == column) {
                let what =
                    format!("the option '{key}': the table is not partitioned by `{column}`");
                return Err(complain(what));
            }
            values.insert(column.to_owned(), text);
        }
        if let Some(text) = for_all {
            for column in &copy.partitioned_by {
                values.entry(column.clone()).or_insert_with(|| text.clone());
            }
        }
        options.null_partitions = NullPartitions::new(values);
        Ok(options)
    }
}

fn is_empty_allowed(sql: &SqlFile, value: &str) -> Result<bool> {
    if value.eq_ignore_ascii_case("allowed") {
        return Ok(true);
    }
    let line = sql.last_line_of(EMPTY);
    let complaint = sql.complaint(line, format!("the option 'empty' is not '{value}'"));
    Err(complaint.with_hint(
        "write `'empty' 'allowed'` to publish cycles without source files, or leave it out to wait for \
         the files",
    ))
}

#[cfg(test)]
mod tests {
    use crate::definition::Definition;
    use crate::error::Result;

    fn parse(end: &str) -> Result<Definition> {
        let query = "SELECT 1 AS a, site, day FROM e WHERE t >= $window_start AND t < $window_end";
        Definition::parse("a.sql", &format!("COPY ({query}) TO 'a'\n{end}"))
    }

    #[test]
    fn folders_for_null_are_declared_for_all_columns_or_for_one() {
        let end = "PARTITIONED BY (site, day)\n\
                   OPTIONS ('null_partition' 'none', 'NULL_PARTITION.day' '0', compression 'gzip')";
        let definition = parse(end).unwrap();
        let value_of = |column| definition.null_partitions.value_of(column);
        assert_eq!(
            (value_of("site"), value_of("day")),
            (Some("none"), Some("0"))
        );
        assert_eq!(definition.statement().options.len(), 1);
        assert!(
            parse("PARTITIONED BY (site)")
                .unwrap()
                .null_partitions
                .is_empty()
        );
    }

    #[test]
    fn complaints_have_file_and_line() {
        for (end, complaint) in [
            (
                "PARTITIONED BY (site)\nOPTIONS ('null_partition.org' 'x')",
                "a.sql:3: the option 'null_partition.org': the table is not partitioned by `org`",
            ),
            (
                "OPTIONS ('null_partition' 'x')",
                "a.sql:2: the option 'null_partition' needs PARTITIONED BY",
            ),
            (
                "PARTITIONED BY (site)\nOPTIONS ('null_partition' '')",
                "a.sql:3: the option 'null_partition' takes the value of the folders, which is not empty",
            ),
        ] {
            let error = parse(end).unwrap_err().to_string();
            assert_eq!(error, complaint);
        }
    }
}
