//! Source files that arrive or change after their cycle was published.

use serde_json::{Value, json};

use super::ids;
use crate::support::{
    CommandOutput, Sandbox, TestDestination, check_published, for_each_destination, lines,
    manifest, rows,
};
use crate::world::{VIEWS, view, world};

for_each_destination!(
    a_late_file_makes_a_revision_and_then_nothing,
    a_file_that_changes_no_row_is_looked_at_once,
    a_final_cycle_is_not_published_again,
    a_cycle_whose_files_are_gone_is_not_published_again,
    late_files_of_a_renamed_source_are_found,
    a_list_that_is_gone_or_damaged_is_an_error_of_its_cycle,
    a_late_file_that_fails_its_cycle_holds_up_no_other,
    a_late_file_waits_until_its_source_is_quiet,
    late_lines_without_a_row_are_reported,
    late_files_end_a_provisional_cycle,
);

const JSON: [&str; 3] = ["views", "--output", "json"];

/// Creates the world with 2026-01-15 and 16 published. The folders hold the time.
fn published(destination: TestDestination, definition: &str) -> Sandbox {
    let sandbox = world(destination);
    sandbox.write(
        "sql/sources/views.sql",
        "CREATE EXTERNAL TABLE views (
           id BIGINT NOT NULL, time TIMESTAMP(6) WITH TIME ZONE NOT NULL,
           received TIMESTAMP(6) WITH TIME ZONE NOT NULL, note VARCHAR, date DATE
         ) STORED AS JSON PARTITIONED BY (date) LOCATION 'views/'
         OPTIONS ('time_column' 'received')",
    );
    sandbox.write("sql/views.sql", definition.to_owned());
    sandbox
        .run(&["--since", "2026-01-15", "--through", "2026-01-16", "views"])
        .succeeded();
    sandbox
}

/// Writes another file of 2026-01-15.
fn arrive(sandbox: &Sandbox, name: &str, id: u64) {
    arrive_of(sandbox, 15, name, id);
}

/// Writes another file of a day of January 2026.
fn arrive_of(sandbox: &Sandbox, day: u64, name: &str, id: u64) {
    let mut late = view(id, day);
    late["received"] = json!(format!("2026-01-{day:02}T23:00:00Z"));
    sandbox.write(
        &format!("raw/views/date=2026-01-{day:02}/{name}"),
        lines([late]),
    );
}

fn run(sandbox: &Sandbox) -> CommandOutput {
    sandbox.run(&JSON)
}

fn newest(sandbox: &Sandbox, revision: u64) -> Value {
    manifest(&sandbox.destination, "views", "2026-01-15", revision)
}

fn a_late_file_makes_a_revision_and_then_nothing(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    assert_eq!(run(&sandbox).succeeded().results(), Vec::<String>::new());
    assert_eq!(
        newest(&sandbox, 0)["final_after"],
        json!("2026-01-19T00:00:00Z")
    );

    arrive(&sandbox, "late.json", 150);
    let before = sandbox.destination.contents();
    let to = sandbox.destination.url();
    let planned = sandbox.dayport(&["plan", "--from", "raw", "--to", &to, "views"]);
    planned
        .exited_with(0)
        .stdout_has("publish as revision 1, late files")
        .stdout_has("1 to publish");
    assert_eq!(sandbox.destination.contents(), before);
    let output = sandbox.run(&["views"]).succeeded();
    output.stdout_has("published as revision 1, late files");
    assert_ne!(sandbox.destination.contents(), before);
    let cause = &newest(&sandbox, 1)["cause"];
    assert_eq!(
        (&cause["kind"], &cause["added"], &cause["changed"]),
        (&json!("late_source"), &json!(1), &json!(0))
    );
    assert_eq!(cause["rows_difference"], json!(1));
    let file = cause["files"][0].as_str().unwrap();
    assert!(file.ends_with("views/date=2026-01-15/late.json"), "{file}");
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [15, 16, 150]);
    check_published(&sandbox.destination);
    sandbox.dayport(&["verify", "--to", &to]).succeeded();
    let changes = [
        "changes",
        "--to",
        &to,
        "--since",
        "2020-01-01",
        "--output",
        "json",
    ];
    let report = sandbox.dayport(&changes).succeeded().report();
    let revision = &report["changes"][0];
    assert_eq!(
        (&revision["cycle"], &revision["revision"]),
        (&json!("2026-01-15"), &json!(1))
    );

    let after = sandbox.destination.contents();
    assert_eq!(run(&sandbox).succeeded().results(), Vec::<String>::new());
    assert_eq!(sandbox.destination.contents(), after, "nothing is written");
}

fn a_file_that_changes_no_row_is_looked_at_once(destination: TestDestination) {
    let mut sandbox = published(destination, VIEWS);
    arrive(&sandbox, "other.json", 150);
    run(&sandbox).succeeded();
    // The same row with spaces: another file, the same rows.
    let mut late = view(150, 15);
    late["received"] = json!("2026-01-15T23:00:00Z");
    let text = format!("{}  \n", late.to_string().replace("\":", "\" : "));
    sandbox.write("raw/views/date=2026-01-15/other.json", text);
    let output = run(&sandbox).succeeded();
    assert_eq!(output.results(), ["views 2026-01-15 late"]);
    let table = &output.report()["tables"][0];
    assert_eq!(
        (&table["standing"], &table["changed"], &table["added"]),
        (&json!("same_rows"), &json!(1), &json!(0))
    );
    assert_eq!(run(&sandbox).succeeded().results(), Vec::<String>::new());
    assert!(
        sandbox
            .destination
            .find("manifests/views/2026-01-15.r2.json")
            .is_none()
    );
    check_published(&sandbox.destination);
    // Nor is there anything to tell of once the cycle is final.
    sandbox.set_clock("2026-01-19T03:00:00Z");
    let awaited = ["views 2026-01-17 awaited", "views 2026-01-18 awaited"];
    assert_eq!(run(&sandbox).exited_with(75).results(), awaited);
}

fn a_final_cycle_is_not_published_again(destination: TestDestination) {
    let mut sandbox = published(destination, VIEWS);
    arrive(&sandbox, "late.json", 150);
    sandbox.set_clock("2026-01-17T03:00:00Z");
    let zero = ["--lookback", "0"];
    let output = sandbox.run(&[&JSON[..], &zero].concat()).succeeded();
    assert_eq!(output.results(), Vec::<String>::new());
    sandbox.set_clock("2026-01-19T03:00:00Z");
    for day in [17, 18] {
        crate::world::set_views(&sandbox, day, &[view(day, day)]);
    }
    let output = run(&sandbox).exited_with(0);
    assert_eq!(
        output.results(),
        [
            "views 2026-01-15 late",
            "views 2026-01-17 published",
            "views 2026-01-18 published"
        ]
    );
    output
        .stderr_has("1 source file arrived after it was published")
        .stderr_has("the cycle has been final since 2026-01-19 00:00 UTC")
        .hint_has("--rerun");
    check_published(&sandbox.destination);

    let to = sandbox.destination.url();
    let status = ["status", "--to", &to, "--days", "5"];
    sandbox
        .dayport(&[&status[..], &["--fail-on", "late-files"]].concat())
        .exited_with(1)
        .stderr_has("1 cycle with late source files")
        .stdout_has("late: views 2026-01-15: 1 source file came too late, first `")
        .stdout_has("the cycle was final since 2026-01-19 00:00 UTC")
        .stdout_has("l published, lacks source files that came too late")
        .stdout_has("final: through 2026-01-15");
    // A look at the same files writes nothing.
    let before = sandbox.destination.contents();
    assert_eq!(run(&sandbox).exited_with(0).results().len(), 1);
    assert_eq!(sandbox.destination.contents(), before);
    // Published with them, the cycle lacks nothing.
    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "views"])
        .succeeded();
    let status = sandbox.dayport(&status).succeeded();
    assert!(!status.stdout.contains("late:"), "{status}");
    check_published(&sandbox.destination);
}

fn a_cycle_whose_files_are_gone_is_not_published_again(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    arrive(&sandbox, "compacted.json", 15);
    sandbox.remove("raw/views/date=2026-01-15/views.json");
    let output = run(&sandbox).exited_with(0);
    assert_eq!(output.results(), ["views 2026-01-15 late"]);
    output
        .stderr_has("views.json`, which it was read from, is gone")
        .stderr_has("first `");
    sandbox.remove("raw/views/date=2026-01-15/compacted.json");
    let output = run(&sandbox).succeeded();
    assert_eq!(output.results(), Vec::<String>::new(), "nothing is late");
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [15, 16]);
    check_published(&sandbox.destination);
}

fn late_files_of_a_renamed_source_are_found(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    let file = |name: &str| sandbox.folder().join(format!("sql/sources/{name}.sql"));
    let declaration = std::fs::read_to_string(file("views")).unwrap();
    let renamed = declaration.replace("TABLE views", "TABLE raw_views");
    sandbox.write("sql/sources/raw_views.sql", renamed);
    sandbox.remove("sql/sources/views.sql");
    sandbox.write(
        "sql/views.sql",
        VIEWS.replace("FROM views", "FROM raw_views"),
    );
    assert_eq!(run(&sandbox).succeeded().results(), Vec::<String>::new());
    arrive(&sandbox, "late.json", 150);
    let output = run(&sandbox).succeeded();
    assert_eq!(output.results(), ["views 2026-01-15 published"]);
    assert_eq!(newest(&sandbox, 1)["cause"]["added"], json!(1));
    check_published(&sandbox.destination);
}

fn a_list_that_is_gone_or_damaged_is_an_error_of_its_cycle(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    let digest = newest(&sandbox, 0)["sources"][0]["digest"].clone();
    let digest = digest.as_str().unwrap();
    let lists = sandbox.destination.keys_below("_dayport/lists/");
    let list = lists.iter().find(|key| key.contains(digest));
    let list = list.expect("a list").clone();
    sandbox.destination.delete(&list);
    assert_eq!(run(&sandbox).succeeded().results(), Vec::<String>::new());

    arrive(&sandbox, "late.json", 150);
    arrive_of(&sandbox, 16, "late.json", 160);
    let results = ["views 2026-01-15 failed", "views 2026-01-16 published"];
    let output = run(&sandbox).exited_with(1);
    assert_eq!(output.results(), results);
    output
        .stderr_has("cannot look for late source files: the files of the source `views` are others")
        .stderr_has("is gone")
        .hint_has("--rerun with --date");

    sandbox.destination.put(&list, "no list");
    let output = run(&sandbox).exited_with(1);
    assert_eq!(output.results(), ["views 2026-01-15 failed"]);
    output.stderr_has("is not the file list of this digest");
    let rerun = ["--date", "2026-01-15", "--rerun", "views"];
    sandbox.run(&rerun).succeeded();
    assert_eq!(run(&sandbox).succeeded().results(), Vec::<String>::new());
    assert_eq!(
        ids(&rows(&sandbox.destination, "views")),
        [15, 16, 150, 160]
    );
}

fn a_late_file_that_fails_its_cycle_holds_up_no_other(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    let others = VIEWS
        .replace("SELECT id, time, note", "SELECT id, time")
        .replace("TO 'views'", "TO 'others'");
    sandbox.write("sql/others.sql", others);
    let both = ["--since", "2026-01-15", "--through", "2026-01-16"];
    sandbox.run(&both).succeeded();
    let markers = |sandbox: &Sandbox| {
        let keys = sandbox.destination.contents().into_keys();
        let keys = keys.filter(|key| key.starts_with("cycles/"));
        keys.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        markers(&sandbox),
        "cycles/2026-01-15.r0.json cycles/2026-01-16.r0.json"
    );

    // Only `views` reads the note, which is not text.
    let malformed = "{\"id\":150,\"time\":\"2026-01-15T12:00:00Z\",\"received\":\"2026-01-15T23:00:00Z\",\"note\":{}}\n";
    sandbox.write("raw/views/date=2026-01-15/late.json", malformed);
    arrive_of(&sandbox, 16, "late.json", 160);
    let output = sandbox.run(&["--output", "json"]).exited_with(1);
    assert_eq!(
        output.results(),
        [
            "others 2026-01-15 published",
            "others 2026-01-16 published",
            "views 2026-01-15 failed",
            "views 2026-01-16 published"
        ]
    );
    // The first day is half done, as after a rerun; the second one is complete.
    assert_eq!(
        markers(&sandbox),
        "cycles/2026-01-15.r0.json cycles/2026-01-15.r1.json \
         cycles/2026-01-16.r0.json cycles/2026-01-16.r1.json"
    );
    let marker =
        |key: &str| -> Value { serde_json::from_slice(&sandbox.destination.read(key)).unwrap() };
    assert_eq!(marker("cycles/2026-01-15.r1.json")["state"], "withdrawn");
    assert_eq!(marker("cycles/2026-01-16.r1.json")["state"], "complete");
}

fn a_late_file_waits_until_its_source_is_quiet(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    let quiet = std::fs::read_to_string(sandbox.folder().join("sql/sources/views.sql")).unwrap();
    let quiet = quiet.replace("OPTIONS (", "OPTIONS ('ready' 'quiet 1 hour', ");
    sandbox.write("sql/sources/views.sql", quiet);
    arrive(&sandbox, "late.json", 150);
    let over = [&JSON[..], &["--ready-timeout", "1h"]].concat();
    let output = sandbox.run(&over).exited_with(75);
    assert_eq!(output.results(), ["views 2026-01-15 late"]);
    let table = &output.report()["tables"][0];
    assert_eq!(
        (&table["standing"], &table["added"]),
        (&json!("awaited"), &json!(1))
    );
    output
        .stderr_has("it is not published again yet: the source `views` is not ready: the newest")
        .hint_has("run again later");
    let late = sandbox.folder().join("raw/views/date=2026-01-15");
    for name in ["late.json", "views.json"] {
        let file = std::fs::File::options().write(true).open(late.join(name));
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        file.unwrap().set_modified(old).unwrap();
    }
    let output = sandbox.run(&over).succeeded();
    assert_eq!(output.results(), ["views 2026-01-15 published"]);
    check_published(&sandbox.destination);
}

fn late_lines_without_a_row_are_reported(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    sandbox.write("raw/views/date=2026-01-15/malformed.json", "{\n");
    let tolerant = [&JSON[..], &["--max-rejects", "100%"]].concat();
    let output = sandbox.run(&tolerant).exited_with(0);
    assert_eq!(output.results(), ["views 2026-01-15 published"]);
    output.stderr_has("1 malformed line of the source `views` is set aside");
    assert_eq!(newest(&sandbox, 1)["sources"][0]["rows_rejected"], json!(1));
    // A row of another day is in no cycle.
    let mut misplaced = view(140, 14);
    misplaced["received"] = json!("2026-01-12T12:00:00Z");
    sandbox.write(
        "raw/views/date=2026-01-15/misplaced.json",
        lines([misplaced]),
    );
    let output = sandbox.run(&tolerant).exited_with(0);
    assert_eq!(output.results(), ["views 2026-01-15 published"]);
    assert_eq!(
        newest(&sandbox, 2)["sources"][0]["misplaced"]["rows"],
        json!(1)
    );
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [15, 16]);
    assert_eq!(
        sandbox.run(&tolerant).succeeded().results(),
        Vec::<String>::new()
    );
    check_published(&sandbox.destination);
}

fn late_files_end_a_provisional_cycle(destination: TestDestination) {
    let sandbox = published(destination, VIEWS);
    let source = std::fs::read_to_string(sandbox.folder().join("sql/sources/views.sql")).unwrap();
    let source = source.replace("OPTIONS (", "OPTIONS ('ready' 'object done/{date}', ");
    sandbox.write("sql/sources/views.sql", source);
    let publish = ["--ready-timeout", "1h", "--when-not-ready", "publish"];
    let rerun = ["--date", "2026-01-15", "--rerun"];
    sandbox
        .run(&[&JSON[..], &publish, &rerun].concat())
        .exited_with(0);
    assert_eq!(
        newest(&sandbox, 1)["provisional"][0]["name"],
        json!("views")
    );
    sandbox.write("raw/done/2026-01-15", "");
    // The same rows, of a file that is written again.
    crate::world::set_views(&sandbox, 15, &[view(15, 15)]);
    let output = sandbox.run(&[&JSON[..], &publish].concat()).succeeded();
    assert_eq!(output.results(), ["views 2026-01-15 published"]);
    assert_eq!(newest(&sandbox, 2)["provisional"], Value::Null);
    check_published(&sandbox.destination);
}

#[test]
fn a_query_with_other_rows_each_time_is_published_again_once() {
    let definition = "COPY (SELECT id, random() AS chance FROM views
        WHERE received >= $window_start AND received < $window_end) TO 'views'";
    let sandbox = published(TestDestination::local(), definition);
    arrive(&sandbox, "late.json", 150);
    assert_eq!(
        run(&sandbox).succeeded().results(),
        ["views 2026-01-15 published"]
    );
    arrive(&sandbox, "later.json", 151);
    let output = run(&sandbox).exited_with(0);
    assert_eq!(output.results(), ["views 2026-01-15 late"]);
    output.stderr_has("its query gives other rows each time");
}
