//! `dayport check` for editors and CI: without a destination, and with the place of each finding.

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination, for_each_destination};

for_each_destination!(definitions_are_held_against_what_is_published);

fn check(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    sandbox.dayport(&[&["check"], args].concat())
}

/// A sandbox without raw data, in which `text` of a file is replaced.
fn edited(file: &str, text: &str, other: &str) -> Sandbox {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    std::fs::remove_dir_all(sandbox.folder().join("raw")).expect("the raw data");
    edit(&sandbox, file, text, other);
    sandbox
}

fn edit(sandbox: &Sandbox, file: &str, text: &str, other: &str) {
    let content = std::fs::read_to_string(sandbox.folder().join(file)).expect("a file");
    assert!(content.contains(text), "{file} has no {text}");
    sandbox.write(file, content.replacen(text, other, 1));
}

/// The findings of `--output json`, without their hints.
fn findings(output: CommandOutput) -> Vec<Value> {
    let report = output.exited_with(1).report();
    let items = report["items"].as_array().expect("items").iter();
    let findings = items.filter(|item| item["verdict"] == "finding");
    findings.cloned().collect()
}

#[test]
fn neither_a_destination_nor_sources_are_needed() {
    let sandbox = edited("sql/domains.sql", "-- Domains", "-- All domains");
    let output = check(&sandbox, &[]).succeeded();
    let output = output.stdout_has("  ok       definitions   10 compile\n");
    let output = output.stdout_has("  unknown  files         no file was read: give --from");
    output.stdout_has("cases passed\n");
    // With the sources, samples of them are read.
    let sandbox = Sandbox::fixtures(TestDestination::local());
    let from = ["--from", "raw", "--date", "2026-01-15"];
    check(&sandbox, &from).succeeded().stdout_has("rows read, ");
    // A run needs its destination.
    let output = sandbox.dayport(&["run", "--from", "raw"]).exited_with(2);
    output.stderr_has("--to <PATH|URL>");
}

#[test]
fn findings_in_files_have_line_and_columns() {
    let definition = "sql/pageview_events.sql";
    let sandbox = edited(definition, "properties['url']", "properties['urll']");
    let place = json!({"file": definition, "line": 13, "column": 33, "end_column": 37});
    let found = findings(check(&sandbox, &["--output", "json"]));
    assert_eq!((found.len(), &found[0]["place"]), (1, &place), "{found:#?}");

    let output = check(&sandbox, &["--output", "github"]).exited_with(1);
    output.stdout_has(&format!(
        "::error file={definition},line=13,col=33,endColumn=37,title=pageview_events::Field urll not found in struct\n"
    ));
    let sarif = check(&sandbox, &["--output", "sarif"])
        .exited_with(1)
        .report();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "definitions");
    assert_eq!(result["message"]["text"], "Field urll not found in struct");
    assert_eq!(
        result["locations"][0]["physicalLocation"],
        json!({
            "artifactLocation": {"uri": definition},
            "region": {"startLine": 13, "startColumn": 33, "endColumn": 37},
        })
    );
}

#[test]
fn declarations_and_cases_are_checked() {
    let source = "sql/sources/domains.sql";
    let sandbox = edited(
        source,
        "first_seen   TIMESTAMP(6) WITH TIME ZONE",
        "first_seen   TIMESTAP",
    );
    let found = findings(check(&sandbox, &["--output", "json"]));
    let place = json!({"file": source, "line": 5, "column": 16, "end_column": 24});
    assert_eq!(
        (&found[0]["area"], &found[0]["place"]),
        (&json!("sources"), &place)
    );

    let case = "sql/tests/domains/newest_dump/expected.jsonl";
    let sandbox = edited(case, "\"pageviews\":5", "\"pageviews\":6");
    let found = findings(check(&sandbox, &["--output", "json"]));
    assert_eq!(found[0]["name"], "domains/newest_dump");
    assert_eq!(
        (&found[0]["place"]["file"], &found[0]["place"]["line"]),
        (&json!(case), &json!(2))
    );
    // Only of the tables that are named.
    check(&sandbox, &["aliases"]).succeeded();

    let sandbox = edited(case, "\"pageviews\":5", "\"pageviews\":\"many\"");
    let found = findings(check(&sandbox, &["--output", "json"]));
    assert_eq!(
        (&found[0]["place"]["file"], &found[0]["place"]["line"]),
        (&json!(case), &json!(2))
    );
}

/// Nothing is tried at the destination of `--against`.
fn definitions_are_held_against_what_is_published(destination: TestDestination) {
    let sandbox = Sandbox::fixtures(destination);
    sandbox
        .run(&["--date", "2026-01-15", "domains", "aliases"])
        .exited_with(0);
    let before = sandbox.destination.contents();
    let against = sandbox.destination.url();
    let against = ["--against", &against, "domains", "aliases"];
    check(&sandbox, &against)
        .succeeded()
        .stdout_has("none from 2 published tables");
    edit(&sandbox, "sql/domains.sql", "    last_seen,\n", "");
    edit(
        &sandbox,
        "sql/tests/domains/newest_dump/case.toml",
        "date",
        "ignore = []\ndate",
    );
    let found = findings(check(
        &sandbox,
        &[&against[..], &["--output", "json"]].concat(),
    ));
    let changes = found
        .iter()
        .find(|item| item["name"] == "changes")
        .expect("a change");
    let detail = changes["detail"].as_str().expect("text");
    assert!(detail.contains("`last_seen`"), "{detail}");
    assert_eq!(sandbox.destination.contents(), before);

    let missing = ["--against", "nowhere"];
    let output = check(&sandbox, &missing).exited_with(1);
    output.stdout_has("nowhere`\n           hint: --against is where a run has published");
}
