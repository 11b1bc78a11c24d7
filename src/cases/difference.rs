//! The comparison of two sets of rows, cell by cell. The order of rows does not matter; how often a row is there
//! does.

use serde::Serialize;
use serde_json::Value;

use crate::cases::cells::{self, Row};
use crate::cases::expected::ExpectedRow;

/// The number of pairs of rows up to which each expected row is paired with the exported one most like it.
const MAX_PAIRS: usize = 40_000;

/// The rows that are expected and not exported, and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RowsDifference {
    /// Expected rows, each with the exported one that is most like it.
    pub(crate) changed: Vec<ChangedRow>,
    /// Expected rows that are not exported.
    pub(crate) missing: Vec<MissingRow>,
    /// Exported rows that are not expected.
    pub(crate) unexpected: Vec<String>,
}

/// An expected row that is not exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MissingRow {
    /// The line in `expected.jsonl`.
    pub(crate) line: usize,
    /// The row as it is written there.
    pub(crate) row: String,
}

/// An expected row and an exported one that differ in some cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChangedRow {
    /// The line in `expected.jsonl`.
    pub(crate) line: usize,
    pub(crate) cells: Vec<CellChange>,
}

/// A value that differs, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct CellChange {
    /// The path of the value, such as `properties.client.domain`.
    pub(crate) path: String,
    pub(crate) expected: String,
    pub(crate) exported: String,
}

impl RowsDifference {
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.missing.is_empty() && self.unexpected.is_empty()
    }
}

/// Compares rows of these columns.
pub(super) fn compare(
    columns: &[String],
    expected: &[ExpectedRow],
    exported: &[Row],
) -> RowsDifference {
    let (missing, mut unexpected) = left_over(expected, exported);
    let mut pairs = Vec::new();
    if missing.len() * unexpected.len() <= MAX_PAIRS {
        for (left, row) in missing.iter().enumerate() {
            for (right, other) in unexpected.iter().enumerate() {
                let changed = differing(&row.cells, other).count();
                // Rows with little in common are two rows.
                if changed * 2 <= columns.len() {
                    pairs.push((changed, left, right));
                }
            }
        }
    }
    pairs.sort_unstable();
    let mut partner = vec![None; missing.len()];
    let mut is_taken = vec![false; unexpected.len()];
    for (_, left, right) in pairs {
        if partner[left].is_none() && !is_taken[right] {
            partner[left] = Some(right);
            is_taken[right] = true;
        }
    }
    let mut difference = RowsDifference::default();
    for (row, partner) in missing.iter().zip(partner) {
        match partner {
            Some(right) => difference.changed.push(ChangedRow {
                line: row.line,
                cells: changes(columns, &row.cells, unexpected[right]),
            }),
            None => difference.missing.push(MissingRow {
                line: row.line,
                row: row.text.clone(),
            }),
        }
    }
    let mut taken = is_taken.into_iter();
    unexpected.retain(|_| !taken.next().unwrap_or_default());
    let objects = unexpected.iter().map(|row| cells::object(columns, row));
    difference.unexpected = objects.collect();
    difference.unexpected.sort();
    difference
}

/// Returns the rows of each side that the other one has less often.
pub(super) fn left_over<'a>(
    expected: &'a [ExpectedRow],
    exported: &'a [Row],
) -> (Vec<&'a ExpectedRow>, Vec<&'a Row>) {
    let mut left: Vec<&Row> = exported.iter().collect();
    left.sort_unstable();
    let mut is_matched = vec![false; left.len()];
    let mut missing = Vec::new();
    for row in expected {
        let first = left.partition_point(|other| **other < row.cells);
        let equal = left
            .iter()
            .skip(first)
            .take_while(|other| ***other == row.cells);
        let free = (first..first + equal.count()).find(|index| !is_matched[*index]);
        match free {
            Some(index) => is_matched[index] = true,
            None => missing.push(row),
        }
    }
    let mut matched = is_matched.into_iter();
    left.retain(|_| !matched.next().unwrap_or_default());
    (missing, left)
}

fn differing<'a>(left: &'a Row, right: &'a Row) -> impl Iterator<Item = usize> + 'a {
    let pairs = left.iter().zip(right).enumerate();
    pairs
        .filter(|(_, (left, right))| left != right)
        .map(|(index, _)| index)
}

fn changes(columns: &[String], expected: &Row, exported: &Row) -> Vec<CellChange> {
    let mut changes = Vec::new();
    for index in differing(expected, exported) {
        let (left, right) = (&expected[index], &exported[index]);
        let before = changes.len();
        let parsed = (serde_json::from_str(left), serde_json::from_str(right));
        if let (Ok(left), Ok(right)) = parsed {
            add_changes(&columns[index], &left, &right, &mut changes);
        }
        // Numbers that differ beyond the precision of a double.
        if changes.len() == before {
            changes.push(CellChange {
                path: columns[index].clone(),
                expected: left.clone(),
                exported: right.clone(),
            });
        }
    }
    changes
}

fn add_changes(path: &str, expected: &Value, exported: &Value, changes: &mut Vec<CellChange>) {
    match (expected, exported) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                let other = right.get(name).unwrap_or(&Value::Null);
                add_changes(&format!("{path}.{name}"), value, other, changes);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (value, other)) in left.iter().zip(right).enumerate() {
                add_changes(&format!("{path}[{index}]"), value, other, changes);
            }
        }
        _ if expected == exported => {}
        _ => changes.push(CellChange {
            path: path.to_owned(),
            expected: expected.to_string(),
            exported: exported.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(expected: &[[&str; 3]], exported: &[[&str; 3]]) -> RowsDifference {
        let columns = ["id", "n", "client"].map(str::to_owned);
        let cells = |row: &[&str; 3]| row.map(str::to_owned).to_vec();
        let expected: Vec<ExpectedRow> = expected
            .iter()
            .enumerate()
            .map(|(index, row)| ExpectedRow {
                line: index + 1,
                text: format!("line {}", index + 1),
                cells: cells(row),
            })
            .collect();
        let exported: Vec<Row> = exported.iter().map(cells).collect();
        compare(&columns, &expected, &exported)
    }

    #[test]
    fn the_order_does_not_matter_and_the_number_does() {
        let (a, b) = (["1", "1", "{}"], ["2", "2", "{}"]);
        assert!(compared(&[a, b, a], &[a, a, b]).is_empty());
        let difference = compared(&[a, b, a], &[a, b]);
        assert_eq!(
            (difference.missing[0].line, difference.missing.len()),
            (3, 1)
        );
        let difference = compared(&[a], &[a, a]);
        assert_eq!(difference.unexpected, [r#"{"id":1,"n":1,"client":{}}"#]);
    }

    #[test]
    fn rows_that_are_alike_are_compared_value_by_value() {
        let difference = compared(
            &[
                ["1", "1", r#"{"a":{"b":[1,2]},"c":null}"#],
                ["2", "null", "{}"],
            ],
            &[["2", "0", "{}"], ["1", "1", r#"{"a":{"b":[1,3]},"c":"x"}"#]],
        );
        let changes: Vec<(usize, Vec<[&str; 3]>)> = difference
            .changed
            .iter()
            .map(|row| {
                let cells = row.cells.iter();
                let cells = cells.map(|cell| [&*cell.path, &*cell.expected, &*cell.exported]);
                (row.line, cells.collect())
            })
            .collect();
        assert_eq!(
            changes,
            [
                (
                    1,
                    vec![["client.a.b[1]", "2", "3"], ["client.c", "null", "\"x\""]]
                ),
                (2, vec![["n", "null", "0"]]),
            ]
        );
        assert!(difference.missing.is_empty() && difference.unexpected.is_empty());
    }

    #[test]
    fn numbers_are_compared_beyond_the_precision_of_a_double() {
        let difference = compared(
            &[["1", "0.10000000000000000000001", "{}"]],
            &[["1", "0.10000000000000000000002", "{}"]],
        );
        assert_eq!(difference.changed[0].cells[0].path, "n");
    }
}
