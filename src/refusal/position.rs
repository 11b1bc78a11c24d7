//! A refused construct, and its position in the file.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;

use crate::error::Error;
use crate::sql_file::SqlFile;

/// A construct that is refused, before its position in the file is known.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) what: &'static str,
    pub(super) hint: String,
    /// An expression inside of the construct, whose columns may know their line.
    pub(super) near: Expr,
    /// The words that stand at the construct, if no column knows its line.
    pub(super) words: &'static [&'static str],
}

impl Refusal {
    pub(super) fn complaint(&self, sql: &SqlFile) -> Error {
        sql.complaint(self.line(sql), self.what)
            .with_hint(&self.hint)
    }

    pub(super) fn line(&self, sql: &SqlFile) -> u64 {
        line_of(&self.near).unwrap_or_else(|| {
            let words = self.words.iter();
            let lines = words.filter_map(|word| sql.find_line_of(word));
            lines.min().unwrap_or_else(|| sql.first_line())
        })
    }
}

/// Returns the line of the first column in an expression that knows its own.
fn line_of(expression: &Expr) -> Option<u64> {
    let mut line = None;
    // The closure never fails.
    let _ = expression.apply(|expression| {
        let column = match expression {
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => Some(column),
            _ => None,
        };
        line = line.or(column
            .and_then(|column| column.spans.first())
            .map(|span| span.start.line)
            .filter(|line| *line > 0));
        Ok(TreeNodeRecursion::Continue)
    });
    line
}
