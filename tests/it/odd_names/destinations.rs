//! Foreign objects in a destination, and what is in the way of its files.

use std::fs;
use std::os::unix::fs::symlink;

use super::{foreign, ids, one_file};
use crate::support::{CommandOutput, Sandbox, TestDestination, for_each_destination};

for_each_destination!(
    foreign_objects_stop_nothing_and_are_named,
    markers_of_folders_are_no_findings,
);

/// Returns the keys of the findings of `dayport verify`.
fn verified(sandbox: &Sandbox) -> Vec<String> {
    let to = sandbox.destination.url();
    let output = sandbox.dayport(&["verify", "--to", &to, "--output", "json"]);
    let report = output.report();
    let findings = report["findings"].as_array().expect("findings").iter();
    let key = |finding: &serde_json::Value| {
        assert_eq!(finding["kind"], "extra", "{report}");
        finding["key"].as_str().expect("a key").to_owned()
    };
    let mut keys: Vec<String> = findings.map(key).collect();
    keys.sort();
    keys
}

fn run(sandbox: &Sandbox, date: &str) -> CommandOutput {
    sandbox.run(&["--date", date, "--output", "json"])
}

fn foreign_objects_stop_nothing_and_are_named(destination: TestDestination) {
    let sandbox = one_file(destination);
    run(&sandbox, "2026-01-14").succeeded();
    let mut in_table = vec!["data/t/a\tb".to_owned(), "data/t/\u{1}/c".to_owned()];
    let mut elsewhere = vec!["data/\u{1b}[31m".to_owned(), "data/odd [x]\t/y".to_owned()];
    match &sandbox.destination {
        TestDestination::S3(_) => {
            in_table.extend(["data/t//x", "data/t/./x", "data/t/../x"].map(str::to_owned));
            elsewhere.extend(["data//x", "data/../x"].map(str::to_owned));
        }
        TestDestination::Local(folder) => {
            let table = folder.path().join("acme/dayport/data/t");
            symlink("circle", table.join("circle")).expect("a link");
            symlink(".", table.join("self")).expect("a link");
            in_table.extend(["data/t/circle", "data/t/self"].map(str::to_owned));
        }
    }
    for key in in_table.iter().chain(&elsewhere) {
        let is_link = ["/circle", "/self"].iter().any(|link| key.ends_with(link));
        if !is_link {
            sandbox.destination.put(key, "x");
        }
    }
    let beside =
        ["manifests/t", "manifests", "_dayport/log/t"].map(|folder| format!("{folder}/a\tb"));
    for key in &beside {
        sandbox.destination.put(key, "x");
    }
    let output = run(&sandbox, "2026-01-15").exited_with(0);
    for key in &beside {
        sandbox.destination.delete(key);
    }
    in_table.sort();
    assert_eq!(foreign(&output.report()), in_table);
    assert_eq!(ids(&sandbox), [0]);
    let mut all = [in_table, elsewhere].concat();
    all.sort();
    assert_eq!(verified(&sandbox), all);
}

fn markers_of_folders_are_no_findings(destination: TestDestination) {
    let sandbox = one_file(destination);
    run(&sandbox, "2026-01-14").succeeded();
    match &sandbox.destination {
        TestDestination::S3(_) => {
            for marker in ["data/", "data/t/", "data/t/x/", "data/other/", "data//"] {
                sandbox.destination.put(marker, "");
            }
        }
        TestDestination::Local(folder) => {
            let empty = folder.path().join("acme/dayport/data/t/x");
            fs::create_dir(empty).expect("make a folder");
        }
    }
    let report = run(&sandbox, "2026-01-15").succeeded().report();
    assert_eq!(foreign(&report), Vec::<String>::new());
    assert_eq!(verified(&sandbox), Vec::<String>::new());
}

#[test]
fn what_is_in_the_way_is_named_before_the_commit() {
    for format in ["json", "parquet"] {
        let sandbox = one_file(TestDestination::local());
        let extension = match format {
            "json" => "json.gz",
            _ => "parquet",
        };
        let blocked = format!("data/t/data-000000000000.{extension}");
        sandbox.destination.put(&format!("{blocked}/x"), "x");
        let run = || sandbox.run(&["--date", "2026-01-15", "--format", format]);
        let before = sandbox.destination.keys();
        run()
            .exited_with(1)
            .stderr_has(&blocked)
            .hint_has("move what is in its place away");
        assert_eq!(sandbox.destination.keys(), before);
        sandbox.destination.delete(&format!("{blocked}/x"));
        let TestDestination::Local(folder) = &sandbox.destination else {
            panic!("a folder");
        };
        fs::remove_dir(folder.path().join("acme/dayport").join(&blocked)).expect("delete");
        run().succeeded();
    }
}

#[test]
fn a_file_in_the_place_of_a_folder_is_named() {
    let sandbox = one_file(TestDestination::local());
    sandbox.destination.put("data/t", "x");
    let before = sandbox.destination.contents();
    sandbox
        .run(&["--date", "2026-01-15"])
        .exited_with(1)
        .stderr_has("a file in the place of a folder");
    assert_eq!(sandbox.destination.contents(), before);
    sandbox.destination.delete("data/t");
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
}
