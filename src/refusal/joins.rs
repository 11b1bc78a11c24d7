//! Outer joins whose common column has the value of the left side only.

use datafusion::common::{JoinConstraint, JoinType};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::refusal::position::Refusal;

/// Refuses `RIGHT JOIN … USING` and `FULL JOIN … USING`: a row without a left side has NULL in the common
/// column.
pub(super) fn refusal(node: &LogicalPlan) -> Option<Refusal> {
    let LogicalPlan::Join(join) = node else {
        return None;
    };
    let is_outer = matches!(join.join_type, JoinType::Right | JoinType::Full);
    (is_outer && join.join_constraint == JoinConstraint::Using).then(|| Refusal {
        what: "a RIGHT or FULL JOIN with USING gives NULL for the common column where the left side has no row",
        hint: "write `ON a.k = b.k`, and `coalesce(a.k, b.k) AS k`".to_owned(),
        near: Expr::default(),
        words: &["using", "natural"],
    })
}
