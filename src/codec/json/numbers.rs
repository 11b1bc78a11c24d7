//! Writes numbers, and bytes as hexadecimal digits.

use crate::codec::json::output_text::OutputText;

/// The bytes that any float fits into; lexical's own constant is smaller.
const FLOAT_SIZE: usize = 64;

/// The numbers below this have digits that fit into a register.
const REGISTER: u64 = 100_000_000;

/// Writes an integer.
#[inline(always)]
pub(super) fn integer(value: i64, text: &mut OutputText) {
    let magnitude = value.unsigned_abs();
    if magnitude >= REGISTER {
        let mut buffer = itoa::Buffer::new();
        return text.push_slice(buffer.format(value).as_bytes());
    }
    if value < 0 {
        text.push_byte(b'-');
    }
    let (digits, len) = eight_digits(magnitude);
    text.push_prefix(&digits, len);
}

/// Returns the digits of a number below [`REGISTER`] without leading zeros, and their count.
///
/// Most numbers of an event are ids in lists, and a division for each pair of digits would be most of
/// the time of a number; here there is none.
#[inline(always)]
fn eight_digits(number: u64) -> ([u8; 8], usize) {
    // Each step splits all parts of the register at once, the upper half of a part becoming the
    // lower bytes: 1 × 8 digits, 2 × 4, 4 × 2, 8 × 1. Products by a reciprocal are exact here.
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - 10 * tens) << 8);
    let zeros = (ones.trailing_zeros() / 8).min(7);
    let ascii = (ones | 0x3030_3030_3030_3030) >> (8 * zeros);
    (ascii.to_le_bytes(), 8 - zeros as usize)
}

/// Writes a float; NaN and the infinities, which are no JSON numbers, as null.
pub(super) fn float(value: f64, text: &mut OutputText) {
    if value.is_finite() {
        text.push_with(FLOAT_SIZE, |room| lexical_core::write(value, room).len());
    } else {
        text.push_slice(b"null");
    }
}

/// Writes two digits for each byte, and a closing quote.
pub(super) fn hexadecimal(bytes: &[u8], text: &mut OutputText) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let [high, low] = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        text.push_slice(&[high, low]);
    }
    text.push_byte(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_short_numbers_have_their_digits() {
        let near_powers = (0..8).flat_map(|power| {
            let ten = 10_u64.pow(power);
            ten.saturating_sub(2)..(ten + 3).min(REGISTER)
        });
        let numbers = (0..200_000)
            .chain(near_powers)
            .chain((0..REGISTER).step_by(997));
        for number in numbers.chain([REGISTER - 1]) {
            let (digits, len) = eight_digits(number);
            assert_eq!(&digits[..len], number.to_string().as_bytes());
        }
    }
}
