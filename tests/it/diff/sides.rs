//! The sides: definitions, what is published, other cycles and other destinations.

use serde_json::{Value, json};

use crate::diff::{
    DAY, counts, diff, only_table, publish, report, report_of, set_things, thing, things,
};
use crate::support::{Sandbox, TestDestination, check_tidy, for_each_destination};
use crate::world::{set_views, view, world};

for_each_destination!(
    two_cycles_are_compared_without_what_differs_by_the_cycle,
    a_copy_of_a_destination_is_proved_identical_by_its_digests,
    nothing_is_written,
);

/// Runs a comparison without `--to`.
fn compare(sandbox: &Sandbox, args: &[&str]) -> Value {
    let call = ["diff", "--from", "raw", "--date", DAY, "--output", "json"];
    report_of(sandbox.dayport(&[&call, args].concat()))
}

fn two_cycles_are_compared_without_what_differs_by_the_cycle(destination: TestDestination) {
    let sandbox = world(destination);
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15)]);
    let mut changed = view(2, 16);
    changed["note"] = json!("other");
    set_views(&sandbox, 16, &[view(1, 16), changed, view(3, 16)]);
    for day in ["2026-01-15", "2026-01-16"] {
        sandbox.run(&["--date", day, "--quiet"]).exited_with(0);
    }
    let to = sandbox.destination.url();
    let report = compare(
        &sandbox,
        &[
            "--to",
            &to,
            "--left",
            "published:2026-01-15",
            "--right",
            "published",
            "--key",
            "id",
            "--ignore-columns",
            "time",
            "views",
        ],
    );
    let table = only_table(&report);
    assert_eq!(counts(table), [1, 1, 0, 1], "{table:#}");
    let not_compared = table["not_compared"].as_array().expect("columns").iter();
    let columns: Vec<&str> = not_compared
        .map(|column| column["column"].as_str().expect("a name"))
        .collect();
    assert_eq!(columns, ["year", "month", "day", "time"]);
    assert_eq!(report["left"]["cycle"], "2026-01-15");
    assert_eq!(report["right"]["cycle"], "2026-01-16");
}

fn a_copy_of_a_destination_is_proved_identical_by_its_digests(destination: TestDestination) {
    let sandbox = things(destination, &[thing(1), thing(2)]);
    publish(&sandbox, &[]);
    let copy = sandbox.folder().join("copy");
    for key in sandbox.destination.keys() {
        let path = copy.join(&key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
        std::fs::write(path, sandbox.destination.read(&key)).expect("write a file");
    }
    let to = sandbox.destination.url();
    let sides = ["--to", &to, "--left", "published", "--right", "at:copy"];
    let report = compare(&sandbox, &sides);
    let table = only_table(&report);
    assert_eq!(table["result"], "identical");
    assert_eq!(table["proof"], "file_digests");
    assert_eq!(table.get("rows"), None);

    // Other files, same rows.
    let sql = ["--to", "other", "--format", "json"];
    let run = ["run", "--from", "raw", "--date", DAY, "--quiet"];
    sandbox.dayport(&[&run[..], &sql].concat()).exited_with(0);
    let sides = ["--to", &to, "--left", "published", "--right", "at:other"];
    let report = compare(&sandbox, &sides);
    let table = only_table(&report);
    assert_eq!(
        (&table["result"], &table["proof"]),
        (&json!("identical"), &json!("rows"))
    );
    assert_eq!(counts(table), [2, 0, 0, 0]);

    set_things(&sandbox, &[thing(1), thing(3)]);
    sandbox
        .dayport(&[&run[..], &sql, &["--rerun"]].concat())
        .exited_with(0);
    let report = compare(&sandbox, &[&sides[..], &["--key", "id"]].concat());
    let table = only_table(&report);
    assert_eq!(counts(table), [1, 0, 1, 1]);
    // The newest revision is compared.
    assert_eq!(table["right"]["revision"], 1);
}

fn nothing_is_written(destination: TestDestination) {
    let sandbox = things(destination, &[thing(1)]);
    publish(&sandbox, &[]);
    let before = sandbox.destination.keys();
    set_things(&sandbox, &[thing(2)]);
    diff(&sandbox, &["--key", "id"]).exited_with(1);
    assert_eq!(sandbox.destination.keys(), before);
    check_tidy(&sandbox.destination);
}

#[test]
fn what_is_damaged_is_not_compared() {
    let sandbox = things(TestDestination::local(), &[thing(1)]);
    publish(&sandbox, &["--format", "json"]);
    let key = sandbox.destination.keys_below("data").remove(0);
    let mut bytes = sandbox.destination.read(&key).to_vec();
    bytes[20] ^= 1;
    sandbox.destination.put(&key, bytes);
    let output = diff(&sandbox, &[]).exited_with(1);
    let output = output.stdout_has("things: failed");
    let output = output.stderr_has("is not as it was published: SHA-256");
    output.hint_has("`dayport verify`");
    sandbox.destination.delete(&key);
    diff(&sandbox, &[])
        .exited_with(1)
        .stderr_has("is not as it was published: it does not exist");
}

#[test]
fn tables_of_one_side_only_are_different() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&["--date", DAY, "--quiet"]).exited_with(0);
    sandbox.write("sql/new.sql", "COPY (SELECT id FROM sites) TO 'new'");
    sandbox.remove("sql/views.sql");
    let report = report(&sandbox, 1, &[]);
    let tables = report["tables"].as_array().expect("tables").iter();
    let results: Vec<String> = tables
        .map(|table| format!("{} {}", table["table"], table["result"]))
        .collect();
    assert_eq!(
        results,
        [
            r#""new" "only_right""#,
            r#""sites" "identical""#,
            r#""views" "only_left""#
        ]
    );
    let summary = json!({ "identical": 1, "different": 2, "failed": 0 });
    assert_eq!(report["summary"], summary);
}

/// Rejects of the definition's run are counted beside those of the published one.
#[test]
fn malformed_lines_of_both_sides_are_counted() {
    let sandbox = things(TestDestination::local(), &[thing(1), thing(2)]);
    publish(&sandbox, &[]);
    let path = "raw/things/more.json";
    sandbox.write(path, format!("{{\"id\":\"x\"}}\n{}\n", thing(3)));
    let args = ["--key", "id", "--max-rejects", "5"];
    let rejected = report(&sandbox, 1, &args);
    let table = only_table(&rejected);
    assert_eq!(counts(table), [2, 0, 0, 1]);
    assert_eq!(table["left"]["rejected"], 0);
    assert_eq!(table["right"]["rejected"], 1);
    diff(&sandbox, &["--key", "id"])
        .exited_with(1)
        .stderr_has("are malformed, more than --max-rejects");
}

/// A run would wait for the files of the cycle.
#[test]
fn a_cycle_without_source_files_is_noted() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&["--date", DAY, "--quiet"]).exited_with(0);
    sandbox.remove("raw/views/date=2026-01-16/views.json");
    let report = report(&sandbox, 1, &["views"]);
    let table = only_table(&report);
    assert_eq!(counts(table), [0, 0, 1, 0]);
    let note = table["notes"][0].as_str().expect("a note");
    assert!(
        note.contains("no source file for the cycle on the right: views"),
        "{note}"
    );
}
