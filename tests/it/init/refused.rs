//! What cannot be a source is said, with the file and what to do.

use serde_json::json;

use super::{counts, export};
use crate::support::{CommandOutput, Sandbox, TestDestination, gzip, lines};

fn init(files: &[(&str, &[u8])]) -> (Sandbox, CommandOutput) {
    let sandbox = Sandbox::empty(TestDestination::local());
    for (path, content) in files {
        sandbox.write(&format!("raw/{path}"), content.to_vec());
    }
    let output = sandbox.dayport(&["init", "--from", "raw"]);
    (sandbox, output)
}

fn refused(files: &[(&str, &[u8])]) -> CommandOutput {
    let (sandbox, output) = init(files);
    let written = std::fs::read_dir(sandbox.folder().join("sql"))
        .unwrap()
        .count();
    assert_eq!(written, 1, "only the empty folder of the sandbox");
    output.exited_with(2)
}

const ROW: &[u8] = b"{\"id\":1,\"time\":\"2026-01-15T01:00:00Z\"}\n";

#[test]
fn nothing_to_read() {
    refused(&[])
        .stderr_has("there is no file with rows at")
        .hint_has("--from");
    refused(&[("a/empty.json", b"")]).stderr_has("there is no file with rows at");
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox
        .dayport(&["init", "--from", "nowhere"])
        .exited_with(2)
        .stderr_has("there is no folder");
    sandbox.write("raw/a.json", ROW);
    sandbox
        .dayport(&["init", "--from", "raw/a.json"])
        .exited_with(2)
        .stderr_has("`raw/a.json` is a file")
        .hint_has("name its folder");
}

#[test]
fn files_that_are_no_lines() {
    for (content, what, hint) in [
        (&b"[1,2]"[..], "one JSON array", "'records' '$[*]'"),
        (
            b"[{\"a\":1},",
            "it cannot be read behind byte 9",
            "replace it",
        ),
        (b"a,b\n1,2\n", "it looks like CSV", "convert it"),
        (b"BZh91AY&SY\0\0", "a bzip2 file", "compress it with gzip"),
        (&gzip("{\"a\":1}")[..12], "it cannot be read", "damaged"),
    ] {
        let output = refused(&[("hits/a.json", content)]);
        output
            .stderr_has("hits/a.json: ")
            .stderr_has(what)
            .hint_has(hint);
    }
}

#[test]
fn folders_that_a_run_would_refuse() {
    for (files, what) in [
        (
            &[
                ("hits/2026/01/15/a.json", ROW),
                ("hits/2026-01-15/a.json", ROW),
            ][..],
            "hits/2026/: the folders are dates in several forms",
        ),
        (
            &[("2026/01/15/a.json", ROW), ("2026/01/b.json", ROW)],
            "2026/: the folders are dates in several forms, or have files beside folders",
        ),
        (
            &[("hits/a.json", ROW), ("hits/more/b.json", ROW)],
            "files and folders side by side",
        ),
        (
            &[
                ("hits/date=2026-01-15/a.json", ROW),
                ("hits/date=2026-01-15/hour=03/b.json", ROW),
            ],
            "it lies beside the folders of partitions",
        ),
        (
            &[
                ("hits/date=2026-01-15/a.json", ROW),
                ("hits/org=7/b.json", ROW),
            ],
            "the folders of one level are of `date` and of `org`",
        ),
        (
            &[
                ("hits/date=2026-01-15/a.json", ROW),
                ("hits/other/b.json", ROW),
            ],
            "it lies beside folders such as",
        ),
    ] {
        let (_, output) = init(files);
        let output = output.stderr_has(what);
        assert!(output.code == 1 || output.code == 2, "{output}");
    }
}

/// What is wrong with some files does not keep the others from being used.
#[test]
fn other_files_are_used() {
    let rows = lines((0..9).map(|id| json!({"id": id, "time": "2026-01-15T01:00:00Z"})));
    let damaged = "{\"id\":1,\"time\":\"2026-01-15T01:00:00Z\"}\n{\"id\":\n";
    let (sandbox, output) = init(&[
        ("hits/a.json", rows.as_bytes()),
        ("hits/b.json", damaged.as_bytes()),
        ("hits/README.md", b"# Hits"),
        ("hits/c.csv", b"id"),
        ("odd/a.json", b"[1]"),
    ]);
    output
        .exited_with(1)
        .stdout_has("hits: 10 rows in 2 files of `hits/`")
        .stderr_has("warning: `hits/b.json` line 2: EOF while parsing a value at column 6")
        .stderr_has(
            "warning: hits/c.csv: it lies among the files of a source, and a run reads it as data",
        )
        .stderr_has("warning: odd/a.json: it looks like one JSON array");
    std::fs::remove_file(sandbox.folder().join("raw/hits/c.csv")).unwrap();
    sandbox.write("raw/hits/b.json", ROW);
    assert_eq!(counts(&export(&sandbox)), "hits 10");
}
