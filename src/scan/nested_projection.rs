//! Which leaves of a source's columns a query uses, told from its optimized plan.
//!
//! ```text
//! Projection  page.properties.url        ← all that comes out is used
//!   SubqueryAlias  page                  ← of `page.properties`, the leaf `url`
//!     Filter  properties.type = 'x'      ← and of `properties`, the leaf `type`
//!       TableScan  events                → a SourceTable of which these two are decoded
//! ```
//! What an operator needs is what is used of its output where it hands that through, and what its
//! expressions name: a column whole, `column.member` only in that part. Operators that this file
//! does not know need everything.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::jsonl::leaves::{count_all, places};
use crate::scan::table::SourceTable;

/// Tells every scan of a declared source which leaves the query uses.
///
/// The last of the rules: what a rule after it made use of could be read as NULL.
#[derive(Debug)]
pub(crate) struct UsedLeaves;

impl OptimizerRule for UsedLeaves {
    fn name(&self) -> &'static str {
        "used_leaves"
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        if is_correlated(&plan)? {
            return plan.transform_down_with_subqueries(|node| match node {
                LogicalPlan::TableScan(scan) => tell(scan, None).map(Transformed::yes),
                node => Ok(Transformed::no(node)),
            });
        }
        let used = vec![true; count_all(plan.schema().fields())];
        tell_scans(plan, &used).map(Transformed::yes)
    }
}

/// Whether a subquery names columns of the query around it, which no operator there shows.
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

/// `used` has a flag for each leaf of the plan's output. Scans in subqueries stay as they are.
fn tell_scans(plan: LogicalPlan, used: &[bool]) -> Result<LogicalPlan> {
    if let LogicalPlan::TableScan(scan) = plan {
        let leaves = used_of_table(&scan, used);
        return tell(scan, leaves);
    }
    let inputs = used_of_inputs(&plan, used).unwrap_or_default();
    let mut inputs = inputs.into_iter();
    let told = plan.map_children(|input| {
        let all = || vec![true; count_all(input.schema().fields())];
        let used = inputs.next().unwrap_or_else(all);
        tell_scans(input, &used).map(Transformed::yes)
    })?;
    Ok(told.data)
}

/// `leaves` has a flag for each leaf of the table's columns; `None` is all.
fn tell(mut scan: TableScan, leaves: Option<Vec<bool>>) -> Result<LogicalPlan> {
    if let Ok(provider) = source_as_provider(&scan.source)
        && let Some(table) = provider.downcast_ref::<SourceTable>()
    {
        scan.source = provider_as_source(Arc::new(table.with_leaves(leaves)));
    }
    Ok(LogicalPlan::TableScan(scan))
}

/// Of a table, what is `used` of a scan's output and what its filters name; `None` is everything.
fn used_of_table(scan: &TableScan, used: &[bool]) -> Option<Vec<bool>> {
    let schema = scan.source.schema();
    let schema = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &schema).ok()?;
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
        table.hand_through(column, output)?;
    }
    for filter in &scan.filters {
        add(filter, &mut table)?;
    }
    let [table] = table;
    Some(table.used)
}

/// What an operator needs of each of its inputs; `None` is everything.
fn used_of_inputs(plan: &LogicalPlan, used: &[bool]) -> Option<Vec<Vec<bool>>> {
    let inputs = plan.inputs();
    let inputs = inputs.iter().map(|input| Input::unused(input.schema()));
    let mut inputs: Vec<Input<'_>> = inputs.collect();
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
                input.hand_through_all(&output)?;
            }
        }
        LogicalPlan::Join(join) => {
            let [left, right] = inputs.as_mut_slice() else {
                return None;
            };
            match join.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    let (of_left, of_right) = output.split_at_checked(left.width())?;
                    left.hand_through_all(of_left)?;
                    right.hand_through_all(of_right)?;
                }
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                    left.hand_through_all(&output)?;
                }
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                    right.hand_through_all(&output)?;
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

/// A column of an operator's output, and which of its leaves are used.
struct Output<'a> {
    data_type: &'a DataType,
    used: &'a [bool],
}

fn outputs<'a>(schema: &'a DFSchema, used: &'a [bool]) -> Vec<Output<'a>> {
    let columns = places(schema.fields(), 0);
    let columns = columns.map(|(field, place)| Output {
        data_type: field.data_type(),
        used: used.get(place).unwrap_or_default(),
    });
    columns.collect()
}

/// The columns that an operator gets, and which of their leaves it needs.
struct Input<'a> {
    schema: &'a DFSchema,
    used: Vec<bool>,
}

/// A column, or a member of its struct.
#[derive(Clone)]
struct Part<'a> {
    data_type: &'a DataType,
    /// Where its leaves are among those of all columns.
    leaves: Range<usize>,
}

impl<'a> Input<'a> {
    fn unused(schema: &'a DFSchema) -> Self {
        Self {
            schema,
            used: vec![false; count_all(schema.fields())],
        }
    }

    fn width(&self) -> usize {
        self.schema.fields().len()
    }

    /// The first columns of the output are those of this input.
    fn hand_through_all(&mut self, output: &[Output<'_>]) -> Option<()> {
        let own = output.get(..self.width())?;
        own.iter()
            .enumerate()
            .try_for_each(|(column, output)| self.hand_through(column, output))
    }

    /// `output` is this column.
    fn hand_through(&mut self, column: usize, output: &Output<'_>) -> Option<()> {
        let (field, leaves) = places(self.schema.fields(), 0).nth(column)?;
        let data_type = field.data_type();
        self.add(&Part { data_type, leaves }, output)
    }

    /// `output` is this part.
    fn add(&mut self, part: &Part<'_>, output: &Output<'_>) -> Option<()> {
        let leaves = self.used.get_mut(part.leaves.clone())?;
        let alike = part.data_type.equals_datatype(output.data_type);
        if !alike || leaves.len() != output.used.len() {
            leaves.fill(true);
            return Some(());
        }
        for (leaf, is_used) in leaves.iter_mut().zip(output.used) {
            *leaf |= is_used;
        }
        Some(())
    }

    /// What an expression may stand for, if it is the name of a column or of a member.
    fn parts(&self, expression: &Expr) -> Vec<Part<'a>> {
        match expression {
            Expr::Alias(alias) => self.parts(&alias.expr),
            Expr::Column(column) => {
                let columns = places(self.schema.fields(), 0).zip(self.schema.iter());
                let named = columns.filter(|(_, (qualifier, field))| {
                    let qualifiers = column.relation.as_ref().zip(*qualifier);
                    field.name() == &column.name
                        && qualifiers.is_none_or(|(one, other)| one.resolved_eq(other))
                });
                let parts = named.map(|((field, leaves), _)| Part {
                    data_type: field.data_type(),
                    leaves,
                });
                parts.collect()
            }
            Expr::ScalarFunction(function) if function.func.inner().is::<GetFieldFunc>() => {
                let Some((of, names)) = function.args.split_first() else {
                    return Vec::new();
                };
                let parts = self.parts(of).into_iter().map(|part| {
                    let mut names = names.iter();
                    names.try_fold(part, |part, name| part.member(name))
                });
                let parts: Option<Vec<Part<'a>>> = parts.collect();
                parts.unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}

impl Part<'_> {
    fn member(&self, name: &Expr) -> Option<Self> {
        let (DataType::Struct(fields), Expr::Literal(name, _)) = (self.data_type, name) else {
            return None;
        };
        let name = name.try_as_str()??;
        let mut members = places(fields, self.leaves.start);
        let (field, leaves) = members.find(|(field, _)| field.name() == name)?;
        let data_type = field.data_type();
        Some(Self { data_type, leaves })
    }
}

/// Adds what `expression` names to the inputs that have it, to all of them where it is not clear
/// which. `None` where none has it.
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

/// As [`add`], where no more is used of the value than of `output`.
fn add_column(expression: &Expr, output: &Output<'_>, inputs: &mut [Input<'_>]) -> Option<()> {
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
