//! Keys: unique ones match rows, others never do.

use serde_json::{Value, json};

use crate::diff::{
    columns, counts, diff, only_table, publish, report, report_of, set_things, thing, things,
};
use crate::support::{Sandbox, TestDestination};

fn published(rows: &[Value]) -> Sandbox {
    let sandbox = things(TestDestination::local(), rows);
    publish(&sandbox, &[]);
    sandbox
}

fn with(id: u64, column: &str, value: Value) -> Value {
    let mut row = thing(id);
    row[column] = value;
    row
}

#[test]
fn a_row_that_is_there_twice_is_one_too_many() {
    let sandbox = published(&[thing(1), thing(2)]);
    set_things(&sandbox, &[thing(1), thing(2), thing(2)]);
    for args in [&["--key", "id"][..], &[]] {
        let twice = report(&sandbox, 1, args);
        assert_eq!(counts(only_table(&twice)), [2, 0, 0, 1], "{args:?}");
    }
    let output = diff(&sandbox, &["--key", "id"]).exited_with(1);
    output.stderr_has(
        "warning: sql/things.sql:2: the key id is not unique on the right: 1 key has 1 row too many",
    );

    let sandbox = published(&[thing(1), thing(1), thing(2)]);
    set_things(&sandbox, &[thing(1), thing(2)]);
    let once = report(&sandbox, 1, &["--key", "id"]);
    let table = only_table(&once);
    assert_eq!(counts(table), [2, 0, 1, 0]);
    let duplicates = json!({
        "keys": 1, "extra_rows": 1, "examples": [{ "key": [1], "rows": 2 }],
    });
    assert_eq!(table["left"]["duplicate_keys"], duplicates);
    assert_eq!(table["right"].get("duplicate_keys"), None);
}

/// Rows of a key that several rows have are no pairs, whatever else they have.
#[test]
fn a_key_of_several_rows_is_compared_as_whole_rows() {
    let rows = |texts: [&str; 3]| texts.map(|text| with(7, "text", json!(text))).to_vec();
    let sandbox = published(&rows(["a", "b", "c"]));
    set_things(&sandbox, &rows(["b", "c", "d"]));
    let several = report(&sandbox, 1, &["--key", "id"]);
    let table = only_table(&several);
    assert_eq!(counts(table), [2, 0, 1, 1]);
    assert_eq!(columns(table), Vec::<String>::new());
    assert_eq!(table["left"]["duplicate_keys"]["extra_rows"], 2);
    assert_eq!(table["right"]["duplicate_keys"]["extra_rows"], 2);
    // One row on one side is no pair of several on the other.
    set_things(&sandbox, &rows(["d", "d", "d"])[..1]);
    let one = report(&sandbox, 1, &["--key", "id"]);
    assert_eq!(counts(only_table(&one)), [0, 0, 3, 1]);
}

/// 3,000 rows on each side would be 9 million pairs.
#[test]
fn a_key_of_thousands_of_rows_does_not_explode() {
    let rows = |from: u64| -> Vec<Value> {
        let numbers = from..from + 3000;
        numbers
            .map(|number| json!({ "id": 1, "big": number }))
            .collect()
    };
    let sandbox = published(&rows(0));
    set_things(&sandbox, &rows(1000));
    let many = report(&sandbox, 1, &["--key", "id", "--samples", "2"]);
    let table = only_table(&many);
    assert_eq!(counts(table), [2000, 0, 1000, 1000]);
    assert_eq!(
        table["samples"]["only_left"].as_array().map(Vec::len),
        Some(2)
    );
    let duplicates = &table["left"]["duplicate_keys"];
    assert_eq!(
        (&duplicates["keys"], &duplicates["extra_rows"]),
        (&json!(1), &json!(2999))
    );
}

#[test]
fn duplicates_of_identical_tables_are_told() {
    let sandbox = published(&[thing(1), thing(1), thing(2)]);
    let output = diff(&sandbox, &["--key", "id"]).exited_with(0);
    let output = output.stdout_has("things: identical, 3 rows");
    let output = output.stdout_has("not unique, left: 1 (2 rows)");
    output.stderr_has("things: the key id is not unique on the left: 1 key has 1 row too many");
}

#[test]
fn rows_without_a_key_are_a_group_of_their_own() {
    let null = |text: &str| {
        let mut row = with(0, "text", json!(text));
        row["id"] = Value::Null;
        row
    };
    let sandbox = published(&[null("a"), null("b"), null("b"), thing(1)]);
    set_things(&sandbox, &[null("a"), null("c"), thing(1)]);
    let nulls = report(&sandbox, 1, &["--key", "id"]);
    let table = only_table(&nulls);
    assert_eq!(counts(table), [2, 0, 2, 1]);
    assert_eq!(
        (&table["left"]["null_keys"], &table["right"]["null_keys"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(table["left"].get("duplicate_keys"), None);
    let output = diff(&sandbox, &["--key", "id"]);
    output.stdout_has("only right: text \"c\", small 0");
}

#[test]
fn a_key_of_several_columns_may_be_a_field_of_a_struct() {
    let row = |id: u64, n: u64, text: &str| json!({ "id": id, "info": { "n": n }, "text": text });
    let sandbox = published(&[row(1, 1, "a"), row(1, 2, "b"), row(2, 1, "c")]);
    set_things(&sandbox, &[row(1, 1, "a"), row(1, 2, "x"), row(2, 1, "c")]);
    for args in [
        &["--key", "id,info.n"][..],
        &["--key", "id", "--key", "info.n"],
        &["--key", "things:id,info.n"],
    ] {
        let compound = report(&sandbox, 1, args);
        let table = only_table(&compound);
        assert_eq!(table["key"], json!(["id", "info.n"]));
        assert_eq!(counts(table), [2, 1, 0, 0]);
        assert_eq!(table["samples"]["changed"][0]["key"], json!([1, 2]));
    }
}

/// The rows of a definition that groups have a key that nobody has to name.
#[test]
fn the_columns_that_a_definition_groups_by_are_its_key() {
    let sandbox = published(&[thing(1)]);
    sandbox.write(
        "sql/things.sql",
        "COPY (SELECT flag, day, count(*) AS things, max(big) AS big FROM things GROUP BY flag, day) TO 'things'",
    );
    set_things(&sandbox, &[thing(1), thing(2), thing(4)]);
    publish(&sandbox, &["--rerun", "--accept-schema"]);
    set_things(&sandbox, &[thing(1), thing(2), thing(6)]);
    let grouped = report(&sandbox, 1, &[]);
    let table = only_table(&grouped);
    assert_eq!(table["key"], json!(["flag", "day"]));
    assert_eq!(table["key_from"], "definition");
    assert_eq!(counts(table), [1, 1, 0, 0]);
    assert_eq!(columns(table), ["big 1"]);
}

/// The order of samples is that of the keys.
#[test]
fn samples_are_the_first_by_key() {
    let ids = [30, 4, 100, 2, 17];
    let sandbox = published(&ids.map(thing));
    set_things(&sandbox, &ids.map(|id| with(id, "flag", Value::Null)));
    let sampled = report(&sandbox, 1, &["--key", "id", "--samples", "3"]);
    let samples = only_table(&sampled)["samples"]["changed"]
        .as_array()
        .expect("samples");
    let keys: Vec<&Value> = samples.iter().map(|sample| &sample["key"][0]).collect();
    assert_eq!(keys, [2, 4, 17]);
    let none = report(&sandbox, 1, &["--key", "id", "--samples", "0"]);
    assert_eq!(only_table(&none)["samples"]["changed"], json!([]));
}

/// Beyond the first rows, one is shown for each column that changed.
#[test]
fn each_changed_column_has_a_sample() {
    let sandbox = published(&[thing(1), thing(2), thing(3)]);
    set_things(
        &sandbox,
        &[
            with(1, "text", json!("x")),
            with(2, "text", json!("y")),
            with(3, "flag", Value::Null),
        ],
    );
    let sampled = report_of(diff(
        &sandbox,
        &["--key", "id", "--samples", "1", "--output", "json"],
    ));
    let samples = only_table(&sampled)["samples"]["changed"]
        .as_array()
        .expect("samples");
    let keys: Vec<&Value> = samples.iter().map(|sample| &sample["key"][0]).collect();
    assert_eq!(keys, [1, 3]);
}
