//! Planted differences are found, each in its column and with its count.

use serde_json::{Value, json};

use crate::diff::{columns, counts, only_table, publish, report, set_things, thing, things};
use crate::support::{TestDestination, for_each_destination};

for_each_destination!(
    differences_of_values_are_found_in_json_files,
    differences_of_values_are_found_in_parquet_files,
);

/// A change of the row of one id, with the columns in which it is found.
struct Planted {
    column: &'static str,
    found: &'static [&'static str],
    left: Value,
    right: Value,
}

/// Returns the planted differences, in the order of ids from 1.
fn planted() -> Vec<Planted> {
    let plant = |column, found, left, right| Planted {
        column,
        found,
        left,
        right,
    };
    vec![
        plant("text", &["text"], json!("a"), json!("b")),
        plant("text", &["text"], json!(""), Value::Null),
        plant("text", &["text"], json!("a"), json!("a ")),
        plant("text", &["text"], json!("\u{e9}"), json!("e\u{301}")),
        plant("small", &["small"], json!(7), json!(8)),
        plant("small", &["small"], json!(0), Value::Null),
        plant(
            "big",
            &["big"],
            json!(9_007_199_254_740_992_u64),
            json!(9_007_199_254_740_993_u64),
        ),
        plant(
            "ratio",
            &["ratio"],
            json!(1.5),
            json!(1.500_000_000_000_000_2),
        ),
        plant("ratio", &["ratio"], json!(0.0), json!(-0.0)),
        plant("flag", &["flag"], json!(true), json!(false)),
        plant("flag", &["flag"], json!(false), Value::Null),
        plant(
            "at",
            &["at"],
            json!("2026-01-15T12:00:00.000001Z"),
            json!("2026-01-15T12:00:00.000002Z"),
        ),
        plant("day", &["day"], json!("2026-01-15"), json!("2026-01-16")),
        plant("price", &["price"], json!("10.0001"), json!("10.0002")),
        plant("tags", &["tags"], json!(["a", "b"]), json!(["b", "a"])),
        plant("tags", &["tags"], json!(["a", "b"]), json!(["a", "c"])),
        plant("tags", &["tags"], json!([]), Value::Null),
        plant("tags", &["tags"], json!(["a"]), json!(["a", null])),
        plant(
            "info",
            &["info.n"],
            json!({ "a": "x", "n": 1, "deep": { "x": "y" } }),
            json!({ "a": "x", "n": 2, "deep": { "x": "y" } }),
        ),
        plant(
            "info",
            &["info.deep.x"],
            json!({ "a": "x", "n": 1, "deep": { "x": "y" } }),
            json!({ "a": "x", "n": 1, "deep": { "x": "z" } }),
        ),
        plant("info", &["info"], json!({}), Value::Null),
        plant(
            "info",
            &["info.deep"],
            json!({ "n": 1, "deep": {} }),
            json!({ "n": 1 }),
        ),
        plant(
            "items",
            &["items"],
            json!([{ "sku": "s", "n": 1 }]),
            json!([{ "sku": "s", "n": 2 }]),
        ),
        plant(
            "items",
            &["items"],
            json!([{ "sku": "s", "n": 1 }, { "sku": "t", "n": 2 }]),
            json!([{ "sku": "t", "n": 2 }, { "sku": "s", "n": 1 }]),
        ),
    ]
}

fn differences_of_values_are_found_in_json_files(destination: TestDestination) {
    differences_of_values_are_found(destination, "json");
}

fn differences_of_values_are_found_in_parquet_files(destination: TestDestination) {
    differences_of_values_are_found(destination, "parquet");
}

fn differences_of_values_are_found(destination: TestDestination, format: &str) {
    let planted = planted();
    let of = |side: fn(&Planted) -> &Value| -> Vec<Value> {
        let ids = 1..=100;
        ids.map(|id| {
            let mut row = thing(id);
            if let Some(planted) = planted.get(id as usize - 1) {
                row[planted.column] = side(planted).clone();
            }
            row
        })
        .collect()
    };
    let sandbox = things(destination, &of(|planted| &planted.left));
    publish(&sandbox, &["--format", format]);
    let identical = report(&sandbox, 0, &["--key", "id"]);
    assert_eq!(counts(only_table(&identical)), [100, 0, 0, 0]);

    let mut right = of(|planted| &planted.right);
    right.remove(99);
    right.push(thing(200));
    right.reverse();
    set_things(&sandbox, &right);
    let found = report(&sandbox, 1, &["--key", "id", "--samples", "50"]);
    let table = only_table(&found);
    let changed = planted.len() as u64;
    assert_eq!(counts(table), [99 - changed, changed, 1, 1]);
    assert_eq!(
        columns(table),
        [
            "text 4",
            "small 2",
            "big 1",
            "ratio 2",
            "flag 2",
            "at 1",
            "day 1",
            "price 1",
            "tags 4",
            "info 1",
            "info.n 1",
            "info.deep 1",
            "info.deep.x 1",
            "items 2",
        ]
    );
    let share = table["columns"][0]["share"].as_f64().expect("a share");
    assert!((share - 4.0 / 99.0).abs() < 1e-9, "{share}");
    let samples = table["samples"]["changed"].as_array().expect("samples");
    assert_eq!(samples.len(), planted.len());
    for (index, (sample, planted)) in samples.iter().zip(&planted).enumerate() {
        assert_eq!(sample["key"], json!([index + 1]));
        let columns = sample["columns"].as_array().expect("columns").iter();
        let columns: Vec<&str> = columns
            .map(|column| column["column"].as_str().expect("a name"))
            .collect();
        assert_eq!(columns, planted.found, "{sample:#}");
        if !planted.column.starts_with("info") {
            let (left, right) = (
                &sample["columns"][0]["left"],
                &sample["columns"][0]["right"],
            );
            assert_eq!((left, right), (&planted.left, &planted.right));
        }
    }
    assert_eq!(table["samples"]["only_left"][0]["key"], json!([100]));
    assert_eq!(table["samples"]["only_right"][0]["key"], json!([200]));
}

/// Each value is still there, and each as often.
#[test]
fn values_swapped_between_rows_are_found() {
    let sandbox = things(TestDestination::local(), &[thing(1), thing(2), thing(3)]);
    publish(&sandbox, &[]);
    let (mut one, mut two) = (thing(1), thing(2));
    (one["text"], two["text"]) = (two["text"].clone(), one["text"].clone());
    set_things(&sandbox, &[one, two, thing(3)]);
    let swapped = report(&sandbox, 1, &["--key", "id"]);
    assert_eq!(counts(only_table(&swapped)), [1, 2, 0, 0]);
    assert_eq!(columns(only_table(&swapped)), ["text 2"]);
    let without_key = report(&sandbox, 1, &[]);
    assert_eq!(counts(only_table(&without_key)), [1, 0, 2, 2]);
}
