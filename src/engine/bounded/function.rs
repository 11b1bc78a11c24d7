//! A scalar function whose results are bounded.

use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, StructFieldMapping,
};

use crate::engine::bounded::growth::Growth;
use crate::engine::bounded::sizes::size;
use crate::error::Error;
use crate::view_gc::used_bytes;

/// Returns `function` with a bound on the bytes of its results for one batch. A function that has one
/// keeps it.
pub(super) fn bounded(function: Arc<ScalarUDF>, max_bytes: u64) -> Arc<ScalarUDF> {
    if function.inner().is::<BoundedFunction>() {
        return function;
    }
    Arc::new(ScalarUDF::from(BoundedFunction {
        growth: Growth::of(function.name()),
        function,
        max_bytes,
    }))
}

/// A function of DataFusion that fails if its results for one batch would be too large.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct BoundedFunction {
    function: Arc<ScalarUDF>,
    growth: Growth,
    max_bytes: u64,
}

impl BoundedFunction {
    /// Returns the maximum size of the results for one batch, in bytes.
    #[cfg(feature = "cluster")]
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Fails if the result for constant arguments would be too large.
    pub(super) fn check_constants(&self, arguments: &[ScalarValue]) -> Result<()> {
        let arguments: Vec<ColumnarValue> = arguments
            .iter()
            .map(|argument| ColumnarValue::Scalar(argument.clone()))
            .collect();
        match self.growth.bound(&arguments, 1)? {
            bound if bound > self.max_bytes => {
                let what = self.too_large_text(bound);
                Err(Error::invalid(what).with_hint(HINT).into())
            }
            _ => Ok(()),
        }
    }

    fn too_large(&self, bytes: u64) -> DataFusionError {
        let what = self.too_large_text(bytes);
        Error::data(what).with_hint(HINT).into()
    }

    fn too_large_text(&self, bytes: u64) -> String {
        let name = self.function.name();
        let (size, max) = (size(bytes), size(self.max_bytes));
        format!(
            "`{name}` would give {size} for a batch of rows, more than the {max} that a function may"
        )
    }

    /// Invokes the function for all rows, or for half of them at a time if the bound of their results is
    /// too large: the results may be smaller than that.
    fn invoke(&self, arguments: ScalarFunctionArgs, given: &mut u64) -> Result<ColumnarValue> {
        let is_constant = is_constant(&arguments.args);
        let rows = if is_constant {
            1
        } else {
            arguments.number_rows
        };
        let bound = self.growth.bound(&arguments.args, rows)?;
        if given.saturating_add(bound) <= self.max_bytes {
            *given = given.saturating_add(bound);
            return self.function.invoke_with_args(arguments);
        }
        if rows <= 1 {
            return Err(self.too_large(given.saturating_add(bound)));
        }
        let half = rows / 2;
        let mut parts = Vec::with_capacity(2);
        for (start, length) in [(0, half), (half, rows - half)] {
            let before = *given;
            let part = self.invoke(slice(&arguments, start, length), given)?;
            let part = part.into_array(length)?;
            *given = before.saturating_add(used_bytes(&part) as u64);
            if *given > self.max_bytes {
                return Err(self.too_large(*given));
            }
            parts.push(part);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }
}

/// The advice about a result that is too large.
pub(super) const HINT: &str = "make it smaller in the query, or raise --memory-limit: the maximum is a quarter of it, from 16 MiB to 256 MiB";

fn is_constant(arguments: &[ColumnarValue]) -> bool {
    let is_scalar = |argument: &ColumnarValue| matches!(argument, ColumnarValue::Scalar(_));
    arguments.iter().all(is_scalar)
}

fn slice(arguments: &ScalarFunctionArgs, start: usize, length: usize) -> ScalarFunctionArgs {
    let sliced = arguments.args.iter().map(|argument| match argument {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(start, length)),
        ColumnarValue::Scalar(scalar) => ColumnarValue::Scalar(scalar.clone()),
    });
    ScalarFunctionArgs {
        args: sliced.collect(),
        arg_fields: arguments.arg_fields.clone(),
        number_rows: length,
        return_field: Arc::clone(&arguments.return_field),
        config_options: Arc::clone(&arguments.config_options),
    }
}

impl ScalarUDFImpl for BoundedFunction {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        self.function.schema_name(arguments)
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let function = Arc::new(self.function.inner().with_updated_config(config)?);
        Some(ScalarUDF::from(Self {
            function,
            growth: self.growth,
            max_bytes: self.max_bytes,
        }))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function.return_field_from_args(arguments)
    }

    fn is_strict(&self) -> bool {
        self.function.is_strict()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.invoke(arguments, &mut 0)
    }

    /// The simplified expression may be a call of the same function with other arguments.
    fn simplify(
        &self,
        arguments: Vec<Expr>,
        context: &SimplifyContext,
    ) -> Result<ExprSimplifyResult> {
        let simplified = match self.function.simplify(arguments, context)? {
            ExprSimplifyResult::Simplified(simplified) => simplified,
            original => return Ok(original),
        };
        let bounded = simplified.transform_up(|expression| match expression {
            Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == self.name() => {
                let func = bounded(func, self.max_bytes);
                Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction {
                    func,
                    args,
                })))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(ExprSimplifyResult::Simplified(bounded.data))
    }

    fn preimage(
        &self,
        arguments: &[Expr],
        literal: &Expr,
        context: &SimplifyContext,
    ) -> Result<PreimageResult> {
        self.function.preimage(arguments, literal, context)
    }

    fn short_circuits(&self) -> bool {
        self.function.short_circuits()
    }

    fn conditional_arguments<'a>(
        &self,
        arguments: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function.conditional_arguments(arguments)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.function.evaluate_bounds(inputs)
    }

    fn propagate_constraints(
        &self,
        interval: &Interval,
        inputs: &[&Interval],
    ) -> Result<Option<Vec<Interval>>> {
        self.function.propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function.preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function.strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn struct_field_mapping(&self, literals: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.function.struct_field_mapping(literals)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }

    fn placement(&self, arguments: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.function.placement(arguments)
    }
}
