//! `dayport query` over malformed lines: the same flag, default and counts as those of a run.

use serde_json::json;

use crate::support::{SECOND_DAY, Sandbox, TestDestination, gzip, lines, rewrite};
use crate::world::world;

/// A source with `good` lines, and then as many malformed ones as there are in `malformed`.
fn with_malformed_lines(good: u64, malformed: &[&str]) -> Sandbox {
    let sandbox = world(TestDestination::local());
    let sites = (0..good).map(|id| json!({ "id": id, "name": id.to_string() }));
    let text = lines(sites) + &malformed.join("\n") + "\n";
    sandbox.write("raw/sites/sites.json", text);
    sandbox
}

/// A query and a run accept and refuse the same lines, and count them alike.
#[test]
fn malformed_lines_are_set_aside_as_by_a_run() {
    let malformed = ["not JSON", "{\"id\":\"x\"}", "{}", "[1]"];
    let sandbox = with_malformed_lines(5000, &malformed);
    let run = sandbox.run(&["--date", SECOND_DAY, "sites"]).exited_with(0);
    run.stderr_has("4 malformed lines of the source `sites` are set aside");

    let count = "SELECT count(*) AS rows FROM definition.sites WHERE name IS NOT NULL AND id >= 0";
    let output = sandbox.query(&[count, "--output", "json"]).exited_with(0);
    assert_eq!(output.stdout, "{\"rows\":5000}\n");
    let file = format!(
        "`file://{}/raw/sites/sites.json`",
        sandbox.folder().display()
    );
    let told = format!(
        "warning: 4 malformed lines of the source `sites` are set aside\n  {file} line 5001: "
    );
    assert!(output.stderr.starts_with(&told), "{output}");
    assert_eq!(output.stderr.matches(&file).count(), 3, "{output}");
    assert!(output.stderr.ends_with("  and 1 more\n"), "{output}");

    for (limit, code) in [("0", 1), ("3", 1), ("4", 0), ("0.07%", 1), ("100%", 0)] {
        let limit = ["--max-rejects", limit];
        let rerun = ["--date", SECOND_DAY, "sites", "--rerun"];
        let ran = sandbox
            .run(&[&rerun[..], &limit].concat())
            .exited_with(code);
        let queried = sandbox.query(&[&["definition.sites"][..], &limit].concat());
        let queried = queried.exited_with(code);
        if code == 1 {
            // A run prefixes table and cycle.
            let error = queried.stderr.lines().next().unwrap_or_default();
            let complaint = error.trim_start_matches("error: ");
            ran.stderr_has(complaint);
            assert_eq!(queried.stdout, "", "{queried}");
        }
    }
    let wrong = sandbox
        .query(&["sites", "--max-rejects", "many"])
        .exited_with(2);
    wrong.stderr_has("--max-rejects");
}

#[test]
fn the_limit_of_malformed_lines_comes_from_the_environment() {
    let mut sandbox = with_malformed_lines(10, &["not JSON"]);
    let refused = sandbox.query(&["sites"]).exited_with(1);
    refused
        .stderr_has(
            "1 of 11 lines of the source `sites` are malformed, more than --max-rejects 0.1%",
        )
        .hint_has("raise --max-rejects");
    sandbox.set_env("DAYPORT_MAX_REJECTS", "1");
    let accepted = sandbox.query(&["sites"]).exited_with(0);
    accepted.stderr_has("1 malformed line of the source `sites` is set aside");
}

/// Of how many lines a percentage is, only the end of a source decides. A number is decided before.
#[test]
fn a_query_that_ends_early_judges_what_it_has_read() {
    let sandbox = world(TestDestination::local());
    // About 40 MB, of which a query of one row reads a part.
    let name = "x".repeat(240);
    let good = (0..160_000).map(|id| json!({ "id": id, "name": name }));
    let text = "not JSON\n".repeat(300) + &lines(good);
    sandbox.write("raw/sites/sites.json", text);
    let whole = sandbox.query(&["SELECT max(id) FROM sites"]).exited_with(1);
    whole.stderr_has("300 of 160300 lines");
    let first = ["SELECT id FROM sites", "--limit", "1"];
    let started = sandbox.query(&first).exited_with(0);
    started.stderr_has("malformed lines of the source `sites` are set aside; the query ended");
    let numbered = sandbox.query(&[&first[..], &["--max-rejects", "5"]].concat());
    numbered
        .exited_with(1)
        .stderr_has("more than --max-rejects 5");
}

/// As a run, which exports no row of such a source.
#[test]
fn a_key_in_another_case_fails_a_query() {
    let sandbox = world(TestDestination::local());
    sandbox.write("raw/sites/sites.json", "{\"id\":1,\"Name\":\"a\"}\n");
    sandbox
        .query(&["sites"])
        .exited_with(1)
        .stderr_has("no line of the source `sites` has the key `name`, but `Name` occurs");
}

#[test]
fn published_files_have_no_malformed_lines() {
    let sandbox = world(TestDestination::local());
    let day = ["--date", SECOND_DAY, "--format", "json", "sites"];
    sandbox.run(&day).exited_with(0);
    let keys = sandbox.destination.keys();
    let key = |folder: &str| {
        keys.iter()
            .find(|key| key.starts_with(folder))
            .expect("a key")
    };
    let damaged = gzip("{\"id\":1}\n{\"id\":\n");
    rewrite(&sandbox.destination, key("manifests/sites/"), |manifest| {
        manifest["files"][0]["bytes"] = json!(damaged.len());
    });
    sandbox.destination.put(key("data/sites/"), damaged);
    let to = sandbox.destination.url();
    let sql = "SELECT count(id) FROM exported.sites";
    let refused = sandbox.query(&["--to", &to, sql, "--max-rejects", "100%"]);
    refused.exited_with(1).stderr_has("line 2");
}
