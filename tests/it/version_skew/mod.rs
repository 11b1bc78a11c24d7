//! Entries of another version of dayport: old ones are finished, and what a newer one wrote stops the
//! table with exit code 2.

mod race;

use serde_json::{Value, json};

use crate::support::{
    CommandOutput, Sandbox, TestDestination, check_published, for_each_destination, rewrite, rows,
};
use crate::world::world;

for_each_destination!(
    what_a_newer_version_wrote_stops_the_table,
    a_newer_manifest_stops_a_rerun,
);

/// A commit of version 0.1.0 in a folder, and its staged files. It must stay readable forever: never
/// change it, add another one.
const PUBLISH: &str = include_str!("publish.v1.json");
const DATA: &[u8] = include_bytes!("data.v1.json.gz");
const REJECTS: &[u8] = include_bytes!("rejects.v1.json.gz");

/// The entry that voids it.
const VOID: &str = include_str!("void.v1.json");

const ENTRY: &str = "_dayport/log/views/00000000000000000001.json";
const MANIFEST: &str = "manifests/views/2026-01-15.r0.json";

/// Creates the small world with an unfinished commit of version 0.1.0.
fn with_commit_of_version_1() -> Sandbox {
    let sandbox = world(TestDestination::local());
    let staging = "_dayport/staging/20261127T032826Z-eae38cdfd347-views-2026-01-14";
    let files = [
        (ENTRY, PUBLISH.as_bytes()),
        (&format!("{staging}/000000000000"), DATA),
        (&format!("{staging}/000000000001"), REJECTS),
    ];
    for (key, bytes) in files {
        sandbox.destination.put(key, bytes.to_vec());
    }
    sandbox
}

#[test]
fn a_commit_of_version_1_is_finished() {
    let sandbox = with_commit_of_version_1();
    let run = |day: &str| sandbox.run(&["--date", day, "views", "--format", "json"]);
    run("2026-01-14")
        .succeeded()
        .stdout_has("already published");
    check_published(&sandbox.destination);
    assert_eq!(rows(&sandbox.destination, "views").len(), 1);
    run("2026-01-15").exited_with(0);
    check_published(&sandbox.destination);
    assert_eq!(rows(&sandbox.destination, "views").len(), 2);
}

#[test]
fn an_entry_of_version_1_that_voids_another_is_finished() {
    let sandbox = with_commit_of_version_1();
    let void = "_dayport/log/views/00000000000000000002.json";
    let visible = "data/views/year=2026/month=1/day=14/data-000000000000.json.gz";
    sandbox.destination.put(void, VOID);
    sandbox.destination.put(visible, DATA.to_vec());
    let run = sandbox.run(&["--date", "2026-01-14", "views", "--format", "json"]);
    run.exited_with(0);
    assert_eq!(sandbox.destination.find(visible), None);
    let published = sandbox.destination.keys_below("data/");
    assert_eq!(published.len(), 1, "{published:?}");
}

fn run(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    sandbox.run(&[&["--date", "2026-01-16"], args].concat())
}

fn what_a_newer_version_wrote_stops_the_table(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    let entry = sandbox.destination.read(ENTRY);
    let manifest = sandbox.destination.read(MANIFEST);
    sandbox.destination.delete(MANIFEST);
    let changes: [fn(&mut Value); 5] = [
        |entry| entry["version"] = json!(2),
        |entry| entry["action"]["kind"] = json!(99),
        |entry| entry["action"]["kind"] = json!("audit"),
        |entry| entry["action"]["uploads"][0]["token"]["kind"] = json!("lease"),
        |entry| entry["action"]["manifest"]["version"] = json!(2),
    ];
    for change in changes {
        sandbox.destination.put(ENTRY, entry.clone());
        rewrite(&sandbox.destination, ENTRY, |entry| {
            change(entry);
            entry["writer"] = json!("dayport 9.9.0");
            entry["action"]["manifest"]["writer"] = json!("dayport 9.9.0");
        });
        let before = sandbox.destination.contents();
        let to = sandbox.destination.url();
        let plan = ["plan", "--from", "raw", "--to", &to, "views"];
        let day = run(&sandbox, &["views"]);
        let due = sandbox.run(&["views"]);
        let outputs = [day, due, sandbox.dayport(&plan)];
        for output in outputs {
            output
                .exited_with(2)
                .stderr_has(&format!("`{ENTRY}` is an"))
                .stderr_has("dayport 9.9.0 wrote it")
                .hint_has("use a newer dayport");
        }
        assert_eq!(sandbox.destination.contents(), before);
    }
    // Other tables go on.
    let output = run(&sandbox, &["--output", "json"]).exited_with(2);
    assert_eq!(
        output.results(),
        ["sites 2026-01-16 published", "views 2026-01-16 failed"]
    );
    sandbox.destination.put(ENTRY, entry);
    sandbox.destination.put(MANIFEST, manifest);
    run(&sandbox, &["views"]).succeeded();
    check_published(&sandbox.destination);
}

fn a_newer_manifest_stops_a_rerun(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    rewrite(&sandbox.destination, MANIFEST, |manifest| {
        manifest["version"] = json!(2);
        manifest["writer"] = json!("dayport 9.9.0");
    });
    let before = sandbox.destination.contents();
    sandbox
        .run(&["--date", "2026-01-15", "views", "--rerun"])
        .exited_with(2)
        .stderr_has("dayport 9.9.0 wrote it")
        .hint_has("use a newer dayport");
    assert_eq!(sandbox.destination.contents(), before);
}
