//! Malformed lines: set aside with the rows they stood among, or too many of them.

use serde_json::{Value, json};

use super::ids;
use crate::support::{Place, Sandbox, check_published, decode, gzip, in_both_places, rows};
use crate::world::{set_views, view, world};

in_both_places!(
    malformed_lines_are_set_aside_and_on_record,
    too_many_malformed_lines_stop_the_table,
    a_rerun_replaces_the_record,
);

/// Next to one good view of the 15th, a file with two good lines, two bad ones and a blank one.
fn spoiled(place: Place) -> Sandbox {
    let sandbox = world(place);
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

/// The lines on record for the one source of a manifest.
fn record(place: &Place, manifest: &Value) -> Vec<Value> {
    let path = manifest["rejects"][0]["path"].as_str().expect("a path");
    assert!(
        path.starts_with("rejects/views/2026-01-15/views."),
        "{path}"
    );
    decode(path, &place.read(path))
}

fn malformed_lines_are_set_aside_and_on_record(place: Place) {
    let sandbox = spoiled(place);
    let args = ["--date", "2026-01-15", "views", "--max-rejects", "2"];
    sandbox.run(&args).ended(0);

    let published = check_published(&sandbox.place);
    assert_eq!(ids(&rows(&sandbox.place, "views")), [1, 3, 15]);
    let manifest = &published["views"][0];
    let source = &manifest["sources"][0];
    assert_eq!(
        (&source["rows_read"], &source["rows_rejected"]),
        (&json!(8), &json!(2))
    );
    let record = record(&sandbox.place, manifest);
    let file = |line: &Value| line["file"].as_str().expect("a file").to_owned();
    assert!(
        record
            .iter()
            .all(|line| file(line).ends_with("date=2026-01-15/more.json.gz"))
    );
    let lines: Vec<&Value> = record.iter().map(|line| &line["line"]).collect();
    assert_eq!(lines, [2, 5]);
    // The other lines of the file tell where the bad ones begin.
    let first = view(1, 15).to_string().len() + ",\"received\":\"2026-01-15T13:00:00Z\"".len() + 1;
    assert_eq!(record[0]["offset"], first as u64);
    assert!(
        record[1]["reason"]
            .as_str()
            .expect("a reason")
            .contains("`id`")
    );
}

fn too_many_malformed_lines_stop_the_table(place: Place) {
    let sandbox = spoiled(place);
    let args = ["--date", "2026-01-15", "views"];
    for limit in [&[][..], &["--max-rejects", "1"], &["--max-rejects", "19%"]] {
        let ran = sandbox.run(&[&args[..], limit].concat()).ended(1);
        ran.complains("2 of 10 lines of the source `views` are malformed")
            .complains("more.json.gz` line 2: ")
            .hints("--max-rejects");
        assert_eq!(sandbox.place.keys(), Vec::<String>::new());
        assert_eq!(sandbox.place.leftovers(), Vec::<String>::new());
    }
    sandbox
        .run(&[&args[..], &["--max-rejects", "20%"]].concat())
        .ended(0);
    check_published(&sandbox.place);
    let wrong = ["--max-rejects", "some"];
    sandbox
        .run(&[&args[..], &wrong].concat())
        .ended(2)
        .complains("--max-rejects");
}

fn a_rerun_replaces_the_record(place: Place) {
    let sandbox = spoiled(place);
    let args = [
        "--date",
        "2026-01-15",
        "--rerun",
        "views",
        "--max-rejects",
        "2",
    ];
    sandbox.run(&args).ended(0);
    let first = sandbox.place.keys_below("rejects/");
    sandbox.run(&args).ended(0);
    let published = check_published(&sandbox.place);
    assert_eq!(published["views"][0]["replaced"], json!(first));
    assert_eq!(record(&sandbox.place, &published["views"][0]).len(), 2);

    sandbox.write("raw/views/date=2026-01-15/more.json.gz", gzip(""));
    set_views(&sandbox, 15, &[view(1, 15), view(2, 15)]);
    sandbox.run(&args).succeeded();
    check_published(&sandbox.place);
    assert_eq!(sandbox.place.keys_below("rejects/"), Vec::<String>::new());
}
