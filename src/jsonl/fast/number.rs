//! JSON numbers.

use crate::jsonl::fast::scan::byte;

/// The powers of ten that an `f64` represents exactly.
const F64_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// The powers of ten that an `f32` represents exactly.
const F32_POWERS: [f32; 11] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

/// The maximum number of digits that fit into a `u64` whatever they are.
const MAX_DIGITS: usize = 19;

/// Reads an integer of at most 19 digits, and returns its sign (true if negative), magnitude and end.
///
/// The text after it is not checked: a fraction is refused by the caller, which expects a separator.
#[inline(always)]
pub(crate) fn integer(line: &[u8], at: usize) -> Option<(bool, u64, usize)> {
    let negative = byte(line, at) == b'-';
    let start = at + usize::from(negative);
    let (magnitude, end) = digits(line, start, 0);
    let is_integer = match end - start {
        0 => false,
        1 => true,
        length => length <= MAX_DIGITS && byte(line, start) != b'0',
    };
    is_integer.then_some((negative, magnitude, end))
}

/// Appends the digits from `at` on to those of `value`, which wraps on overflow, and returns the
/// value and the end of the digits.
#[inline(always)]
fn digits(line: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    loop {
        let digit = byte(line, at).wrapping_sub(b'0');
        if digit > 9 {
            return (value, at);
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
}

/// The parts of a number: ± `mantissa` · 10^`exponent`.
struct NumberParts {
    negative: bool,
    /// The digits of the number as an integer. Meaningless beyond 19 digits.
    mantissa: u64,
    digits: usize,
    exponent: i64,
    end: usize,
}

/// Splits the number that begins at `at` into its parts.
#[inline]
fn parts(line: &[u8], at: usize) -> Option<NumberParts> {
    let negative = byte(line, at) == b'-';
    let start = at + usize::from(negative);
    let (mut mantissa, mut end) = digits(line, start, 0);
    let mut count = end - start;
    if count == 0 || (count > 1 && byte(line, start) == b'0') {
        return None;
    }
    let mut exponent = 0;
    if byte(line, end) == b'.' {
        let point = end + 1;
        (mantissa, end) = digits(line, point, mantissa);
        if end == point {
            return None;
        }
        count += end - point;
        exponent = -((end - point) as i64);
    }
    if matches!(byte(line, end), b'e' | b'E') {
        let sign = byte(line, end + 1);
        let first_digit = end + 1 + usize::from(matches!(sign, b'-' | b'+'));
        let value;
        (value, end) = digits(line, first_digit, 0);
        // Longer exponents are rare enough to be left to the reference decoder.
        if !(1..=6).contains(&(end - first_digit)) {
            return None;
        }
        exponent += if sign == b'-' {
            -(value as i64)
        } else {
            value as i64
        };
    }
    Some(NumberParts {
        negative,
        mantissa,
        digits: count,
        exponent,
        end,
    })
}

/// Returns the end of the number that begins at `at`.
pub(crate) fn number_end(line: &[u8], at: usize) -> Option<usize> {
    Some(parts(line, at)?.end)
}

macro_rules! float {
    ($name:ident, $type:ty, $powers:ident) => {
        /// Reads the number at `at`, and returns the nearest float and its end.
        pub(crate) fn $name(line: &[u8], at: usize) -> Option<($type, usize)> {
            let parts = parts(line, at)?;
            let power = $powers.get(parts.exponent.unsigned_abs() as usize);
            let is_exact =
                parts.digits <= MAX_DIGITS && parts.mantissa <= 1 << <$type>::MANTISSA_DIGITS;
            let value = match power {
                // Both operands are exact, so the result is rounded only once.
                Some(power) if is_exact => {
                    let mantissa = parts.mantissa as $type;
                    let magnitude = match parts.exponent {
                        0.. => mantissa * power,
                        _ => mantissa / power,
                    };
                    if parts.negative {
                        -magnitude
                    } else {
                        magnitude
                    }
                }
                _ => {
                    let text = str::from_utf8(line.get(at..parts.end)?).ok()?;
                    text.parse::<$type>().ok()?
                }
            };
            value.is_finite().then_some((value, parts.end))
        }
    };
}

float!(float64, f64, F64_POWERS);
float!(float32, f32, F32_POWERS);
