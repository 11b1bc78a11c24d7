//! Names of exported columns that nobody gave: `events.id + Int64(1)`.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::{Error, Result};
use crate::refusal::position::Refusal;
use crate::sql_file::SqlFile;

/// Refuses a query whose columns have names that were not written: those of expressions without `AS`,
/// empty ones, and those of two columns at once.
///
/// # Errors
/// [`Error::invalid`] with file and line, and what to write instead.
pub(crate) fn refuse_unnamed(sql: &SqlFile, input: &LogicalPlan) -> Result<()> {
    refuse_clashing(sql, input.schema())?;
    let unnamed = Unnamed::find(input).map_err(|error| sql.rejected(&error))?;
    let fields = input.schema().fields().iter();
    let mut complaints = Vec::new();
    for (index, field) in fields.enumerate() {
        let position = index + 1;
        if let Some(expression) = unnamed.expressions.get(field.name()) {
            complaints.push(nameless_expression(sql, position, field.name(), expression));
        } else if has_empty_name(field) {
            let what =
                format!("column {position} of the query, or a field of it, has an empty name");
            let complaint = sql.complaint(sql.first_line_of("as"), what);
            complaints.push(complaint.with_hint("give it a name: `AS …`"));
        } else if unnamed.has_struct && has_counted_names(field) {
            let what = format!(
                "column {position} of the query, `{}`, has fields without a name, which would be called \
                 `c0`, `c1` and so on",
                field.name()
            );
            let complaint = sql.complaint(sql.first_line_of("struct"), what);
            complaints.push(complaint.with_hint("write `named_struct('name', value, …)`"));
        }
    }
    Error::all(complaints)
}

fn nameless_expression(sql: &SqlFile, position: usize, name: &str, near: &Expr) -> Error {
    let position_of = Refusal {
        what: "",
        hint: String::new(),
        near: near.clone(),
        words: &["select"],
    };
    let what = format!("column {position} of the query has no name: it would be called `{name}`");
    let hint = match field_name(near) {
        Some(field) => format!("give it a name: `… AS {field}`"),
        None => "give it a name: `… AS name`".to_owned(),
    };
    sql.complaint(position_of.line(sql), what).with_hint(hint)
}

/// Returns the name of the field that an expression takes from a struct.
fn field_name(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::ScalarFunction(function) if function.name() == "get_field" => {
            match function.args.last()? {
                Expr::Literal(value, _) => value.try_as_str().flatten(),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The names that DataFusion makes up in a plan.
struct Unnamed {
    /// The expressions that have no alias, by the name that they get.
    expressions: BTreeMap<String, Expr>,
    /// True if a function gives the fields of a struct names that count them.
    has_struct: bool,
}

impl Unnamed {
    fn find(plan: &LogicalPlan) -> Result<Self, DataFusionError> {
        let mut found = Self {
            expressions: BTreeMap::new(),
            has_struct: false,
        };
        plan.apply(|node| {
            if names_columns(node) {
                node.apply_expressions(|expression| {
                    found.add(expression);
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
            node.apply_expressions(|expression| {
                expression.apply(|part| {
                    found.has_struct |= matches!(part, Expr::ScalarFunction(function)
                        if ["struct", "row"].contains(&function.name()));
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(found)
    }

    fn add(&mut self, expression: &Expr) {
        let name = expression.schema_name().to_string();
        let is_unnamed = match expression {
            Expr::Column(_) => false,
            // These get an alias from the planner.
            Expr::Alias(alias) => {
                alias.name.starts_with("UNNEST(") || alias.name.starts_with("count(*)")
            }
            // A cast has the name of its operand.
            _ => !is_identifier(&name),
        };
        if is_unnamed {
            self.expressions.insert(name, expression.clone());
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_part)
}

/// Returns true if the expressions of a node are its columns.
fn names_columns(node: &LogicalPlan) -> bool {
    matches!(
        node,
        LogicalPlan::Projection(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Distinct(_)
    )
}

fn has_empty_name(field: &Field) -> bool {
    field.name().is_empty() || inner_fields(field).iter().any(has_empty_name)
}

/// Returns true if a struct in a column has fields that are called `c0`, `c1` and so on.
fn has_counted_names(field: &Field) -> bool {
    let inner = inner_fields(field);
    let mut names = inner.iter().enumerate();
    let is_counted =
        !inner.is_empty() && names.all(|(index, field)| *field.name() == format!("c{index}"));
    is_counted || inner.iter().any(has_counted_names)
}

/// Returns the fields inside of a struct, a list or a map. The names of items are nobody's choice.
fn inner_fields(field: &Field) -> Vec<Field> {
    match field.data_type() {
        DataType::Struct(fields) => fields.iter().map(|inner| inner.as_ref().clone()).collect(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => inner_fields(item),
        _ => Vec::new(),
    }
}

/// Refuses columns of the same name: a file cannot have them both.
fn refuse_clashing(sql: &SqlFile, schema: &DFSchema) -> Result<()> {
    let mut by_name: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (qualifier, field) in schema.iter() {
        let written = match qualifier {
            Some(table) => format!("`{table}.{}`", field.name()),
            None => format!("`{}`", field.name()),
        };
        by_name.entry(field.name()).or_default().push(written);
    }
    let clashing: Vec<String> = by_name
        .values()
        .filter(|columns| columns.len() > 1)
        .map(|columns| columns.join(" and "))
        .collect();
    if clashing.is_empty() {
        return Ok(());
    }
    let what = format!("columns with the same name: {}", clashing.join(", "));
    let complaint = sql.complaint(sql.first_line_of("select"), what);
    Err(complaint.with_hint(
        "write the columns of one of the tables instead of `*`, and rename them: `u.id AS user_id`",
    ))
}
