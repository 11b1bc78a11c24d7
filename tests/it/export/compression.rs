//! Files of JSON sources, compressed or not, as their first bytes say.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    Sandbox, TestDestination, check_published, for_each_destination, gzip, lines, rows,
};
use crate::world::world;

for_each_destination!(the_bytes_decide_and_not_the_name);

const DAY: [&str; 3] = ["--date", "2026-01-15", "sites"];

fn site(id: u64) -> String {
    lines([json!({ "id": id, "name": "x" })])
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).expect("a zstd frame")
}

fn the_bytes_decide_and_not_the_name(destination: TestDestination) {
    let sandbox = world(destination);
    let padded = |id: u64| [&gzip(&site(id))[..], &[0; 700]].concat();
    sandbox
        .write("raw/sites/sites.json", gzip(&site(0)))
        .write("raw/sites/A.JSON.GZ", gzip(&site(1)))
        .write("raw/sites/part-0002", gzip(&site(2)))
        .write("raw/sites/part-0003", zstd(&site(3)))
        .write("raw/sites/b.zst", gzip(&site(4)))
        .write("raw/sites/c.gz", zstd(&site(5)))
        .write("raw/sites/d.json.gz", site(6))
        .write("raw/sites/e.json.gz", padded(7))
        .write("raw/sites/f", [padded(8), padded(9)].concat());
    sandbox.run(&DAY).succeeded();
    check_published(&sandbox.destination);
    let exported = rows(&sandbox.destination, "sites");
    let mut ids: Vec<&Value> = exported.iter().map(|row| &row["id"]).collect();
    ids.sort_by_key(|id| id.as_u64());
    assert_eq!(ids, (0..10).collect::<Vec<u64>>());
}

/// Writes one file of the source, and checks that each command names what it is.
#[track_caller]
fn is_named(sandbox: &Sandbox, name: &str, content: impl Into<Vec<u8>>, what: &str, hint: &str) {
    let path = format!("raw/sites/{name}");
    sandbox.write(&path, content.into());
    let to = sandbox.destination.url();
    // A limit on rejects does not matter: it is no matter of single lines.
    let run = sandbox.run(&[&DAY[..], &["--max-rejects", "100%"]].concat());
    let trace = ["trace", "1", "--column", "id", "--from", "raw", "--to", &to];
    let check = ["check", "--from", "raw", "--to", &to];
    run.exited_with(1)
        .stderr_has(&format!("/raw/sites/{name}` {what}"))
        .hint_has(hint);
    sandbox
        .dayport(&[&trace[..], &DAY].concat())
        .exited_with(1)
        .stderr_has(&format!("/raw/sites/{name}` {what}"))
        .hint_has(hint);
    sandbox
        .dayport(&check)
        .exited_with(1)
        .stdout_has(&format!("/raw/sites/{name}` {what}"))
        .stdout_has(hint);
    sandbox.remove(&path);
}

#[test]
fn a_file_that_is_no_json_lines_is_named_as_what_it_is() {
    let sandbox = world(TestDestination::local());
    let utf16 = |text: &str| -> Vec<u8> {
        let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    };
    let bzip2 = b"BZh91AY&SY\x94\x0f\x11\xa8".as_slice();
    let parquet = b"PAR1\x15\x04\x15\x10".as_slice();
    let mut damaged = gzip(&site(1));
    damaged[0] = 0;
    let twice = zstd::encode_all(gzip(&site(1)).as_slice(), 3).expect("a zstd frame");
    let trailing = [gzip(&site(1)), site(2).into()].concat();
    let is_named = |name, content: &[u8], what, hint| is_named(&sandbox, name, content, what, hint);
    let not_json_lines = "looks like a bzip2 file, not like JSON lines";
    is_named(
        "a.json",
        bzip2,
        not_json_lines,
        "compress it with gzip or zstd",
    );
    is_named(
        "a.json.bz2",
        bzip2,
        not_json_lines,
        "compress it with gzip or zstd",
    );
    is_named(
        "a",
        parquet,
        "looks like a Parquet file",
        "STORED AS PARQUET",
    );
    is_named(
        "a",
        &utf16(&site(1)),
        "looks like UTF-16 text",
        "convert it to UTF-8",
    );
    is_named("a", &twice, "has gzip inside zstd", "compressed twice");
    is_named(
        "a.gz",
        &damaged,
        "has the name of a compressed file",
        "damaged",
    );
    let offset = format!(
        "is damaged: bytes that are no gzip follow the last member at offset {}",
        gzip(&site(1)).len()
    );
    is_named("a.gz", &trailing, &offset, "remove what is behind");
    let cut_off = &gzip(&site(1))[..20];
    sandbox.write("raw/sites/a", cut_off.to_vec());
    sandbox
        .run(&DAY)
        .exited_with(1)
        .stderr_has("/raw/sites/a` is cut off");
}

#[test]
fn a_declared_compression_has_to_be_right() {
    let sandbox = world(TestDestination::local());
    let path = sandbox.folder().join("sql/sources/sites.sql");
    let declared = fs::read_to_string(&path).expect("the source");
    for (compression, is_right) in [
        ("auto", true),
        ("gzip", true),
        ("zstd", false),
        ("none", false),
    ] {
        let option = format!("OPTIONS (compression '{compression}')");
        sandbox.write("sql/sources/sites.sql", format!("{declared} {option}"));
        sandbox.write("raw/sites/sites.json", gzip(&site(1)));
        let output = sandbox.run(&[&DAY[..], &["--rerun"]].concat());
        if is_right {
            output.succeeded();
            continue;
        }
        let what = format!("looks like gzip, but the compression '{compression}' is declared");
        output
            .exited_with(1)
            .stderr_has(&format!("/raw/sites/sites.json` {what}"))
            .hint_has("'auto'");
    }
}
