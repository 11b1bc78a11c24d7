//! The methods of an operator that stands for one of DataFusion and changes only how it is executed.

/// Defines the methods of `ExecutionPlan` that an operator leaves to its `node`, the operator of DataFusion.
/// It has its own name, properties and execution, and replaces its children itself.
macro_rules! leave_to_node {
    () => {
        fn children(&self) -> Vec<&std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
            self.node.children()
        }

        fn input_distribution_requirements(
            &self,
        ) -> datafusion::physical_plan::InputDistributionRequirements {
            self.node.input_distribution_requirements()
        }

        fn maintains_input_order(&self) -> Vec<bool> {
            self.node.maintains_input_order()
        }

        fn benefits_from_input_partitioning(&self) -> Vec<bool> {
            self.node.benefits_from_input_partitioning()
        }

        fn apply_expressions(
            &self,
            visit: &mut dyn FnMut(
                &std::sync::Arc<dyn datafusion::physical_expr::PhysicalExpr>,
            ) -> datafusion::common::Result<
                datafusion::common::tree_node::TreeNodeRecursion,
            >,
        ) -> datafusion::common::Result<datafusion::common::tree_node::TreeNodeRecursion> {
            self.node.apply_expressions(visit)
        }

        fn with_new_children(
            self: std::sync::Arc<Self>,
            children: Vec<std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>>,
        ) -> datafusion::common::Result<std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>>
        {
            let options = datafusion::physical_plan::ReplaceChildrenOptions::new(
                datafusion::physical_plan::ChildrenPropertiesMode::Recompute,
            );
            self.replace_children(children, options)
        }

        fn metrics(&self) -> Option<datafusion::physical_plan::metrics::MetricsSet> {
            self.node.metrics()
        }
    };
}

pub(super) use leave_to_node;
