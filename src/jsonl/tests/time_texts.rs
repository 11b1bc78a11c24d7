//! Texts in timestamp columns: one parser agrees with arrow's, and the decoders with each other.

use std::sync::Arc;

use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::Utc;
use fastrand::Rng;

use super::chunk;
use crate::jsonl::epoch::EpochUnit;
use crate::jsonl::fast::FastDecoder;
use crate::jsonl::leaf_mask::LeafMask;
use crate::jsonl::leaf_rule::{LeafRule, LeafRules};
use crate::jsonl::local_zone::LocalZone;
use crate::jsonl::reference::ReferenceDecoder;
use crate::jsonl::time_column::instant_of_text;
use crate::jsonl::time_format::TimeFormat;

/// Returns a text in one of many forms, most of which are times.
fn text(random: &mut Rng) -> String {
    let mut one_of = |items: &[&'static str]| items[random.usize(..items.len())];
    let date = one_of(&[
        "2026-01-15",
        "1969-12-31",
        "2026-10-25",
        "2026-03-29",
        "9999-12-31",
    ]);
    let separator = one_of(&["T", " ", "t", "T", "  ", ""]);
    let time = one_of(&[
        "10:00", "02:30:00", "23:59:60", "24:00:00", "24:00", "24:00:01", "00:00:00", "10:00:61",
        "100203", "1002", "12:5:00",
    ]);
    let fraction = one_of(&["", "", ".5", ",123", ".123456789", ",1234567891", ".", ","]);
    let zone = one_of(&[
        "",
        "Z",
        "z",
        "+01:00",
        "-0730",
        "+05",
        " +0000",
        " +0000 UTC",
        " +0100 CET",
        " UTC",
        "UTC",
        " GMT",
        "[Europe/Berlin]",
        "+01:00[Europe/Berlin]",
        " Europe/Berlin",
        "+24:00",
        " Z",
        "+1",
    ]);
    let blanks = one_of(&["", "", " ", "\\t"]);
    let mut text = format!("{blanks}{date}{separator}{time}{fraction}{zone}{blanks}");
    if random.u8(0..8) == 0 {
        let at = random.usize(..text.len());
        if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
            text.replace_range(at..=at, ["0", "9", "-", ":", "x", ""][random.usize(..6)]);
        }
    }
    text
}

#[test]
fn what_arrow_reads_is_read_as_the_same_instant() {
    let mut random = Rng::with_seed(11);
    let mut both = 0;
    for _ in 0..200_000 {
        let text = text(&mut random);
        let Ok(expected) = string_to_datetime(&Utc, &text) else {
            continue;
        };
        // arrow has no rules of zones for years that are far away.
        if text.contains("Europe") && !text.contains("2026-") {
            continue;
        }
        both += 1;
        // A leap second has two forms, which are the same microseconds since 1970.
        let read = instant_of_text(&text).map(|read| read.timestamp_micros());
        assert_eq!(read, Some(expected.timestamp_micros()), "{text}");
    }
    assert!(both > 4_000, "{both}");
}

fn schema(unit: TimeUnit) -> SchemaRef {
    let time = DataType::Timestamp(unit, Some("+00:00".into()));
    Arc::new(Schema::new(vec![
        Field::new("at", time, true),
        Field::new("day", DataType::Date32, true),
    ]))
}

#[test]
fn the_fast_decoder_reads_texts_as_the_strict_one() {
    let format = |text: &str| Some(TimeFormat::parse(text).unwrap());
    let berlin = LocalZone::named("Europe/Berlin");
    let of_format = |format| LeafRule {
        time_format: format,
        ..LeafRule::default()
    };
    let rules = [
        LeafRule::default(),
        LeafRule::of_unit(EpochUnit::Millisecond),
        of_format(format("%Y-%m-%d %H:%M")),
        of_format(format("%Y-%m-%dT%H:%M:%S.%f")),
        LeafRule {
            time_zone: berlin.clone(),
            ..LeafRule::default()
        },
        LeafRule {
            time_zone: berlin,
            unit: Some(EpochUnit::Second),
            ..of_format(format("%Y-%m-%d %H:%M:%S"))
        },
    ];
    let mut random = Rng::with_seed(12);
    for (index, rule) in rules.iter().enumerate() {
        let unit = [
            TimeUnit::Second,
            TimeUnit::Microsecond,
            TimeUnit::Nanosecond,
        ][index % 3];
        let schema = schema(unit);
        let leaves = LeafRules::new(vec![rule.clone(), LeafRule::default()]);
        let mut fast = FastDecoder::new(&schema, &LeafMask::All, &leaves).unwrap();
        let mut strict = ReferenceDecoder::new(schema, LeafMask::All, &leaves).unwrap();
        let (mut accepted, mut read_fast) = (0, 0);
        for _ in 0..20_000 {
            let value = match random.u8(0..10) {
                0 => format!("\"{}\"", random.i64(1_000_000_000..2_000_000_000_000)),
                1 => format!("\"{:03}\"", random.i16(..)),
                2 => random.i64(1_000_000_000..2_000_000_000_000).to_string(),
                3 => "null".to_owned(),
                _ => format!("\"{}\"", text(&mut random)),
            };
            let lines = [format!("{{\"at\":{value},\"day\":\"2026-01-15\"}}").into_bytes()];
            let chunk = chunk(&lines);
            let expected = strict.decode(&[chunk.lines().next().unwrap()]).unwrap();
            accepted += usize::from(expected.bad.is_empty());
            if fast.read(&lines[0]) {
                read_fast += 1;
                assert!(expected.bad.is_empty(), "{value} {rule:?}");
                assert_eq!(
                    fast.finish().unwrap(),
                    expected.batches[0],
                    "{value} {rule:?}"
                );
            }
        }
        assert!(accepted > 500, "{accepted} {rule:?}");
        assert!(
            read_fast * 10 > accepted * 8,
            "{read_fast} of {accepted} {rule:?}"
        );
    }
}
