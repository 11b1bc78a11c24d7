//! Columns of numbers, dates and timestamps.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;

use crate::jsonl::fast::column::ColumnDecoder;
use crate::jsonl::fast::number::{float32, float64, integer};
use crate::jsonl::fast::scan::plain_string;
use crate::jsonl::fast::time::{date, timestamp};
use crate::jsonl::time_column::TimeColumn;

/// A type whose values are a single number or string in JSON.
pub(crate) trait FromJson: ArrowPrimitiveType {
    /// Reads the value that begins at `at`, and returns it with its end. Returns `None` for any
    /// form but the usual one.
    fn from_json(line: &[u8], at: usize) -> Option<(Self::Native, usize)>;

    /// Reads a number, or a text of another form, that stands for an instant, and returns that with the
    /// value's end. Returns `None` for types that are not timestamps.
    fn from_time(_line: &[u8], _at: usize, _column: &TimeColumn) -> Option<(Self::Native, usize)> {
        None
    }
}

macro_rules! signed {
    ($($type:ty)+) => {$(
        impl FromJson for $type {
            #[inline(always)]
            fn from_json(line: &[u8], at: usize) -> Option<(Self::Native, usize)> {
                let (negative, magnitude, end) = integer(line, at)?;
                let value = match negative {
                    false => i64::try_from(magnitude).ok()?,
                    true => 0_i64.checked_sub_unsigned(magnitude)?,
                };
                Some((value.try_into().ok()?, end))
            }
        }
    )+};
}
signed!(Int8Type Int16Type Int32Type Int64Type);

macro_rules! unsigned {
    ($($type:ty)+) => {$(
        impl FromJson for $type {
            #[inline(always)]
            fn from_json(line: &[u8], at: usize) -> Option<(Self::Native, usize)> {
                let (negative, magnitude, end) = integer(line, at)?;
                if negative {
                    return None;
                }
                Some((magnitude.try_into().ok()?, end))
            }
        }
    )+};
}
unsigned!(UInt8Type UInt16Type UInt32Type UInt64Type);

macro_rules! timestamps {
    ($($type:ty: $per_second:literal)+) => {$(
        impl FromJson for $type {
            #[inline(always)]
            fn from_json(line: &[u8], at: usize) -> Option<(i64, usize)> {
                let (seconds, nanoseconds, end) = timestamp(line, at)?;
                // Digits beyond the unit are truncated, as by the reference decoder.
                let fraction = nanoseconds / (1_000_000_000 / $per_second);
                let value = seconds.checked_mul($per_second)?.checked_add(fraction)?;
                Some((value, end))
            }

            #[inline(never)]
            fn from_time(line: &[u8], at: usize, column: &TimeColumn) -> Option<(i64, usize)> {
                if let Some((text, end)) = plain_string(line, at) {
                    return Some((column.instant(text)?, end));
                }
                let (value, end) = Int64Type::from_json(line, at)?;
                Some((column.numbers.instant(value)?, end))
            }
        }
    )+};
}
timestamps! {
    TimestampSecondType: 1
    TimestampMillisecondType: 1_000
    TimestampMicrosecondType: 1_000_000
    TimestampNanosecondType: 1_000_000_000
}

impl FromJson for Float32Type {
    fn from_json(line: &[u8], at: usize) -> Option<(f32, usize)> {
        float32(line, at)
    }
}

impl FromJson for Float64Type {
    fn from_json(line: &[u8], at: usize) -> Option<(f64, usize)> {
        float64(line, at)
    }
}

impl FromJson for Date32Type {
    fn from_json(line: &[u8], at: usize) -> Option<(i32, usize)> {
        date(line, at)
    }
}

/// Decodes a column of values of fixed size. If it has a format of texts, these have no other one.
pub(crate) struct PrimitiveColumn<T: FromJson, const HAS_FORMAT: bool = false> {
    values: Vec<T::Native>,
    validity: NullBufferBuilder,
    /// The type, with its time zone.
    data_type: DataType,
    nullable: bool,
    /// The rules of a column of timestamps.
    times: Option<TimeColumn>,
}

impl<T: FromJson, const HAS_FORMAT: bool> PrimitiveColumn<T, HAS_FORMAT> {
    pub(crate) fn new(data_type: &DataType, nullable: bool, times: Option<TimeColumn>) -> Self {
        Self {
            values: Vec::new(),
            validity: NullBufferBuilder::new(0),
            data_type: data_type.clone(),
            nullable,
            times,
        }
    }

    /// Reads a number or an unusual text as a time, or else a `null`.
    #[cold]
    fn read_unusual(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize> {
        let times = self.times.as_ref();
        let read = times.and_then(|times| T::from_time(line, at, times));
        let Some((value, end)) = read else {
            return self.read_null(line, at, row);
        };
        self.claim(row)?;
        self.values.push(value);
        self.validity.append_non_null();
        Some(end)
    }
}

impl<T: FromJson, const HAS_FORMAT: bool> ColumnDecoder for PrimitiveColumn<T, HAS_FORMAT> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.values.len()
    }

    fn is_nullable(&self) -> bool {
        self.nullable
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing > 0 {
            self.values.resize(rows, T::Native::default());
            self.validity.append_n_nulls(missing);
        }
    }

    #[inline]
    fn read(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize> {
        let usual = match HAS_FORMAT {
            true => None,
            false => T::from_json(line, at),
        };
        let Some((value, end)) = usual else {
            return self.read_unusual(line, at, row);
        };
        self.claim(row)?;
        self.values.push(value);
        self.validity.append_non_null();
        Some(end)
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.validity.truncate(rows);
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.pad(rows);
        let next = Vec::with_capacity(self.values.len());
        let values = std::mem::replace(&mut self.values, next);
        let array = PrimitiveArray::<T>::try_new(values.into(), self.validity.finish())?;
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }
}
