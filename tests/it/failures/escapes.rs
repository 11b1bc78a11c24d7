//! Control characters of data, which must not reach a terminal.

use serde_json::Value;

use crate::support::{CommandOutput, Sandbox, TestDestination};

/// The characters that a terminal obeys, shows in another order, or does not show.
const CONTROLS: &str = "\u{1b}[31m\u{1b}]0;t\u{7}\r\u{7f}\u{9b}1m\u{202e}\u{2066}\u{200b}\u{feff}";

/// Those of them that a store accepts in a key.
const IN_KEYS: &str = "\u{9b}1m\u{85}\u{202e}\u{2066}\u{200b}\u{feff}";

const SHOWN_IN_KEYS: &str = "\\u{9b}1m\\u{85}\\u{202e}\\u{2066}\\u{200b}\\u{feff}";

const SHOWN: &str =
    "\\u{1b}[31m\\u{1b}]0;t\\u{7}\\r\\u{7f}\\u{9b}1m\\u{202e}\\u{2066}\\u{200b}\\u{feff}";

#[track_caller]
fn is_visible(text: &str) {
    let is_hidden =
        |c: char| (c.is_control() && c != '\n') || CONTROLS.contains(c) && !c.is_ascii();
    assert!(!text.contains(is_hidden), "{}", text.escape_debug());
}

/// Runs a command that fails, and checks that its output has `shown` and nothing that is hidden.
#[track_caller]
fn fails(sandbox: &Sandbox, args: &[&str], shown: &str) -> CommandOutput {
    let to = sandbox.destination.url();
    let fixed = [args[0], "--from", "raw", "--to", &to];
    let output = sandbox.dayport(&[&fixed, &args[1..]].concat());
    is_visible(&output.stdout);
    is_visible(&output.stderr);
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(all.contains(shown), "`{shown}` is missing:\n{all}");
    output
}

fn sandbox(declaration: &str, file: &str, text: &str) -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write("sql/sources/events.sql", declaration.to_owned());
    sandbox.write("sql/t.sql", "COPY (SELECT * FROM events) TO 't'");
    sandbox.write(file, text.to_owned());
    sandbox
}

const DAY: [&str; 3] = ["run", "--date", "2026-01-15"];

#[test]
fn the_name_of_a_file_is_shown_with_escapes() {
    let sandbox = sandbox(
        "CREATE EXTERNAL TABLE events (id BIGINT) STORED AS JSON LOCATION 'events/'",
        &format!("raw/events/{IN_KEYS}.json"),
        "{\"id\":\"x\"}\n",
    );
    let shown = format!("raw/events/{SHOWN_IN_KEYS}.json` line 1");
    fails(&sandbox, &DAY, &shown);
    fails(&sandbox, &["check"], &shown);
    let report = fails(&sandbox, &[&DAY[..], &["--output", "json"]].concat(), "").report();
    let error = report["tables"][0]["error"].as_str().expect("an error");
    assert!(error.contains(IN_KEYS), "a report has the true text");
    let rejected = [&DAY[..], &["--max-rejects", "1", "-v"]].concat();
    fails(&sandbox, &rejected, "1 malformed line").exited_with(0);
    fails(
        &sandbox,
        &["trace", "x", "--column", "id", "--date", "2026-01-15"],
        SHOWN_IN_KEYS,
    );
    // Names that `object_store` cannot hold.
    sandbox.remove(&format!("raw/events/{IN_KEYS}.json"));
    sandbox.write(&format!("raw/events/{CONTROLS}.json"), "{\"id\":\"x\"}\n");
    let again = [&DAY[..], &["--rerun"]].concat();
    fails(&sandbox, &again, SHOWN).exited_with(1);
    fails(&sandbox, &["check"], SHOWN).exited_with(1);
}

#[test]
fn the_value_of_a_partition_is_shown_with_escapes() {
    let sandbox = sandbox(
        "CREATE EXTERNAL TABLE events (id BIGINT, k BIGINT) PARTITIONED BY (k)
         STORED AS JSON LOCATION 'events/'",
        &format!("raw/events/k={IN_KEYS}/a.json"),
        "{\"id\":1}\n",
    );
    fails(&sandbox, &DAY, SHOWN_IN_KEYS).exited_with(1);
    fails(&sandbox, &["check"], SHOWN_IN_KEYS).exited_with(1);
}

#[test]
fn the_name_of_a_field_is_shown_with_escapes() {
    let controls = CONTROLS.replace(['\u{feff}', '\r'], "");
    let sandbox = sandbox(
        &format!(
            "CREATE EXTERNAL TABLE events (\"a{controls}\" BIGINT) STORED AS JSON LOCATION 'events/'"
        ),
        "raw/events/a.json",
        &serde_json::json!({ format!("a{controls}"): "x" }).to_string(),
    );
    let shown = "a\\u{1b}[31m\\u{1b}]0;t\\u{7}\\u{7f}\\u{9b}1m\\u{202e}";
    fails(&sandbox, &DAY, shown).exited_with(1);
    let report = fails(&sandbox, &[&DAY[..], &["--output", "json"]].concat(), "").report();
    assert!(
        matches!(&report["tables"][0]["error"], Value::String(error) if error.contains(&controls))
    );
}

#[test]
fn what_was_typed_is_shown_with_escapes() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let typed = "a\u{1b}]0;t\u{7}\u{9b}1m\u{202e}b";
    let option = format!("--{typed}");
    for args in [
        vec!["run", &option],
        vec![typed],
        vec!["run", "--format", typed],
        vec!["run", "--to", "out", "--from", "raw", "--date", typed],
        vec!["status", "--to", typed],
    ] {
        let output = sandbox.dayport(&args);
        is_visible(&output.stdout);
        is_visible(&output.stderr);
        assert!(
            output.stdout.contains("\\u{9b}") || output.stderr.contains("\\u{9b}"),
            "{output}"
        );
    }
}

/// Whoever may write to the destination chooses the run ids and keys there.
#[test]
fn what_stands_in_the_destination_is_shown_with_escapes() {
    let sandbox = sandbox(
        "CREATE EXTERNAL TABLE events (id BIGINT) STORED AS JSON LOCATION 'events/'",
        "raw/events/a.json",
        "{\"id\":1}\n",
    );
    let to = sandbox.destination.url();
    fails(&sandbox, &DAY, "1 published").exited_with(0);
    let manifest = std::fs::read_dir(format!("{to}/manifests/t"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .next()
        .expect("a manifest");
    let mut value: Value =
        serde_json::from_slice(&std::fs::read(&manifest).expect("a file")).expect("JSON");
    for name in ["run_id", "description"] {
        value[name] = format!("{CONTROLS}\nerror: forged").into();
    }
    std::fs::write(&manifest, value.to_string()).expect("write a file");
    for args in [
        vec![
            "run",
            "--from",
            "raw",
            "--date",
            "2026-01-15",
            "-vv",
            "--to",
            &to,
        ],
        vec![
            "run",
            "--from",
            "raw",
            "--date",
            "2026-01-15",
            "--rerun",
            "-vv",
            "--to",
            &to,
        ],
        vec!["status", "--to", &to],
        vec!["verify", "--to", &to],
        vec![
            "wait",
            "--to",
            &to,
            "--date",
            "2026-01-15",
            "--timeout",
            "0s",
        ],
        vec!["ddl", "--dialect", "duckdb", "--to", &to],
        vec!["ddl", "--dialect", "spark", "--to", &to],
    ] {
        let output = sandbox.dayport(&args);
        let all = format!("{}{}", output.stdout, output.stderr);
        is_visible(&all);
        assert!(!all.contains("\nerror: forged"), "{output}");
    }
}

#[test]
fn an_error_of_the_parser_is_shown_with_escapes() {
    let sandbox = sandbox(
        "CREATE EXTERNAL TABLE events (id BIGINT) STORED AS JSON LOCATION 'events/'",
        "raw/events/a.json",
        "",
    );
    sandbox.write(
        "sql/t.sql",
        format!("COPY (SELECT \"{CONTROLS}\" FROM events) TO 't'"),
    );
    fails(&sandbox, &DAY, "\\u{1b}[31m");
    fails(&sandbox, &["plan", "--date", "2026-01-15"], "\\u{1b}[31m");
    let forged = "SELECT id FROM events WHERE \"x\nerror: forged\u{1b}[31m\"";
    let output = sandbox.query(&[forged]).exited_with(2);
    is_visible(&output.stderr);
    assert!(
        !output.stderr.contains("\nerror: forged"),
        "{}",
        output.stderr
    );
}
