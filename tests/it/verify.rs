//! `dayport verify`: what is as published, and each kind of damage by its name.

use std::fs;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::s3::Operation;
use crate::support::{Place, Ran, Sandbox, gzip, in_both_places};
use crate::world::{set_sites, set_views, view, world};

in_both_places!(
    what_is_as_published_has_no_findings,
    a_deleted_file_is_missing,
    a_truncated_file_has_another_size,
    a_flipped_byte_changes_the_digest,
    another_valid_file_has_other_rows,
    a_file_written_again_has_another_etag,
    a_foreign_file_is_extra,
    a_renamed_partition_is_missing_and_extra,
    an_altered_count_in_a_manifest_is_named,
    a_manifest_that_contradicts_itself_is_named,
    a_torn_manifest_hides_nothing_else,
    values_that_are_not_of_the_schema_are_named,
    malformed_lines_on_record_are_checked_like_data,
    a_commit_without_its_manifest_is_unfinished,
    the_scope_is_what_was_asked_for,
    a_receiver_needs_no_definitions_and_writes_nothing,
);

const VIEWS: &str = "data/views/year=2026/month=1/day=15/data-000000000000.parquet";
const VIEWS_JSON: &str = "data/views/year=2026/month=1/day=15/data-000000000000.json.gz";
const MANIFEST: &str = "manifests/views/2026-01-15.r0.json";

fn verify(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let to = sandbox.place.url();
    sandbox.dayport(&[&["verify", "--to", &to], args].concat())
}

#[track_caller]
fn is_clean(sandbox: &Sandbox) {
    for args in [&[][..], &["--quick"]] {
        verify(sandbox, args).succeeded().says("all as published");
    }
}

/// Kind, table, cycle and object of each finding.
#[track_caller]
fn found(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let ran = verify(sandbox, &[args, &["--output", "json"]].concat());
    let report = ran.report();
    let findings = report["findings"].as_array().expect("a list");
    let code = i32::from(!findings.is_empty());
    let ran = ran.ended(code);
    assert_eq!(ran.stderr, "", "{ran}");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |finding: &Value| {
        let parts = ["kind", "table", "cycle", "key"].map(|part| text(&finding[part]));
        parts.join(" ")
    };
    findings.iter().map(line).collect()
}

/// The 14th and 15th of `views`, with two rows on the 15th, and `sites`.
fn exported(place: Place, format: &str) -> Sandbox {
    let sandbox = world(place);
    set_views(&sandbox, 15, &[view(15, 15), view(150, 15)]);
    let days = ["--since", "2026-01-14", "--through", "2026-01-15"];
    sandbox
        .run(&[&days[..], &["--format", format]].concat())
        .succeeded();
    sandbox
}

fn rewrite_manifest(sandbox: &Sandbox, change: impl FnOnce(&mut Value)) {
    let text = sandbox.place.read(MANIFEST);
    let mut manifest: Value = serde_json::from_slice(&text).expect("JSON");
    change(&mut manifest);
    sandbox.place.put(MANIFEST, manifest.to_string());
}

fn of_views(kind: &str, key: &str) -> String {
    format!("{kind} views 2026-01-15 {key}")
}

fn what_is_as_published_has_no_findings(place: Place) {
    let sandbox = Sandbox::fixtures(place);
    sandbox.run(&["--date", "2026-01-15"]).ended(0);
    is_clean(&sandbox);
    let rerun = ["--date", "2026-01-15", "--rerun", "--format", "json"];
    sandbox.run(&rerun).ended(0);
    is_clean(&sandbox);
    // Snapshots are replaced; incremental tables have cycles of both formats now.
    sandbox.run(&["--date", "2026-01-16"]).ended(0);
    is_clean(&sandbox);

    let report = verify(&sandbox, &["--output", "json"]).succeeded().report();
    let quick = verify(&sandbox, &["--quick", "--output", "json"]).report();
    for count in ["tables", "cycles", "files", "rows", "bytes"] {
        assert!(report[count].as_u64() > Some(0), "{report}");
        assert_eq!(report[count], quick[count], "{count}");
    }
}

fn a_deleted_file_is_missing(place: Place) {
    let sandbox = exported(place, "parquet");
    sandbox.place.delete(VIEWS);
    for args in [&[][..], &["--quick"], &["--date", "2026-01-15", "views"]] {
        assert_eq!(found(&sandbox, args), [of_views("missing", VIEWS)]);
    }
    let ran = verify(&sandbox, &[]).ended(1);
    ran.says(&format!("missing    views 2026-01-15: `{VIEWS}`: named by"))
        .says("1 finding\n");
}

fn a_truncated_file_has_another_size(place: Place) {
    let mut place = place;
    for (format, key) in [("parquet", VIEWS), ("json", VIEWS_JSON)] {
        let sandbox = exported(place, format);
        let bytes = sandbox.place.read(key);
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            sandbox.place.put(key, bytes.slice(..length));
            for args in [&[][..], &["--quick"]] {
                assert_eq!(found(&sandbox, args), [of_views("size", key)]);
            }
        }
        place = match sandbox.place {
            Place::Local(_) => Place::local(),
            Place::S3(_) => Place::s3(),
        };
    }
}

fn a_flipped_byte_changes_the_digest(place: Place) {
    let sandbox = exported(place, "json");
    let bytes = sandbox.place.read(VIEWS_JSON);
    for position in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut flipped = bytes.to_vec();
        flipped[position] ^= 0x10;
        sandbox.place.put(VIEWS_JSON, flipped);
        assert_eq!(found(&sandbox, &[]), [of_views("sha256", VIEWS_JSON)]);
        assert_eq!(
            found(&sandbox, &["--quick"]),
            [of_views("etag", VIEWS_JSON)]
        );
    }
}

fn another_valid_file_has_other_rows(place: Place) {
    let sandbox = exported(place, "parquet");
    let other = sandbox.place.read(&VIEWS.replace("day=15", "day=14"));
    sandbox.place.put(VIEWS, other);
    assert_eq!(
        found(&sandbox, &[]),
        [of_views("size", VIEWS), of_views("rows", VIEWS)]
    );
    verify(&sandbox, &[]).ended(1).says("1 rows, recorded as 2");
}

/// On S3 the ETag of a file is that of its multipart upload; on disk it holds the file's time.
fn a_file_written_again_has_another_etag(place: Place) {
    let sandbox = exported(place, "parquet");
    let bytes = sandbox.place.read(VIEWS);
    sandbox.place.put(VIEWS, bytes);
    for args in [&[][..], &["--quick"]] {
        assert_eq!(found(&sandbox, args), [of_views("etag", VIEWS)]);
    }
}

fn a_foreign_file_is_extra(place: Place) {
    let sandbox = exported(place, "parquet");
    let beside = VIEWS.replace("000000000000", "000000000007");
    sandbox.place.put(&beside, "x");
    let extra = format!("extra views - {beside}");
    for args in [&[][..], &["--quick"], &["views"], &["--date", "2026-01-15"]] {
        assert_eq!(found(&sandbox, args), [extra.as_str()], "{args:?}");
    }
    for args in [&["sites"][..], &["--date", "2026-01-14"]] {
        assert_eq!(found(&sandbox, args), Vec::<String>::new(), "{args:?}");
    }

    // Where no table is.
    sandbox.place.delete(&beside);
    sandbox.place.put("data/_SUCCESS", "");
    sandbox.place.put("data/Other Things/a/b.txt", "x");
    assert_eq!(
        found(&sandbox, &[]),
        [
            "extra  - data/_SUCCESS",
            "extra Other Things - data/Other Things/a/b.txt"
        ]
    );
    assert_eq!(found(&sandbox, &["views", "sites"]), Vec::<String>::new());
}

fn a_renamed_partition_is_missing_and_extra(place: Place) {
    let sandbox = exported(place, "parquet");
    let renamed = VIEWS.replace("day=15", "day=25");
    sandbox.place.put(&renamed, sandbox.place.read(VIEWS));
    sandbox.place.delete(VIEWS);
    assert_eq!(
        found(&sandbox, &[]),
        [
            format!("extra views - {renamed}"),
            of_views("missing", VIEWS)
        ]
    );
}

fn an_altered_count_in_a_manifest_is_named(place: Place) {
    let sandbox = exported(place, "parquet");
    rewrite_manifest(&sandbox, |manifest| manifest["rows"] = json!(3));
    for args in [&[][..], &["--quick"]] {
        assert_eq!(found(&sandbox, args), [of_views("sum", MANIFEST)]);
    }
    rewrite_manifest(&sandbox, |manifest| manifest["files"][0]["rows"] = json!(3));
    assert_eq!(found(&sandbox, &[]), [of_views("rows", VIEWS)]);
    // Metadata does not know.
    assert_eq!(found(&sandbox, &["--quick"]), Vec::<String>::new());
}

fn a_manifest_that_contradicts_itself_is_named(place: Place) {
    let sandbox = exported(place, "parquet");
    let first = sandbox.place.read(MANIFEST);
    let damaged = |change: fn(&mut Value)| {
        sandbox.place.put(MANIFEST, first.clone());
        rewrite_manifest(&sandbox, change);
        found(&sandbox, &["views", "--date", "2026-01-15"])
    };
    let day = |manifest: &mut Value| manifest["files"][0]["partition"]["day"] = json!("16");
    assert_eq!(damaged(day), [of_views("partition", VIEWS)]);
    let column = |manifest: &mut Value| manifest["schema"][0]["type"] = json!("string");
    assert_eq!(damaged(column), [of_views("schema", VIEWS)]);
    let twice = |manifest: &mut Value| {
        let file = manifest["files"][0].clone();
        manifest["files"].as_array_mut().expect("files").push(file);
        manifest["rows"] = json!(4);
        manifest["bytes"] = json!(2 * manifest["bytes"].as_u64().expect("bytes"));
    };
    assert_eq!(damaged(twice), [of_views("duplicate", VIEWS)]);
    let window = |manifest: &mut Value| {
        manifest["window_column"] = json!("time");
        manifest["files"][0]["window_max"] = json!("2026-01-16T00:00:00Z");
    };
    assert_eq!(damaged(window), [of_views("window", VIEWS)]);
}

fn a_torn_manifest_hides_nothing_else(place: Place) {
    let sandbox = exported(place, "parquet");
    let first = sandbox.place.read(MANIFEST);
    let later: fn(&mut Value) = |manifest| manifest["version"] = json!(2);
    let other: fn(&mut Value) = |manifest| manifest["revision"] = json!(1);
    for change in [later, other] {
        sandbox.place.put(MANIFEST, first.clone());
        rewrite_manifest(&sandbox, change);
        assert_eq!(found(&sandbox, &[]), [of_views("manifest", MANIFEST)]);
    }
    sandbox.place.put(MANIFEST, first.slice(..first.len() / 2));
    let missing = VIEWS.replace("day=15", "day=14");
    sandbox.place.delete(&missing);
    assert_eq!(
        found(&sandbox, &[]),
        [
            format!("missing views 2026-01-14 {missing}"),
            of_views("manifest", MANIFEST)
        ]
    );
}

/// A file that was replaced together with its record: only its values give it away.
fn values_that_are_not_of_the_schema_are_named(place: Place) {
    let sandbox = exported(place, "json");
    let lines = "{\"id\":1,\"time\":\"2026-01-15T12:00:00Z\"}\n{\"id\":\"2\",\"time\":\"-\"}\n";
    let bytes = Bytes::from(gzip(lines));
    sandbox.place.put(VIEWS_JSON, bytes.clone());
    let etag = sandbox.place.etag(VIEWS_JSON);
    rewrite_manifest(&sandbox, |manifest| {
        manifest["bytes"] = json!(bytes.len());
        manifest["files"][0]["bytes"] = json!(bytes.len());
        manifest["files"][0]["etag"] = json!(etag);
        manifest["files"][0]["sha256"] = json!(sha256(&bytes));
    });
    assert_eq!(found(&sandbox, &[]), [of_views("schema", VIEWS_JSON)]);
    verify(&sandbox, &[])
        .ended(1)
        .says("line 2: `id` is a text, not int64");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{:x}", Sha256::digest(bytes))
}

fn malformed_lines_on_record_are_checked_like_data(place: Place) {
    let sandbox = world(place);
    let line = |id: &str| format!("{{\"id\":{id}}}\n");
    sandbox.write("raw/sites/more.json", line("7") + &line("\"seven\""));
    let args = ["--date", "2026-01-15", "sites", "--max-rejects", "1"];
    sandbox.run(&args).ended(0);
    is_clean(&sandbox);
    let keys = sandbox.place.keys_below("rejects/");
    let [key] = keys.as_slice() else {
        panic!("{keys:?}");
    };
    let bytes = sandbox.place.read(key);
    sandbox.place.put(key, bytes.slice(..bytes.len() - 1));
    let finding = |kind: &str| format!("{kind} sites 2026-01-15 {key}");
    assert_eq!(found(&sandbox, &[]), [finding("size")]);
    assert_eq!(found(&sandbox, &["--quick"]), [finding("size")]);
    sandbox.place.delete(key);
    assert_eq!(found(&sandbox, &[]), [finding("missing")]);
}

fn a_commit_without_its_manifest_is_unfinished(place: Place) {
    let sandbox = exported(place, "parquet");
    sandbox.place.delete(MANIFEST);
    let entry = "_dayport/log/views/00000000000000000002.json";
    // Its files are not foreign.
    assert_eq!(found(&sandbox, &[]), [of_views("unfinished", entry)]);
    assert_eq!(
        found(&sandbox, &["--date", "2026-01-14"]),
        Vec::<String>::new()
    );
    sandbox.run(&["--date", "2026-01-15", "views"]).ended(0);
    is_clean(&sandbox);
    // Without the log nobody knows whose they are.
    sandbox.place.delete(MANIFEST);
    sandbox.place.delete(entry);
    assert_eq!(found(&sandbox, &[]), [format!("extra views - {VIEWS}")]);
}

fn the_scope_is_what_was_asked_for(place: Place) {
    let sandbox = exported(place, "parquet");
    set_sites(&sandbox, 3);
    sandbox.run(&["--date", "2026-01-16", "sites"]).succeeded();
    sandbox.place.delete(VIEWS);
    sandbox.place.delete("data/sites/data-000000000000.parquet");
    let range = ["--since", "2026-01-14", "--through", "2026-01-15"];
    assert_eq!(found(&sandbox, &range), [of_views("missing", VIEWS)]);
    assert_eq!(
        found(&sandbox, &["--date", "2026-01-14"]),
        Vec::<String>::new()
    );
    assert_eq!(found(&sandbox, &["sites"]).len(), 1);
    // The snapshot of the 15th is replaced: nothing of it can be checked.
    let args = ["--date", "2026-01-15", "sites"];
    let ran = verify(&sandbox, &args).ended(0);
    ran.says("checked 0 cycles of 1 table")
        .complains("warning: no cycle");

    let unknown = verify(&sandbox, &["nothing"]).ended(2);
    unknown
        .complains("no table `nothing`")
        .hints("sites, views");
    verify(&sandbox, &["../views"]).ended(2);
    verify(&sandbox, &["--date", "15.1.2026"]).ended(2);
    let backwards = ["--since", "2026-01-15", "--through", "2026-01-14"];
    verify(&sandbox, &backwards).ended(2).complains("--since");
    let empty = Sandbox::empty(match sandbox.place {
        Place::Local(_) => Place::local(),
        Place::S3(_) => Place::s3(),
    });
    verify(&empty, &[]).ended(2);
    assert_eq!(empty.place.keys(), Vec::<String>::new());
}

fn a_receiver_needs_no_definitions_and_writes_nothing(place: Place) {
    let sandbox = exported(place, "parquet");
    fs::remove_dir_all(sandbox.folder().join("sql")).expect("delete a folder");
    fs::remove_dir_all(sandbox.folder().join("raw")).expect("delete a folder");
    let before = sandbox.place.contents();
    let calls = match &sandbox.place {
        Place::Local(_) => 0,
        Place::S3(server) => server.calls().len(),
    };
    is_clean(&sandbox);
    assert_eq!(sandbox.place.contents(), before);
    if let Place::S3(server) = &sandbox.place {
        let reads = [Operation::ListObjects, Operation::GetObject];
        let calls = server.calls().split_off(calls);
        let others: Vec<_> = calls
            .iter()
            .map(|call| call.operation)
            .filter(|operation| !reads.contains(operation))
            .collect();
        assert_eq!(others, [], "more than List and Get");
    }
}

/// Only a store can be out of reach, and has objects larger than a piece in flight.
mod store {
    use super::*;
    use crate::s3::{Action, Failure, Fault};

    #[test]
    fn a_store_that_does_not_answer_is_no_finding() {
        let sandbox = exported(Place::s3(), "parquet");
        let down = Fault::on(Operation::GetObject, Action::Before(Failure::SlowDown));
        sandbox.place.server().inject(down);
        verify(&sandbox, &["--retry-timeout", "1"]).ended(75);
        sandbox.place.server().clear_faults();

        let torn = Action::Truncate { after_bytes: 100 };
        let torn = Fault::on(Operation::GetObject, torn).first(2);
        sandbox.place.server().inject(torn);
        verify(&sandbox, &[]).succeeded();
    }

    #[test]
    fn large_files_come_in_pieces() {
        let sandbox = world(Place::s3());
        set_sites(&sandbox, 150_000);
        sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
        let key = "data/sites/data-000000000000.parquet";
        let bytes = sandbox.place.read(key);
        assert!(bytes.len() > 9 << 20, "{} bytes", bytes.len());
        is_clean(&sandbox);
        let mut flipped = bytes.to_vec();
        flipped[(8 << 20) + 1] ^= 1;
        sandbox.place.put(key, flipped);
        let ran = verify(&sandbox, &[]).ended(1);
        ran.says("sha256     sites 2026-01-15").says("1 finding\n");
    }
}
