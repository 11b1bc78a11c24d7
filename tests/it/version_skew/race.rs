//! Two versions commit to one table at the same time.
//!
//! ```text
//! this program: reads the log ──────────────────────────→ put of its entry (refused: it exists) ──→ ?
//! version 0.1.0:               ──→ put of its own entry
//! ```
//! The put of the program is held in the server while the records of version 0.1.0 are put.

use std::process::Stdio;
use std::time::Duration;

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use serde_json::{Value, json};

use super::{DATA, ENTRY, PUBLISH, REJECTS, VOID};
use crate::s3::{Action, Fault, Operation};
use crate::support::{BUCKET, CommandOutput, Sandbox, TestDestination, check_published, rows};
use crate::world::world;

/// The run of version 0.1.0.
const OLDER_RUN: &str = "20261127T032826Z-eae38cdfd347";

const SECOND_ENTRY: &str = "_dayport/log/views/00000000000000000002.json";
const THIRD_ENTRY: &str = "_dayport/log/views/00000000000000000003.json";

/// Runs the program up to its put of a log entry; after `older` the put reaches the store.
fn race(sandbox: &Sandbox, day: &str, older: impl FnOnce()) -> CommandOutput {
    let server = sandbox.destination.server();
    let commit = Fault::on(Operation::PutObject, Action::Hold).key("_dayport/log/views/");
    server.inject(commit.nth(1));
    let to = sandbox.destination.url();
    let args = [
        "run", "--from", "raw", "--to", &to, "--date", day, "--format", "json", "views",
    ];
    let mut command = sandbox.command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().expect("start dayport");
    assert!(server.wait_for_faults(1, Duration::from_secs(60)));
    older();
    server.release();
    let output = running.wait_with_output();
    CommandOutput::new(&args, output.expect("the program ends"))
}

/// Uploads the files of version 0.1.0 without completing them, and puts its commit. With `is_swept` the
/// uploads are gone by then.
fn commit_of_version_1(sandbox: &Sandbox, is_swept: bool) {
    let server = sandbox.destination.server();
    let store = server.store(BUCKET);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut entry: Value = serde_json::from_str(PUBLISH).expect("JSON");
    let uploads = entry["action"]["uploads"].as_array_mut().expect("uploads");
    for (upload, bytes) in uploads.iter_mut().zip([DATA, REJECTS]) {
        let path = upload["path"].as_str().expect("a path");
        let key = Path::from(format!("acme/dayport/{path}"));
        let uploading = async {
            let id = store.create_multipart(&key).await?;
            let part = store.put_part(&key, &id, 0, bytes.into()).await?;
            if is_swept {
                store.abort_multipart(&key, &id).await?;
            }
            Ok::<_, object_store::Error>((id, part.content_id))
        };
        let (id, etag) = runtime.block_on(uploading).expect("an upload");
        upload["token"] = json!({ "kind": "multipart", "upload_id": id, "part_etags": [etag] });
    }
    sandbox.destination.put(ENTRY, entry.to_string());
}

fn log(sandbox: &Sandbox) -> Vec<String> {
    sandbox.destination.keys_below("_dayport/log/views/")
}

fn entry(sandbox: &Sandbox, key: &str) -> Value {
    serde_json::from_slice(&sandbox.destination.read(key)).expect("JSON")
}

#[test]
fn the_older_version_commits_the_same_cycle_first() {
    let sandbox = world(TestDestination::s3());
    let output = race(&sandbox, "2026-01-14", || {
        commit_of_version_1(&sandbox, false)
    });
    output
        .exited_with(0)
        .stdout_has("already published")
        .stdout_has(OLDER_RUN);
    check_published(&sandbox.destination);
    assert_eq!(rows(&sandbox.destination, "views").len(), 1);
    assert_eq!(log(&sandbox), [ENTRY]);
    assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
}

#[test]
fn the_older_version_commits_another_cycle_first() {
    let sandbox = world(TestDestination::s3());
    let output = race(&sandbox, "2026-01-15", || {
        commit_of_version_1(&sandbox, false)
    });
    output.exited_with(0).stdout_has("published");
    check_published(&sandbox.destination);
    assert_eq!(rows(&sandbox.destination, "views").len(), 2);
    assert_eq!(log(&sandbox), [ENTRY, SECOND_ENTRY]);
    assert_eq!(
        entry(&sandbox, SECOND_ENTRY)["action"]["manifest"]["cycle"]["id"],
        "2026-01-15"
    );
    assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
}

/// The uploads of a commit were swept: both versions want to take it back.
#[test]
fn the_older_version_takes_a_commit_back_first() {
    let sandbox = world(TestDestination::s3());
    commit_of_version_1(&sandbox, true);
    let output = race(&sandbox, "2026-01-14", || {
        sandbox.destination.put(SECOND_ENTRY, VOID);
    });
    output.exited_with(0).stdout_has("published");
    check_published(&sandbox.destination);
    assert_eq!(rows(&sandbox.destination, "views").len(), 1);
    assert_eq!(log(&sandbox), [ENTRY, SECOND_ENTRY, THIRD_ENTRY]);
    assert_eq!(sandbox.destination.read(SECOND_ENTRY), VOID);
    let third = entry(&sandbox, THIRD_ENTRY);
    assert_eq!(third["action"]["kind"], "publish");
    assert_ne!(third["run_id"], OLDER_RUN);
    assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
}

/// The other way round the older version reads what this one wrote: it finds each member that it knows,
/// with a value of the same kind.
#[test]
fn an_entry_has_every_member_of_version_1() {
    let sandbox = world(TestDestination::local());
    sandbox.write("raw/views/date=2026-01-14/malformed.json", "{\n");
    let day = ["--date", "2026-01-14", "--format", "json"];
    sandbox
        .run(&[&day[..], &["--max-rejects", "50%", "views"]].concat())
        .exited_with(0);
    let older = serde_json::from_str(PUBLISH).expect("JSON");
    assert_has_members("", &older, &entry(&sandbox, ENTRY));
}

#[track_caller]
fn assert_has_members(at: &str, older: &Value, newer: &Value) {
    match (older, newer) {
        (Value::Object(older), Value::Object(newer)) => {
            for (name, value) in older {
                let at = format!("{at}/{name}");
                let found = newer.get(name);
                assert_has_members(&at, value, found.unwrap_or_else(|| panic!("no `{at}`")));
            }
        }
        (Value::Array(older), Value::Array(newer)) => {
            let pairs = older.first().zip(newer.first());
            assert_eq!(older.is_empty(), newer.is_empty(), "`{at}`");
            if let Some((older, newer)) = pairs {
                assert_has_members(&format!("{at}/0"), older, newer);
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(older),
            std::mem::discriminant(newer),
            "`{at}`: {older} and {newer}"
        ),
    }
}
