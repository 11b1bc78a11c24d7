//! Renders rows for people: as a table, or expanded to a line for each column, as `\x` of psql.

use std::fmt::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;

use crate::visible::visible_line;

/// The text of NULL, which an empty string has not.
const NULL: &str = "NULL";

/// The choice between a table and expanded rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Expanded {
    On,
    #[default]
    Off,
    /// Expanded if the table is wider than the terminal.
    Auto,
}

/// Renders rows. `width` is the number of columns of the terminal, if there is one.
///
/// # Errors
/// A value cannot be shown as text.
pub(super) fn render(
    batches: &[RecordBatch],
    expanded: Expanded,
    width: Option<usize>,
) -> Result<String, ArrowError> {
    if expanded == Expanded::On {
        return records(batches);
    }
    let table = pretty_format_batches_with_options(batches, &options())?.to_string();
    let is_too_wide = |width: usize| table.lines().any(|line| line.chars().count() > width);
    match (expanded, width) {
        (Expanded::Auto, Some(width)) if is_too_wide(width) => records(batches),
        _ => Ok(table + "\n"),
    }
}

fn options() -> FormatOptions<'static> {
    FormatOptions::default()
        .with_display_error(true)
        .with_null(NULL)
}

/// Renders a block for each row, with a line for each column.
fn records(batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let mut text = String::new();
    let mut number: u64 = 0;
    for batch in batches {
        let schema = batch.schema();
        let names: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| visible_line(field.name()).into_owned())
            .collect();
        let options = options();
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            number += 1;
            let values: Vec<String> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            text += &record(number, &names, &values);
        }
    }
    Ok(text)
}

/// Renders one row. The lines of a value stand below each other.
fn record(number: u64, names: &[String], values: &[String]) -> String {
    let width = |text: &str| text.chars().count();
    let name_width = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let lines = values.iter().flat_map(|value| value.lines());
    let value_width = lines.map(width).max().unwrap_or(0);

    let label = format!("-[ RECORD {number} ]");
    let rule = format!(
        "{}+{}",
        "-".repeat(name_width + 1),
        "-".repeat(value_width + 1)
    );
    let rest: String = rule.chars().skip(width(&label)).collect();
    let mut text = format!("{label}{rest}\n");
    for (name, value) in names.iter().zip(values) {
        let mut label = name.as_str();
        for line in value.split('\n') {
            let row = format!("{label:<name_width$} | {line}");
            let _ = writeln!(text, "{}", row.trim_end());
            label = "";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn batches() -> Vec<RecordBatch> {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a\nlong"), None, Some("")]));
        let counts: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(22), None]));
        let batch = RecordBatch::try_from_iter([("name", names), ("count_of_rows", counts)]);
        vec![batch.unwrap()]
    }

    const RECORDS: &str = "\
-[ RECORD 1 ]-+-----
name          | a
              | long
count_of_rows | 1
-[ RECORD 2 ]-+-----
name          | NULL
count_of_rows | 22
-[ RECORD 3 ]-+-----
name          |
count_of_rows | NULL
";

    #[test]
    fn an_expanded_row_has_a_line_for_each_column() {
        assert_eq!(render(&batches(), Expanded::On, None).unwrap(), RECORDS);
        let short = record(7, &["a".to_owned()], &["b".to_owned()]);
        assert_eq!(short, "-[ RECORD 7 ]\na | b\n");
    }

    #[test]
    fn rows_are_expanded_when_their_table_is_too_wide() {
        let table = render(&batches(), Expanded::Off, Some(1)).unwrap();
        let width = table.lines().next().unwrap().len();
        let auto = |width| render(&batches(), Expanded::Auto, width).unwrap();
        assert_eq!(auto(Some(width)), table);
        assert_eq!(auto(Some(width - 1)), RECORDS);
        assert_eq!(auto(None), table);
    }

    #[test]
    fn null_is_told_from_an_empty_string() {
        let table = render(&batches(), Expanded::Off, None).unwrap();
        assert!(table.contains("| NULL | 22            |"), "{table}");
        assert!(table.contains("|      | NULL          |"), "{table}");
    }
}
