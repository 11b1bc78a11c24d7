//! What receivers make of markers: `wait`, `verify` and `status`.

use serde_json::json;

use super::markers;
use crate::s3::Operation;
use crate::support::{
    CommandOutput, Sandbox, TestDestination, damage, for_each_destination, rewrite,
};
use crate::world::world;

for_each_destination!(
    a_wait_for_all_tables_follows_the_marker,
    a_marker_that_contradicts_the_manifests_is_a_finding,
    the_status_names_the_cycles_that_are_not_complete,
    a_damaged_marker_is_told_by_the_status,
);

fn wait(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let to = sandbox.destination.url();
    let fixed = [
        "wait",
        "--to",
        &to,
        "--date",
        "2026-01-15",
        "--timeout",
        "0s",
    ];
    sandbox.dayport(&[&fixed[..], args].concat())
}

fn a_wait_for_all_tables_follows_the_marker(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let both = "manifests/sites/2026-01-15.r0.json\nmanifests/views/2026-01-15.r0.json\n";
    assert_eq!(wait(&sandbox, &[]).succeeded().stdout, both);

    // Every table that was ever published has the cycle, and a run may still publish another one.
    sandbox.destination.delete("cycles/2026-01-15.r0.json");
    wait(&sandbox, &[])
        .exited_with(75)
        .stderr_has(": it is not marked as complete: ");
    wait(&sandbox, &["sites", "views"]).succeeded();

    // An older version writes no markers.
    sandbox.destination.delete("cycles/2026-01-14.r0.json");
    assert_eq!(wait(&sandbox, &[]).succeeded().stdout, both);
}

#[test]
fn a_wait_reads_the_marker_and_asks_for_the_next_one() {
    let sandbox = world(TestDestination::s3());
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let server = sandbox.destination.server();
    let before = server.calls().len();
    wait(&sandbox, &[]).succeeded();
    let calls: Vec<Operation> = server.calls()[before..]
        .iter()
        .map(|call| call.operation)
        .collect();
    assert_eq!(calls, [Operation::GetObject, Operation::GetObject]);
}

fn verify(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let to = sandbox.destination.url();
    sandbox.dayport(&[&["verify", "--to", &to], args].concat())
}

fn a_marker_that_contradicts_the_manifests_is_a_finding(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    verify(&sandbox, &[]).succeeded();
    verify(&sandbox, &["--quick"]).succeeded();

    let key = "cycles/2026-01-15.r0.json";
    let whole = sandbox.destination.read(key);
    rewrite(&sandbox.destination, key, |marker| {
        marker["tables"][1]["sha256"] = json!("0")
    });
    let finding =
        "marker     views 2026-01-15: `cycles/2026-01-15.r0.json`: it names `manifests/views/";
    verify(&sandbox, &[]).exited_with(1).stdout_has(finding);
    rewrite(&sandbox.destination, key, |marker| {
        marker["tables"][1]["revision"] = json!(1)
    });
    verify(&sandbox, &["--quick"])
        .exited_with(1)
        .stdout_has(finding);
    rewrite(&sandbox.destination, key, |marker| {
        marker["cycle"]["id"] = json!("2026-01-14")
    });
    verify(&sandbox, &["--quick"])
        .exited_with(1)
        .stdout_has("calls itself");
    sandbox.destination.put(key, whole);
    verify(&sandbox, &[]).succeeded();

    // A revision that the marker does not name: its run did not come to it.
    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "views"])
        .succeeded();
    sandbox.destination.delete("cycles/2026-01-15.r1.json");
    verify(&sandbox, &["--quick"])
        .exited_with(1)
        .stdout_has("unfinished views 2026-01-15: `cycles/2026-01-15.r0.json`: it does not name ");
    verify(&sandbox, &["--quick"]).stdout_has(
        "marker     : `latest.json`: it names `cycles/2026-01-15.r1.json`, which does not",
    );
    sandbox.run(&[]).exited_with(0);
    verify(&sandbox, &["--quick"]).succeeded();
}

fn the_status_names_the_cycles_that_are_not_complete(destination: TestDestination) {
    let sandbox = world(destination);
    let to = sandbox.destination.url();
    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    sandbox.run(&["--date", "2026-01-16"]).exited_with(0);
    // The snapshot of the 16th has completed the 15th.
    assert_eq!(markers(&sandbox.destination).len(), 3);
    sandbox.destination.delete("cycles/2026-01-15.r0.json");
    let output = sandbox
        .dayport(&["status", "--to", &to, "--days", "5"])
        .succeeded();
    output
        .stdout_has("complete: newest 2026-01-16 (cycles/2026-01-16.r0.json)\n")
        .stdout_has("not complete: 2026-01-15\n");
    let json = sandbox
        .dayport(&["status", "--to", &to, "--output", "json"])
        .succeeded();
    assert_eq!(
        json.report()["complete"],
        json!({ "newest": "2026-01-16", "marker": "cycles/2026-01-16.r0.json",
                "incomplete": ["2026-01-15"], "withdrawn": [] })
    );
}

/// A marker that cannot be read says nothing of its cycle; the others are shown.
fn a_damaged_marker_is_told_by_the_status(destination: TestDestination) {
    let sandbox = world(destination);
    let to = sandbox.destination.url();
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "views"])
        .succeeded();
    let key = "cycles/2026-01-15.r1.json";
    damage(&sandbox.destination, key, "complete", "complote");
    let status = ["status", "--to", &to, "--days", "5"];
    sandbox
        .dayport(&status)
        .succeeded()
        .stdout_has("complete: newest 2026-01-15 ")
        .stdout_has(&format!("damaged: 2026-01-15: `{key}`"));
    let json = sandbox.dayport(&[&status[..], &["--output", "json"]].concat());
    let report = json.succeeded().report();
    assert_eq!(report["complete"]["damaged"][0]["marker"], key);
}
