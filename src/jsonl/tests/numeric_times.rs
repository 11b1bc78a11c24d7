//! Numbers in timestamp columns: the decoders agree, and each unit gives the right instant.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use fastrand::Rng;

use super::{chunk, list, object};
use crate::jsonl::decode::LineDecoder;
use crate::jsonl::epoch::EpochUnit;
use crate::jsonl::fast::FastDecoder;
use crate::jsonl::leaf_mask::LeafMask;
use crate::jsonl::leaf_rule::{LeafRule, LeafRules};
use crate::jsonl::reference::ReferenceDecoder;

const UNITS: [TimeUnit; 4] = [
    TimeUnit::Second,
    TimeUnit::Millisecond,
    TimeUnit::Microsecond,
    TimeUnit::Nanosecond,
];

fn time_schema(unit: TimeUnit) -> SchemaRef {
    let time = || DataType::Timestamp(unit, Some("+00:00".into()));
    let user = object(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("created", time(), true),
    ]);
    Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("at", time(), true),
        Field::new("user", user, true),
        Field::new("visits", list(time(), true), true),
    ]))
}

/// Returns the value of `at` in a line, in the unit of its column, or the reason of its reject.
fn decode_at(unit: TimeUnit, declared: Option<EpochUnit>, number: &str) -> Result<i64, String> {
    let rule = LeafRule {
        unit: declared,
        ..LeafRule::default()
    };
    let nothing = LeafRule::default;
    let units = LeafRules::new(vec![nothing(), rule, nothing(), nothing(), nothing()]);
    let mut decoder = LineDecoder::new(time_schema(unit), 9, None, &units).unwrap();
    let line = format!("{{\"n\":7,\"at\":{number}}}").into_bytes();
    let decoded = decoder.decode(&chunk(&[line])).unwrap();
    match decoded.bad.first() {
        Some(bad) => Err(bad.reason.clone()),
        None => {
            let column = cast(decoded.batches[0].column(1), &DataType::Int64).unwrap();
            Ok(column.as_primitive::<Int64Type>().value(0))
        }
    }
}

#[test]
fn a_number_counts_the_declared_unit() {
    let seconds = Some(EpochUnit::Second);
    let cases = [
        (
            TimeUnit::Microsecond,
            "1768471200",
            Ok(1_768_471_200_000_000),
        ),
        (
            TimeUnit::Microsecond,
            "1768471200.25",
            Ok(1_768_471_200_250_000),
        ),
        (
            TimeUnit::Microsecond,
            "1.76847120025e9",
            Ok(1_768_471_200_250_000),
        ),
        (TimeUnit::Microsecond, "0", Ok(0)),
        (TimeUnit::Microsecond, "-0.0000001", Ok(-1)),
        (TimeUnit::Microsecond, "0.0000019", Ok(1)),
        (TimeUnit::Second, "-1.5", Ok(-2)),
        (TimeUnit::Second, "1.5", Ok(1)),
        (
            TimeUnit::Millisecond,
            "253402300799.9999",
            Ok(253_402_300_799_999),
        ),
        (TimeUnit::Millisecond, "253402300800", Err("0001 to 9999")),
        (TimeUnit::Millisecond, "1e30", Err("0001 to 9999")),
        (TimeUnit::Nanosecond, "9300000000", Err("1677 to 2262")),
        (
            TimeUnit::Nanosecond,
            "1768471200.123456789",
            Ok(1_768_471_200_123_456_789),
        ),
    ];
    for (unit, number, expected) in cases {
        match (decode_at(unit, seconds, number), expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected, "{number}"),
            (Err(reason), Err(part)) => {
                assert!(reason.starts_with("field `at`: "), "{reason}");
                assert!(reason.contains(part), "{reason}");
            }
            (actual, _) => panic!("{number}: {actual:?}"),
        }
    }
    let milliseconds = Some(EpochUnit::Millisecond);
    assert_eq!(decode_at(TimeUnit::Second, milliseconds, "-1"), Ok(-1));
    assert_eq!(
        decode_at(TimeUnit::Nanosecond, milliseconds, "1768471200123"),
        Ok(1_768_471_200_123_000_000)
    );
}

#[test]
fn without_a_declared_unit_another_one_is_rejected_and_named() {
    let reason = decode_at(TimeUnit::Microsecond, None, "1768471200").unwrap_err();
    assert_eq!(
        reason,
        "field `at`: the number is not a time from 2000 to 2100, counted in microseconds since \
         1970; if it counts another unit, declare that: OPTIONS ('time_unit' 's')"
    );
    let whole = decode_at(TimeUnit::Second, None, "1768471200.5").unwrap_err();
    assert_eq!(
        whole,
        "field `at`: the number is not a whole number of seconds"
    );
    assert_eq!(
        decode_at(TimeUnit::Second, None, "1768471200.0"),
        Ok(1_768_471_200)
    );
}

#[test]
fn the_fast_decoder_agrees_with_the_strict_one() {
    let mut random = Rng::with_seed(5);
    let declared = [None].into_iter().chain(EpochUnit::ALL.map(Some));
    let mut accepted = 0;
    for (unit, declared) in UNITS
        .into_iter()
        .flat_map(|unit| declared.clone().map(move |declared| (unit, declared)))
    {
        let schema = time_schema(unit);
        let rule = || LeafRule {
            unit: declared,
            ..LeafRule::default()
        };
        let nothing = LeafRule::default;
        let units = LeafRules::new(vec![nothing(), rule(), nothing(), rule(), rule()]);
        let mut fast = FastDecoder::new(&schema, &LeafMask::All, &units).unwrap();
        let mut strict = ReferenceDecoder::new(schema, LeafMask::All, &units).unwrap();
        let mut number = || match random.u8(0..10) {
            0 => random.i64(..),
            1 => random.i64(-5..5),
            2 => -1_768_471_200 * 1000_i64.pow(random.u32(0..4)),
            _ => random.i64(946_684_000..4_133_981_000) * 1000_i64.pow(random.u32(0..4)),
        };
        for _ in 0..200 {
            let line = format!(
                "{{\"n\":{},\"at\":{},\"user\":{{\"created\":{}}},\"visits\":[{},null]}}",
                number(),
                number(),
                number(),
                number()
            );
            let lines = [line.into_bytes()];
            let chunk = chunk(&lines);
            let expected = strict.decode(&[chunk.lines().next().unwrap()]).unwrap();
            let is_read = fast.read(&lines[0]);
            assert_eq!(is_read, expected.bad.is_empty(), "{expected:?}");
            if is_read {
                accepted += 1;
                assert_eq!(fast.finish().unwrap(), expected.batches[0]);
            }
        }
    }
    assert!(accepted > 100, "{accepted}");
}
