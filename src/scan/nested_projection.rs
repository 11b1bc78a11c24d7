//! Nested projection pushdown: the scan of a source decodes only those leaves of its columns that
//! the query uses, which are found in its optimized plan.
//!
//! ```text
//! Projection  page.properties.url        ← all leaves of the output are used
//!   SubqueryAlias  page                  ← of `page.properties`, the leaf `url`
//!     Filter  properties.type = 'x'      ← and of `properties`, the leaf `type`
//!       TableScan  events                → a SourceTable that decodes these two
//! ```
//! An operator needs the leaves of its input that are used of its output, if it passes these through,
//! and those that its expressions name: all leaves of a column, or of `column.member` only those of
//! the member. An operator that this file does not know needs all leaves.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, Result, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::arrow_leaves::{leaf_ranges, total_leaf_count};
use crate::scan::table::SourceTable;

/// An optimizer rule that gives every scan of a declared source the leaves that the query uses.
///
/// It must be the last rule: a leaf that a later rule adds a use of would be read as NULL.
#[derive(Debug)]
pub(crate) struct NestedProjectionPushdown;

impl OptimizerRule for NestedProjectionPushdown {
    fn name(&self) -> &'static str {
        "nested_projection_pushdown"
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        if is_correlated(&plan)? {
            return plan.transform_down_with_subqueries(|node| match node {
                LogicalPlan::TableScan(scan) => set_leaves(scan, None).map(Transformed::yes),
                node => Ok(Transformed::no(node)),
            });
        }
        let used = vec![true; total_leaf_count(plan.schema().fields())];
        push_down(plan, &used).map(Transformed::yes)
    }
}

/// Returns true if a subquery names columns of the outer query, since the operators of the outer
/// query do not show that use.
fn is_correlated(plan: &LogicalPlan) -> Result<bool> {
    let mut is_correlated = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            is_correlated |= expression.contains_outer();
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(is_correlated)
}

/// Pushes the leaves that are used of a plan's output down to its scans.
///
/// `used` has a flag for each leaf of the output. Scans in subqueries stay as they are.
fn push_down(plan: LogicalPlan, used: &[bool]) -> Result<LogicalPlan> {
    if let LogicalPlan::TableScan(scan) = plan {
        let leaves = used_of_table(&scan, used);
        return set_leaves(scan, leaves);
    }
    let mut used_of_inputs = used_of_inputs(&plan, used).unwrap_or_default().into_iter();
    let pushed_down = plan.map_children(|input| {
        let all = || vec![true; total_leaf_count(input.schema().fields())];
        let used_of_input = used_of_inputs.next().unwrap_or_else(all);
        push_down(input, &used_of_input).map(Transformed::yes)
    })?;
    Ok(pushed_down.data)
}

/// Replaces the table of a scan of a declared source by one that decodes only some leaves.
///
/// `leaves` has a flag for each leaf of the table's columns; `None` means all.
fn set_leaves(mut scan: TableScan, leaves: Option<Vec<bool>>) -> Result<LogicalPlan> {
    if let Ok(provider) = source_as_provider(&scan.source)
        && let Some(table) = provider.downcast_ref::<SourceTable>()
    {
        scan.source = provider_as_source(Arc::new(table.with_leaves(leaves)));
    }
    Ok(LogicalPlan::TableScan(scan))
}

/// Finds the leaves of a table that are `used` of a scan's output, or that its filters name; `None`
/// means all.
fn used_of_table(scan: &TableScan, used: &[bool]) -> Option<Vec<bool>> {
    let table_schema = scan.source.schema();
    let schema =
        DFSchema::try_from_qualified_schema(scan.table_name.clone(), &table_schema).ok()?;
    let mut table = [Input::unused(&schema)];
    let output = outputs(&scan.projected_schema, used);
    let columns = match &scan.projection {
        Some(columns) => columns.clone(),
        None => (0..schema.fields().len()).collect(),
    };
    if output.len() != columns.len() {
        return None;
    }
    for (column, output) in columns.into_iter().zip(&output) {
        let [table] = &mut table;
        table.pass_through(column, output)?;
    }
    for filter in &scan.filters {
        add(filter, &mut table)?;
    }
    let [table] = table;
    Some(table.used)
}

/// Finds the leaves that an operator needs of each of its inputs; `None` means all.
fn used_of_inputs(plan: &LogicalPlan, used: &[bool]) -> Option<Vec<Vec<bool>>> {
    let mut inputs: Vec<Input<'_>> = plan
        .inputs()
        .into_iter()
        .map(|input| Input::unused(input.schema()))
        .collect();
    let output = outputs(plan.schema(), used);
    match plan {
        LogicalPlan::Projection(projection) => {
            for (expression, column) in projection.expr.iter().zip(&output) {
                add_column(expression, column, &mut inputs)?;
            }
            return Some(inputs.into_iter().map(|input| input.used).collect());
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Window(_) => {
            for input in &mut inputs {
                input.pass_through_all(&output)?;
            }
        }
        LogicalPlan::Join(join) => {
            let [left, right] = inputs.as_mut_slice() else {
                return None;
            };
            match join.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    let (of_left, of_right) = output.split_at_checked(left.width())?;
                    left.pass_through_all(of_left)?;
                    right.pass_through_all(of_right)?;
                }
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                    left.pass_through_all(&output)?;
                }
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                    right.pass_through_all(&output)?;
                }
            }
        }
        LogicalPlan::Aggregate(_) => {}
        _ => return None,
    }
    let mut is_known = true;
    let visited = plan.apply_expressions(|expression| {
        is_known &= add(expression, &mut inputs).is_some();
        Ok(TreeNodeRecursion::Continue)
    });
    visited.ok().filter(|_| is_known)?;
    Some(inputs.into_iter().map(|input| input.used).collect())
}

/// A column of an operator's output, and a flag for each of its leaves that is used.
struct OutputColumn<'a> {
    data_type: &'a DataType,
    used: &'a [bool],
}

fn outputs<'a>(schema: &'a DFSchema, used: &'a [bool]) -> Vec<OutputColumn<'a>> {
    leaf_ranges(schema.fields(), 0)
        .map(|(field, leaves)| OutputColumn {
            data_type: field.data_type(),
            used: used.get(leaves).unwrap_or_default(),
        })
        .collect()
}

/// The columns of an operator's input, and a flag for each leaf that it needs.
struct Input<'a> {
    schema: &'a DFSchema,
    used: Vec<bool>,
}

/// A column of an input, or a member of its struct.
#[derive(Clone)]
struct ColumnPart<'a> {
    data_type: &'a DataType,
    /// The range of its leaves among those of all columns.
    leaves: Range<usize>,
}

impl<'a> Input<'a> {
    fn unused(schema: &'a DFSchema) -> Self {
        Self {
            schema,
            used: vec![false; total_leaf_count(schema.fields())],
        }
    }

    fn width(&self) -> usize {
        self.schema.fields().len()
    }

    /// Adds the leaves that are used of an operator's output, whose first columns are those of this
    /// input.
    fn pass_through_all(&mut self, output: &[OutputColumn<'_>]) -> Option<()> {
        let own = output.get(..self.width())?;
        own.iter()
            .enumerate()
            .try_for_each(|(column, output)| self.pass_through(column, output))
    }

    /// Adds the leaves that are used of `output`, which is this column.
    fn pass_through(&mut self, column: usize, output: &OutputColumn<'_>) -> Option<()> {
        let (field, leaves) = leaf_ranges(self.schema.fields(), 0).nth(column)?;
        let data_type = field.data_type();
        self.add(&ColumnPart { data_type, leaves }, output)
    }

    /// Adds the leaves that are used of `output`, which is this part.
    fn add(&mut self, part: &ColumnPart<'_>, output: &OutputColumn<'_>) -> Option<()> {
        let leaves = self.used.get_mut(part.leaves.clone())?;
        let is_same_type = part.data_type.equals_datatype(output.data_type);
        if !is_same_type || leaves.len() != output.used.len() {
            leaves.fill(true);
            return Some(());
        }
        for (leaf, is_used) in leaves.iter_mut().zip(output.used) {
            *leaf |= is_used;
        }
        Some(())
    }

    /// Finds the parts that an expression may refer to, if it is the name of a column or of a
    /// member.
    fn parts(&self, expression: &Expr) -> Vec<ColumnPart<'a>> {
        match expression {
            Expr::Alias(alias) => self.parts(&alias.expr),
            Expr::Column(column) => {
                let is_named = |qualifier: Option<&TableReference>, field: &Field| {
                    let qualifiers = column.relation.as_ref().zip(qualifier);
                    field.name() == &column.name
                        && qualifiers.is_none_or(|(one, other)| one.resolved_eq(other))
                };
                leaf_ranges(self.schema.fields(), 0)
                    .zip(self.schema.iter())
                    .filter(|(_, (qualifier, field))| is_named(*qualifier, field))
                    .map(|((field, leaves), _)| ColumnPart {
                        data_type: field.data_type(),
                        leaves,
                    })
                    .collect()
            }
            Expr::ScalarFunction(function) if function.func.inner().is::<GetFieldFunc>() => {
                let Some((of, names)) = function.args.split_first() else {
                    return Vec::new();
                };
                let members: Option<Vec<ColumnPart<'a>>> = self
                    .parts(of)
                    .into_iter()
                    .map(|whole| names.iter().try_fold(whole, |part, name| part.member(name)))
                    .collect();
                members.unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}

impl ColumnPart<'_> {
    fn member(&self, name: &Expr) -> Option<Self> {
        let (DataType::Struct(fields), Expr::Literal(literal, _)) = (self.data_type, name) else {
            return None;
        };
        let member = literal.try_as_str()??;
        let mut members = leaf_ranges(fields, self.leaves.start);
        let (field, leaves) = members.find(|(field, _)| field.name() == member)?;
        let data_type = field.data_type();
        Some(Self { data_type, leaves })
    }
}

/// Adds the leaves of the columns and members that `expression` names to the inputs that have them.
///
/// A name that several inputs have is added to all of them. Returns `None` if no input has it.
fn add(expression: &Expr, inputs: &mut [Input<'_>]) -> Option<()> {
    let mut is_known = true;
    let visited = expression.apply(|inner| {
        let mut is_found = false;
        for input in &mut *inputs {
            for part in input.parts(inner) {
                let leaves = input.used.get_mut(part.leaves);
                leaves.into_iter().for_each(|leaves| leaves.fill(true));
                is_found = true;
            }
        }
        if is_found {
            return Ok(TreeNodeRecursion::Jump);
        }
        is_known &= !matches!(inner, Expr::Column(_));
        Ok(TreeNodeRecursion::Continue)
    });
    visited.ok().filter(|_| is_known).map(|_| ())
}

/// Adds the leaves that `expression` needs to compute `output`: if it is a name, only those that are
/// used of `output`.
fn add_column(
    expression: &Expr,
    output: &OutputColumn<'_>,
    inputs: &mut [Input<'_>],
) -> Option<()> {
    let mut is_found = false;
    for input in &mut *inputs {
        for part in input.parts(expression) {
            input.add(&part, output)?;
            is_found = true;
        }
    }
    if is_found {
        return Some(());
    }
    add(expression, inputs)
}
