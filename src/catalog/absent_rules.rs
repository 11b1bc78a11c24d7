//! The options `missing` of a source, checked against its columns.

use datafusion::arrow::datatypes::{DataType, FieldRef};

use crate::catalog::options::SourceOptions;
use crate::error::Result;
use crate::scan::absent::AbsentRules;
use crate::scan::spec::SourceFormat;
use crate::sql_file::SqlFile;

impl SourceOptions {
    /// Returns the rules for columns without any value. `fields` are the columns of the files.
    ///
    /// # Errors
    /// [`Error::invalid`](crate::error::Error::invalid) with file and line if an option names no
    /// column, or if the source is not of JSON lines.
    pub(super) fn absent_rules(
        &self,
        file: &SqlFile,
        format: SourceFormat,
        fields: &[FieldRef],
    ) -> Result<AbsentRules> {
        let rules = &self.absent_rules;
        if format == SourceFormat::Parquet && *rules != AbsentRules::default() {
            let what = "`missing` is an option of JSON sources";
            return Err(file.complaint(file.last_line_of("missing"), what));
        }
        for (path, _) in &rules.columns {
            let names: Vec<&str> = path.split('.').collect();
            if !is_column(fields, &names) {
                let option = format!("missing.{path}");
                let what = format!("`{option}`: the files have no column `{path}`");
                return Err(file.complaint(file.last_line_of(&option), what));
            }
        }
        Ok(rules.clone())
    }
}

/// Returns true if `names` lead to a column, or to a field of structs. The elements of a list have the
/// path of the list.
fn is_column<'a>(fields: impl IntoIterator<Item = &'a FieldRef>, names: &[&str]) -> bool {
    fields.into_iter().any(|field| {
        // Names may contain dots.
        (1..=names.len()).any(|length| {
            let (own, inner) = names.split_at(length);
            own.join(".") == *field.name() && (inner.is_empty() || has_inner(field, inner))
        })
    })
}

fn has_inner(field: &FieldRef, names: &[&str]) -> bool {
    match field.data_type() {
        DataType::Struct(members) => is_column(members, names),
        DataType::List(element) => has_inner(element, names),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::Field;

    use super::*;
    use crate::jsonl::Compression;
    use crate::scan::absent::AbsentRule;

    #[test]
    fn an_option_names_a_column_of_json_lines() {
        let member = vec![Field::new("a.b", DataType::Int64, true)];
        let items = Field::new_list("items", Field::new_struct("item", member, true), true);
        let fields: [FieldRef; 1] = [Arc::new(items)];
        let json = SourceFormat::Json(Compression::Auto);
        let resolve = |path: &str, format| {
            let file = SqlFile::new("x.sql".to_owned(), "SELECT 1".to_owned())?;
            let options = SourceOptions {
                absent_rules: AbsentRules {
                    source: AbsentRule::Warn,
                    columns: vec![(path.to_owned(), AbsentRule::Null)],
                },
                ..SourceOptions::default()
            };
            options.absent_rules(&file, format, &fields)
        };
        assert!(resolve("items", json).is_ok());
        assert!(resolve("items.a.b", json).is_ok());
        assert_eq!(
            resolve("items.a", json).unwrap_err().to_string(),
            "x.sql:1: `missing.items.a`: the files have no column `items.a`"
        );
        assert!(resolve("items", SourceFormat::Parquet).is_err());
    }
}
