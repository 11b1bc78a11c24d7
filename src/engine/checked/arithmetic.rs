//! `+`, `-` and `*` of integers and decimals as functions that fail on overflow.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Field, FieldRef,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use crate::error::Error;

/// An operation whose result may not fit its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CheckedOperation {
    Add,
    Subtract,
    Multiply,
    Negate,
}

impl CheckedOperation {
    /// Returns the operation of an operator, if it can overflow.
    pub(super) fn from_operator(operator: Operator) -> Option<Self> {
        match operator {
            Operator::Plus => Some(Self::Add),
            Operator::Minus => Some(Self::Subtract),
            Operator::Multiply => Some(Self::Multiply),
            _ => None,
        }
    }

    /// Returns the operation of a function that [`checked`] made.
    #[cfg(feature = "cluster")]
    pub(super) fn from_function_name(name: &str) -> Option<Self> {
        [Self::Add, Self::Subtract, Self::Multiply, Self::Negate]
            .into_iter()
            .find(|operation| operation.function_name() == name)
    }

    fn function_name(self) -> &'static str {
        match self {
            Self::Add => "checked_add",
            Self::Subtract => "checked_subtract",
            Self::Multiply => "checked_multiply",
            Self::Negate => "checked_negate",
        }
    }

    /// Returns the operator as it is written.
    fn operator(self) -> Operator {
        match self {
            Self::Add => Operator::Plus,
            Self::Subtract | Self::Negate => Operator::Minus,
            Self::Multiply => Operator::Multiply,
        }
    }

    fn result_type(self, operands: &[FieldRef]) -> Result<DataType> {
        match operands {
            [operand] => Ok(operand.data_type().clone()),
            [left, right] => {
                let (left, right) = (left.data_type(), right.data_type());
                BinaryTypeCoercer::new(left, &self.operator(), right).get_result_type()
            }
            _ => internal_err!("arithmetic has one operand or two"),
        }
    }
}

/// Returns the function of an operation.
pub(super) fn checked(operation: CheckedOperation) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(CheckedArithmetic {
        operation,
        signature: Signature::variadic_any(Volatility::Immutable),
    }))
}

/// Returns whether values of a type wrap around instead of failing.
pub(super) fn can_wrap(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal()
}

/// An operation as a function of operands whose types are coerced already.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedArithmetic {
    operation: CheckedOperation,
    signature: Signature,
}

impl ScalarUDFImpl for CheckedArithmetic {
    fn name(&self) -> &str {
        self.operation.function_name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type comes from return_field_from_args")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let data_type = self.operation.result_type(args.arg_fields)?;
        let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), data_type, is_nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = match (self.operation, args.args.as_slice()) {
            (CheckedOperation::Add, [left, right]) => apply(left, right, numeric::add),
            (CheckedOperation::Subtract, [left, right]) => apply(left, right, numeric::sub),
            (CheckedOperation::Multiply, [left, right]) => apply(left, right, numeric::mul),
            (CheckedOperation::Negate, [ColumnarValue::Array(array)]) => numeric::neg(array)
                .map(ColumnarValue::Array)
                .map_err(DataFusionError::from),
            (CheckedOperation::Negate, [ColumnarValue::Scalar(scalar)]) => scalar
                .to_array()
                .and_then(|array| Ok(numeric::neg(&array)?))
                .and_then(|array| ScalarValue::try_from_array(&array, 0))
                .map(ColumnarValue::Scalar),
            _ => return internal_err!("{} has other operands", self.name()),
        };
        let checked = result.and_then(|value| {
            if value.data_type().is_decimal() {
                let array = match &value {
                    ColumnarValue::Array(array) => Arc::clone(array),
                    ColumnarValue::Scalar(scalar) => scalar.to_array()?,
                };
                check_precision(&array)?;
            }
            Ok(value)
        });
        checked.map_err(|error| match error.find_root() {
            DataFusionError::ArrowError(arrow, _) if is_overflow(arrow) => {
                self.overflow(&args).into()
            }
            _ => error,
        })
    }
}

impl CheckedArithmetic {
    /// Returns the error for an overflow. It names columns and quotes no value.
    fn overflow(&self, args: &ScalarFunctionArgs) -> Error {
        let operands = args.arg_fields.iter().zip(&args.args);
        let columns: Vec<String> = operands
            .filter(|(_, value)| matches!(value, ColumnarValue::Array(_)))
            .map(|(field, _)| format!("`{}`", field.name()))
            .collect();
        let of_columns = match columns.is_empty() {
            true => String::new(),
            false => format!(" with {}", columns.join(" and ")),
        };
        Error::data(format!(
            "arithmetic overflow: the result of `{}`{of_columns} is beyond the range of {}",
            self.operation.operator(),
            type_name(args.return_field.data_type())
        ))
        .with_hint("cast an operand to a wider type first, such as `CAST(x AS DECIMAL(38, 0))`")
    }
}

/// Returns the name of an integer or decimal type in SQL.
pub(super) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt8 => "TINYINT UNSIGNED".to_owned(),
        DataType::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        DataType::UInt32 => "INT UNSIGNED".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        other => other.to_string(),
    }
}

fn is_overflow(error: &ArrowError) -> bool {
    matches!(
        error,
        ArrowError::ArithmeticOverflow(_) | ArrowError::InvalidArgumentError(_)
    )
}

/// Fails if a decimal has more digits than its type: the kernels check the width of the integer only.
fn check_precision(array: &ArrayRef) -> Result<(), ArrowError> {
    match array.data_type() {
        DataType::Decimal32(precision, _) => array
            .as_primitive::<Decimal32Type>()
            .validate_decimal_precision(*precision),
        DataType::Decimal64(precision, _) => array
            .as_primitive::<Decimal64Type>()
            .validate_decimal_precision(*precision),
        DataType::Decimal128(precision, _) => array
            .as_primitive::<Decimal128Type>()
            .validate_decimal_precision(*precision),
        DataType::Decimal256(precision, _) => array
            .as_primitive::<Decimal256Type>()
            .validate_decimal_precision(*precision),
        _ => Ok(()),
    }
}
