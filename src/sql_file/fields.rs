//! Fields after an index: `r.items[1].sku`.

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, Value, VisitMut, visit_expressions_mut,
};

/// Turns the fields that follow an index into the strings that DataFusion's planner requires.
pub(super) fn name_fields_after_indexes(statement: &mut Statement) {
    match statement {
        Statement::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &mut copy.source {
                name_fields(query.as_mut());
            }
        }
        Statement::Statement(statement) => name_fields(statement.as_mut()),
        Statement::Explain(explain) => name_fields_after_indexes(&mut explain.statement),
        _ => {}
    }
}

fn name_fields(node: &mut impl VisitMut) {
    // The closure never breaks.
    let _ = visit_expressions_mut(node, |expression| {
        if let Expr::CompoundFieldAccess { root, access_chain } = expression {
            // Before the first index, an identifier may be that of a table: the planner decides.
            let is_name = matches!(**root, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            let is_part_of_name =
                |access: &AccessExpr| is_name && matches!(access, AccessExpr::Dot(_));
            let start = access_chain
                .iter()
                .take_while(|access| is_part_of_name(access))
                .count();
            for access in access_chain.iter_mut().skip(start) {
                if let AccessExpr::Dot(Expr::Identifier(field)) = access {
                    let name = Value::SingleQuotedString(folded(field));
                    *access = AccessExpr::Dot(Expr::Value(name.with_empty_span()));
                }
            }
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Folds an identifier as SQL does: to lower case, unless it is quoted.
fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}
