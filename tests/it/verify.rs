//! `dayport verify`: intact exports pass, and each kind of damage is named.

use std::fs;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::s3::Operation;
use crate::support::{
    CommandOutput, Sandbox, TestDestination, for_each_destination, gzip, rewrite,
};
use crate::world::{set_sites, set_views, view, world};

for_each_destination!(
    an_intact_export_has_no_findings,
    a_deleted_file_is_missing,
    a_truncated_file_has_another_size,
    a_flipped_byte_changes_the_digest,
    another_valid_file_has_other_rows,
    a_rewritten_file_has_another_etag,
    a_foreign_file_is_extra,
    a_renamed_partition_is_missing_and_extra,
    an_altered_count_in_a_manifest_is_named,
    a_manifest_that_contradicts_itself_is_named,
    a_torn_manifest_hides_nothing_else,
    values_that_are_not_of_the_schema_are_named,
    recorded_malformed_lines_are_checked_like_data,
    a_commit_without_its_manifest_is_unfinished,
    the_scope_follows_the_arguments,
    a_receiver_needs_no_definitions_and_writes_nothing,
);

const VIEWS: &str = "data/views/year=2026/month=1/day=15/data-000000000000.parquet";
const VIEWS_JSON: &str = "data/views/year=2026/month=1/day=15/data-000000000000.json.gz";
const MANIFEST: &str = "manifests/views/2026-01-15.r0.json";
const MARKER: &str = "cycles/2026-01-15.r0.json";

fn verify(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let to = sandbox.destination.url();
    sandbox.dayport(&[&["verify", "--to", &to], args].concat())
}

#[track_caller]
fn is_clean(sandbox: &Sandbox) {
    for args in [&[][..], &["--quick"]] {
        verify(sandbox, args)
            .succeeded()
            .stdout_has("all as published");
    }
}

/// Returns kind, table, cycle and object of each finding.
#[track_caller]
fn found(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let output = verify(sandbox, &[args, &["--output", "json"]].concat());
    let report = output.report();
    let findings = report["findings"].as_array().expect("a list");
    assert_eq!(output.stderr, "", "{output}");
    output.exited_with(i32::from(!findings.is_empty()));
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |finding: &Value| {
        let parts = ["kind", "table", "cycle", "key"].map(|part| text(&finding[part]));
        parts.join(" ")
    };
    findings.iter().map(line).collect()
}

/// Exports the 14th and 15th of `views`, with two rows on the 15th, and `sites`.
fn exported(destination: TestDestination, format: &str) -> Sandbox {
    let sandbox = world(destination);
    set_views(&sandbox, 15, &[view(15, 15), view(150, 15)]);
    let days = ["--since", "2026-01-14", "--through", "2026-01-15"];
    sandbox
        .run(&[&days[..], &["--format", format]].concat())
        .succeeded();
    sandbox
}

fn rewrite_manifest(sandbox: &Sandbox, change: impl FnOnce(&mut Value)) {
    rewrite(&sandbox.destination, MANIFEST, change);
}

fn of_views(kind: &str, key: &str) -> String {
    format!("{kind} views 2026-01-15 {key}")
}

fn an_intact_export_has_no_findings(destination: TestDestination) {
    let sandbox = Sandbox::fixtures(destination);
    sandbox.run(&["--date", "2026-01-15"]).exited_with(0);
    is_clean(&sandbox);
    let rerun = [
        "--date",
        "2026-01-15",
        "--rerun",
        "--format",
        "json",
        "--accept-change",
    ];
    sandbox.run(&rerun).exited_with(0);
    is_clean(&sandbox);
    // Snapshots are replaced; incremental tables have cycles of both formats now.
    let next = ["--date", "2026-01-16", "--accept-change"];
    sandbox.run(&next).exited_with(0);
    is_clean(&sandbox);

    let report = verify(&sandbox, &["--output", "json"]).succeeded().report();
    let quick = verify(&sandbox, &["--quick", "--output", "json"]).report();
    for count in ["tables", "cycles", "files", "rows", "bytes"] {
        assert!(report[count].as_u64() > Some(0), "{report}");
        assert_eq!(report[count], quick[count], "{count}");
    }
}

fn a_deleted_file_is_missing(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    sandbox.destination.delete(VIEWS);
    for args in [&[][..], &["--quick"], &["--date", "2026-01-15", "views"]] {
        assert_eq!(found(&sandbox, args), [of_views("missing", VIEWS)]);
    }
    let output = verify(&sandbox, &[]).exited_with(1);
    output
        .stdout_has(&format!("missing    views 2026-01-15: `{VIEWS}`: named by"))
        .stdout_has("1 finding\n");
}

fn a_truncated_file_has_another_size(destination: TestDestination) {
    let mut destination = destination;
    for (format, key) in [("parquet", VIEWS), ("json", VIEWS_JSON)] {
        let sandbox = exported(destination, format);
        let bytes = sandbox.destination.read(key);
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            sandbox.destination.put(key, bytes.slice(..length));
            for args in [&[][..], &["--quick"]] {
                assert_eq!(found(&sandbox, args), [of_views("size", key)]);
            }
        }
        destination = match sandbox.destination {
            TestDestination::Local(_) => TestDestination::local(),
            TestDestination::S3(_) => TestDestination::s3(),
        };
    }
}

fn a_flipped_byte_changes_the_digest(destination: TestDestination) {
    let sandbox = exported(destination, "json");
    let bytes = sandbox.destination.read(VIEWS_JSON);
    for position in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut flipped = bytes.to_vec();
        flipped[position] ^= 0x10;
        sandbox.destination.put(VIEWS_JSON, flipped);
        assert_eq!(found(&sandbox, &[]), [of_views("sha256", VIEWS_JSON)]);
        assert_eq!(
            found(&sandbox, &["--quick"]),
            [of_views("etag", VIEWS_JSON)]
        );
    }
}

fn another_valid_file_has_other_rows(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    let other = sandbox.destination.read(&VIEWS.replace("day=15", "day=14"));
    sandbox.destination.put(VIEWS, other);
    assert_eq!(
        found(&sandbox, &[]),
        [of_views("size", VIEWS), of_views("rows", VIEWS)]
    );
    verify(&sandbox, &[])
        .exited_with(1)
        .stdout_has("1 row, recorded as 2");
}

/// Rewrites a file: on S3 its ETag comes from the multipart upload, on disk it contains the file's time.
fn a_rewritten_file_has_another_etag(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    let bytes = sandbox.destination.read(VIEWS);
    sandbox.destination.put(VIEWS, bytes);
    for args in [&[][..], &["--quick"]] {
        assert_eq!(found(&sandbox, args), [of_views("etag", VIEWS)]);
        let ignoring = [args, &["--ignore", "etag"]].concat();
        assert_eq!(found(&sandbox, &ignoring), Vec::<String>::new());
    }
}

fn a_foreign_file_is_extra(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    let beside = VIEWS.replace("000000000000", "000000000007");
    sandbox.destination.put(&beside, "x");
    let extra = format!("extra views - {beside}");
    for args in [&[][..], &["--quick"], &["views"], &["--date", "2026-01-15"]] {
        assert_eq!(found(&sandbox, args), [extra.as_str()], "{args:?}");
    }
    for args in [&["sites"][..], &["--date", "2026-01-14"]] {
        assert_eq!(found(&sandbox, args), Vec::<String>::new(), "{args:?}");
    }

    // A key outside of all tables.
    sandbox.destination.delete(&beside);
    sandbox.destination.put("data/_SUCCESS", "");
    sandbox.destination.put("data/Other Things/a/b.txt", "x");
    assert_eq!(
        found(&sandbox, &[]),
        [
            "extra  - data/_SUCCESS",
            "extra Other Things - data/Other Things/a/b.txt"
        ]
    );
    assert_eq!(found(&sandbox, &["views", "sites"]), Vec::<String>::new());
}

fn a_renamed_partition_is_missing_and_extra(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    let renamed = VIEWS.replace("day=15", "day=25");
    sandbox
        .destination
        .put(&renamed, sandbox.destination.read(VIEWS));
    sandbox.destination.delete(VIEWS);
    assert_eq!(
        found(&sandbox, &[]),
        [
            format!("extra views - {renamed}"),
            of_views("missing", VIEWS)
        ]
    );
}

fn an_altered_count_in_a_manifest_is_named(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    rewrite_manifest(&sandbox, |manifest| manifest["rows"] = json!(3));
    let of_marker = of_views("marker", MARKER);
    assert_eq!(
        found(&sandbox, &[]),
        [of_marker.clone(), of_views("sum", MANIFEST)]
    );
    assert_eq!(found(&sandbox, &["--quick"]), [of_views("sum", MANIFEST)]);
    rewrite_manifest(&sandbox, |manifest| manifest["files"][0]["rows"] = json!(3));
    let books = found(&sandbox, &["--quick"]);
    assert_eq!(books, [of_views("sum", MANIFEST)]);
    rewrite_manifest(&sandbox, |manifest| manifest["balance"] = books_of(3));
    assert_eq!(found(&sandbox, &[]), [of_marker, of_views("rows", VIEWS)]);
    // The metadata does not reveal it.
    assert_eq!(found(&sandbox, &["--quick"]), Vec::<String>::new());
}

/// Returns the balance of a table that exports all rows that it reads.
fn books_of(rows: u64) -> Value {
    json!({ "read": rows, "rejected": 0, "filtered": 0, "exported": rows })
}

fn a_manifest_that_contradicts_itself_is_named(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    let first = sandbox.destination.read(MANIFEST);
    let damaged = |change: fn(&mut Value)| {
        sandbox.destination.put(MANIFEST, first.clone());
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
        manifest["balance"] = books_of(4);
        manifest["bytes"] = json!(2 * manifest["bytes"].as_u64().expect("bytes"));
    };
    assert_eq!(damaged(twice), [of_views("duplicate", VIEWS)]);
    let window = |manifest: &mut Value| {
        manifest["window_column"] = json!("time");
        manifest["files"][0]["window_max"] = json!("2026-01-16T00:00:00Z");
    };
    assert_eq!(damaged(window), [of_views("window", VIEWS)]);
}

fn a_torn_manifest_hides_nothing_else(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    let first = sandbox.destination.read(MANIFEST);
    let later: fn(&mut Value) = |manifest| manifest["version"] = json!(2);
    let other: fn(&mut Value) = |manifest| manifest["revision"] = json!(1);
    for change in [later, other] {
        sandbox.destination.put(MANIFEST, first.clone());
        rewrite_manifest(&sandbox, change);
        assert_eq!(found(&sandbox, &[]), [of_views("manifest", MANIFEST)]);
    }
    sandbox
        .destination
        .put(MANIFEST, first.slice(..first.len() / 2));
    let missing = VIEWS.replace("day=15", "day=14");
    sandbox.destination.delete(&missing);
    assert_eq!(
        found(&sandbox, &[]),
        [
            format!("missing views 2026-01-14 {missing}"),
            of_views("manifest", MANIFEST)
        ]
    );
}

/// Replaces a file and its record in the manifest: only the values reveal it.
fn values_that_are_not_of_the_schema_are_named(destination: TestDestination) {
    let sandbox = exported(destination, "json");
    let lines = "{\"id\":1,\"time\":\"2026-01-15T12:00:00Z\"}\n{\"id\":\"2\",\"time\":\"-\"}\n";
    let bytes = Bytes::from(gzip(lines));
    sandbox.destination.put(VIEWS_JSON, bytes.clone());
    let etag = sandbox.destination.etag(VIEWS_JSON);
    rewrite_manifest(&sandbox, |manifest| {
        manifest["bytes"] = json!(bytes.len());
        manifest["files"][0]["bytes"] = json!(bytes.len());
        manifest["files"][0]["etag"] = json!(etag);
        manifest["files"][0]["sha256"] = json!(sha256(&bytes));
    });
    assert_eq!(
        found(&sandbox, &[]),
        [of_views("marker", MARKER), of_views("schema", VIEWS_JSON)]
    );
    verify(&sandbox, &[])
        .exited_with(1)
        .stdout_has("line 2: `id` is a text, not int64");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{:x}", Sha256::digest(bytes))
}

fn recorded_malformed_lines_are_checked_like_data(destination: TestDestination) {
    let sandbox = world(destination);
    let line = |id: &str| format!("{{\"id\":{id}}}\n");
    sandbox.write("raw/sites/more.json", line("7") + &line("\"seven\""));
    let args = ["--date", "2026-01-15", "sites", "--max-rejects", "1"];
    sandbox.run(&args).exited_with(0);
    is_clean(&sandbox);
    verify(&sandbox, &[]).stdout_has("1 rejected line,");
    let keys = sandbox.destination.keys_below("rejects/");
    let [key] = keys.as_slice() else {
        panic!("{keys:?}");
    };
    let bytes = sandbox.destination.read(key);
    sandbox.destination.put(key, bytes.slice(..bytes.len() - 1));
    let finding = |kind: &str| format!("{kind} sites 2026-01-15 {key}");
    assert_eq!(found(&sandbox, &[]), [finding("size")]);
    assert_eq!(found(&sandbox, &["--quick"]), [finding("size")]);
    sandbox.destination.delete(key);
    assert_eq!(found(&sandbox, &[]), [finding("missing")]);
}

fn a_commit_without_its_manifest_is_unfinished(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    sandbox.destination.delete(MANIFEST);
    let entry = "_dayport/log/views/00000000000000000002.json";
    // The files of the commit are not foreign.
    assert_eq!(
        found(&sandbox, &[]),
        [of_views("unfinished", entry), of_views("marker", MARKER)]
    );
    assert_eq!(
        found(&sandbox, &["--date", "2026-01-14"]),
        Vec::<String>::new()
    );
    sandbox
        .run(&["--date", "2026-01-15", "views"])
        .exited_with(0);
    is_clean(&sandbox);
    // Without the log, the files are foreign.
    sandbox.destination.delete(MANIFEST);
    sandbox.destination.delete(entry);
    assert_eq!(
        found(&sandbox, &[]),
        [format!("extra views - {VIEWS}"), of_views("marker", MARKER)]
    );
}

fn the_scope_follows_the_arguments(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    set_sites(&sandbox, 3);
    sandbox.run(&["--date", "2026-01-16", "sites"]).succeeded();
    sandbox.destination.delete(VIEWS);
    sandbox
        .destination
        .delete("data/sites/data-000000000000.parquet");
    let range = ["--since", "2026-01-14", "--through", "2026-01-15"];
    assert_eq!(found(&sandbox, &range), [of_views("missing", VIEWS)]);
    assert_eq!(
        found(&sandbox, &["--date", "2026-01-14"]),
        Vec::<String>::new()
    );
    assert_eq!(found(&sandbox, &["sites"]).len(), 1);
    // The snapshot of the 15th is replaced: nothing of it can be checked.
    let args = ["--date", "2026-01-15", "sites"];
    let output = verify(&sandbox, &args).exited_with(1);
    output
        .stdout_has("checked 0 cycles of 1 table")
        .stdout_has("nothing to compare")
        .stderr_has("error: no cycle");
    // A cycle that is not there is not as published.
    let absent = |table: &str| format!("unpublished {table} 2026-01-16 manifests/{table}");
    let today = ["--date", "2026-01-16"];
    assert_eq!(
        found(&sandbox, &today),
        [
            "missing sites 2026-01-16 data/sites/data-000000000000.parquet".to_owned(),
            absent("views"),
        ]
    );
    verify(&sandbox, &["--date", "2026-01-12"])
        .exited_with(1)
        .stderr_has("error: no cycle");

    let unknown = verify(&sandbox, &["nothing"]).exited_with(2);
    unknown
        .stderr_has("no table `nothing`")
        .hint_has("sites, views");
    verify(&sandbox, &["../views"]).exited_with(2);
    verify(&sandbox, &["--date", "15.1.2026"]).exited_with(2);
    let backwards = ["--since", "2026-01-15", "--through", "2026-01-14"];
    verify(&sandbox, &backwards)
        .exited_with(2)
        .stderr_has("--since");
    let empty = Sandbox::empty(match sandbox.destination {
        TestDestination::Local(_) => TestDestination::local(),
        TestDestination::S3(_) => TestDestination::s3(),
    });
    verify(&empty, &[]).exited_with(2);
    assert_eq!(empty.destination.keys(), Vec::<String>::new());
}

fn a_receiver_needs_no_definitions_and_writes_nothing(destination: TestDestination) {
    let sandbox = exported(destination, "parquet");
    fs::remove_dir_all(sandbox.folder().join("sql")).expect("delete a folder");
    fs::remove_dir_all(sandbox.folder().join("raw")).expect("delete a folder");
    let before = sandbox.destination.contents();
    let calls_before = match &sandbox.destination {
        TestDestination::Local(_) => 0,
        TestDestination::S3(server) => server.calls().len(),
    };
    is_clean(&sandbox);
    assert_eq!(sandbox.destination.contents(), before);
    if let TestDestination::S3(server) = &sandbox.destination {
        let reads = [Operation::ListObjects, Operation::GetObject];
        let calls = server.calls().split_off(calls_before);
        let others: Vec<_> = calls
            .iter()
            .map(|call| call.operation)
            .filter(|operation| !reads.contains(operation))
            .collect();
        assert_eq!(others, [], "more than List and Get");
    }
}

/// Tests that need a store: it can be unreachable, and has objects that are read in several requests.
mod store {
    use super::*;
    use crate::s3::{Action, Failure, Fault};

    #[test]
    fn an_unresponsive_store_is_not_a_finding() {
        let sandbox = exported(TestDestination::s3(), "parquet");
        let down = Fault::on(Operation::GetObject, Action::Before(Failure::SlowDown));
        sandbox.destination.server().inject(down);
        verify(&sandbox, &["--retry-timeout", "1"]).exited_with(75);
        sandbox.destination.server().clear_faults();

        let truncate = Action::Truncate { after_bytes: 100 };
        let fault = Fault::on(Operation::GetObject, truncate).first(2);
        sandbox.destination.server().inject(fault);
        verify(&sandbox, &[]).succeeded();
    }

    #[test]
    fn large_files_are_read_in_pieces() {
        let sandbox = world(TestDestination::s3());
        set_sites(&sandbox, 150_000);
        sandbox.run(&["--date", "2026-01-15", "sites"]).succeeded();
        let key = "data/sites/data-000000000000.parquet";
        let bytes = sandbox.destination.read(key);
        assert!(bytes.len() > 9 << 20, "{} bytes", bytes.len());
        is_clean(&sandbox);
        let mut flipped = bytes.to_vec();
        flipped[(8 << 20) + 1] ^= 1;
        sandbox.destination.put(key, flipped);
        let output = verify(&sandbox, &[]).exited_with(1);
        output
            .stdout_has("sha256     sites 2026-01-15")
            .stdout_has("1 finding\n");
    }
}
