//! `sum` that fails on overflow.
//!
//! ```text
//! BIGINT ─cast→ DECIMAL(38, 0) ─DataFusion's sum→ DECIMAL(38, 0) ─checked cast→ BIGINT
//! ```
//! The sum of the wider type cannot overflow, so that the result does not depend on the order of the
//! rows: partial sums of tasks may be beyond the range that the result is in.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field, FieldRef,
};
use datafusion::common::{Result, ScalarValue, not_impl_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator,
    ReversedUDAF, SetMonotonicity, Signature,
};

use crate::engine::checked::arithmetic::type_name;
use crate::error::Error;

/// The maximum number of digits of which 10¹² values have a sum of at most 38 digits.
const MAX_DIGITS_OF_128_BITS: u8 = 26;

/// Returns the function that replaces DataFusion's `sum`.
pub(super) fn checked_sum() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(CheckedSum { sum: sum_udaf() }))
}

/// DataFusion's `sum`, computed in a wider type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CheckedSum {
    sum: Arc<AggregateUDF>,
}

/// Returns the type in which values are added, if their own would wrap around.
fn wider_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if *precision <= MAX_DIGITS_OF_128_BITS =>
        {
            Some(DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale))
        }
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
            Some(DataType::Decimal256(DECIMAL256_MAX_PRECISION, *scale))
        }
        integer if integer.is_integer() => Some(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0)),
        _ => None,
    }
}

/// The types of a sum that is computed in a wider type.
#[derive(Debug, Clone)]
struct Widening {
    wide: DataType,
    result: DataType,
}

impl Widening {
    /// Returns how the sum of `inputs` is computed, or `None` for types that do not wrap around.
    fn of(inputs: &[FieldRef], result: &FieldRef) -> Option<Self> {
        Some(Self {
            wide: wider_type(inputs.first()?.data_type())?,
            result: result.data_type().clone(),
        })
    }

    fn wide_field(&self, field: &FieldRef) -> FieldRef {
        let field = Field::clone(field).with_data_type(self.wide.clone());
        Arc::new(field)
    }

    fn widen(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let widened = values.iter().map(|array| strict_cast(array, &self.wide));
        widened.collect()
    }

    fn narrow(&self, sums: &ArrayRef) -> Result<ArrayRef> {
        strict_cast(sums, &self.result).map_err(|_| {
            let range = type_name(&self.result);
            Error::data(format!("arithmetic overflow: a `sum` is beyond the range of {range}"))
                .with_hint(
                    "cast the summed values to a wider type first, such as `sum(CAST(x AS DECIMAL(38, 0)))`",
                )
                .into()
        })
    }
}

fn strict_cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    Ok(cast_with_options(array, to, &options)?)
}

/// Calls `$create` of DataFusion's sum, with the types of the wider sum.
macro_rules! create_wide {
    ($self:ident, $create:ident, $args:ident, $widening:ident) => {{
        let fields: Vec<FieldRef> = $args
            .expr_fields
            .iter()
            .map(|field| $widening.wide_field(field))
            .collect();
        $self.sum.$create(AccumulatorArgs {
            return_field: $widening.wide_field(&$args.return_field),
            expr_fields: &fields,
            ..$args
        })?
    }};
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.sum.name()
    }

    fn signature(&self) -> &Signature {
        self.sum.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.sum.return_type(arguments)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let Some(widening) = Widening::of(args.input_fields, &args.return_field) else {
            return self.sum.state_fields(args);
        };
        let input_fields: Vec<FieldRef> = args
            .input_fields
            .iter()
            .map(|field| widening.wide_field(field))
            .collect();
        self.sum.state_fields(StateFieldsArgs {
            input_fields: &input_fields,
            return_field: widening.wide_field(&args.return_field),
            ..args
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Some(widening) = Widening::of(args.expr_fields, &args.return_field) else {
            return self.sum.accumulator(args);
        };
        let inner = create_wide!(self, accumulator, args, widening);
        Ok(Box::new(WideAccumulator { widening, inner }))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        let Some(widening) = Widening::of(args.expr_fields, &args.return_field) else {
            return self.sum.create_sliding_accumulator(args);
        };
        if args.is_distinct {
            return not_impl_err!("sum(DISTINCT …) over a window frame that slides");
        }
        let inner = create_wide!(self, create_sliding_accumulator, args, widening);
        Ok(Box::new(WideAccumulator { widening, inner }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.sum.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let Some(widening) = Widening::of(args.expr_fields, &args.return_field) else {
            return self.sum.create_groups_accumulator(args);
        };
        let inner = create_wide!(self, create_groups_accumulator, args, widening);
        Ok(Box::new(WideGroupsAccumulator { widening, inner }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.sum.inner().set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.sum.documentation()
    }
}

/// An accumulator of one group.
#[derive(Debug)]
struct WideAccumulator {
    widening: Widening,
    inner: Box<dyn Accumulator>,
}

impl Accumulator for WideAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&self.widening.widen(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.inner.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&self.widening.narrow(&sum)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&self.widening.widen(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

/// An accumulator of many groups.
struct WideGroupsAccumulator {
    widening: Widening,
    inner: Box<dyn GroupsAccumulator>,
}

impl GroupsAccumulator for WideGroupsAccumulator {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = self.widening.widen(values)?;
        self.inner
            .update_batch(&values, group_indices, filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.widening.narrow(&self.inner.evaluate(emit_to)?)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.inner
            .merge_batch(values, group_indices, total_num_groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.inner
            .convert_to_state(&self.widening.widen(values)?, filter)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }
}
