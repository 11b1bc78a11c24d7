//! Definitions that change after a table was published.

use crate::support::{Sandbox, TestDestination, check_published, for_each_destination, rows};
use crate::world::{VIEWS, world};

for_each_destination!(
    a_change_of_the_table_needs_a_flag,
    a_change_of_the_columns_needs_a_flag,
    a_new_nullable_column_is_announced,
    an_incremental_table_becomes_a_snapshot_as_a_whole,
    check_shows_the_changes_that_a_run_would_make,
    no_view_of_the_complete_table_lacks_the_days_of_another_format,
);

/// Publishes a day, changes `sql/views.sql`, and checks that the next day stops until `flag` is given.
fn assert_needs(destination: TestDestination, sql: &str, args: &[&str], message: &str, flag: &str) {
    let sandbox = world(destination);
    for day in ["2026-01-14", "2026-01-15"] {
        sandbox.run(&["--date", day, "views"]).succeeded();
    }
    sandbox.write("sql/views.sql", sql.to_owned());
    let before = sandbox.destination.contents();
    let run = [&["views"], args].concat();
    let other = match flag {
        "--accept-change" => "--accept-schema",
        _ => "--accept-change",
    };
    for refused in [
        sandbox.run(&run),
        sandbox.run(&[&run[..], &[other]].concat()),
    ] {
        refused
            .exited_with(1)
            .stderr_has("error: views 2026-01-16: `views`: ")
            .stderr_has(message)
            .stderr_has("against `manifests/views/2026-01-15.r0.json`")
            .hint_has(flag);
    }
    plan(&sandbox, &run)
        .exited_with(1)
        .stderr_has(message)
        .hint_has(flag);
    assert_eq!(sandbox.destination.contents(), before);
    let accepted = sandbox.run(&[&run[..], &[flag]].concat());
    accepted.exited_with(0).stderr_has(message);
    check_published(&sandbox.destination);
}

fn plan(sandbox: &Sandbox, args: &[&str]) -> crate::support::CommandOutput {
    let to = sandbox.destination.url();
    sandbox.dayport(&[&["plan", "--from", "raw", "--to", &to], args].concat())
}

fn a_change_of_the_table_needs_a_flag(destination: TestDestination) {
    assert_needs(
        destination,
        VIEWS,
        &["--format", "json"],
        "the format changes from parquet to json",
        "--accept-change",
    );
}

fn a_change_of_the_columns_needs_a_flag(destination: TestDestination) {
    assert_needs(
        destination,
        &VIEWS.replace("id, time, note", "CAST(id AS INT) AS id, time, note"),
        &[],
        "the column `id` changes from int64 to int32",
        "--accept-schema",
    );
}

fn a_new_nullable_column_is_announced(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    let sql = VIEWS.replace("id, time, note", "id, time, note, upper(note) AS loud");
    sandbox.write("sql/views.sql", sql);
    let text = "note: views 2026-01-16: the column `loud` (string) is new";
    plan(&sandbox, &["views"]).exited_with(0).stderr_has(text);
    sandbox
        .run(&["views"])
        .exited_with(0)
        .stderr_has("note: views: the column `loud` (string) is new");
    check_published(&sandbox.destination);
    assert_eq!(rows(&sandbox.destination, "views").len(), 2);
    // A rerun of the old day is held against that day.
    let rerun = ["--date", "2026-01-15", "--rerun", "views"];
    sandbox.run(&rerun).exited_with(0).stderr_has("is new");
    sandbox.run(&rerun).succeeded();
}

/// Without the flag, losing the window would delete the newest day and keep the others.
fn an_incremental_table_becomes_a_snapshot_as_a_whole(destination: TestDestination) {
    let sandbox = world(destination);
    for day in ["2026-01-14", "2026-01-15"] {
        sandbox.run(&["--date", day, "views"]).succeeded();
    }
    sandbox.write(
        "sql/views.sql",
        "COPY (SELECT id, time, note FROM views) TO 'views'",
    );
    let before = sandbox.destination.contents();
    sandbox
        .run(&["views"])
        .exited_with(1)
        .stderr_has("the sync mode changes from incremental to snapshot")
        .hint_has("--accept-change");
    assert_eq!(sandbox.destination.contents(), before);
    sandbox.run(&["views", "--accept-change"]).exited_with(0);
    assert_eq!(
        sandbox.destination.keys_below("data/"),
        ["data/views/data-000000000000.parquet"]
    );
    let to = sandbox.destination.url();
    sandbox.dayport(&["verify", "--to", &to]).exited_with(0);

    // Back again: the days after the snapshot are added to it.
    sandbox.write("sql/views.sql", VIEWS);
    let back = ["--date", "2026-01-16", "--rerun", "views"];
    sandbox
        .run(&back)
        .exited_with(1)
        .hint_has("--accept-change");
}

fn check_shows_the_changes_that_a_run_would_make(destination: TestDestination) {
    let sandbox = world(destination);
    let to = sandbox.destination.url();
    let check = || sandbox.dayport(&["check", "--from", "raw", "--to", &to, "views"]);
    let first = check();
    assert!(!first.stdout.contains("changes"), "{first}");
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    check()
        .stdout_has("changes")
        .stdout_has("none from 1 published table");
    let sql = VIEWS.replace("id, time, note", "id, time, note, upper(note) AS loud");
    sandbox.write("sql/views.sql", sql);
    check()
        .stdout_has("note ")
        .stdout_has("views: the column `loud` (string) is new");
    sandbox.write("sql/views.sql", VIEWS.replace("id, time, note", "id, time"));
    check()
        .exited_with(1)
        .stdout_has("FINDING  changes")
        .stdout_has("views: the column `note` (string) is gone")
        .stdout_has("or run with --accept-schema");
}

fn no_view_of_the_complete_table_lacks_the_days_of_another_format(destination: TestDestination) {
    let sandbox = world(destination);
    let to = sandbox.destination.url();
    let ddl = |dialect| sandbox.dayport(&["ddl", "--to", &to, "--dialect", dialect]);
    sandbox.run(&["--date", "2026-01-14", "views"]).succeeded();
    let whole = ddl("duckdb").stdout_has("VIEW \"views_complete\" AS");
    assert!(!whole.stdout.contains("DROP VIEW"), "{whole}");
    let switched = ["--date", "2026-01-15", "--format", "json", "views"];
    sandbox
        .run(&[&switched[..], &["--accept-change"]].concat())
        .exited_with(0);
    for (dialect, view) in [
        ("duckdb", "\"views_complete\""),
        ("spark", "`views_complete`"),
    ] {
        let script = ddl(dialect)
            .stdout_has("-- 1 older file(s) are in another format or partitioning")
            .stdout_has(&format!("DROP VIEW IF EXISTS {view};"));
        assert!(
            !script.stdout.contains(&format!("VIEW {view} AS")),
            "{script}"
        );
    }
    // The old day again, in the new format: the view is whole.
    let rerun = [
        "--date",
        "2026-01-14",
        "--rerun",
        "--format",
        "json",
        "views",
    ];
    sandbox
        .run(&[&rerun[..], &["--accept-change"]].concat())
        .exited_with(0);
    ddl("duckdb").stdout_has("VIEW \"views_complete\" AS");
}
