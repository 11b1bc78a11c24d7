//! An aggregate function whose result for a group is bounded.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator,
    ReversedUDAF, Signature,
};

use crate::engine::bounded::function::HINT;
use crate::engine::bounded::sizes::{array_bytes, size};
use crate::error::Error;
use crate::view_gc::used_bytes;

/// The aggregate functions that keep every value that they are given.
pub(super) const FUNCTIONS: [&str; 2] = ["array_agg", "string_agg"];

/// Returns `function` with a bound on what it keeps of one group, in bytes. A function that has one
/// keeps it.
pub(super) fn bounded(function: Arc<AggregateUDF>, max_bytes: u64) -> Arc<AggregateUDF> {
    if function.inner().is::<BoundedAggregate>() {
        return function;
    }
    Arc::new(AggregateUDF::from(BoundedAggregate {
        function,
        max_bytes,
    }))
}

/// An aggregate function of DataFusion that fails if it would keep too much of one group.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct BoundedAggregate {
    function: Arc<AggregateUDF>,
    max_bytes: u64,
}

impl BoundedAggregate {
    /// Returns the maximum size of what is kept of one group, in bytes.
    #[cfg(feature = "cluster")]
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    fn accumulator_of(
        &self,
        inner: Box<dyn Accumulator>,
        is_distinct: bool,
    ) -> Box<dyn Accumulator> {
        Box::new(BoundedAccumulator {
            inner,
            is_distinct,
            bound: self.bound(),
            added: 0,
        })
    }

    fn bound(&self) -> GroupBound {
        GroupBound {
            name: self.function.name().to_owned(),
            max_bytes: self.max_bytes,
        }
    }
}

/// The bound of one group, and whose it is.
#[derive(Debug)]
struct GroupBound {
    name: String,
    max_bytes: u64,
}

impl GroupBound {
    fn too_large(&self, bytes: u64) -> DataFusionError {
        let Self { name, max_bytes } = self;
        let (size, max) = (size(bytes), size(*max_bytes));
        Error::data(format!(
            "`{name}` would give {size} for one group, more than the {max} that a function may"
        ))
        .with_hint(HINT)
        .into()
    }
}

fn bytes_of(values: &[ArrayRef]) -> u64 {
    values.iter().map(|array| used_bytes(array) as u64).sum()
}

impl AggregateUDFImpl for BoundedAggregate {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.function.schema_name(params)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.function.human_display(params)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.function.window_function_schema_name(params)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.function.display_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.function.window_function_display_name(params)
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.function.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.function.is_nullable()
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.function.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let is_distinct = args.is_distinct;
        Ok(self.accumulator_of(self.function.accumulator(args)?, is_distinct))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        let is_distinct = args.is_distinct;
        let inner = self.function.create_sliding_accumulator(args)?;
        Ok(self.accumulator_of(inner, is_distinct))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.function.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(BoundedGroupsAccumulator {
            inner: self.function.create_groups_accumulator(args)?,
            bound: self.bound(),
            groups: Vec::new(),
        }))
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial_ordering: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let function = AggregateUDF::clone(&self.function);
        let ordered = function.with_beneficial_ordering(beneficial_ordering)?;
        Ok(ordered.map(|function| {
            Arc::new(Self {
                function: Arc::new(function),
                max_bytes: self.max_bytes,
            }) as Arc<dyn AggregateUDFImpl>
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.function.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.function.reverse_udf() {
            ReversedUDAF::Reversed(function) => {
                ReversedUDAF::Reversed(bounded(function, self.max_bytes))
            }
            other => other,
        }
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.function.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.function.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.function.supports_within_group_clause()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

/// The values of one group.
#[derive(Debug)]
struct BoundedAccumulator {
    inner: Box<dyn Accumulator>,
    bound: GroupBound,
    /// True if of equal values one is kept.
    is_distinct: bool,
    /// The bytes that were added, at least those that are kept.
    added: u64,
}

impl BoundedAccumulator {
    fn add(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.added = self.added.saturating_add(bytes_of(values));
        if self.added <= self.bound.max_bytes {
            return Ok(());
        }
        if self.is_distinct {
            // Counts what is kept, one by one.
            self.added = self.inner.size() as u64 + bytes_of(values);
        }
        match self.added > self.bound.max_bytes {
            true => Err(self.bound.too_large(self.added)),
            false => Ok(()),
        }
    }
}

impl Accumulator for BoundedAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values)?;
        self.inner.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.add(states)?;
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.added = self.added.saturating_sub(bytes_of(values));
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

/// The values of many groups.
struct BoundedGroupsAccumulator {
    inner: Box<dyn GroupsAccumulator>,
    bound: GroupBound,
    /// The bytes that were added to each group.
    groups: Vec<u64>,
}

impl BoundedGroupsAccumulator {
    /// Counts the values that each group gets, and fails before they are copied.
    fn add(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.groups.resize(groups, 0);
        let Some(first) = values.first() else {
            return Ok(());
        };
        let is_used =
            |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        for (row, (group, bytes)) in group_indices.iter().zip(array_bytes(first)).enumerate() {
            if let Some(sum) = self.groups.get_mut(*group)
                && is_used(row)
            {
                *sum = sum.saturating_add(bytes);
                if *sum > self.bound.max_bytes {
                    return Err(self.bound.too_large(*sum));
                }
            }
        }
        Ok(())
    }

    fn emit(&mut self, emit_to: EmitTo) {
        match emit_to {
            EmitTo::All => self.groups.clear(),
            EmitTo::First(count) => {
                self.groups.drain(..count.min(self.groups.len()));
            }
        }
    }
}

impl GroupsAccumulator for BoundedGroupsAccumulator {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.add(values, group_indices, filter, total_num_groups)?;
        self.inner
            .update_batch(values, group_indices, filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.emit(emit_to);
        self.inner.evaluate(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.emit(emit_to);
        self.inner.state(emit_to)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.add(values, group_indices, None, total_num_groups)?;
        self.inner
            .merge_batch(values, group_indices, total_num_groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.groups.capacity() * size_of::<u64>() + self.inner.size()
    }
}
