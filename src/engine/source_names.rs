//! The sources that a definition reads.

use std::collections::BTreeSet;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;

use crate::engine::BoundDefinition;
use crate::engine_error::from_datafusion;
use crate::error::Result;

impl BoundDefinition {
    /// Returns the names of the tables that the query reads, those of its subqueries included.
    pub(crate) fn source_names(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        self.plan
            .apply_with_subqueries(|node| {
                if let LogicalPlan::TableScan(scan) = node {
                    names.insert(scan.table_name.table().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })
            .map_err(from_datafusion)?;
        Ok(names)
    }
}
