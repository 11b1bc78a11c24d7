//! Declared columns for which no line has a value.

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination, lines, manifest};

const EVENTS: &str = "CREATE EXTERNAL TABLE events (
  id BIGINT, plan VARCHAR, \"user\" STRUCT<id BIGINT, tier VARCHAR>, items STRUCT<sku VARCHAR>[], date DATE
) STORED AS JSON PARTITIONED BY (date) LOCATION 'events/'";

const TABLE: &str = "COPY (
  SELECT id, plan, \"user\", items FROM events
  WHERE date >= $window_start AND date < $window_end
) TO 't'";

fn sandbox(options: &str) -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write("sql/sources/events.sql", format!("{EVENTS} {options}"));
    sandbox.write("sql/t.sql", TABLE);
    for day in [14, 15, 16] {
        set(&sandbox, day, json!({"id": day}));
    }
    sandbox
}

/// Replaces the two events of a day.
fn set(sandbox: &Sandbox, day: u64, event: Value) {
    let path = format!("raw/events/date=2026-01-{day}/events.json");
    sandbox.write(&path, lines([event.clone(), event]));
}

fn run(sandbox: &Sandbox, day: u64) -> CommandOutput {
    sandbox.run(&["--date", &format!("2026-01-{day}"), "t"])
}

fn check(sandbox: &Sandbox) -> CommandOutput {
    let to = sandbox.destination.url();
    sandbox.dayport(&["check", "--from", "raw", "--to", &to])
}

#[test]
fn one_warning_names_the_columns_that_never_had_a_value() {
    let sandbox = sandbox("");
    let output = run(&sandbox, 14).exited_with(0).stderr_has(
        "warning: t: no line of the source `events` has a value of `items`, `plan`, `user`, in this \
         cycle or an earlier one",
    );
    assert_eq!(output.stderr.matches("warning").count(), 1, "{output}");
    let sources = &manifest(&sandbox.destination, "t", "2026-01-14", 0)["sources"];
    assert_eq!(
        sources[0]["without_values"],
        json!(["items", "plan", "user"])
    );

    // A struct of which one field is absent; a list whose items lack theirs.
    set(
        &sandbox,
        15,
        json!({"id": 1, "plan": "x", "user": {"id": 1}, "items": [{}]}),
    );
    run(&sandbox, 15)
        .exited_with(0)
        .stderr_has("has a value of `items.sku`, `user.tier`, in this cycle");
    // The log remembers what earlier cycles had.
    let tier = json!({"id": 1, "user": {"tier": "x"}, "items": [{"sku": "s"}]});
    set(&sandbox, 15, tier);
    let again = sandbox.run(&["--date", "2026-01-15", "--rerun", "t"]);
    assert!(!again.exited_with(0).stderr.contains("warning"));
    run(&sandbox, 16).succeeded();
    let sources = &manifest(&sandbox.destination, "t", "2026-01-16", 0)["sources"];
    assert_eq!(
        sources[0]["without_values"],
        json!(["items", "plan", "user"])
    );
}

#[test]
fn a_key_without_a_value_and_an_export_without_rows_are_no_warning() {
    let sandbox = sandbox("");
    let nulls = json!({"id": 1, "plan": null, "user": {"id": null, "tier": null}, "items": []});
    set(&sandbox, 14, nulls);
    run(&sandbox, 14).succeeded();
    sandbox.write("sql/t.sql", TABLE.replace("WHERE", "WHERE id > 99 AND"));
    run(&sandbox, 15).succeeded();
}

#[test]
fn the_source_says_what_happens() {
    let silent = sandbox("OPTIONS ('missing' 'null')");
    run(&silent, 14).succeeded();

    let by_column = sandbox(
        "OPTIONS ('missing.plan' 'error', 'missing.user' 'null', 'missing.items.sku' 'null')",
    );
    run(&by_column, 14)
        .exited_with(1)
        .stderr_has("no line of the source `events` has a value of the column `plan`")
        .hint_has("'missing' 'error'");
    check(&by_column)
        .exited_with(1)
        .stdout_has("has a value of `plan`");
    set(&by_column, 14, json!({"id": 1, "plan": "x", "items": [{}]}));
    run(&by_column, 14).succeeded();
    // Another day must have it, too.
    run(&by_column, 15).exited_with(1);

    sandbox("OPTIONS ('missing.plam' 'null')")
        .run(&["--date", "2026-01-14"])
        .exited_with(2)
        .stderr_has("`missing.plam`: the files have no column `plam`");
}

#[test]
fn check_names_the_columns_that_its_sample_lacks() {
    let sandbox = sandbox("");
    check(&sandbox)
        .exited_with(0)
        .stdout_has("none of the 6 rows has a value of `items`, `plan`, `user`");
}

/// The time column is misspelled: every row is filtered away.
#[test]
fn a_column_that_filters_every_row_away_is_told() {
    let table = "COPY (SELECT id FROM events WHERE plan = 'x') TO 't'";
    let plain = sandbox("");
    plain.write("sql/t.sql", table);
    run(&plain, 16)
        .exited_with(0)
        .stderr_has("no line of the source `events` has a value of `plan`");
    let strict = sandbox("OPTIONS ('missing.plan' 'error')");
    strict.write("sql/t.sql", table);
    run(&strict, 16)
        .exited_with(1)
        .stderr_has("has a value of the column `plan`");
}

#[test]
fn an_error_holds_inside_of_a_struct_that_no_line_has() {
    let sandbox = sandbox("OPTIONS ('missing.user.tier' 'error', 'missing' 'null')");
    let whole = json!({"id": 1, "user": {"id": 1, "tier": "x"}});
    set(&sandbox, 14, whole);
    run(&sandbox, 14).succeeded();
    run(&sandbox, 15)
        .exited_with(1)
        .stderr_has("has a value of the column `user`");
}
