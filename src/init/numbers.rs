//! The facts about numbers, and the type that holds all of them exactly.

use crate::init::place::{Place, Seen};

/// The maximum number of digits of a DECIMAL.
const MAX_DIGITS: u32 = 38;

/// The digits behind the point that a DECIMAL with fractions has if there is room.
const USUAL_SCALE: u32 = 9;

/// The facts about the numbers at one path.
#[derive(Debug, Default, Clone)]
pub(super) struct NumberFacts {
    pub(super) seen: Seen,
    /// Numbers with a fraction.
    pub(super) fractions: Seen,
    /// Whole numbers beyond the range of BIGINT.
    pub(super) beyond_bigint: Seen,
    /// Whole numbers that DOUBLE does not hold exactly.
    pub(super) beyond_double: Seen,
    /// Fractions of which DOUBLE has the nearest value only.
    pub(super) rounded: Seen,
    /// Numbers beyond the range of DOUBLE, or of more digits than a DECIMAL has.
    pub(super) beyond_all: Seen,
    whole_digits: u32,
    scale: u32,
    /// The least and the greatest value, if all are within the range of DOUBLE.
    pub(super) range: Option<(f64, f64)>,
}

/// A type for all numbers of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberType {
    BigInt,
    Decimal { precision: u32, scale: u32 },
    Double,
}

impl NumberFacts {
    /// Adds a number as it is written.
    pub(super) fn add(&mut self, text: &str, place: Place) {
        self.seen.add(place);
        let number = Digits::of(text);
        let value: f64 = text.parse().unwrap_or(f64::INFINITY);
        if !value.is_finite() || number.whole + number.scale > MAX_DIGITS {
            self.beyond_all.add(place);
        }
        let (least, greatest) = self.range.unwrap_or((value, value));
        self.range = Some((least.min(value), greatest.max(value)));
        self.whole_digits = self.whole_digits.max(number.whole);
        self.scale = self.scale.max(number.scale);
        if number.scale > 0 {
            self.fractions.add(place);
            if Digits::of(&value.to_string()) != number {
                self.rounded.add(place);
            }
            return;
        }
        if !number.fits_bigint() {
            self.beyond_bigint.add(place);
        }
        if Digits::of(&format!("{value:.0}")) != number {
            self.beyond_double.add(place);
        }
    }

    /// Returns the number of digits behind the point that the longest fraction has.
    pub(super) fn scale(&self) -> u32 {
        self.scale
    }

    /// Returns the type that holds all numbers, or `None` if no type does.
    pub(super) fn number_type(&self) -> Option<NumberType> {
        if self.fractions.count == 0 && self.beyond_bigint.count == 0 && self.beyond_all.count == 0
        {
            return Some(NumberType::BigInt);
        }
        if self.beyond_double.count == 0 && self.fractions.count > 0 {
            let is_infinite = self
                .range
                .is_some_and(|(_, greatest)| greatest.is_infinite());
            return (!is_infinite).then_some(NumberType::Double);
        }
        let fits = self.beyond_all.count == 0 && self.whole_digits + self.scale <= MAX_DIGITS;
        // Further rows may have longer fractions.
        let scale = match self.scale {
            0 => 0,
            scale => scale.max(USUAL_SCALE.min(MAX_DIGITS.saturating_sub(self.whole_digits))),
        };
        fits.then_some(NumberType::Decimal {
            precision: MAX_DIGITS,
            scale,
        })
    }
}

/// The digits of a number, without zeros that do not count.
#[derive(Debug, PartialEq, Eq)]
struct Digits {
    is_negative: bool,
    digits: String,
    /// The number of digits in front of the point.
    whole: u32,
    /// The number of digits behind the point.
    scale: u32,
}

impl Digits {
    fn of(text: &str) -> Self {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().unwrap_or(1 << 20)),
            None => (text, 0),
        };
        let unsigned = mantissa.trim_start_matches(['-', '+']);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let leading = all.len() - significant.len();
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Self {
                is_negative: false,
                digits,
                whole: 0,
                scale: 0,
            };
        }
        // The place of the point, counted from the first digit that counts.
        let point = whole.len() as i64 + exponent - leading as i64;
        let count = |number: i64| u32::try_from(number.clamp(0, 1 << 20)).unwrap_or(0);
        Self {
            is_negative: mantissa.starts_with('-'),
            whole: count(point),
            scale: count(digits.len() as i64 - point),
            digits,
        }
    }

    /// Returns true for a whole number in the range of BIGINT.
    fn fits_bigint(&self) -> bool {
        if self.scale > 0 || self.whole > 19 {
            return false;
        }
        let zeros = "0".repeat((self.whole as usize).saturating_sub(self.digits.len()));
        let sign = if self.is_negative { "-" } else { "" };
        let text = format!("{sign}{}{zeros}", self.digits);
        self.digits.is_empty() || text.parse::<i64>().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_of(numbers: &[&str]) -> Option<NumberType> {
        let mut facts = NumberFacts::default();
        for number in numbers {
            facts.add(number, Place { file: 0, line: 1 });
        }
        facts.number_type()
    }

    #[test]
    fn the_type_holds_every_number_exactly() {
        use NumberType::{BigInt, Decimal, Double};
        let decimal = |scale| {
            Some(Decimal {
                precision: 38,
                scale,
            })
        };
        for (numbers, expected) in [
            (&["0", "-7", "7.0", "7e2"][..], Some(BigInt)),
            (&["9007199254740993"], Some(BigInt)),
            (
                &["9223372036854775807", "-9223372036854775808"],
                Some(BigInt),
            ),
            (&["1", "1.5"], Some(Double)),
            (&["1.50", "0.1"], Some(Double)),
            // More digits than DOUBLE has: the nearest value, as the declared type says.
            (&["0.1234567890123456789"], Some(Double)),
            (&["9223372036854775808"], decimal(0)),
            (&["18446744073709551615", "-1"], decimal(0)),
            (&["9007199254740993", "1.25"], decimal(9)),
            (&["1e400"], None),
            (&["1e400", "0.5"], None),
            (&["1e30", "1.5"], decimal(7)),
            (&["123456789012345678901234567890123456789"], None),
        ] {
            assert_eq!(type_of(numbers), expected, "{numbers:?}");
        }
    }
}
