//! Malformed lines: recorded as rejects, or too many of them.

use serde_json::{Value, json};

use super::ids;
use crate::support::{
    Sandbox, TestDestination, check_published, decode, for_each_destination, gzip, rows,
};
use crate::world::{set_views, view, world};

for_each_destination!(
    malformed_lines_are_recorded,
    too_many_malformed_lines_stop_the_table,
    a_rerun_replaces_the_record,
    more_malformed_lines_than_a_file_holds_go_to_several,
);

/// Adds to the one view of the 15th a file with two valid lines, two malformed lines and a blank line.
fn world_with_malformed_lines(destination: TestDestination) -> Sandbox {
    let sandbox = world(destination);
    let good = |id: u64| {
        let mut view = view(id, 15);
        view["received"] = json!("2026-01-15T13:00:00Z");
        view
    };
    let text = format!(
        "{}\n{{\"id\": 2\n\n{}\n{{\"id\": \"four\"}}\n",
        good(1),
        good(3)
    );
    sandbox.write("raw/views/date=2026-01-15/more.json.gz", gzip(&text));
    sandbox
}

/// Returns the recorded lines of the one source of a manifest.
fn record(destination: &TestDestination, manifest: &Value) -> Vec<Value> {
    let path = manifest["rejects"][0]["path"].as_str().expect("a path");
    assert!(
        path.starts_with("rejects/views/2026-01-15/views."),
        "{path}"
    );
    decode(path, &destination.read(path))
}

fn malformed_lines_are_recorded(destination: TestDestination) {
    let sandbox = world_with_malformed_lines(destination);
    let args = ["--date", "2026-01-15", "views", "--max-rejects", "2"];
    sandbox.run(&args).exited_with(0);

    let published = check_published(&sandbox.destination);
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [1, 3, 15]);
    let manifest = &published["views"][0];
    let source = &manifest["sources"][0];
    assert_eq!(
        (&source["rows_read"], &source["rows_rejected"]),
        (&json!(8), &json!(2))
    );
    let record = record(&sandbox.destination, manifest);
    let file = |line: &Value| line["file"].as_str().expect("a file").to_owned();
    assert!(
        record
            .iter()
            .all(|line| file(line).ends_with("date=2026-01-15/more.json.gz"))
    );
    let lines: Vec<&Value> = record.iter().map(|line| &line["line"]).collect();
    assert_eq!(lines, [2, 5]);
    // The other lines of the file determine the offsets of the malformed ones.
    let first = view(1, 15).to_string().len() + ",\"received\":\"2026-01-15T13:00:00Z\"".len() + 1;
    assert_eq!(record[0]["offset"], first as u64);
    assert!(
        record[1]["reason"]
            .as_str()
            .expect("a reason")
            .contains("`id`")
    );
}

fn too_many_malformed_lines_stop_the_table(destination: TestDestination) {
    let sandbox = world_with_malformed_lines(destination);
    let args = ["--date", "2026-01-15", "views"];
    for limit in [&[][..], &["--max-rejects", "1"], &["--max-rejects", "19%"]] {
        let output = sandbox.run(&[&args[..], limit].concat()).exited_with(1);
        output
            .stderr_has("2 of 10 lines of the source `views` are malformed")
            .stderr_has("more.json.gz` line 2: ")
            .hint_has("--max-rejects");
        assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
        assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
    }
    sandbox
        .run(&[&args[..], &["--max-rejects", "20%"]].concat())
        .exited_with(0);
    check_published(&sandbox.destination);
    let wrong = ["--max-rejects", "some"];
    sandbox
        .run(&[&args[..], &wrong].concat())
        .exited_with(2)
        .stderr_has("--max-rejects");
}

fn a_rerun_replaces_the_record(destination: TestDestination) {
    let sandbox = world_with_malformed_lines(destination);
    let args = [
        "--date",
        "2026-01-15",
        "--rerun",
        "views",
        "--max-rejects",
        "2",
    ];
    sandbox.run(&args).exited_with(0);
    let first = sandbox.destination.keys_below("rejects/");
    sandbox.run(&args).exited_with(0);
    let published = check_published(&sandbox.destination);
    assert_eq!(published["views"][0]["replaced"], json!(first));
    assert_eq!(
        record(&sandbox.destination, &published["views"][0]).len(),
        2
    );

    sandbox.write("raw/views/date=2026-01-15/more.json.gz", gzip(""));
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15)]);
    sandbox.run(&args).succeeded();
    check_published(&sandbox.destination);
    assert_eq!(
        sandbox.destination.keys_below("rejects/"),
        Vec::<String>::new()
    );
}

fn more_malformed_lines_than_a_file_holds_go_to_several(destination: TestDestination) {
    let sandbox = world(destination);
    let bad_lines = |file: &str, lines: usize| {
        let path = format!("raw/views/date=2026-01-15/{file}.json.gz");
        // A file has to have a good line.
        let mut good = view(1, 15);
        good["received"] = json!("2026-01-15T13:00:00Z");
        sandbox.write(&path, gzip(&format!("{}{good}\n", "{\n".repeat(lines))));
    };
    bad_lines("more", 40_000);
    bad_lines("many", 60_001);
    let args = [
        "--date",
        "2026-01-15",
        "--rerun",
        "views",
        "--max-rejects",
        "100001",
    ];
    let too_few = [&args[..5], &["100000"]].concat();
    sandbox
        .run(&too_few)
        .exited_with(1)
        .stderr_has("100001 of 100009 lines of the source `views` are malformed")
        .stderr_has("many.json.gz` line 1: ");
    sandbox
        .run(&args)
        .exited_with(0)
        .stderr_has("warning: views: 100,001 malformed lines of the source `views` are set aside")
        .stderr_has("json.gz` and 1 more file\n");
    let published = check_published(&sandbox.destination);
    let files = published["views"][0]["rejects"].as_array().expect("files");
    let rows: Vec<&Value> = files.iter().map(|file| &file["rows"]).collect();
    assert_eq!(rows, [100_000, 1]);
    let path = |file: &Value| file["path"].as_str().expect("a path").to_owned();
    let first = path(&files[0]);
    let stem = first.strip_suffix(".json.gz").expect("an extension");
    assert_eq!(path(&files[1]), format!("{stem}.2.json.gz"));

    let read = |file: &Value| decode(&path(file), &sandbox.destination.read(&path(file)));
    let lines: Vec<(bool, u64)> = files
        .iter()
        .flat_map(read)
        .map(|line| {
            let file = line["file"].as_str().expect("a file");
            let number = line["line"].as_u64().expect("a number");
            (file.ends_with("/more.json.gz"), number)
        })
        .collect();
    let many = (1..=60_001).map(|line| (false, line));
    let expected: Vec<(bool, u64)> = many.chain((1..=40_000).map(|line| (true, line))).collect();
    assert!(lines == expected, "each line once, in order");

    let to = sandbox.destination.url();
    let verified = sandbox.dayport(&["verify", "--to", &to]);
    verified.succeeded().stdout_has("all as published");
    bad_lines("more", 0);
    bad_lines("many", 1);
    sandbox.run(&args).exited_with(0);
    let published = check_published(&sandbox.destination);
    let replaced = published["views"][0]["replaced"].as_array().expect("keys");
    assert_eq!(replaced.len(), 2);
    assert_eq!(sandbox.destination.keys_below("rejects/").len(), 1);
}
