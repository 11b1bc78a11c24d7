//! Numbers that are written with more digits than a double has.

use crate::error::{Error, Result};
use crate::sql_file::SqlFile;

/// Refuses numbers that the parser would round without a word.
pub(super) fn refuse_rounded(sql: &SqlFile) -> Result<()> {
    let rounded = sql.numbers().filter(|(number, _)| is_rounded(number));
    let complaints = rounded.map(|(number, line)| {
        sql.complaint(
            line,
            format!("`{number}` has more digits than a DOUBLE, and would be rounded"),
        )
        .with_hint(format!(
            "write `CAST('{number}' AS DECIMAL(38, …))`, or a number of at most 15 digits"
        ))
    });
    Error::all(complaints.collect())
}

/// Returns whether a number in SQL becomes a double of another value. Integers stay integers up to 64
/// bits.
fn is_rounded(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return false;
    }
    let Ok(double) = number.parse::<f64>() else {
        return false;
    };
    digits(number) != digits(&format!("{double:e}"))
}

/// Returns the digits of a number without leading and trailing zeros, and the exponent of the last one.
fn digits(number: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.trim_start_matches('+').parse::<i64>().ok()?;
    let all = format!("{whole}{fraction}");
    let significant = all.trim_end_matches('0');
    if significant.trim_start_matches('0').is_empty() {
        return Some((String::new(), 0));
    }
    let zeros = i64::try_from(all.len() - significant.len()).ok()?;
    let scale = i64::try_from(fraction.len()).ok()?;
    let significant = significant.trim_start_matches('0').to_owned();
    Some((significant, exponent - scale + zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_change_are_rounded() {
        for exact in [
            "0.1",
            "12345678.95",
            "1e20",
            "1.50",
            "00.5",
            "9223372036854775807",
            "18446744073709551615",
            "100000000000000000000",
            "0.0",
            "1E-7",
            ".5",
            "5.",
        ] {
            assert!(!is_rounded(exact), "{exact}");
        }
        for rounded in [
            "99999999999999999999",
            "0.12345678901234567890",
            "999999999999999999999999999999999999.99",
            "1e400",
        ] {
            assert!(is_rounded(rounded), "{rounded}");
        }
    }
}
