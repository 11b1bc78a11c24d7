//! The text of malformed lines: none of it in the destination, all of it in the operator's own place.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use crate::support::{
    Sandbox, TestDestination, check_published, decode, files_below, for_each_destination, gzip,
    rows,
};
use crate::world::{set_views, view, world};

for_each_destination!(
    values_reach_the_operator_and_never_the_destination,
    the_operator_gets_the_lines_that_fail_a_table,
    a_place_that_overlaps_the_destination_or_a_source_is_refused,
    a_place_that_cannot_be_written_is_told_and_the_table_published,
    each_run_table_and_cycle_has_files_of_its_own,
);

/// What stands for a personal value: nobody but the operator may see it.
const SECRET: &str = "s3cr3t";

/// The bucket of the operator's place, which the server of the destination has, too.
const MINE: &str = "mine";

/// The operator's place: a folder beside the destination, or a bucket of the same server.
struct Place {
    url: String,
}

impl Place {
    fn beside(sandbox: &Sandbox) -> Place {
        let url = match &sandbox.destination {
            TestDestination::Local(_) => sandbox.folder().join(MINE).display().to_string(),
            TestDestination::S3(server) => {
                server.create_bucket(MINE);
                format!("s3://{MINE}/rejects/")
            }
        };
        Place { url }
    }

    fn args(&self) -> [&str; 2] {
        ["--rejects-to", &self.url]
    }

    /// Returns the keys and the contents of all files, sorted by key.
    fn files(&self, sandbox: &Sandbox) -> Vec<(String, Bytes)> {
        let mut files: Vec<(String, Bytes)> = match &sandbox.destination {
            TestDestination::Local(_) => {
                let root = Path::new(&self.url);
                let keys = files_below(root).into_iter();
                let read = |key: String| {
                    let bytes = fs::read(root.join(&key)).expect("a file");
                    (key, bytes.into())
                };
                keys.map(read).collect()
            }
            TestDestination::S3(server) => {
                let keys = server.keys(MINE).into_iter();
                let read = |key: String| {
                    let object = server.object(MINE, &key).expect("an object");
                    let below = key.strip_prefix("rejects/").expect("a key below");
                    (below.to_owned(), object.data)
                };
                keys.map(read).collect()
            }
        };
        files.sort();
        files
    }

    /// Returns the recorded lines of all files.
    fn lines(&self, sandbox: &Sandbox) -> Vec<Value> {
        let files = self.files(sandbox).into_iter();
        files
            .flat_map(|(key, bytes)| decode(&key, &bytes))
            .collect()
    }
}

/// Returns the text of an object, decompressed if it is gzip.
fn text_of(bytes: &Bytes) -> String {
    let mut text = Vec::new();
    match bytes.starts_with(&[0x1f, 0x8b]) {
        true => {
            let mut gzip = MultiGzDecoder::new(bytes.as_ref());
            gzip.read_to_end(&mut text).expect("gzip");
        }
        false => text.extend_from_slice(bytes),
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Every kind of malformed line, with the field that its record names.
fn malformed() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let long = SECRET.repeat(2000);
    let text = |text: String, field| (text.into_bytes(), field);
    vec![
        text(json!({ "id": SECRET }).to_string(), Some("id")),
        text(json!({ "id": 1, "at": SECRET }).to_string(), Some("at")),
        text(json!({ "id": 1, "day": SECRET }).to_string(), Some("day")),
        text(
            json!({ "id": 1, "amount": SECRET }).to_string(),
            Some("amount"),
        ),
        text(json!({ "id": 1, "flag": SECRET }).to_string(), Some("flag")),
        text(
            json!({ "id": 1, "user": { "mail": { "x": SECRET } } }).to_string(),
            Some("user.mail"),
        ),
        text(json!({ "id": 1, "user": SECRET }).to_string(), Some("user")),
        text(
            json!({ "id": 1, "tags": [1, SECRET] }).to_string(),
            Some("tags"),
        ),
        text(json!({ "id": SECRET, "x": long }).to_string(), Some("id")),
        text(json!({ "id": long }).to_string(), Some("id")),
        text(json!({ SECRET: 1 }).to_string(), Some("id")),
        text(format!("{{\"id\":1,\"day\":{SECRET}}}"), Some("day")),
        text(format!("{{\"id\":1,\"unknown\":{SECRET}}}"), None),
        text(format!("{{\"id\":1,\"note\":\"{SECRET}"), None),
        text(format!("{{\"id\":1}}{{\"{SECRET}\":1}}"), None),
        text(format!("plain {SECRET} text"), None),
        text(json!([SECRET]).to_string(), None),
        (
            [b"{\"id\":1,\"note\":\"\xff", SECRET.as_bytes(), b"\"}"].concat(),
            None,
        ),
    ]
}

/// A source with columns of all kinds, and a table that reads them.
fn sandbox_with_malformed_lines(destination: TestDestination) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (
           id BIGINT NOT NULL, at TIMESTAMP(6), day DATE, amount DECIMAL(9, 2), flag BOOLEAN,
           \"user\" STRUCT<mail VARCHAR>, tags BIGINT[], note VARCHAR
         ) STORED AS JSON LOCATION 'events/'",
    );
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, at, day, amount, flag, \"user\", tags, note FROM events) TO 't'",
    );
    let mut text = b"{\"id\":7,\"note\":\"fine\"}\n".to_vec();
    for (line, _) in malformed() {
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    sandbox.write("raw/events/a.json", text);
    sandbox
}

fn values_reach_the_operator_and_never_the_destination(destination: TestDestination) {
    let mut sandbox = sandbox_with_malformed_lines(destination);
    let place = Place::beside(&sandbox);
    let args = ["--date", "2026-01-15", "--max-rejects", "100"];
    let output = sandbox
        .run(&[&args[..], &place.args()].concat())
        .exited_with(0)
        .stderr_has(
            "warning: t: 18 malformed lines of the source `events` are set aside in `rejects/",
        )
        .stderr_has("note: t 2026-01-15: 18 malformed lines of the source `events` are in `");
    let printed = format!("{}{}", output.stdout, output.stderr);
    assert!(!printed.contains(SECRET), "{printed}");

    let manifest = &check_published(&sandbox.destination)["t"][0];
    for (key, bytes) in sandbox.destination.contents() {
        assert!(!text_of(&bytes).contains(SECRET), "{key}");
    }
    let path = manifest["rejects"][0]["path"].as_str().expect("a path");
    let recorded = decode(path, &sandbox.destination.read(path));
    let kept = place.lines(&sandbox);
    let lines = malformed();
    assert_eq!((recorded.len(), kept.len()), (lines.len(), lines.len()));
    for ((record, own), (line, field)) in recorded.iter().zip(&kept).zip(&lines) {
        let text = String::from_utf8_lossy(line);
        let members = record.as_object().expect("an object");
        let names: Vec<&str> = members.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["field", "file", "line", "offset", "reason"],
            "{record}"
        );
        for (name, value) in members {
            assert_eq!(own[name], *value, "{name}: {own}");
        }
        assert_eq!(record["field"], json!(field), "{text}");
        assert_eq!(own["length"], line.len(), "{text}");
        let kept_text = own["text"].as_str().expect("a text");
        let expected: String = text.chars().take(4096).collect();
        assert_eq!(kept_text, expected, "bounded");
        if let Some(value) = own["value"].as_str() {
            assert!(value.contains(SECRET) && value.len() <= 200, "{own}");
        }
        let has_value = field.is_some() && !text.contains(&format!("\"{SECRET}\":1}}"));
        assert_eq!(own["value"].is_string(), has_value, "{own}");
    }
    assert_eq!(kept[0]["value"], format!("\"{SECRET}\""));
    assert_eq!(
        kept[7]["value"],
        format!("\"{SECRET}\""),
        "the item of a list"
    );

    // The environment names the place, too; and without a place there are no texts anywhere.
    sandbox.set_env("DAYPORT_REJECTS_TO", &place.url);
    let output = sandbox.run(&[&args[..], &["--rerun", "--output", "json"]].concat());
    let report = output.exited_with(0).report();
    let copied = &report["tables"][0]["rejected_lines"]["files"][0];
    assert_eq!(
        (&copied["rows"], &copied["without_text"]),
        (&json!(18), &json!(0))
    );
    assert_eq!(place.files(&sandbox).len(), 2);
    sandbox.unset_env("DAYPORT_REJECTS_TO");
    let output = sandbox.run(&[&args[..], &["--rerun", "--output", "json"]].concat());
    let report = output.exited_with(0).report();
    assert_eq!(report["tables"][0].get("rejected_lines"), None);
    assert_eq!(place.files(&sandbox).len(), 2);
}

fn the_operator_gets_the_lines_that_fail_a_table(destination: TestDestination) {
    let sandbox = sandbox_with_malformed_lines(destination);
    let place = Place::beside(&sandbox);
    // With 0, too, all lines are there, and not the first alone.
    for limit in ["0", "17", "90%"] {
        let args = ["--date", "2026-01-15", "--max-rejects", limit];
        let before = place.files(&sandbox).len();
        let output = sandbox
            .run(&[&args[..], &place.args()].concat())
            .exited_with(1)
            .stderr_has("18 of 19 lines of the source `events` are malformed")
            .stderr_has("note: t 2026-01-15: 18 malformed lines of the source `events` are in `");
        assert!(!output.stderr.contains(SECRET), "{output}");
        assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
        assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
        let files = place.files(&sandbox);
        assert_eq!(files.len(), before + 1, "{limit}");
        for (key, bytes) in &files {
            assert_eq!(decode(key, bytes).len(), 18, "{key}");
        }
    }

    // A file without a good line is another reason to fail.
    let none = format!("{{\"id\":\"{SECRET}\"}}\n").repeat(3);
    sandbox.write("raw/events/a.json", "{\"id\":1}\n");
    sandbox.write("raw/events/b.json.gz", gzip(&none));
    sandbox
        .run(&[&["--date", "2026-01-15"][..], &place.args()].concat())
        .exited_with(1)
        .stderr_has("has no good line (3 malformed lines)")
        .stderr_has("note: t 2026-01-15: 3 malformed lines of the source `events` are in `");
    assert_eq!(place.files(&sandbox).len(), 4);
}

fn a_place_that_overlaps_the_destination_or_a_source_is_refused(destination: TestDestination) {
    let sandbox = sandbox_with_malformed_lines(destination);
    let to = sandbox.destination.url();
    let to = to.trim_end_matches('/');
    let above = to.rsplit_once('/').expect("a folder above").0;
    let raw = sandbox.folder().join("raw").display().to_string();
    symlink(
        sandbox.folder().join("raw/events"),
        sandbox.folder().join("link"),
    )
    .expect("a link");
    let before = files_below(sandbox.folder());
    for (place, what) in [
        (to.to_owned(), "the destination"),
        (format!("{to}/rejects/mine"), "the destination"),
        (above.to_owned(), "the destination"),
        ("raw/events".to_owned(), "the source `events`"),
        (format!("{raw}/events/mine/"), "the source `events`"),
        ("raw/../raw/events/mine".to_owned(), "the source `events`"),
        ("link/mine".to_owned(), "the source `events`"),
        ("raw".to_owned(), "the source `events`"),
    ] {
        for command in ["run", "plan", "check"] {
            let args = [command, "--from", "raw", "--to", to, "--rejects-to", &place];
            sandbox
                .dayport(&args)
                .exited_with(2)
                .stderr_has("--rejects-to `")
                .stderr_has(&format!("overlaps {what}"))
                .hint_has("a folder or a prefix of");
        }
    }
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
    assert_eq!(files_below(sandbox.folder()), before);

    // Names that only begin alike are others, and `plan` creates nothing.
    for place in ["raw/events2", "raw2"] {
        let plan = ["plan", "--from", "raw", "--to", to, "--date", "2026-01-15"];
        sandbox
            .dayport(&[&plan[..], &["--rejects-to", place]].concat())
            .exited_with(0);
    }
    assert_eq!(files_below(sandbox.folder()), before);
    assert!(!sandbox.folder().join("raw2").exists());
    let wrong = sandbox.run(&["--rejects-to", "gs://bucket/x"]);
    wrong.exited_with(2).stderr_has("--rejects-to");
}

fn a_place_that_cannot_be_written_is_told_and_the_table_published(destination: TestDestination) {
    let sandbox = sandbox_with_malformed_lines(destination);
    let place = match &sandbox.destination {
        // A file is where the folder of the source has to be.
        TestDestination::Local(_) => {
            sandbox.write(&format!("{MINE}/events"), "in the way");
            sandbox.folder().join(MINE).display().to_string()
        }
        TestDestination::S3(_) => "s3://no-such-bucket/rejects/".to_owned(),
    };
    let args = ["--date", "2026-01-15", "--rejects-to", &place];
    let published = sandbox.run(&[&args[..], &["--max-rejects", "18"]].concat());
    published
        .exited_with(0)
        .stdout_has("1 published")
        .stderr_has("warning: t 2026-01-15: not all malformed lines are written to --rejects-to: cannot write")
        .hint_has("make --rejects-to writable");
    check_published(&sandbox.destination);
    assert_eq!(rows(&sandbox.destination, "t").len(), 1);
    let report = sandbox
        .run(
            &[
                &args[..],
                &["--rerun", "--max-rejects", "1", "--output", "json"],
            ]
            .concat(),
        )
        .exited_with(1)
        .stderr_has("18 of 19 lines")
        .report();
    let copied = &report["tables"][0]["rejected_lines"];
    assert_eq!(copied["files"], json!([]));
    assert!(
        copied["error"]
            .as_str()
            .expect("an error")
            .starts_with("cannot write")
    );

    let to = sandbox.destination.url();
    let check = ["check", "--from", "raw", "--to", &to, "--max-rejects", "18"];
    let checked = sandbox.dayport(&[&check[..], &["--rejects-to", &place]].concat());
    match &sandbox.destination {
        // The folder itself can be written.
        TestDestination::Local(_) => {
            checked.stdout_has("malformed lines\n  ok       write");
            let files = files_below(Path::new(&place));
            assert_eq!(files, ["events"]);
            sandbox.write("file", "no folder");
            let on_a_file = [&args[..2], &["--rejects-to", "file"]].concat();
            sandbox
                .run(&on_a_file)
                .exited_with(2)
                .stderr_has("--rejects-to");
        }
        TestDestination::S3(_) => {
            checked
                .exited_with(1)
                .stdout_has("malformed lines\n  FINDING  write");
        }
    }
}

fn each_run_table_and_cycle_has_files_of_its_own(destination: TestDestination) {
    let sandbox = world(destination);
    let place = Place::beside(&sandbox);
    sandbox.write(
        "sql/more.sql",
        "COPY (SELECT id, time FROM views WHERE received >= $window_start
           AND received < $window_end) TO 'more'",
    );
    // Two files of lines with their text: 2,200 lines of 4 KiB.
    let bad_lines = |day: u64| {
        set_views(&sandbox, day, &[view(day, day)]);
        let good = json!({
            "id": 1, "time": "2026-01-15T00:00:00Z",
            "received": format!("2026-01-{day}T13:00:00Z"),
        });
        let bad = json!({ "id": SECRET, "note": "x".repeat(4000) });
        let text = format!("{good}\n{}", format!("{bad}\n").repeat(2200));
        sandbox.write(
            &format!("raw/views/date=2026-01-{day}/bad.json.gz"),
            gzip(&text),
        );
    };
    // Each cycle reads the lines, since no condition is on the folders.
    bad_lines(15);
    let args = [
        "--since",
        "2026-01-15",
        "--through",
        "2026-01-16",
        "views",
        "more",
    ];
    let run = |more: &[&str]| {
        let limit = ["--max-rejects", "9999"];
        sandbox
            .run(&[&args[..], &limit, &place.args(), more].concat())
            .exited_with(0)
            .stderr_has(
                "note: views 2026-01-16: 2,200 malformed lines of the source `views` are in `",
            )
    };
    run(&[]);
    let files = place.files(&sandbox);
    let mut names: Vec<(String, usize)> = Vec::new();
    for (key, bytes) in &files {
        let lines = decode(key, bytes);
        assert!(lines.iter().all(|line| line["text"].is_string()), "{key}");
        names.push((without_run_id(key), lines.len()));
    }
    let days = ["views/2026-01-15", "views/2026-01-16"];
    let of = |table: &'static str| {
        days.map(|day| {
            let found = names
                .iter()
                .filter(|(name, _)| name.starts_with(&format!("{day}/{table}.")));
            found
                .map(|(name, lines)| (name.clone(), *lines))
                .collect::<Vec<_>>()
        })
    };
    for found in [of("views"), of("more")].concat() {
        let name =
            |(name, _): &(String, usize)| name.rsplit_once("RUN").expect("a run").1.to_owned();
        let numbers: Vec<String> = found.iter().map(name).collect();
        assert_eq!(numbers, [".2.json.gz", ".json.gz"]);
        assert_eq!(found.iter().map(|(_, lines)| lines).sum::<usize>(), 2200);
    }
    let before: Vec<String> = files.into_iter().map(|(key, _)| key).collect();
    run(&["--rerun"]);
    let after = place.files(&sandbox);
    assert_eq!(after.len(), 2 * before.len());
    for key in &before {
        assert!(after.iter().any(|(kept, _)| kept == key), "`{key}` is gone");
    }
}

/// Replaces the id of the run in a key.
fn without_run_id(key: &str) -> String {
    let (name, rest) = key
        .split_once(".20260117T030000Z-")
        .expect("the id of a run");
    format!("{name}.RUN{}", &rest[12..])
}
