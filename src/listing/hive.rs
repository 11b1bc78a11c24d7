//! The name of a Hive folder, `column=value`, parsed as the column's type.

use chrono::{Datelike, NaiveDate};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::compute::kernels::cast_utils::string_to_datetime;
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::ScalarValue;
use percent_encoding::percent_decode_str;

use crate::layout::HIVE_NULL;

/// The types that a partition column may have, as they are written in SQL.
pub(crate) const PARTITION_TYPES: &str = "DATE, TIMESTAMP, BOOLEAN, INT, BIGINT or VARCHAR";

/// Returns true if a column of this type can be parsed from a folder's name.
pub(crate) fn is_partition_type(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32
            | DataType::Timestamp(_, _)
            | DataType::Boolean
            | DataType::Int32
            | DataType::Int64
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
    )
}

/// Parses the value of `field` from the folder called `name`.
///
/// Numbers and dates may be padded or not; texts may be percent-encoded. The names of columns are
/// compared case-insensitively, because SQL folds them.
///
/// # Errors
/// The reason, to be appended to "folder `name`".
pub(super) fn folder_value(name: &str, field: &Field) -> Result<ScalarValue, String> {
    let value = name
        .split_once('=')
        .filter(|(column, _)| column.eq_ignore_ascii_case(field.name()))
        .map(|(_, value)| value)
        .ok_or_else(|| format!("is not `{}=<value>`", field.name()))?;
    if value == HIVE_NULL {
        return null_value(field);
    }
    if field.data_type().is_string() && percent_decode_str(value).decode_utf8().is_err() {
        return Err(format!("holds no UTF-8 text in `{}`", field.name()));
    }
    parse(value, field.data_type())
        .ok_or_else(|| format!("holds no {} in `{}`", field.data_type(), field.name()))
}

/// Parses the value of `field` from a part of a name, which has it as it is.
pub(super) fn name_value(text: &str, field: &Field) -> Option<ScalarValue> {
    match field.data_type() {
        DataType::Utf8 => Some(ScalarValue::Utf8(Some(text.to_owned()))),
        DataType::LargeUtf8 => Some(ScalarValue::LargeUtf8(Some(text.to_owned()))),
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(text.to_owned()))),
        other => parse(text, other),
    }
}

fn null_value(field: &Field) -> Result<ScalarValue, String> {
    if !field.is_nullable() {
        return Err(format!("is NULL, but `{}` is NOT NULL", field.name()));
    }
    ScalarValue::try_from(field.data_type()).map_err(|error| error.to_string())
}

fn parse(value: &str, data_type: &DataType) -> Option<ScalarValue> {
    match data_type {
        DataType::Date32 => {
            let days = parse_date(value)?.num_days_from_ce()
                - NaiveDate::from_ymd_opt(1970, 1, 1)?.num_days_from_ce();
            Some(ScalarValue::Date32(Some(days)))
        }
        DataType::Boolean => {
            let known = [("true", true), ("false", false)];
            let mut known = known.into_iter();
            let (_, value) = known.find(|(name, _)| value.eq_ignore_ascii_case(name))?;
            Some(ScalarValue::Boolean(Some(value)))
        }
        DataType::Timestamp(unit, zone) => {
            let number = parse_timestamp(&percent_decoded(value), unit, zone.as_deref())?;
            let (number, zone) = (Some(number), zone.clone());
            Some(match unit {
                TimeUnit::Second => ScalarValue::TimestampSecond(number, zone),
                TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(number, zone),
                TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(number, zone),
                TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(number, zone),
            })
        }
        DataType::Int32 => Some(ScalarValue::Int32(Some(value.parse().ok()?))),
        DataType::Int64 => Some(ScalarValue::Int64(Some(value.parse().ok()?))),
        DataType::Utf8 => Some(ScalarValue::Utf8(Some(percent_decoded(value)))),
        DataType::LargeUtf8 => Some(ScalarValue::LargeUtf8(Some(percent_decoded(value)))),
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(percent_decoded(value)))),
        _ => None,
    }
}

/// Parses a date such as `2026-01-05`, `2026-1-5` or `20260105`.
pub(super) fn parse_date(value: &str) -> Option<NaiveDate> {
    let format = if value.contains('-') {
        "%Y-%m-%d"
    } else {
        "%Y%m%d"
    };
    NaiveDate::parse_from_str(value, format).ok()
}

/// Parses a timestamp such as `2026-01-15 03:00:00` or `2026-01-15T03:00:00Z`, to units since 1970. Without an
/// offset, it is the time of the column's zone, or UTC. One that the unit cannot count exactly is `None`.
fn parse_timestamp(text: &str, unit: &TimeUnit, zone: Option<&str>) -> Option<i64> {
    let zone: Tz = zone.unwrap_or("UTC").parse().ok()?;
    let time = string_to_datetime(&zone, text).ok()?;
    let step = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    let fraction = i128::from(time.timestamp_subsec_nanos());
    let nanos = i128::from(time.timestamp()) * 1_000_000_000 + fraction;
    (nanos.rem_euclid(step) == 0).then(|| i64::try_from(nanos / step).ok())?
}

/// Decodes percent-encoding. `+` and `&`, which have a meaning in forms, stay as they are.
fn percent_decoded(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, data_type: DataType) -> Result<ScalarValue, String> {
        let column = name.split('=').next().unwrap().to_ascii_lowercase();
        folder_value(name, &Field::new(column, data_type, true))
    }

    #[test]
    fn padding_does_not_matter_to_numbers_and_dates() {
        for name in ["hour=3", "hour=03", "Hour=003"] {
            assert_eq!(
                value(name, DataType::Int32),
                Ok(ScalarValue::Int32(Some(3)))
            );
        }
        for name in ["date=2026-01-05", "date=2026-1-5", "date=20260105"] {
            assert_eq!(
                value(name, DataType::Date32),
                Ok(ScalarValue::Date32(Some(20458)))
            );
        }
        assert_eq!(
            value("n=-7", DataType::Int64),
            Ok(ScalarValue::Int64(Some(-7)))
        );
    }

    #[test]
    fn texts_are_percent_decoded() {
        for (written, read) in [
            ("a%2Fb", "a/b"),
            ("a+b&c", "a+b&c"),
            ("03", "03"),
            ("x=y", "x=y"),
        ] {
            assert_eq!(
                value(&format!("k={written}"), DataType::Utf8View),
                Ok(ScalarValue::Utf8View(Some(read.to_owned())))
            );
        }
    }

    #[test]
    fn booleans_and_timestamps() {
        for (name, read) in [("b=true", true), ("b=False", false), ("B=TRUE", true)] {
            let read = Ok(ScalarValue::Boolean(Some(read)));
            assert_eq!(value(name, DataType::Boolean), read);
        }
        let zone: Option<std::sync::Arc<str>> = Some("+00:00".into());
        let millis = DataType::Timestamp(TimeUnit::Millisecond, zone.clone());
        for name in [
            "t=2026-01-15 03%3A00%3A00.5",
            "t=2026-01-15T03:00:00.500Z",
            "t=2026-01-15T05:00:00.5+02:00",
        ] {
            let read = ScalarValue::TimestampMillisecond(Some(1_768_446_000_500), zone.clone());
            assert_eq!(value(name, millis.clone()), Ok(read), "{name}");
        }
        let day = value("t=2026-01-15", DataType::Timestamp(TimeUnit::Second, None));
        let start = ScalarValue::TimestampSecond(Some(1_768_435_200), None);
        assert_eq!(day, Ok(start));
        for (name, data_type) in [
            ("b=1", DataType::Boolean),
            ("b=", DataType::Boolean),
            ("t=2026-02-31 00:00:00", millis.clone()),
            ("t=2026-01-15T24:00:00", millis.clone()),
            ("t=2026-01-15 03:00:00.0005", millis),
        ] {
            assert!(value(name, data_type).is_err(), "{name}");
        }
    }

    #[test]
    fn hive_null_is_null() {
        let name = format!("k={HIVE_NULL}");
        assert_eq!(value(&name, DataType::Int32), Ok(ScalarValue::Int32(None)));
        let required = Field::new("k", DataType::Int32, false);
        let reason = folder_value(&name, &required).unwrap_err();
        assert_eq!(reason, "is NULL, but `k` is NOT NULL");
    }

    #[test]
    fn other_names_are_refused() {
        let date = Field::new("date", DataType::Date32, true);
        for (name, reason) in [
            ("2026-01-05", "is not `date=<value>`"),
            ("day=2026-01-05", "is not `date=<value>`"),
            ("date=2026-13-05", "holds no Date32 in `date`"),
            ("date=", "holds no Date32 in `date`"),
        ] {
            assert_eq!(folder_value(name, &date), Err(reason.to_owned()));
        }
        assert_eq!(
            value("k=caf%E9", DataType::Utf8View),
            Err("holds no UTF-8 text in `k`".to_owned())
        );
    }
}
