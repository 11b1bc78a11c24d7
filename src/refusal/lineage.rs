//! The origins of the columns of a plan.
//!
//! An origin is an expression over the columns of the plan's scans. Two columns with the same origin have
//! the same values, whatever their names and however many subqueries are between them.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, TableReference};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan};

/// The maximum number of origins that are followed: a union has as many as it has branches.
const MAX_ORIGINS: usize = 64;

/// The aggregates whose result is one of their inputs.
const SELECTING_AGGREGATES: [&str; 5] = ["min", "max", "first_value", "last_value", "any_value"];

/// A node of a plan, with the way from the root to it, which tells two scans of one table apart.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) plan: &'a LogicalPlan,
    path: String,
}

impl<'a> Node<'a> {
    /// Returns the root of a plan. `name` tells it apart from other plans.
    pub(super) fn root(name: &str, plan: &'a LogicalPlan) -> Self {
        Self {
            plan,
            path: name.to_owned(),
        }
    }

    pub(super) fn inputs(&self) -> Vec<Node<'a>> {
        let inputs = self.plan.inputs().into_iter().enumerate();
        inputs
            .map(|(index, plan)| Node {
                plan,
                path: format!("{}.{index}", self.path),
            })
            .collect()
    }

    /// Returns this node and all below it.
    pub(super) fn all(&self) -> Vec<Node<'a>> {
        let mut nodes = vec![self.clone()];
        for input in self.inputs() {
            nodes.extend(input.all());
        }
        nodes
    }

    fn input(&self, index: usize) -> Option<Node<'a>> {
        self.inputs().into_iter().nth(index)
    }

    /// Returns the origins of the output column at `index`; none if it is computed from several rows.
    pub(super) fn origins(&self, index: usize) -> Vec<Expr> {
        match self.plan {
            LogicalPlan::TableScan(scan) => {
                let fields = scan.projected_schema.fields();
                let named = fields.get(index).map(|field| {
                    let scan = TableReference::bare(self.path.as_str());
                    Expr::Column(Column::new(Some(scan), field.name()))
                });
                named.into_iter().collect()
            }
            LogicalPlan::Projection(projection) => {
                let expression = projection.expr.get(index);
                expression.map_or_else(Vec::new, |expression| self.origins_of(expression))
            }
            LogicalPlan::Distinct(Distinct::On(distinct)) => {
                let expression = distinct.select_expr.get(index);
                expression.map_or_else(Vec::new, |expression| self.origins_of(expression))
            }
            LogicalPlan::Aggregate(aggregate) => {
                let expression = selected_value(aggregate, index);
                expression.map_or_else(Vec::new, |expression| self.origins_of(expression))
            }
            LogicalPlan::Unnest(unnest) => {
                let Some(&input) = unnest.dependency_indices.get(index) else {
                    return Vec::new();
                };
                let lists = &unnest.list_type_columns;
                let is_unnested = lists.iter().any(|(list, _)| *list == input)
                    || unnest.struct_type_columns.contains(&input);
                match is_unnested {
                    true => Vec::new(),
                    false => self.origins_in(0, input),
                }
            }
            LogicalPlan::Join(join) => {
                let left = join.left.schema().fields().len();
                match join.join_type {
                    JoinType::RightSemi | JoinType::RightAnti => self.origins_in(1, index),
                    _ if index < left => self.origins_in(0, index),
                    JoinType::LeftMark => Vec::new(),
                    _ => self.origins_in(1, index - left),
                }
            }
            LogicalPlan::Union(_) => {
                let mut origins = Vec::new();
                for input in self.inputs() {
                    origins.extend(input.origins(index));
                }
                origins.truncate(MAX_ORIGINS);
                origins
            }
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Distinct(Distinct::All(_)) => self.origins_in(0, index),
            _ => Vec::new(),
        }
    }

    fn origins_in(&self, input: usize, index: usize) -> Vec<Expr> {
        self.input(input)
            .map_or_else(Vec::new, |input| input.origins(index))
    }

    /// Returns the origins of an expression over the inputs of this node.
    pub(super) fn origins_of(&self, expression: &Expr) -> Vec<Expr> {
        let expression = without_casts(expression);
        let columns: Vec<Column> = expression.column_refs().into_iter().cloned().collect();
        let mut origins = vec![expression.clone()];
        for column in columns {
            let values = self.column_origins(&column);
            origins = origins
                .iter()
                .flat_map(|origin| values.iter().map(|value| replaced(origin, &column, value)))
                .take(MAX_ORIGINS)
                .collect();
        }
        origins
            .iter()
            .map(|origin| without_casts(origin).clone())
            .collect()
    }

    fn column_origins(&self, column: &Column) -> Vec<Expr> {
        let inputs = self.inputs();
        let found = inputs.iter().find_map(|input| {
            let index = input.plan.schema().maybe_index_of_column(column)?;
            Some(input.origins(index))
        });
        found.unwrap_or_default()
    }
}

/// Returns the expression whose values an output column of an aggregate has.
fn selected_value(aggregate: &Aggregate, index: usize) -> Option<&Expr> {
    let groups = &aggregate.group_expr;
    if groups
        .iter()
        .any(|group| matches!(group, Expr::GroupingSet(_)))
    {
        return None;
    }
    if let Some(group) = groups.get(index) {
        return Some(group);
    }
    match unaliased(aggregate.aggr_expr.get(index - groups.len())?) {
        Expr::AggregateFunction(function)
            if SELECTING_AGGREGATES.contains(&function.func.name()) =>
        {
            function.params.args.first()
        }
        _ => None,
    }
}

fn replaced(expression: &Expr, column: &Column, value: &Expr) -> Expr {
    let is_column = |part: &Expr| matches!(part, Expr::Column(found) if found == column);
    let replaced = expression.clone().transform_up(|part| {
        Ok(match is_column(&part) {
            true => Transformed::yes(value.clone()),
            false => Transformed::no(part),
        })
    });
    // The closure never fails.
    replaced.map_or_else(|_| expression.clone(), |replaced| replaced.data)
}

fn unaliased(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unaliased(&alias.expr),
        _ => expression,
    }
}

/// Returns an expression without its names, and without the casts to timestamps of UTC around it, which
/// keep the instant down to the microsecond or coarser.
fn without_casts(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => without_casts(&alias.expr),
        Expr::Cast(cast) if is_utc(cast.field.data_type()) => without_casts(&cast.expr),
        Expr::TryCast(cast) if is_utc(cast.field.data_type()) => without_casts(&cast.expr),
        _ => expression,
    }
}

fn is_utc(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => false,
        DataType::Timestamp(_, None) => true,
        DataType::Timestamp(_, Some(zone)) => ["UTC", "+00:00", "Z"].contains(&&**zone),
        _ => false,
    }
}
