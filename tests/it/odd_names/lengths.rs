//! Names that are too long for a disk, and keys that are too long for S3.

use serde_json::{Value, json};

use super::one_file;
use crate::failures::without_effect;
use crate::support::{Sandbox, TestDestination, for_each_destination, lines, rows};

for_each_destination!(
    a_value_that_is_too_long_fails_before_the_commit,
    values_that_just_fit_are_published,
    a_commit_that_can_never_be_published_is_taken_back,
);

/// Creates a sandbox with the table `t`, partitioned by `v` and `w`, and these rows of 2026-01-15 as
/// values of `v` and `w`.
fn partitioned(destination: TestDestination, values: &[(&str, &str)]) -> Sandbox {
    let sandbox = one_file(destination);
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL, time TIMESTAMP(6), v VARCHAR, w VARCHAR)
         STORED AS JSON LOCATION 'events/'",
    );
    sandbox.write("sql/t.sql", query("v"));
    let rows = (0..)
        .zip(values)
        .map(|(id, (v, w))| json!({ "id": id, "time": "2026-01-15T12:00:00", "v": v, "w": w }));
    sandbox.write("raw/events/a.json", lines(rows));
    sandbox
}

fn query(v: &str) -> String {
    format!(
        "COPY (SELECT id, {v} AS v, w FROM events WHERE time >= $window_start AND time < $window_end)
         TO 't' PARTITIONED BY (v, w)"
    )
}

/// Returns a value that is too long for the destination, alone or four times.
fn too_long(destination: &TestDestination) -> String {
    match destination {
        TestDestination::Local(_) => "secret".repeat(50),
        TestDestination::S3(_) => "secret".repeat(200),
    }
}

fn a_value_that_is_too_long_fails_before_the_commit(destination: TestDestination) {
    for escaped in [false, true] {
        let destination = match destination {
            TestDestination::Local(_) => TestDestination::local(),
            TestDestination::S3(_) => TestDestination::s3(),
        };
        let value = match escaped {
            false => too_long(&destination),
            // Six characters of a key each.
            true => "\u{e9}".repeat(too_long(&destination).len() / 6),
        };
        let sandbox = partitioned(destination, &[("ok", "x"), (&value, "x")]);
        let run = || sandbox.run(&["--date", "2026-01-15"]);
        let output = without_effect(&sandbox, run).exited_with(1);
        let output = output
            .stderr_has("`v`")
            .stderr_has(" bytes")
            .hint_has("left(v, 80)");
        for part in ["secret", "\u{e9}", "%C3%A9"] {
            assert!(!output.stderr.contains(part), "{output}");
        }
        sandbox.write("sql/t.sql", query("left(v, 20)"));
        sandbox.run(&["--date", "2026-01-15"]).succeeded();
        assert_eq!(rows(&sandbox.destination, "t").len(), 2);
        sandbox.run(&["--date", "2026-01-16"]).exited_with(0);
    }
}

fn values_that_just_fit_are_published(destination: TestDestination) {
    // With `v=` and `w=`, each name has 255 bytes; the key of S3 has 1024 at most.
    let value = "x".repeat(253);
    let sandbox = partitioned(destination, &[(&value, &value)]);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    assert_eq!(rows(&sandbox.destination, "t").len(), 1);
}

/// Earlier versions committed such files, and then tried to make them visible for ever.
fn a_commit_that_can_never_be_published_is_taken_back(destination: TestDestination) {
    let sandbox = partitioned(destination, &[("ok", "x")]);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let key = "_dayport/log/t/00000000000000000001.json";
    let text = String::from_utf8(sandbox.destination.read(key).to_vec()).expect("UTF-8");
    let long = format!("v={}", too_long(&sandbox.destination));
    let mut entry: Value = serde_json::from_str(&text.replace("v=ok", &long)).expect("JSON");
    entry.as_object_mut().expect("an entry").remove("checksum");
    for file in entry["action"]["manifest"]["files"]
        .as_array_mut()
        .expect("files")
    {
        file["partition"]["v"] = json!(long[2..]);
    }
    for published in ["manifests/t/", "data/t/"] {
        for key in sandbox.destination.keys_below(published) {
            sandbox.destination.delete(&key);
        }
    }
    sandbox.destination.put(key, entry.to_string());
    sandbox
        .run(&["--date", "2026-01-15"])
        .exited_with(0)
        .stderr_has("takes back what an earlier run committed");
    assert_eq!(rows(&sandbox.destination, "t").len(), 1);
}

#[test]
fn a_path_that_is_too_long_fails_before_the_commit() {
    let sandbox = partitioned(TestDestination::local(), &[("secret", "x")]);
    let columns: Vec<String> = (0..20).map(|index| format!("c{index}")).collect();
    let selected: Vec<String> = columns
        .iter()
        .map(|column| format!("concat(v, repeat('y', 200)) AS {column}"))
        .collect();
    let (columns, selected) = (columns.join(", "), selected.join(", "));
    sandbox.write(
        "sql/t.sql",
        format!(
            "COPY (SELECT id, {selected} FROM events
             WHERE time >= $window_start AND time < $window_end) TO 't' PARTITIONED BY ({columns})"
        ),
    );
    let run = || sandbox.run(&["--date", "2026-01-15"]);
    let output = without_effect(&sandbox, run).exited_with(1);
    let output = output.stderr_has("`c0`, `c1`").stderr_has("a path of");
    assert!(!output.stderr.contains("secret"), "{output}");
}

#[test]
fn a_prefix_that_is_too_long_fails_the_table() {
    let sandbox = one_file(TestDestination::s3());
    let to = format!("s3://exports/{}/", "p".repeat(1000));
    let run = || sandbox.dayport(&["run", "--from", "raw", "--to", &to, "--date", "2026-01-15"]);
    let output = run().exited_with(1);
    output
        .stderr_has("a key of 1")
        .stderr_has("up to 1024")
        .hint_has("shorter prefix");
    assert_eq!(
        sandbox.destination.server().keys("exports"),
        Vec::<String>::new()
    );
}

#[test]
fn a_table_name_that_is_too_long_fails_the_table() {
    let sandbox = one_file(TestDestination::local());
    let table = "t".repeat(240);
    sandbox.remove("sql/t.sql");
    sandbox.write(
        &format!("sql/{table}.sql"),
        format!("COPY (SELECT id FROM events) TO '{table}'"),
    );
    let output = sandbox.run(&["--date", "2026-01-15"]).exited_with(1);
    output.stderr_has("up to 255").hint_has("shorter name");
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
}
