//! Writes instants and days, RFC 3339.

use arrow::array::PrimitiveArray;
use arrow::datatypes::{ArrowPrimitiveType, Date32Type, TimestampMicrosecondType};
use chrono::{DateTime, Datelike};

use crate::codec::json::output_text::OutputText;

const MICROS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;
const MICROS_A_DAY: i64 = SECONDS_A_DAY * MICROS_A_SECOND;

/// The days of the years 0 to 9999, which have four digits and no sign.
const FOUR_DIGIT_DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// Writes a column of days or instants, all in years of four digits.
pub(super) struct TimeColumn<'a, T: ArrowPrimitiveType> {
    values: &'a [T::Native],
    /// The day of `date`: neighbours usually share it.
    day: i64,
    /// The text of `day`.
    date: [u8; 10],
}

impl<'a, T: ArrowPrimitiveType> TimeColumn<'a, T>
where
    i64: From<T::Native>,
{
    /// Returns `None` if a value, even that of a NULL, is in a year without four digits.
    /// `units_a_day` is the number of units of the values in a day.
    fn new(array: &'a PrimitiveArray<T>, units_a_day: i64) -> Option<Self> {
        let values: &[T::Native] = array.values();
        let start = FOUR_DIGIT_DAYS.start() * units_a_day;
        let end = (FOUR_DIGIT_DAYS.end() + 1) * units_a_day;
        let all_have_four_digits = values.iter().fold(true, |all, value| {
            let value = i64::from(*value);
            all & (value >= start) & (value < end)
        });
        all_have_four_digits.then_some(Self {
            values,
            day: 0,
            date: *b"1970-01-01",
        })
    }

    #[inline(always)]
    fn set_day(&mut self, day: i64) {
        if day != self.day {
            self.spell(day);
        }
    }

    #[cold]
    #[inline(never)]
    fn spell(&mut self, day: i64) {
        let Some(instant) = DateTime::from_timestamp(day * SECONDS_A_DAY, 0) else {
            return;
        };
        let year = instant.year().unsigned_abs();
        let [y1, y2] = two(year / 100);
        let [y3, y4] = two(year % 100);
        let [m1, m2] = two(instant.month());
        let [d1, d2] = two(instant.day());
        self.date = [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2];
        self.day = day;
    }
}

impl<'a> TimeColumn<'a, Date32Type> {
    /// Borrows the days of `array`; `None` if a year does not have four digits.
    pub(super) fn days(array: &'a PrimitiveArray<Date32Type>) -> Option<Self> {
        Self::new(array, 1)
    }

    /// Writes the day of a row and a closing quote.
    pub(super) fn write_day(&mut self, row: usize, text: &mut OutputText) {
        self.set_day(i64::from(self.values[row]));
        let date = self.date;
        text.push_slice(&date);
        text.push_byte(b'"');
    }
}

impl<'a> TimeColumn<'a, TimestampMicrosecondType> {
    /// Borrows the instants of `array`; `None` if a year does not have four digits.
    pub(super) fn instants(array: &'a PrimitiveArray<TimestampMicrosecondType>) -> Option<Self> {
        Self::new(array, MICROS_A_DAY)
    }

    /// Writes the instant of a row and a closing quote; a fraction has three or six digits.
    #[inline(always)]
    pub(super) fn write_instant(&mut self, row: usize, text: &mut OutputText) {
        let value = self.values[row];
        self.set_day(value.div_euclid(MICROS_A_DAY));
        let of_day = value.rem_euclid(MICROS_A_DAY) as u64;
        let second = (of_day / MICROS_A_SECOND as u64) as u32;
        let micros = (of_day % MICROS_A_SECOND as u64) as u32;

        let mut spelled = *b"YYYY-MM-DDTHH:MM:SS.mmmuuuZ\"    ";
        spelled[..10].copy_from_slice(&self.date);
        spelled[11..13].copy_from_slice(&two(second / 3600));
        spelled[14..16].copy_from_slice(&two(second / 60 % 60));
        spelled[17..19].copy_from_slice(&two(second % 60));
        if micros == 0 {
            spelled[19..21].copy_from_slice(b"Z\"");
            return text.push_prefix(&spelled, 21);
        }
        let [m1, m2] = two(micros / 10_000);
        let [m3, u1] = two(micros / 100 % 100);
        let [u2, u3] = two(micros % 100);
        spelled[20..26].copy_from_slice(&[m1, m2, m3, u1, u2, u3]);
        if micros.is_multiple_of(1000) {
            spelled[23..25].copy_from_slice(b"Z\"");
            return text.push_prefix(&spelled, 25);
        }
        text.push_prefix(&spelled, 28);
    }
}

/// Returns the two digits of a number below 100.
#[inline(always)]
fn two(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}
