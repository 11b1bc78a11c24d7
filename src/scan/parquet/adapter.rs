//! Expressions over the declared columns, rewritten for the columns of one file.
//!
//! DataFusion's own adapter casts a column whose types differ. This one puts a [`CheckedExpr`] in the
//! place of every column that needs a look. A condition only selects row groups, so it gets the plain
//! column where that compares in the same way: DataFusion skips row groups by no other expressions.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, Literal, lit};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};

use super::checked_expr::CheckedExpr;
use super::comparison::compare_instants;
use super::open_file::OpenFile;
use super::rule::{ColumnRule, missing};

/// Creates the adapters of one file.
#[derive(Debug)]
pub(super) struct CheckedAdapterFactory(pub(super) Arc<OpenFile>);

impl PhysicalExprAdapterFactory for CheckedAdapterFactory {
    fn create(
        &self,
        declared: SchemaRef,
        stored: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let file = Arc::clone(&self.0);
        Ok(Arc::new(CheckedAdapter {
            file,
            declared,
            stored,
        }))
    }
}

#[derive(Debug)]
struct CheckedAdapter {
    file: Arc<OpenFile>,
    declared: SchemaRef,
    stored: SchemaRef,
}

/// The use of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Its values go into the rows.
    Values,
    /// It says which rows are needed.
    Condition,
}

/// A column or a field inside it, as an expression names it.
struct Access<'a> {
    column: &'a Column,
    fields: Vec<&'a str>,
    /// The call of `get_field`, if the expression is not the column itself.
    get_field: Option<&'a ScalarFunctionExpr>,
}

/// The replacement of an access.
enum Adapted {
    Expr(Arc<dyn PhysicalExpr>),
    /// Nothing: the column inside of the access is replaced.
    Inside,
}

impl PhysicalExprAdapter for CheckedAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let is_boolean = || matches!(expr.data_type(&self.declared), Ok(DataType::Boolean));
        let purpose = match Access::of(&expr).is_none() && is_boolean() {
            true => Purpose::Condition,
            false => Purpose::Values,
        };
        expr.transform_down(|node| self.rewrite_node(node, purpose))
            .data()
    }
}

impl CheckedAdapter {
    fn rewrite_node(
        &self,
        node: Arc<dyn PhysicalExpr>,
        purpose: Purpose,
    ) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
        let replaced = |expr| Ok(Transformed::new(expr, true, TreeNodeRecursion::Jump));
        if purpose == Purpose::Condition
            && let Some(comparison) = self.compare_instants(&node)?
        {
            return replaced(comparison);
        }
        let Some(access) = Access::of(&node) else {
            return Ok(Transformed::no(node));
        };
        match self.adapt(&access, purpose)? {
            Adapted::Expr(expr) => replaced(expr),
            Adapted::Inside => Ok(Transformed::no(node)),
        }
    }

    /// Returns the comparison of instants that the file counts in another unit, if `node` is one.
    fn compare_instants(
        &self,
        node: &Arc<dyn PhysicalExpr>,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(comparison) = node.downcast_ref::<BinaryExpr>() else {
            return Ok(None);
        };
        let (left, right, op) = (comparison.left(), comparison.right(), *comparison.op());
        let (access, literal, op) = match (
            Access::of(left),
            right.downcast_ref::<Literal>(),
            Access::of(right),
            left.downcast_ref::<Literal>(),
            op.swap(),
        ) {
            (Some(access), Some(literal), ..) => (access, literal, op),
            (_, _, Some(access), Some(literal), Some(swapped)) => (access, literal, swapped),
            _ => return Ok(None),
        };
        let Some((column, rule)) = self.stored_column(&access)? else {
            return Ok(None);
        };
        let units = match rule.keeps_order() {
            true => None,
            false => rule.time_units(),
        };
        Ok(units
            .and_then(|units| compare_instants(&column, rule.stored(), op, literal.value(), units)))
    }

    fn adapt(&self, access: &Access<'_>, purpose: Purpose) -> Result<Adapted> {
        let Some(declared) = field(&self.declared, access) else {
            return Ok(Adapted::Inside);
        };
        let path = access.path();
        if field(&self.stored, access).is_none() {
            if !declared.is_nullable() {
                return Err(self.file.unreadable(missing(&path)));
            }
            let null = ScalarValue::try_from(declared.data_type())?;
            return Ok(Adapted::Expr(lit(null)));
        }
        let Some((column, rule)) = self.stored_column(access)? else {
            return Ok(Adapted::Inside);
        };
        let is_order_kept = purpose == Purpose::Condition && rule.keeps_order();
        if rule.is_trivial() || is_order_kept {
            return Ok(Adapted::Expr(column));
        }
        if purpose == Purpose::Condition && rule.is_widening() {
            let target = Arc::new(Field::new(path, rule.declared().clone(), true));
            let cast = CastExpr::new_with_target_field(column, target, None);
            return Ok(Adapted::Expr(Arc::new(cast)));
        }
        let (rule, file) = (Arc::new(rule), Arc::clone(&self.file));
        Ok(Adapted::Expr(Arc::new(CheckedExpr::new(
            column, rule, file,
        ))))
    }

    /// Returns the expression that reads an access from the file, and its rule; `None` if a field
    /// cannot be read without the struct around it.
    fn stored_column(
        &self,
        access: &Access<'_>,
    ) -> Result<Option<(Arc<dyn PhysicalExpr>, ColumnRule)>> {
        let (Some(declared), Some(stored)) =
            (field(&self.declared, access), field(&self.stored, access))
        else {
            return Ok(None);
        };
        // Whether a required field is missing depends on the NULLs of the structs around it.
        if access.get_field.is_some() && !declared.is_nullable() && stored.is_nullable() {
            return Ok(None);
        }
        let rule = ColumnRule::new(&access.path(), &stored, &declared)
            .map_err(|unreadable| self.file.unreadable(unreadable))?;
        let name = access.column.name();
        let root: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(name, &self.stored)?);
        let column = match access.get_field {
            None => root,
            Some(call) => {
                let names = call.args().iter().skip(1).map(Arc::clone);
                Arc::new(ScalarFunctionExpr::try_new(
                    Arc::new(call.fun().clone()),
                    std::iter::once(root).chain(names).collect(),
                    &self.stored,
                    Arc::new(call.config_options().clone()),
                )?)
            }
        };
        if rule.stored() == stored.data_type() {
            return Ok(Some((column, rule)));
        }
        // The reader leaves out what such a cast leaves out.
        let read = Field::clone(&stored).with_data_type(rule.stored().clone());
        let read = CastExpr::new_with_target_field(column, Arc::new(read), None);
        Ok(Some((Arc::new(read), rule)))
    }
}

impl<'a> Access<'a> {
    /// Returns the access that an expression is; `None` for any other expression.
    fn of(expr: &'a Arc<dyn PhysicalExpr>) -> Option<Self> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            let fields = Vec::new();
            return Some(Self {
                column,
                fields,
                get_field: None,
            });
        }
        let call = ScalarFunctionExpr::try_downcast_func::<GetFieldFunc>(expr.as_ref())?;
        let (root, names) = call.args().split_first()?;
        let name = |expr: &'a Arc<dyn PhysicalExpr>| {
            let literal = expr.downcast_ref::<Literal>()?;
            literal.value().try_as_str().flatten()
        };
        Some(Self {
            column: root.downcast_ref::<Column>()?,
            fields: names.iter().map(name).collect::<Option<_>>()?,
            get_field: Some(call),
        })
    }

    fn path(&self) -> String {
        let names = std::iter::once(self.column.name()).chain(self.fields.iter().copied());
        names.collect::<Vec<_>>().join(".")
    }
}

/// Returns the field that an access names in a schema.
///
/// It is nullable if one of the structs around it is.
fn field(schema: &SchemaRef, access: &Access<'_>) -> Option<FieldRef> {
    let index = schema.index_of(access.column.name()).ok()?;
    let mut found = FieldRef::clone(schema.fields().get(index)?);
    for name in &access.fields {
        let DataType::Struct(fields) = found.data_type() else {
            return None;
        };
        let (_, inner) = fields.find(name)?;
        found = FieldRef::clone(inner);
    }
    Some(found)
}
