//! The types of what the expressions of a plan refer to.

use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::utils::merge_schema;

/// Returns the schema that the expressions of a node refer to.
pub(crate) fn input_schema(node: &LogicalPlan) -> Result<DFSchema, DataFusionError> {
    let mut schema = merge_schema(&node.inputs());
    if let LogicalPlan::TableScan(scan) = node {
        let (table, source) = (scan.table_name.clone(), scan.source.schema());
        schema.merge(&DFSchema::try_from_qualified_schema(table, &source)?);
    }
    Ok(schema)
}
