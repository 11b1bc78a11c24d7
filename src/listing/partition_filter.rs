//! Partition filters: conditions that the values of the folders alone decide.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;

/// Tells DataFusion which filters the list of files decides: those on partition columns. Others stay
/// in the plan.
pub(crate) fn filter_pushdown(
    filters: &[&Expr],
    partition_fields: &[FieldRef],
) -> Vec<TableProviderFilterPushDown> {
    let pushdown = filters.iter().map(|filter| {
        if decided_by_partitions(filter, partition_fields) {
            TableProviderFilterPushDown::Exact
        } else {
            TableProviderFilterPushDown::Inexact
        }
    });
    pushdown.collect()
}

/// Returns true if the values of the partition columns decide `filter` exactly.
fn decided_by_partitions(filter: &Expr, partition_fields: &[FieldRef]) -> bool {
    let names: Vec<&str> = partition_fields
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    !filter.column_refs().is_empty()
        && expr_applicable_for_cols(&names, filter)
        && !needs_other_rows(filter)
}

/// Returns true if `filter` depends on other tables, or on the row of an outer query.
fn needs_other_rows(filter: &Expr) -> bool {
    let mut needs = false;
    // The closure does not fail, and then neither does the walk.
    let _ = filter.apply(|expr| {
        needs |= matches!(
            expr,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(_, _)
        );
        Ok(TreeNodeRecursion::Continue)
    });
    needs
}

/// The filters of one scan that the partition columns decide, each applied at the level of folders
/// at which its last column is known.
#[derive(Debug)]
pub(crate) struct PartitionFilters {
    schema: SchemaRef,
    /// The number of partition columns that a filter needs, and the filter.
    filters: Vec<(usize, Arc<dyn PhysicalExpr>)>,
}

impl PartitionFilters {
    /// Plans those of a scan's filters that the partition columns decide.
    ///
    /// # Errors
    /// DataFusion cannot plan a filter over the partition columns.
    pub(crate) fn new(
        state: &dyn Session,
        partition_fields: &[FieldRef],
        filters: &[Expr],
    ) -> Result<Self> {
        let fields: Vec<FieldRef> = partition_fields
            .iter()
            .map(|field| Arc::new(field.as_ref().clone().with_nullable(true)))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let df_schema = DFSchema::try_from(Arc::clone(&schema))?;
        let mut planned = Vec::new();
        for filter in filters {
            if !decided_by_partitions(filter, partition_fields) {
                continue;
            }
            let depth = filter
                .column_refs()
                .iter()
                .filter_map(|column| schema.index_of(&column.name).ok())
                .max()
                .map_or(0, |last| last + 1);
            planned.push((
                depth,
                state.create_physical_expr(filter.clone(), &df_schema)?,
            ));
        }
        Ok(Self {
            schema,
            filters: planned,
        })
    }

    /// Returns true if a filter needs more than the first `depth` columns.
    pub(crate) fn need_more_than(&self, depth: usize) -> bool {
        self.filters.iter().any(|(needed, _)| *needed > depth)
    }

    /// Returns, for each candidate, true if it passes the filters that need exactly the first
    /// `depth` columns.
    ///
    /// A candidate has the values of the first `depth` columns.
    ///
    /// # Errors
    /// A filter fails on a value, such as a division by zero.
    pub(crate) fn matches(&self, depth: usize, candidates: &[&[ScalarValue]]) -> Result<Vec<bool>> {
        let mut matches = vec![true; candidates.len()];
        if candidates.is_empty() || self.filters.iter().all(|(needed, _)| *needed != depth) {
            return Ok(matches);
        }
        let columns = (0..depth)
            .map(|column| {
                let values = candidates.iter().map(|values| values[column].clone());
                ScalarValue::iter_to_array(values)
            })
            .collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(self.schema.project(&(0..depth).collect::<Vec<_>>())?);
        let batch = RecordBatch::try_new(schema, columns)?;
        for (_, filter) in self.filters.iter().filter(|(needed, _)| *needed == depth) {
            let values = filter.evaluate(&batch)?.into_array(candidates.len())?;
            let Some(verdicts) = values.as_boolean_opt() else {
                return internal_err!("the filter {filter} gives {}", values.data_type());
            };
            for (row, is_match) in matches.iter_mut().enumerate() {
                *is_match &= verdicts.is_valid(row) && verdicts.value(row);
            }
        }
        Ok(matches)
    }

    /// Returns, for each candidate, true if it passes every filter. A candidate has the values of
    /// all partition columns.
    ///
    /// # Errors
    /// A filter fails on a value, as in [`Self::matches`].
    pub(crate) fn matches_complete(&self, candidates: &[&[ScalarValue]]) -> Result<Vec<bool>> {
        let mut matches = vec![true; candidates.len()];
        for depth in 1..=self.schema.fields().len() {
            let known: Vec<&[ScalarValue]> =
                candidates.iter().map(|values| &values[..depth]).collect();
            for (is_match, at_depth) in matches.iter_mut().zip(self.matches(depth, &known)?) {
                *is_match &= at_depth;
            }
        }
        Ok(matches)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::logical_expr::{col, lit};
    use datafusion::prelude::SessionContext;

    use super::*;

    fn fields() -> Vec<FieldRef> {
        vec![
            Arc::new(Field::new("org", DataType::Utf8, false)),
            Arc::new(Field::new("hour", DataType::Int32, false)),
        ]
    }

    fn folder(org: &str, hour: Option<i32>) -> Vec<ScalarValue> {
        vec![ScalarValue::from(org), ScalarValue::Int32(hour)]
    }

    #[test]
    fn only_partition_columns_decide() {
        let fields = fields();
        assert!(decided_by_partitions(&col("hour").gt(lit(3)), &fields));
        assert!(!decided_by_partitions(&col("name").eq(lit("x")), &fields));
        assert!(!decided_by_partitions(
            &col("hour").gt(col("name")),
            &fields
        ));
        assert!(!decided_by_partitions(&lit(true), &fields));
    }

    #[test]
    fn filters_apply_once_their_columns_are_known() {
        let state = SessionContext::new().state();
        let conditions = [
            col("org").eq(lit("a")),
            col("hour").gt(lit(3)),
            col("name").eq(lit("x")),
        ];
        let filters = PartitionFilters::new(&state, &fields(), &conditions).unwrap();
        let (a, b) = (folder("a", None), folder("b", None));
        assert_eq!(
            filters.matches(1, &[&a[..1], &b[..1]]).unwrap(),
            [true, false]
        );
        let (low, high, null) = (
            folder("a", Some(3)),
            folder("a", Some(4)),
            folder("a", None),
        );
        let all: [&[ScalarValue]; 3] = [&low, &high, &null];
        assert_eq!(filters.matches(2, &all).unwrap(), [false, true, false]);
        let other = folder("b", Some(4));
        assert_eq!(
            filters.matches_complete(&[&high, &other]).unwrap(),
            [true, false]
        );
    }
}
