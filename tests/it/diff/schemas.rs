//! Differences of columns.

use serde_json::{Value, json};

use crate::diff::{ALL_THINGS, columns, counts, only_table, publish, report, thing, things};
use crate::support::{Sandbox, TestDestination};

fn published() -> Sandbox {
    let sandbox = things(TestDestination::local(), &[thing(1), thing(2)]);
    publish(&sandbox, &[]);
    sandbox
}

/// Compares after a part of the definition has been replaced.
#[track_caller]
fn changed(sandbox: &Sandbox, from: &str, to: &str, args: &[&str]) -> Value {
    let definition = ALL_THINGS.replacen(from, to, 1);
    assert_ne!(definition, ALL_THINGS);
    sandbox.write("sql/things.sql", definition);
    let report = report(sandbox, 1, &[&["--key", "id"], args].concat());
    only_table(&report).clone()
}

#[test]
fn a_renamed_column_is_gone_and_new() {
    let table = changed(&published(), "text,", "text AS words,", &[]);
    let schema = json!([
        { "change": "removed", "column": "text", "type": "string" },
        { "change": "added", "column": "words", "type": "string" },
    ]);
    assert_eq!(table["schema"], schema);
    assert_eq!(counts(&table), [2, 0, 0, 0]);
}

#[test]
fn values_of_another_type_are_compared_if_it_holds_them() {
    let sandbox = published();
    let table = changed(
        &sandbox,
        "small,",
        "CAST(small AS BIGINT) + 1 AS small,",
        &[],
    );
    let retyped = |column: &str, left: &str, right: &str| json!([{ "change": "retyped", "column": column, "left": left, "right": right }]);
    assert_eq!(table["schema"], retyped("small", "int32", "int64"));
    assert_eq!(columns(&table), ["small 2"]);
    let table = changed(
        &sandbox,
        "price,",
        "CAST(price AS DECIMAL(20, 6)) AS price,",
        &[],
    );
    let (left, right) = ("decimal(18, 4)", "decimal(20, 6)");
    assert_eq!(table["schema"], retyped("price", left, right));
    assert_eq!(counts(&table), [2, 0, 0, 0]);

    let table = changed(&sandbox, "big,", "CAST(big AS VARCHAR) AS big,", &[]);
    assert_eq!(table["schema"], retyped("big", "int64", "string"));
    assert_eq!(counts(&table), [2, 0, 0, 0]);
    assert_eq!(table["not_compared"][0]["column"], "big");
}

#[test]
fn another_order_of_columns_is_told() {
    let table = changed(&published(), "id, text,", "text, id,", &[]);
    assert_eq!(table["schema"].as_array().map(Vec::len), Some(1));
    assert_eq!(table["schema"][0]["change"], "reordered");
    assert_eq!(counts(&table), [2, 0, 0, 0]);
}

#[test]
fn a_column_that_may_no_longer_be_null_is_told() {
    let table = changed(&published(), "big,", "coalesce(big, 0) AS big,", &[]);
    let nullability = json!([{
        "change": "nullability", "column": "big", "left_nullable": true, "right_nullable": false
    }]);
    assert_eq!(table["schema"], nullability);
}

#[test]
fn fields_of_structs_are_compared_by_themselves() {
    let sandbox = published();
    let to = "named_struct('n', info['n'] + 1, 'new', 1) AS info,";
    let table = changed(&sandbox, "info,", to, &[]);
    let changes: Vec<String> = table["schema"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|change| format!("{} {}", change["change"], change["column"]))
        .collect();
    assert_eq!(
        changes,
        [
            r#""removed" "info.a""#,
            r#""removed" "info.deep""#,
            r#""added" "info.new""#,
        ]
    );
    assert_eq!(columns(&table), ["info.n 2"]);
}

#[test]
fn ignored_columns_are_not_compared() {
    let sandbox = published();
    let to = "'x' AS text, CAST(small AS BIGINT) AS small, big, 1 AS new, named_struct('a', '', 'n', info['n'], \
              'deep', info['deep']) AS info, ratio, flag, at, day, price, tags, items FROM things) TO 'things'";
    let from = &ALL_THINGS[ALL_THINGS.find("text,").expect("a column")..];
    let args = [
        "--ignore-columns",
        "text,small,new,info.a",
        "--ignore-columns",
        "info",
    ];
    let definition = ALL_THINGS.replacen(from, to, 1);
    sandbox.write("sql/things.sql", definition);
    let ignored = report(&sandbox, 1, &[&["--key", "id"][..], &args[..2]].concat());
    let table = only_table(&ignored);
    assert_eq!(counts(table), [2, 0, 0, 0], "{table:#}");
    let names = |table: &Value| -> Vec<String> {
        let columns = table["not_compared"].as_array().expect("columns").iter();
        columns.map(|column| column["column"].to_string()).collect()
    };
    let mut left_out = names(table);
    left_out.sort();
    assert_eq!(
        left_out,
        [r#""info.a""#, r#""new""#, r#""small""#, r#""text""#]
    );
    // What is left is the order of columns, and whether the struct may be NULL.
    let changes = table["schema"].as_array().expect("changes").iter();
    let changes: Vec<&Value> = changes.map(|change| &change["change"]).collect();
    assert!(changes.contains(&&json!("reordered")), "{changes:?}");
    let ignored = report(&sandbox, 1, &[&["--key", "id"][..], &args].concat());
    assert_eq!(counts(only_table(&ignored)), [2, 0, 0, 0]);
}

#[test]
fn another_partitioning_is_told() {
    let sandbox = published();
    sandbox.write(
        "sql/things.sql",
        "COPY (SELECT id, text, small, big, ratio, flag, day, price, tags, info, items, at,
                      date_part('day', at) AS part
               FROM things WHERE at >= $window_start AND at < $window_end)
         TO 'things' PARTITIONED BY (part)",
    );
    let report = report(&sandbox, 1, &["--key", "id"]);
    let changes = only_table(&report)["schema"]
        .as_array()
        .expect("changes")
        .clone();
    let kinds: Vec<&Value> = changes.iter().map(|change| &change["change"]).collect();
    for kind in ["added", "partitioning", "sync_mode"] {
        assert!(kinds.contains(&&json!(kind)), "{changes:#?}");
    }
}

#[test]
fn tables_without_a_common_column_are_compared_by_their_numbers_of_rows() {
    let sandbox = published();
    sandbox.write("sql/things.sql", "COPY (SELECT 1 AS other) TO 'things'");
    let other = report(&sandbox, 1, &[]);
    let table = only_table(&other);
    assert_eq!(counts(table), [1, 0, 1, 0]);
    let note = "no column is compared: only the numbers of rows are";
    assert_eq!(table["notes"], json!([note]));
}
