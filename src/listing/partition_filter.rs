//! Filters that folder values alone decide.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

/// Whether `filter` is decided, exactly, by the values of the partition columns.
pub(crate) fn decided_by_partitions(filter: &Expr, partition_fields: &[FieldRef]) -> bool {
    let names: Vec<&str> = partition_fields
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    !filter.column_refs().is_empty()
        && expr_applicable_for_cols(&names, filter)
        && !needs_other_rows(filter)
}

/// Whether other tables, or the row of an outer query, have a say.
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

/// The filters of one scan that [`decided_by_partitions`], each due at the level of folders at
/// which its last column is known.
#[derive(Debug)]
pub(crate) struct PartitionFilters {
    schema: SchemaRef,
    /// How many partition columns the filter needs, and the filter.
    filters: Vec<(usize, Arc<dyn PhysicalExpr>)>,
}

impl PartitionFilters {
    /// Takes its filters out of all those of a scan.
    ///
    /// # Errors
    /// Where DataFusion cannot plan a filter over the partition columns.
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

    /// Which candidates pass the filters that are due once `depth` columns are known.
    ///
    /// Each candidate holds the values of the first `depth` columns.
    ///
    /// # Errors
    /// Where a filter fails on a value, such as a division by zero.
    pub(crate) fn keep(&self, depth: usize, candidates: &[&[ScalarValue]]) -> Result<Vec<bool>> {
        let mut keep = vec![true; candidates.len()];
        if candidates.is_empty() || self.filters.iter().all(|(due, _)| *due != depth) {
            return Ok(keep);
        }
        let columns = (0..depth)
            .map(|column| {
                let values = candidates.iter().map(|values| values[column].clone());
                ScalarValue::iter_to_array(values)
            })
            .collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(self.schema.project(&(0..depth).collect::<Vec<_>>())?);
        let batch = RecordBatch::try_new(schema, columns)?;
        for (_, filter) in self.filters.iter().filter(|(due, _)| *due == depth) {
            let verdict = filter.evaluate(&batch)?.into_array(candidates.len())?;
            let Some(verdict) = verdict.as_boolean_opt() else {
                return internal_err!("the filter {filter} gives {}", verdict.data_type());
            };
            for (row, keep) in keep.iter_mut().enumerate() {
                *keep &= verdict.is_valid(row) && verdict.value(row);
            }
        }
        Ok(keep)
    }

    /// As [`Self::keep`], for values of all partition columns and every filter.
    ///
    /// # Errors
    /// As [`Self::keep`].
    pub(crate) fn keep_complete(&self, candidates: &[&[ScalarValue]]) -> Result<Vec<bool>> {
        let mut keep = vec![true; candidates.len()];
        for depth in 1..=self.schema.fields().len() {
            let known: Vec<&[ScalarValue]> =
                candidates.iter().map(|values| &values[..depth]).collect();
            for (keep, kept) in keep.iter_mut().zip(self.keep(depth, &known)?) {
                *keep &= kept;
            }
        }
        Ok(keep)
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
    fn filters_are_due_when_their_columns_are_known() {
        let state = SessionContext::new().state();
        let filters = [
            col("org").eq(lit("a")),
            col("hour").gt(lit(3)),
            col("name").eq(lit("x")),
        ];
        let filters = PartitionFilters::new(&state, &fields(), &filters).unwrap();
        let (a, b) = (folder("a", None), folder("b", None));
        assert_eq!(filters.keep(1, &[&a[..1], &b[..1]]).unwrap(), [true, false]);
        let (low, high, null) = (
            folder("a", Some(3)),
            folder("a", Some(4)),
            folder("a", None),
        );
        let all: [&[ScalarValue]; 3] = [&low, &high, &null];
        assert_eq!(filters.keep(2, &all).unwrap(), [false, true, false]);
        let other = folder("b", Some(4));
        assert_eq!(
            filters.keep_complete(&[&high, &other]).unwrap(),
            [true, false]
        );
    }
}
