//! Dates and instants of a file as those of the declared column, in the years 0001 to 9999.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int64Array};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options, max, min};
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::FormatOptions;

use super::misfit::Problem;
use crate::jsonl::EpochRule;
use crate::year_range::{self, SECONDS_PER_DAY, units_per_second};

/// The Julian day of 1970-01-01.
const JULIAN_DAY_OF_EPOCH: i128 = 2_440_588;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The meaning of the stored integers of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredTime {
    /// Instants, in units of which a second has so many.
    Instants(i64),
    /// Days since 1970-01-01.
    Days,
    /// Milliseconds since 1970, whole days.
    DayMillis,
    /// Numbers without a unit of their own: they count that of the declared type.
    Numbers,
    /// A Julian day and the nanoseconds of the day, in 12 bytes.
    Int96,
}

/// An array of the declared type, or the first value that it cannot keep.
pub(super) type Times = Result<Result<ArrayRef, (usize, Problem)>, ArrowError>;

/// The conversion of a column of dates or instants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeConversion {
    stored: StoredTime,
    declared: DataType,
}

impl TimeConversion {
    /// Returns the conversion between two types; `None` if the declared one holds no dates or
    /// instants, or the stored one cannot become them.
    pub(super) fn new(stored: &DataType, is_int96: bool, declared: &DataType) -> Option<Self> {
        if !matches!(declared, DataType::Date32 | DataType::Timestamp(_, _)) {
            return None;
        }
        let stored = match stored {
            _ if is_int96 => StoredTime::Int96,
            DataType::Timestamp(unit, _) => StoredTime::Instants(units_per_second(*unit)),
            DataType::Date32 => StoredTime::Days,
            DataType::Date64 => StoredTime::DayMillis,
            integer if integer.is_integer() => StoredTime::Numbers,
            _ => return None,
        };
        Some(Self {
            stored,
            declared: declared.clone(),
        })
    }

    /// Returns the number of units that a second has in the file and in the declared column, if both
    /// hold instants.
    pub(super) fn units(&self) -> Option<(i64, i64)> {
        match (self.stored, &self.declared) {
            (StoredTime::Instants(from), DataType::Timestamp(to, _)) => {
                Some((from, units_per_second(*to)))
            }
            _ => None,
        }
    }

    /// Returns true if no value of these types needs a look.
    pub(super) fn keeps_all(&self, stored: &DataType) -> bool {
        *stored == self.declared && self.units() == Some((NANOS_PER_SECOND, NANOS_PER_SECOND))
    }

    /// Converts the values of a column.
    pub(super) fn convert(&self, array: &ArrayRef) -> Times {
        if self.stored == StoredTime::Int96 {
            return self.convert_int96(array);
        }
        let null_if_unfit = CastOptions {
            safe: true,
            format_options: FormatOptions::default(),
        };
        let integers = cast_with_options(array, &DataType::Int64, &null_if_unfit)?;
        if integers.null_count() > array.null_count() {
            let mut indexes = 0..array.len();
            let lost = indexes.find(|index| array.is_valid(*index) && integers.is_null(*index));
            return Ok(Err((lost.unwrap_or_default(), self.too_large())));
        }
        let integers = integers.as_primitive::<Int64Type>();
        if self.is_relabelling() {
            return self.check_and_relabel(array, integers);
        }
        let mut values = Vec::with_capacity(integers.len());
        for (index, value) in integers.iter().enumerate() {
            match value.map_or(Ok(0), |value| self.convert_integer(value)) {
                Ok(value) => values.push(value),
                Err(problem) => return Ok(Err((index, problem))),
            }
        }
        self.declared_array(Int64Array::new(values.into(), integers.nulls().cloned()))
    }

    /// Returns true if the integers stay as they are.
    fn is_relabelling(&self) -> bool {
        match self.stored {
            StoredTime::Instants(_) => self.units().is_some_and(|(from, to)| from == to),
            StoredTime::Days => self.declared == DataType::Date32,
            StoredTime::DayMillis | StoredTime::Numbers | StoredTime::Int96 => false,
        }
    }

    fn check_and_relabel(&self, array: &ArrayRef, integers: &Int64Array) -> Times {
        let (first, last) = self.declared_range();
        let is_outside = |value: i64| value < first || value > last;
        if min(integers).is_some_and(is_outside) || max(integers).is_some_and(is_outside) {
            let index = integers
                .iter()
                .position(|value| value.is_some_and(is_outside));
            return Ok(Err((index.unwrap_or_default(), Problem::OutOfYears)));
        }
        if *array.data_type() == self.declared {
            return Ok(Ok(ArrayRef::clone(array)));
        }
        self.declared_array(integers.clone())
    }

    /// Returns the first and the last integer of the declared type.
    fn declared_range(&self) -> (i64, i64) {
        match &self.declared {
            DataType::Timestamp(unit, _) => year_range::instants(units_per_second(*unit)),
            _ => {
                let (first, last) = year_range::days();
                (i64::from(first), i64::from(last))
            }
        }
    }

    fn too_large(&self) -> Problem {
        match (&self.declared, self.stored) {
            (DataType::Timestamp(unit, _), StoredTime::Numbers) => {
                Problem::ImplausibleNumber(*unit)
            }
            _ => Problem::OutOfYears,
        }
    }

    fn convert_integer(&self, value: i64) -> Result<i64, Problem> {
        match (self.stored, &self.declared) {
            (StoredTime::Numbers, DataType::Timestamp(to, _)) => {
                let instant = EpochRule::new(*to, None).instant(value);
                instant.ok_or(Problem::ImplausibleNumber(*to))
            }
            (StoredTime::Instants(from), _) => self.instant(i128::from(value), from),
            (StoredTime::DayMillis, _) => self.instant(i128::from(value), 1_000),
            (StoredTime::Days, DataType::Timestamp(_, _)) => {
                self.instant(i128::from(value) * i128::from(SECONDS_PER_DAY), 1)
            }
            (StoredTime::Days | StoredTime::Numbers | StoredTime::Int96, _) => {
                self.in_range(i128::from(value))
            }
        }
    }

    /// Converts an instant. A fraction of a unit is cut toward the earlier instant, but no time of
    /// day is.
    fn instant(&self, value: i128, units: i64) -> Result<i64, Problem> {
        let DataType::Timestamp(to, _) = &self.declared else {
            let units_per_day = i128::from(units) * i128::from(SECONDS_PER_DAY);
            if value.rem_euclid(units_per_day) != 0 {
                return Err(Problem::TimeOfDay);
            }
            return self.in_range(value.div_euclid(units_per_day));
        };
        let scaled = value * i128::from(units_per_second(*to));
        self.in_range(scaled.div_euclid(i128::from(units)))
    }

    fn in_range(&self, value: i128) -> Result<i64, Problem> {
        let (first, last) = self.declared_range();
        match i64::try_from(value) {
            Ok(value) if (first..=last).contains(&value) => Ok(value),
            _ if self.counts_nanos() => Err(Problem::OutOfNanoseconds),
            _ => Err(Problem::OutOfYears),
        }
    }

    fn counts_nanos(&self) -> bool {
        matches!(self.declared, DataType::Timestamp(TimeUnit::Nanosecond, _))
    }

    fn convert_int96(&self, array: &ArrayRef) -> Times {
        let bytes: &FixedSizeBinaryArray = array.as_fixed_size_binary();
        let mut values = Vec::with_capacity(bytes.len());
        for (index, value) in bytes.iter().enumerate() {
            let nanos = match value.map(int96_nanos) {
                None => Ok(0),
                Some(Some(nanos)) => self.instant(nanos, NANOS_PER_SECOND),
                Some(None) => Err(Problem::Unexpected),
            };
            match nanos {
                Ok(value) => values.push(value),
                Err(problem) => return Ok(Err((index, problem))),
            }
        }
        self.declared_array(Int64Array::new(values.into(), bytes.nulls().cloned()))
    }

    fn declared_array(&self, values: Int64Array) -> Times {
        cast(&values, &self.declared).map(Ok)
    }
}

/// Returns the nanoseconds since 1970 of an INT96: the nanoseconds of a day, and its Julian day.
fn int96_nanos(bytes: &[u8]) -> Option<i128> {
    let (of_day, day) = bytes.split_first_chunk::<8>()?;
    let day = i128::from(i32::from_le_bytes(day.try_into().ok()?));
    let nanos_per_day = i128::from(SECONDS_PER_DAY) * i128::from(NANOS_PER_SECOND);
    Some((day - JULIAN_DAY_OF_EPOCH) * nanos_per_day + i128::from(i64::from_le_bytes(*of_day)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        Date32Array, Date64Array, Int32Array, TimestampMillisecondArray, TimestampNanosecondArray,
        UInt64Array,
    };
    use datafusion::arrow::datatypes::{
        Date32Type, TimestampMicrosecondType, TimestampNanosecondType,
    };

    use super::*;

    const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
    const NANOS: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

    fn convert(array: impl Array + 'static, declared: &DataType) -> Result<ArrayRef, Problem> {
        let array: ArrayRef = Arc::new(array);
        let conversion = TimeConversion::new(array.data_type(), false, declared).unwrap();
        conversion
            .convert(&array)
            .unwrap()
            .map_err(|(_, problem)| problem)
    }

    fn micros(array: impl Array + 'static) -> Result<i64, Problem> {
        convert(array, &MICROS)
            .map(|array| array.as_primitive::<TimestampMicrosecondType>().value(0))
    }

    #[test]
    fn fractions_are_cut_toward_the_earlier_instant() {
        for (nanos, expected) in [(1_999, 1), (-1, -1), (-1_000, -1), (-1_001, -2)] {
            assert_eq!(
                micros(TimestampNanosecondArray::from(vec![nanos])),
                Ok(expected)
            );
        }
    }

    #[test]
    fn instants_beyond_the_declared_unit_are_refused() {
        let last = 253_402_300_799_999;
        let millis = |value: i64| TimestampMillisecondArray::from(vec![value]);
        assert_eq!(micros(millis(last)), Ok(last * 1_000));
        assert_eq!(micros(millis(last + 1)), Err(Problem::OutOfYears));
        assert_eq!(micros(millis(i64::MIN)), Err(Problem::OutOfYears));
        assert_eq!(
            convert(millis(last), &NANOS),
            Err(Problem::OutOfNanoseconds)
        );
    }

    #[test]
    fn dates_keep_no_time_of_day() {
        let day = |value: i64| {
            convert(
                TimestampMillisecondArray::from(vec![value]),
                &DataType::Date32,
            )
        };
        assert_eq!(
            day(-86_400_000)
                .unwrap()
                .as_primitive::<Date32Type>()
                .value(0),
            -1
        );
        assert_eq!(day(1).unwrap_err(), Problem::TimeOfDay);
        let of_millis = |value: i64| convert(Date64Array::from(vec![value]), &DataType::Date32);
        assert!(of_millis(86_400_000).is_ok());
        assert_eq!(of_millis(1).unwrap_err(), Problem::TimeOfDay);
        assert_eq!(micros(Date32Array::from(vec![1])), Ok(86_400_000_000));
        let far = Date32Array::from(vec![i32::MAX]);
        assert_eq!(
            convert(far, &DataType::Date32).unwrap_err(),
            Problem::OutOfYears
        );
    }

    #[test]
    fn numbers_must_be_plausible_in_the_declared_unit() {
        let number = |value: i64| micros(Int64Array::from(vec![value]));
        assert_eq!(number(1_768_471_200_000_000), Ok(1_768_471_200_000_000));
        let implausible = Problem::ImplausibleNumber(TimeUnit::Microsecond);
        for wrong in [
            0,
            1_768_471_200,
            1_768_471_200_000,
            1_768_471_200_000_000_000,
        ] {
            assert_eq!(number(wrong).unwrap_err(), implausible, "{wrong}");
        }
        let large = UInt64Array::from(vec![u64::MAX]);
        assert_eq!(micros(large).unwrap_err(), implausible);
        assert!(convert(Int32Array::from(vec![20_468]), &DataType::Date32).is_ok());
        let compact_date = Int32Array::from(vec![20_260_115]);
        let error = convert(compact_date, &DataType::Date32).unwrap_err();
        assert_eq!(error, Problem::OutOfYears);
    }

    #[test]
    fn int96_is_read_in_every_unit_and_never_wraps() {
        let int96 = |day: i32, nanos: i64, declared: &DataType| {
            let bytes = [&nanos.to_le_bytes()[..], &day.to_le_bytes()[..]].concat();
            let array: ArrayRef =
                Arc::new(FixedSizeBinaryArray::try_from_iter([bytes].into_iter()).unwrap());
            let conversion = TimeConversion::new(array.data_type(), true, declared).unwrap();
            conversion
                .convert(&array)
                .unwrap()
                .map_err(|(_, problem)| problem)
        };
        // 9999-12-31T03:00:00.
        let last_day = 2_440_588 + 2_932_896;
        let nanos = 10_800_000_000_000;
        let read = int96(last_day, nanos, &MICROS).unwrap();
        let read = read.as_primitive::<TimestampMicrosecondType>().value(0);
        assert_eq!(read, (2_932_896 * 86_400 + 10_800) * 1_000_000);
        let error = int96(last_day, nanos, &NANOS).unwrap_err();
        assert_eq!(error, Problem::OutOfNanoseconds);
        assert_eq!(
            int96(i32::MAX, 0, &MICROS).unwrap_err(),
            Problem::OutOfYears
        );
        let read = int96(2_440_588, 7, &NANOS).unwrap();
        assert_eq!(read.as_primitive::<TimestampNanosecondType>().value(0), 7);
        assert_eq!(
            int96(2_440_588, 7, &DataType::Date32).unwrap_err(),
            Problem::TimeOfDay
        );
    }
}
