//! A record that names keys of other tables changes nothing, and a repaired one is used as before.

use serde_json::{Value, json};

use super::{ENTRY, MANIFEST, SITES};
use crate::failures::without_effect;
use crate::support::{
    CommandOutput, Sandbox, TestDestination, check_published, for_each_destination, rewrite,
};
use crate::world::world;

for_each_destination!(
    a_forged_manifest_is_refused_before_the_commit,
    a_forged_void_entry_deletes_nothing,
    a_forged_upload_completes_nothing,
);

/// Keys that are not those of files of `views`.
const FOREIGN: [&str; 9] = [
    SITES,
    "data/views/readme.txt",
    "data/views//data-000000000001.parquet",
    "data/views/../sites/data-000000000000.parquet",
    "manifests/sites/2026-01-15.r0.json",
    "manifests/views/2026-01-15.r0.json",
    "_dayport/log/sites/00000000000000000001.json",
    "rejects/views/2026-01-15/sites.run.json.gz",
    "",
];

/// Creates the small world with 2026-01-15 published.
fn published(destination: TestDestination) -> Sandbox {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    sandbox
}

fn run(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    sandbox.run(&[&["views", "--date", "2026-01-15"], args].concat())
}

fn a_forged_manifest_is_refused_before_the_commit(destination: TestDestination) {
    let sandbox = published(destination);
    let intact = sandbox.destination.read(MANIFEST);
    let log = sandbox.destination.keys_below("_dayport/log/");
    let lists = ["files", "rejects", "replaced"].into_iter().cycle();
    for (key, list) in FOREIGN.into_iter().zip(lists) {
        sandbox.destination.put(MANIFEST, intact.clone());
        rewrite(&sandbox.destination, MANIFEST, |manifest| {
            add(manifest, list, key);
        });
        let before = sandbox.destination.contents();
        run(&sandbox, &["--rerun"])
            .exited_with(1)
            .stderr_has(&format!("`{MANIFEST}` is refused, and nothing was changed"))
            .stderr_has(&format!("`{key}` is no file of the data or the rejects"))
            .hint_has("restore the object");
        assert_eq!(sandbox.destination.contents(), before, "{list} {key}");
        assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
    }
    let to = sandbox.destination.url();
    let plan = ["plan", "--from", "raw", "--to", &to, "--date", "2026-01-15"];
    sandbox
        .dayport(&[&plan[..], &["--rerun", "views"]].concat())
        .exited_with(1)
        .stderr_has("is refused");
    // The table is not wedged.
    sandbox.destination.put(MANIFEST, intact);
    assert_eq!(sandbox.destination.keys_below("_dayport/log/"), log);
    run(&sandbox, &["--rerun"]).succeeded();
    check_published(&sandbox.destination);
}

/// Adds a key to a list of a manifest.
fn add(manifest: &mut Value, list: &str, key: &str) {
    let mut file = manifest["files"][0].clone();
    file["path"] = json!(key);
    file["source"] = json!("views");
    let member = match list {
        "replaced" => json!(key),
        _ => file,
    };
    match manifest[list].as_array_mut() {
        Some(members) => members.push(member),
        None => manifest[list] = json!([member]),
    }
}

fn a_forged_void_entry_deletes_nothing(destination: TestDestination) {
    let sandbox = published(destination);
    let forged = "_dayport/log/views/00000000000000000002.json";
    let entry: Value = serde_json::from_slice(&sandbox.destination.read(ENTRY)).expect("JSON");
    for key in FOREIGN {
        let void = json!({
            "version": 1, "sequence": 2, "run_id": "forged", "written_at": "2026-01-16T00:00:00Z",
            "action": { "kind": "void", "cycle": "2026-01-15", "delete": [key], "reason": "" },
            "memory": entry["memory"],
        });
        sandbox.destination.put(forged, void.to_string());
        let before = sandbox.destination.contents();
        run(&sandbox, &[])
            .exited_with(1)
            .stderr_has(&format!("`{forged}` is refused, and nothing was changed"))
            .hint_has("restore the object");
        assert_eq!(sandbox.destination.contents(), before, "{key}");
    }
    // The other table is not affected.
    let due = sandbox.run(&["--output", "json"]).exited_with(1);
    assert_eq!(
        due.results(),
        ["sites 2026-01-16 published", "views - failed"]
    );
    assert!(sandbox.destination.find(SITES).is_some());
    sandbox.destination.delete(forged);
    run(&sandbox, &["--rerun"]).succeeded();
    check_published(&sandbox.destination);
}

/// A publication that is not finished: of its uploads, one would be completed as a file of another table,
/// or a file of another table would be renamed.
fn a_forged_upload_completes_nothing(destination: TestDestination) {
    let sandbox = published(destination);
    let intact = sandbox.destination.read(ENTRY);
    let manifest = sandbox.destination.read(MANIFEST);
    sandbox.destination.delete(MANIFEST);
    let staged = |key: &str| json!({ "kind": "rename", "staged": key, "etag": null });
    let other_staging = "_dayport/staging/run-sites-2026-01-15/000000000000";
    let mut forgeries: Vec<(&str, Value)> = vec![("path", json!(SITES))];
    forgeries.extend([SITES, other_staging, ""].map(|key| ("token", staged(key))));
    for (member, value) in forgeries {
        sandbox.destination.put(ENTRY, intact.clone());
        rewrite(&sandbox.destination, ENTRY, |entry| {
            entry["action"]["uploads"][0][member] = value.clone();
        });
        let before = sandbox.destination.contents();
        for args in [&[][..], &["--rerun"]] {
            run(&sandbox, args)
                .exited_with(1)
                .stderr_has(&format!("`{ENTRY}` is refused, and nothing was changed"));
            assert_eq!(sandbox.destination.contents(), before, "{member} {value}");
        }
    }
    sandbox.destination.put(ENTRY, intact);
    sandbox.destination.put(MANIFEST, manifest);
    without_effect(&sandbox, || run(&sandbox, &[])).succeeded();
}
