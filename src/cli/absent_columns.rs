//! Warns of columns for which no line of a source had a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::run::{RunReport, TableOutcome};
use crate::visible::visible_line;

/// Renders one warning for each source and the tables that lack the same columns; empty without any.
pub(super) fn absent_columns(report: &RunReport) -> String {
    let mut columns_of: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for table in &report.tables {
        if let TableOutcome::Published { absent, .. } = &table.outcome {
            for column in absent {
                let columns = columns_of.entry((&column.source, &table.table));
                columns.or_default().insert(&column.column);
            }
        }
    }
    let mut tables_of: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((source, table), columns) in columns_of {
        let columns = columns.into_iter().collect();
        tables_of.entry((source, columns)).or_default().push(table);
    }
    let mut text = String::new();
    for ((source, columns), tables) in tables_of {
        let quoted: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
        let _ = writeln!(
            text,
            "warning: {}: no line of the source `{source}` has a value of {}, in this cycle or an earlier \
             one",
            tables.join(", "),
            visible_line(&quoted.join(", ")),
        );
        let _ = writeln!(
            text,
            "hint: check how the lines spell it; OPTIONS ('missing.{}' 'null') of the source accepts it",
            visible_line(columns.first().unwrap_or(&""))
        );
    }
    text
}
