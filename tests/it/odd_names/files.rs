//! Files of a source on this machine.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{ids, one_file, row};
use crate::failures::without_effect;
use crate::support::{Sandbox, TestDestination};

/// Names that are read like any other.
const NAMES: [&[u8]; 16] = [
    b"b\tc.json",
    b"b\nc.json",
    b"b\rc.json",
    b"b\x1b[31m.json",
    b"b\x7f.json",
    b"caf\xe9.json",
    b"\xff\xfe",
    b"b\\c.json",
    b"b%09c.json",
    b"b%2Fc.json",
    b"b.json#1",
    b" b c ",
    b"b?c=[1]*.json",
    b"C:b|<>\".json",
    "\u{65e5}\u{fdd0}.json".as_bytes(),
    &[b'n'; 255],
];

fn path(sandbox: &Sandbox, folder: &str, name: &[u8]) -> PathBuf {
    sandbox.folder().join(folder).join(OsStr::from_bytes(name))
}

fn make_pipe(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status();
    assert!(status.expect("start mkfifo").success());
}

#[test]
fn every_file_is_read_whatever_its_name_is() {
    let sandbox = one_file(TestDestination::local());
    for (id, name) in (1..).zip(NAMES) {
        fs::write(path(&sandbox, "raw/events", name), row(id)).expect("write a file");
    }
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    assert_eq!(ids(&sandbox), (0..=16).collect::<Vec<u64>>());
    sandbox
        .query(&["SELECT count(*) AS n, count(DISTINCT id) AS d FROM events"])
        .exited_with(0)
        .stdout_has("17");
}

#[test]
fn parquet_files_are_read_whatever_their_names_are() {
    let sandbox = one_file(TestDestination::local());
    sandbox
        .run(&["--date", "2026-01-14", "--format", "parquet"])
        .succeeded();
    let file = sandbox.destination.read("data/t/data-000000000000.parquet");
    for name in [&b"b\t.parquet"[..], b"caf\xe9.parquet", b"b.parquet#7"] {
        fs::write(path(&sandbox, "raw/events", name), &file).expect("write a file");
    }
    sandbox.remove("raw/events/a.json").write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL) STORED AS PARQUET LOCATION 'events/'",
    );
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    assert_eq!(ids(&sandbox), [0, 0, 0]);
}

#[test]
fn malformed_lines_name_their_file() {
    let sandbox = one_file(TestDestination::local());
    let text = row(1) + "{\"id\":\"x\"}\n" + &row(2);
    fs::write(path(&sandbox, "raw/events", b"caf\xe9\t.json"), text).expect("write a file");
    let run = sandbox.run(&[
        "--date",
        "2026-01-15",
        "--max-rejects",
        "50%",
        "--output",
        "json",
    ]);
    let report = run.exited_with(0).report();
    let rejects = report["tables"][0]["rejects"][0]["path"].as_str();
    let record = sandbox
        .destination
        .read(rejects.expect("a file of rejects"));
    let record = &crate::support::decode("rejects.json.gz", &record)[0];
    let file = record["file"].as_str().expect("a file");
    assert!(file.ends_with("/raw/events/caf\\xe9\t.json"), "{file}");
}

#[test]
fn what_is_no_file_is_named() {
    type Make = fn(PathBuf);
    let makes: [(&str, Make); 5] = [
        ("circle.json", |path| {
            symlink(&path, &path).expect("a link");
        }),
        ("broken.json", |path| {
            symlink("nowhere", path).expect("a link");
        }),
        ("pipe.json", |path| {
            make_pipe(&path);
        }),
        ("socket.json", |path| {
            UnixListener::bind(path).expect("a socket");
        }),
        ("self", |path| {
            symlink(".", path).expect("a link");
        }),
    ];
    for (name, make) in makes {
        // A short path: that of a socket has at most 108 bytes.
        let sandbox = one_file(TestDestination::local());
        make(path(&sandbox, "raw/events", name.as_bytes()));
        let run = || sandbox.run(&["--date", "2026-01-15"]);
        let output = without_effect(&sandbox, run).exited_with(1);
        let named = format!("/raw/events/{name}`");
        output.stderr_has(&named);
        fs::remove_file(path(&sandbox, "raw/events", name.as_bytes())).expect("delete");
        sandbox.run(&["--date", "2026-01-15"]).succeeded();
    }
}

#[test]
fn a_pipe_among_parquet_files_is_named() {
    let sandbox = one_file(TestDestination::local());
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL) STORED AS PARQUET LOCATION 'events/'",
    );
    sandbox.remove("raw/events/a.json");
    let pipe = path(&sandbox, "raw/events", b"pipe.parquet");
    make_pipe(&pipe);
    let run = || sandbox.run(&["--date", "2026-01-15"]);
    let output = without_effect(&sandbox, run).exited_with(1);
    output.stderr_has("/raw/events/pipe.parquet`");
}

#[test]
fn names_that_no_table_reads_do_not_matter() {
    let sandbox = one_file(TestDestination::local());
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL, date DATE) STORED AS JSON
         PARTITIONED BY (date) LOCATION 'events/'",
    );
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id FROM events WHERE date = DATE '2026-01-15') TO 't'",
    );
    sandbox.remove("raw/events/a.json");
    sandbox.write("raw/events/date=2026-01-15/a.json", row(0));
    sandbox.write("raw/events/date=2026-01-14/a.json", row(9));
    for folder in ["raw", "raw/events/date=2026-01-14"] {
        fs::write(path(&sandbox, folder, b"caf\xe9\t"), "x").expect("write a file");
        symlink("circle", path(&sandbox, folder, b"circle")).expect("a link");
    }
    for hidden in [&b"_caf\xe9\t"[..], b".circle"] {
        let path = path(&sandbox, "raw/events/date=2026-01-15", hidden);
        symlink(&path, &path).expect("a link");
    }
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    assert_eq!(ids(&sandbox), [0]);
}

#[test]
fn folders_have_any_value_that_is_text() {
    let sandbox = one_file(TestDestination::local());
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL, org VARCHAR) STORED AS JSON
         PARTITIONED BY (org) LOCATION 'events/'",
    );
    sandbox.remove("raw/events/a.json");
    sandbox.write("raw/events/org=a\tb/a.json", row(0));
    let query = || sandbox.query(&["--output", "json", "SELECT id, org FROM events ORDER BY id"]);
    let line: Value = serde_json::from_str(&query().succeeded().stdout).expect("a row");
    assert_eq!(line["org"], "a\tb");
    for name in [&b"org=caf\xe9"[..], b"org=caf%E9"] {
        let folder = path(&sandbox, "raw/events", name);
        fs::create_dir(&folder).expect("make a folder");
        fs::write(folder.join("b.json"), row(1)).expect("write a file");
        let output = sandbox.run(&["--date", "2026-01-15"]).exited_with(1);
        output.stderr_has("/raw/events/org=caf").stderr_has("UTF-8");
        fs::remove_dir_all(folder).expect("delete a folder");
    }
}
