//! The grammar of RFC 8259, and the rule of each type.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::grammar::MAX_DEPTH;
use super::*;

/// Returns the canonical form of a line, or the reason why it is rejected.
fn canonical(data_type: DataType, line: &str) -> Result<String, String> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", data_type, true)]));
    let mut out = Vec::new();
    match write_canonical(line.as_bytes(), &schema, &LeafRules::default(), &mut out) {
        Ok(()) => Ok(String::from_utf8(out).unwrap()),
        Err(reject) => Err(reject.reason()),
    }
}

/// Returns the canonical form of a value.
fn value(data_type: &DataType, text: &str) -> Result<String, String> {
    let line = format!("{{\"v\":{text}}}");
    let canonical = canonical(data_type.clone(), &line)?;
    Ok(canonical["{\"v\":".len()..canonical.len() - 1].to_owned())
}

fn assert_values(data_type: &DataType, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let found = value(data_type, text);
        assert_eq!(found.as_deref(), Ok(*expected), "{data_type} {text}");
    }
}

fn assert_rejects(data_type: &DataType, cases: &[&str]) {
    for text in cases {
        let reason = value(data_type, text).expect_err(text);
        assert!(reason.starts_with("field `v`: "), "{text}: {reason}");
    }
}

#[test]
fn integers_are_exact() {
    assert_values(
        &DataType::Int64,
        &[
            ("1.0", "1"),
            ("1e3", "1000"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0e99999999999999999999", "0"),
            ("120e-1", "12"),
            ("9007199254740993.0", "9007199254740993"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("\"42\"", "42"),
            ("null", "null"),
        ],
    );
    assert_rejects(
        &DataType::Int64,
        &[
            "1.5",
            "-1.9",
            "0.9999999999999999",
            "-9223372036854775809",
            "9223372036854775808",
            "1e400",
            "1e-1",
            "\"\"",
            "\"x\"",
            "\"NaN\"",
            "true",
            "[1]",
            "{}",
            "1e99999999999999999999",
        ],
    );
    assert_rejects(&DataType::UInt8, &["256", "-1"]);
    assert_values(
        &DataType::UInt64,
        &[("18446744073709551615", "18446744073709551615")],
    );
}

#[test]
fn decimals_are_exact() {
    let decimal = DataType::Decimal128(5, 2);
    assert_values(
        &decimal,
        &[
            ("1.5", "1.5"),
            ("1.50000", "1.5"),
            ("-12e1", "-120"),
            ("5e-2", "0.05"),
            ("999.99", "999.99"),
            ("0.000", "0"),
            ("\"1.25\"", "1.25"),
        ],
    );
    assert_rejects(
        &decimal,
        &["1.555", "0.009", "1000", "99999999.999", "1e40", "\"1,5\""],
    );
    assert_values(&DataType::Decimal128(3, -2), &[("12300", "12300")]);
    assert_rejects(&DataType::Decimal128(3, -2), &["12350"]);
}

#[test]
fn floats_are_the_nearest_and_finite() {
    assert_values(
        &DataType::Float64,
        &[
            ("0.1", "0.1"),
            ("1e-400", "0.0"),
            ("9007199254740993", "9007199254740992.0"),
            ("-0.0", "-0.0"),
        ],
    );
    assert_rejects(
        &DataType::Float64,
        &["1e400", "-1e309", "\"NaN\"", "\"Infinity\"", "\"inf\""],
    );
    assert_rejects(&DataType::Float32, &["1e39"]);
}

#[test]
fn times_are_in_four_digit_years() {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_values(
        &micros,
        &[
            ("\"2026-01-15T00:00:00.1234567Z\"", "1768435200123456"),
            ("\"1969-12-31T23:59:59.9999999Z\"", "-1"),
            ("\"2026-01-15T01:00:00+01:00\"", "1768435200000000"),
            ("1768435200123456", "1768435200123456"),
        ],
    );
    assert_rejects(
        &micros,
        &[
            "1768435200",
            "1768435200123",
            "9223372036854775807",
            "-1",
            "1768435200123456.5",
            "\"+10000-01-01T00:00:00Z\"",
            "\"0000-12-31T00:00:00Z\"",
            "\"soon\"",
            "true",
        ],
    );
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    assert_values(&seconds, &[("1768435200", "1768435200")]);
    assert_rejects(&seconds, &["1768471200123456"]);
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
    assert_rejects(
        &nanos,
        &["\"9999-12-31T00:00:00Z\"", "\"1600-01-01T00:00:00Z\""],
    );
    assert_values(
        &DataType::Date32,
        &[("\"2026-01-15\"", "20468"), ("\"0001-01-01\"", "-719162")],
    );
    assert_rejects(
        &DataType::Date32,
        &[
            "\"0000-12-31\"",
            "\"+10000-01-01\"",
            "20260115",
            "2147483647",
            "\"2026-02-30\"",
            "9223372036854775807",
        ],
    );
}

/// The path of a field leads through structs and lists.
#[test]
fn nested_values_follow_the_same_rules() {
    let integer = Field::new("n", DataType::Int64, true);
    let object = DataType::Struct(vec![integer].into());
    let list = DataType::List(Arc::new(Field::new("item", object, true)));
    assert_values(
        &list,
        &[("[{\"n\":1e2,\"x\":[{}]},null]", "[{\"n\":100},null]")],
    );
    let reason = value(&list, "[{\"n\":1.5}]").unwrap_err();
    assert_eq!(reason, "field `v.n`: the number is not an integer");
}

#[test]
fn a_required_value_is_named() {
    let fields = vec![Field::new("v", DataType::Int64, false)];
    let schema = Arc::new(Schema::new(fields));
    for (line, reason) in [
        ("{}", "required field `v` is missing or null"),
        ("{\"v\":null}", "required field `v` is missing or null"),
    ] {
        let reject = write_canonical(
            line.as_bytes(),
            &schema,
            &LeafRules::default(),
            &mut Vec::new(),
        )
        .unwrap_err();
        assert_eq!(reject.reason(), reason);
    }
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    let line = "{\"v\":1,\"v\":2}";
    assert_eq!(
        canonical(DataType::Int64, line).as_deref(),
        Ok("{\"v\":1,\"v\":2}")
    );
    assert!(canonical(DataType::Int64, "{\"v\":1.5,\"v\":2}").is_err());
    // A key may be escaped.
    assert_eq!(
        canonical(DataType::Int64, "{\"\\u0076\":7}").as_deref(),
        Ok("{\"v\":7}")
    );
}

#[test]
fn strings_keep_every_character() {
    assert_values(
        &DataType::Utf8,
        &[
            ("\"a\\u0000b\"", "\"a\\u0000b\""),
            ("\"\\ud83d\\ude00\\/\"", "\"😀/\""),
            ("\"\\\"\\\\\"", "\"\\\"\\\\\""),
            ("\"\u{7f}\"", "\"\u{7f}\""),
        ],
    );
    assert_rejects(&DataType::Utf8, &["1", "true", "{}"]);
}

/// Text that is no JSON is rejected in fields that are read and in those that are not.
#[test]
fn only_json_is_accepted() {
    let wrong = [
        "[1,]",
        "[,1]",
        "[1,,2]",
        "[1 2]",
        "[1 true]",
        "[1 000.0]",
        "{\"a\":1,}",
        "{\"a\":1,,\"b\":2}",
        "{a:1}",
        "{'a':1}",
        "{\"a\"}",
        "{\"a\" 1}",
        "{\"a\":}",
        "04",
        "-04",
        "1.",
        "-.5",
        ".5",
        "+1",
        "- 1",
        "1e",
        "1e+",
        "1.e1",
        "0x1",
        "1_000",
        "1.2.3",
        "NaN",
        "Infinity",
        "nul",
        "nulls",
        "True",
        "tru",
        "\"\t\"",
        "\"\u{1}\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"",
        "[",
        "{",
        "]",
        "1}",
        "[\"a",
        "[}",
        "{]",
        "[1}",
        "",
        " ",
        "//",
        "1/*x*/",
        "\u{feff}1",
        "\u{a0}1",
    ];
    for text in wrong {
        for (name, data_type) in [
            ("v", DataType::Int64),
            ("v", DataType::Utf8),
            ("x", DataType::Int64),
        ] {
            let line = format!("{{\"{name}\":{text}}}");
            assert!(canonical(data_type, &line).is_err(), "{line}");
        }
    }
    for text in [
        "[]",
        "{}",
        "[[],{}]",
        "-0",
        "0e+1",
        "1E22",
        "\"\\u00e9\"",
        "{\"a\":{\"a\":[null]}}",
        " [ 1 , 2 ] ",
    ] {
        let line = format!("{{\"x\":{text}}}");
        assert_eq!(
            canonical(DataType::Int64, &line).as_deref(),
            Ok("{}"),
            "{line}"
        );
    }
}

#[test]
fn a_line_is_one_object() {
    for (line, reason) in [
        ("[1]", "a JSON object is expected, found a list"),
        ("\"secret\"", "a JSON object is expected, found a string"),
        ("{}{}", "more than one record on the line"),
        ("{\"v\":1", "the JSON object does not end on its line"),
        (
            "{\"v\":1} x",
            "not valid JSON: the end of the line is expected at byte 9 of the line",
        ),
    ] {
        assert_eq!(
            canonical(DataType::Int64, line).unwrap_err(),
            reason,
            "{line}"
        );
    }
}

#[test]
fn times_of_day_are_texts_within_a_day() {
    let micros = DataType::Time64(TimeUnit::Microsecond);
    assert_values(
        &micros,
        &[
            ("\"00:00:00\"", "0"),
            ("\"12:30:00\"", "45000000000"),
            ("\"23:59:59.9999999\"", "86399999999"),
        ],
    );
    assert_rejects(
        &micros,
        &[
            "45000",
            "\"24:00:00\"",
            "\"23:59:60\"",
            "\"noon\"",
            "true",
            "{}",
        ],
    );
    assert_values(
        &DataType::Time32(TimeUnit::Second),
        &[("\"00:01:30.9\"", "90")],
    );
}

#[test]
fn the_values_of_maps_follow_their_type() {
    let entry = DataType::Struct(
        vec![
            Field::new("key", DataType::Utf8, false),
            Field::new("value", DataType::Int64, true),
        ]
        .into(),
    );
    let map = DataType::Map(Arc::new(Field::new("entries", entry, false)), false);
    assert_values(
        &map,
        &[
            ("{ }", "{}"),
            ("{\"a\": 1.0, \"b\": null}", "{\"a\":1,\"b\":null}"),
        ],
    );
    assert_rejects(&map, &["{\"a\": 1.5}", "[]", "7"]);
}

/// Values may be personal, and rejects are stored at the destination.
#[test]
fn reasons_do_not_quote_values() {
    for (data_type, text) in [
        (DataType::Int64, "31415926.5"),
        (DataType::Int64, "\"jane@example.com\""),
        (DataType::Decimal128(5, 2), "31415926"),
        (DataType::Utf8, "31415926"),
        (DataType::Date32, "\"jane@example.com\""),
        (DataType::Boolean, "\"jane@example.com\""),
        (
            DataType::Time64(TimeUnit::Microsecond),
            "{\"jane@example.com\"}",
        ),
    ] {
        let reason = value(&data_type, text).unwrap_err();
        assert!(
            !reason.contains("jane") && !reason.contains("31415926"),
            "{reason}"
        );
    }
}

#[test]
fn nesting_has_a_bound() {
    let nested = |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(canonical(DataType::Int64, &nested(MAX_DEPTH - 1)).is_ok());
    let reason = canonical(DataType::Int64, &nested(MAX_DEPTH)).unwrap_err();
    assert_eq!(reason, "values are nested more than 1000 levels deep");
}
