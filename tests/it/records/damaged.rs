//! A record whose checksum is not that of its text is read again, and then refused.

use super::{ENTRY, MANIFEST};
use crate::failures::without_effect;
use crate::s3::{Action, Fault, Operation};
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
