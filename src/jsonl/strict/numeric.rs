//! Numbers that a type holds exactly, or as its nearest value.

use arrow::datatypes::DataType;

use super::reject::{LineReject, Scalar, Strict};

/// The rule by which a type holds numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberRule {
    /// Integers from `min` to `max`, exactly.
    Integer { min: i128, max: i128 },
    /// Decimals of at most `precision` digits, `scale` of them after the point, exactly.
    Decimal { precision: u8, scale: i8 },
    /// The nearest finite float of 32 bits.
    Float32,
    /// The nearest finite float of 64 bits.
    Float64,
}

impl NumberRule {
    /// Returns the rule of a type; `None` if it does not hold numbers.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        let signed = |bits: u32| NumberRule::Integer {
            min: -(1 << (bits - 1)),
            max: (1 << (bits - 1)) - 1,
        };
        let unsigned = |bits: u32| NumberRule::Integer {
            min: 0,
            max: (1 << bits) - 1,
        };
        Some(match data_type {
            DataType::Int8 => signed(8),
            DataType::Int16 => signed(16),
            DataType::Int32 => signed(32),
            DataType::Int64 => signed(64),
            DataType::UInt8 => unsigned(8),
            DataType::UInt16 => unsigned(16),
            DataType::UInt32 => unsigned(32),
            DataType::UInt64 => unsigned(64),
            DataType::Float32 => NumberRule::Float32,
            DataType::Float64 => NumberRule::Float64,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => NumberRule::Decimal {
                precision: *precision,
                scale: *scale,
            },
            _ => return None,
        })
    }

    /// Writes a number, or a string that holds one, in the form that arrow-json reads exactly.
    pub(super) fn write(self, scalar: Scalar<'_>, out: &mut Vec<u8>) -> Strict<()> {
        let no_number = || LineReject::new("a number is expected, found a string that is none");
        let text = match &scalar {
            Scalar::Number(text) => *text,
            Scalar::Text(text) => text.as_str(),
        };
        let number = Number::parse(text).ok_or_else(no_number)?;
        let canonical = match self {
            NumberRule::Integer { min, max } => {
                let value = number.integer()?;
                if !(min..=max).contains(&value) {
                    return Err(LineReject::new(format!(
                        "the number is not from {min} to {max}"
                    )));
                }
                value.to_string()
            }
            NumberRule::Decimal { precision, scale } => number.decimal(precision, scale)?,
            NumberRule::Float64 => {
                let value: f64 = text.parse().map_err(|_| no_number())?;
                finite(value, "DOUBLE")?
            }
            // Not by way of a float of 64 bits, which would round twice.
            NumberRule::Float32 => {
                let value: f32 = text.parse().map_err(|_| no_number())?;
                finite(f64::from(value), "REAL")?
            }
        };
        out.extend_from_slice(canonical.as_bytes());
        Ok(())
    }
}

/// Formats a float with as many digits as it takes to read the same one.
fn finite(value: f64, name: &str) -> Strict<String> {
    if !value.is_finite() {
        return Err(LineReject::new(format!(
            "the number is beyond the range of {name}"
        )));
    }
    Ok(format!("{value:?}"))
}

/// A decimal number: ± `digits` · 10^`exponent`, without zeros at either end of the digits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Number {
    is_negative: bool,
    /// The decimal digits; empty for zero.
    digits: String,
    exponent: i64,
}

impl Number {
    /// Parses a JSON number, or the same with a plus sign or leading zeros, as strings have them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0');
        let trailing_zeros = (significant.len() - digits.len()) as i64;
        Some(Self {
            is_negative: text.starts_with('-'),
            digits: digits.to_owned(),
            exponent: exponent
                .saturating_sub(fraction.len() as i64)
                .saturating_add(trailing_zeros),
        })
    }

    /// Returns the number as an integer.
    pub(super) fn integer(&self) -> Strict<i128> {
        if self.digits.is_empty() {
            return Ok(0);
        }
        if self.exponent < 0 {
            return Err(LineReject::new("the number is not an integer"));
        }
        let value = u32::try_from(self.exponent)
            .ok()
            .and_then(|exponent| 10_i128.checked_pow(exponent))
            .and_then(|power| self.digits.parse::<i128>().ok()?.checked_mul(power))
            .ok_or_else(|| LineReject::new("the number is beyond the range of any integer type"))?;
        Ok(if self.is_negative { -value } else { value })
    }

    /// Returns the largest integer that is not above the number times 10^`shift`; `None` if it is beyond
    /// the range of `i128`.
    pub(super) fn shifted_floor(&self, shift: i64) -> Option<i128> {
        let exponent = self.exponent.saturating_add(shift);
        let (whole, has_fraction) = match usize::try_from(exponent) {
            Ok(_) if self.digits.is_empty() => (0, false),
            Ok(zeros) => {
                let power = 10_i128.checked_pow(u32::try_from(zeros).ok()?)?;
                (self.digits.parse::<i128>().ok()?.checked_mul(power)?, false)
            }
            // The last digit is not zero, so that what is cut is not zero either.
            Err(_) => {
                let cut = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
                let kept = self.digits.len().saturating_sub(cut);
                let whole = match self.digits.get(..kept).unwrap_or_default() {
                    "" => 0,
                    digits => digits.parse().ok()?,
                };
                (whole, !self.digits.is_empty())
            }
        };
        Some(match (self.is_negative, has_fraction) {
            (false, _) => whole,
            (true, false) => -whole,
            (true, true) => -whole - 1,
        })
    }

    /// Returns the number as a decimal without an exponent.
    fn decimal(&self, precision: u8, scale: i8) -> Strict<String> {
        if self.digits.is_empty() {
            return Ok("0".to_owned());
        }
        if self.exponent < -i64::from(scale) {
            return Err(LineReject::new(format!(
                "the number has more than {scale} digits after the point"
            )));
        }
        let length = self.digits.len() as i64;
        let at_scale = length
            .saturating_add(self.exponent)
            .saturating_add(i64::from(scale));
        if at_scale > i64::from(precision) {
            return Err(LineReject::new(format!(
                "the number does not fit DECIMAL({precision}, {scale})"
            )));
        }
        let sign = if self.is_negative { "-" } else { "" };
        let point = length + self.exponent;
        Ok(match usize::try_from(self.exponent) {
            Ok(zeros) => format!("{sign}{}{}", self.digits, "0".repeat(zeros)),
            Err(_) if point <= 0 => {
                let zeros = "0".repeat(point.unsigned_abs() as usize);
                format!("{sign}0.{zeros}{}", self.digits)
            }
            Err(_) => {
                let (whole, fraction) = self.digits.split_at(point as usize);
                format!("{sign}{whole}.{fraction}")
            }
        })
    }
}

/// Parses the exponent of a number. One beyond the range of `i64` is as good as the largest.
fn parse_exponent(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Far from the limits of `i64`, so that sums of it do not saturate.
    const MAX: i64 = 1 << 40;
    let magnitude = digits.parse().map_or(MAX, |value: i64| value.min(MAX));
    Some(if is_negative { -magnitude } else { magnitude })
}
