//! A record whose checksum is not that of its text is read again, and then refused.

use serde_json::{Value, json};

use super::{ENTRY, MANIFEST};
use crate::failures::without_effect;
use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{
    CommandOutput, Sandbox, TestDestination, check_checksum, check_published, damage,
    for_each_destination, rewrite,
};
use crate::world::{set_views, view, world};

for_each_destination!(
    every_record_has_a_checksum,
    a_damaged_entry_is_never_made_into_a_manifest,
    a_damaged_manifest_stops_a_rerun,
    records_without_a_checksum_are_read_as_before,
    status_and_verify_tell_of_a_log_that_they_cannot_read,
);

fn run(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    sandbox.run(&[&["--date", "2026-01-15", "views"], args].concat())
}

fn every_record_has_a_checksum(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    set_views(&sandbox, 15, &[view(15, 15), view(150, 15)]);
    run(&sandbox, &["--rerun"]).succeeded();
    let mut records = sandbox.destination.keys_below("manifests/");
    records.extend(sandbox.destination.keys_below("_dayport/log/"));
    assert_eq!(records.len(), 6, "{records:?}");
    for key in records {
        check_checksum(&sandbox.destination, &key);
    }
}

fn a_damaged_entry_is_never_made_into_a_manifest(destination: TestDestination) {
    let sandbox = world(destination);
    run(&sandbox, &[]).succeeded();
    let intact = sandbox.destination.read(ENTRY);
    sandbox.destination.delete(MANIFEST);
    damage(
        &sandbox.destination,
        ENTRY,
        "\"rows_read\":6,",
        "\"rows_read\":7,",
    );
    let before = sandbox.destination.contents();
    for args in [&[][..], &["--rerun"]] {
        run(&sandbox, args)
            .exited_with(1)
            .stderr_has(&format!("`{ENTRY}` is damaged"))
            .hint_has("restore the object");
        assert_eq!(sandbox.destination.contents(), before);
    }
    sandbox.destination.put(ENTRY, intact);
    run(&sandbox, &[]).exited_with(0);
    check_published(&sandbox.destination);
}

fn a_damaged_manifest_stops_a_rerun(destination: TestDestination) {
    let sandbox = world(destination);
    run(&sandbox, &[]).succeeded();
    let intact = sandbox.destination.read(MANIFEST);
    damage(
        &sandbox.destination,
        MANIFEST,
        "\"rows_read\": 6,",
        "\"rows_read\": 7,",
    );
    without_effect(&sandbox, || run(&sandbox, &["--rerun"]))
        .exited_with(1)
        .stderr_has(&format!("`{MANIFEST}` is damaged"))
        .hint_has("restore the object");
    let to = sandbox.destination.url();
    sandbox
        .dayport(&["verify", "--to", &to])
        .exited_with(1)
        .stdout_has("damaged");
    sandbox.destination.put(MANIFEST, intact);
    run(&sandbox, &["--rerun"]).succeeded();
    check_published(&sandbox.destination);
}

fn records_without_a_checksum_are_read_as_before(destination: TestDestination) {
    let sandbox = world(destination);
    run(&sandbox, &[]).succeeded();
    for key in [MANIFEST, ENTRY] {
        rewrite(&sandbox.destination, key, |_| {});
    }
    run(&sandbox, &["--rerun"]).succeeded();
    check_published(&sandbox.destination);
}

fn status_and_verify_tell_of_a_log_that_they_cannot_read(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let to = sandbox.destination.url();
    let look = |args: &[&str]| sandbox.dayport(&[args, &["--to", &to]].concat());
    let intact = sandbox.destination.read(ENTRY);
    type Change = fn(&Sandbox);
    let changes: [(Change, &str); 3] = [
        (
            |sandbox| {
                damage(
                    &sandbox.destination,
                    ENTRY,
                    "\"rows_read\":6,",
                    "\"rows_read\":7,",
                )
            },
            "is damaged",
        ),
        (
            |sandbox| {
                rewrite(&sandbox.destination, ENTRY, |entry| {
                    entry["action"]["kind"] = json!("audit");
                    entry["writer"] = json!("dayport 9.9.0");
                });
            },
            "dayport 9.9.0 wrote it",
        ),
        (
            |sandbox| sandbox.destination.put(ENTRY, "{"),
            "`_dayport/log/views/",
        ),
    ];
    for (change, text) in changes {
        sandbox.destination.put(ENTRY, intact.clone());
        change(&sandbox);
        for depth in [&[][..], &["--quick"]] {
            let verified = look(&[&["verify", "--output", "json"], depth].concat()).exited_with(1);
            let findings = verified.report()["findings"].clone();
            let findings = findings.as_array().expect("findings");
            assert_eq!(findings.len(), 1, "{verified}");
            assert_eq!(findings[0]["kind"], "log");
            assert_eq!(findings[0]["table"], "views");
            assert!(findings[0]["detail"].as_str().unwrap_or("").contains(text));
        }
        look(&["status"])
            .exited_with(1)
            .stdout_has("incident: views: its log cannot be read")
            .stdout_has(text)
            .stderr_has("the log of `views` cannot be read");
        let status = look(&["status", "--output", "json"]).exited_with(1);
        let tables = &status.report()["tables"];
        assert_eq!(tables[0]["log_fault"], Value::Null, "that of `sites`");
        assert!(tables[1]["log_fault"].as_str().unwrap_or("").contains(text));
    }
    sandbox.destination.put(ENTRY, intact);
    look(&["verify"]).exited_with(0);
    look(&["status"]).exited_with(0);
}

/// Receivers may have no right to read the log: they need the manifests only.
#[test]
fn status_and_verify_need_no_right_to_read_the_log_but_a_store_that_answers() {
    let mut sandbox = world(TestDestination::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let to = sandbox.destination.url();
    for (failure, code) in [(Failure::AccessDenied, 0), (Failure::SlowDown, 75)] {
        for operation in [Operation::GetObject, Operation::ListObjects] {
            let server = sandbox.destination.server();
            let fault = Fault::on(operation, Action::Before(failure));
            server.inject(fault.key("_dayport/log/views/"));
            for command in ["verify", "status"] {
                sandbox.dayport(&[command, "--to", &to]).exited_with(code);
            }
            assert!(server.faults_triggered() >= 2, "{failure:?}, {operation:?}");
            server.clear_faults();
        }
    }
}

/// A byte that is flipped on the way to the reader is right the second time.
#[test]
fn a_damaged_answer_is_asked_for_again() {
    for folder in ["manifests/views/", "_dayport/log/views/"] {
        let sandbox = world(TestDestination::s3());
        run(&sandbox, &[]).succeeded();
        let server = sandbox.destination.server();
        let flip = Fault::on(Operation::GetObject, Action::Flip { byte: 100 }).key(folder);
        server.inject(flip.clone().nth(1));
        run(&sandbox, &["--rerun"]).succeeded();
        assert_eq!(server.faults_triggered(), 1);
        server.clear_faults();

        server.inject(flip);
        without_effect(&sandbox, || run(&sandbox, &["--rerun"]))
            .exited_with(1)
            .hint_has("restore the object");
    }
}
