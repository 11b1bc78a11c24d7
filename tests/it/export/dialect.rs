//! The dialect of JSON files; Parquet files have the same values.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::exported;
use crate::support::{Sandbox, TestDestination, gzip, rows, sorted};

/// Returns the text of the only file of a table.
fn text_of(sandbox: &Sandbox, table: &str) -> String {
    let keys = sandbox.destination.keys_below(&format!("data/{table}/"));
    let [key] = keys.as_slice() else {
        panic!("not one file: {keys:?}");
    };
    let mut text = String::new();
    MultiGzDecoder::new(sandbox.destination.read(key).as_ref())
        .read_to_string(&mut text)
        .expect("gzip of UTF-8 text");
    text
}

#[test]
fn a_line_is_formatted_as_promised() {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write(
        "sql/sources/things.sql",
        "CREATE EXTERNAL TABLE things (
            time TIMESTAMP(6) WITH TIME ZONE, whole BIGINT, part DOUBLE, yes BOOLEAN, text VARCHAR,
            list BIGINT[], client STRUCT<title VARCHAR, tags VARCHAR[]>
        ) STORED AS JSON LOCATION 'things/'",
    );
    sandbox.write(
        "sql/things.sql",
        "COPY (SELECT * FROM things ORDER BY time) TO 'things'",
    );
    let raw = concat!(
        r#"{"time":"2026-01-15T01:00:00+01:00","whole":9007199254740993,"part":1,"yes":false,"text":"<a href=\"x\"> & \\ \u0000 \t \r\n 😀 \u2028","list":[],"client":{}}"#,
        "\n",
        r#"{"time":"2026-01-15T23:59:59.999999Z","whole":-9223372036854775808,"part":0.1,"yes":null,"text":"","list":[1,null],"client":{"title":null,"tags":[]}}"#,
        "\n",
        r#"{"time":"2026-01-16T00:00:00.120Z","whole":9223372036854775807}"#,
        "\n",
    );
    sandbox.write("raw/things/a.json.gz", gzip(raw));
    sandbox.run(&["--format", "json"]).succeeded();
    let spelled = concat!(
        r#"{"time":"2026-01-15T00:00:00Z","whole":9007199254740993,"part":1.0,"yes":false,"text":"<a href=\"x\"> & \\ \u0000 \t \r\n 😀 "#,
        "\u{2028}",
        r#"","list":[],"client":{}}"#,
        "\n",
        r#"{"time":"2026-01-15T23:59:59.999999Z","whole":-9223372036854775808,"part":0.1,"text":"","list":[1,null],"client":{"tags":[]}}"#,
        "\n",
        r#"{"time":"2026-01-16T00:00:00.120Z","whole":9223372036854775807}"#,
        "\n",
    );
    assert_eq!(text_of(&sandbox, "things"), spelled);
}

/// Checks that the fixtures still contain all these values, and that the export keeps them.
#[test]
fn the_awkward_values_of_the_fixtures_survive() {
    let sandbox = exported(TestDestination::local(), "json");
    let pageviews = text_of(&sandbox, "pageview_events");
    for kept in [
        r#""time":"2026-01-15T00:00:00Z""#,
        r#""time":"2026-01-15T23:59:59.999999Z""#,
        r#""segments":[]"#,
        r#""tags":[]"#,
        r#"Q&A: is 5 < 7 > 3? <b>Numbers</b>"#,
        r#"\r\n"#,
        "\u{2028}",
        "東京",
        "عاصفة",
    ] {
        assert!(pageviews.contains(kept), "no `{kept}`");
    }
    assert!(pageviews.chars().any(|c| c >= '\u{1f300}'), "no emoji");
    let slots = text_of(&sandbox, "slotviewable_events");
    for id in [
        "9007199254740993",
        "9007199254740995",
        "9223372036854775807",
    ] {
        assert!(slots.contains(&format!(":{id},")), "no {id}");
    }
    for text in [&pageviews, &slots] {
        for outside in [":null", "\"year\":", "\"month\":", "\"day\":"] {
            assert!(!text.contains(outside), "`{outside}` inside a file");
        }
    }
}

#[test]
fn parquet_and_json_hold_the_same_rows() {
    let parquet = exported(TestDestination::local(), "parquet").destination;
    let json = exported(TestDestination::local(), "json").destination;
    for table in [
        "aliases",
        "pageview_events",
        "segment_metadata",
        "slotviewable_events",
    ] {
        let of = |destination| sorted(rows(destination, table));
        assert_eq!(of(&parquet), of(&json), "{table}");
    }
}
