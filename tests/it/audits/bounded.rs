//! Audits within the memory limit.

use std::fmt::Write;

use serde_json::json;

use crate::audits::{audits_of, run, sandbox, shown};
use crate::support::{TestDestination, decode, files_below};

/// At 64 MiB the set of values has room for fewer of them: the rest is sorted, with spilling.
#[test]
fn unique_spills_values_and_finds_all_that_are_there_twice() {
    let sandbox = sandbox(
        TestDestination::local(),
        "CALL unique(id);\nSELECT id FROM this GROUP BY id HAVING count(*) > 2;\n\
         SELECT a.id FROM this a JOIN this b ON a.id = b.id AND a.kind < b.kind;",
    );
    let count = 400_000;
    let mut text = String::new();
    for n in 0..count {
        // The last rows repeat the first ones, and each other.
        let id = match n {
            399_990.. => n % 5,
            _ => n,
        };
        let kind = if n < 200_000 { "a" } else { "b" };
        let _ = writeln!(
            text,
            "{{\"id\":\"id-{id}\",\"at\":\"2026-01-15T10:00:00Z\",\"kind\":\"{kind}\",\"amount\":{n}}}"
        );
    }
    sandbox.write("raw/events/a.json", text);
    let place = sandbox.folder().join("mine");
    let output = run(
        &sandbox,
        &[
            "--memory-limit",
            "64MiB",
            "--rejects-to",
            &place.display().to_string(),
        ],
    )
    .exited_with(1);
    assert_eq!(
        shown(&audits_of(&output)),
        "unique(id) failed 10\nline 2 failed 5\nline 3 failed 10\n"
    );
    let audits = audits_of(&output);
    let keys = audits[0]["keys"].as_array().expect("the keys");
    assert_eq!(keys.len(), 10);
    assert_eq!(keys[0], json!({ "id": "id-0" }));
    let file = files_below(&place).remove(0);
    let bytes = std::fs::read(place.join(&file)).expect("the file");
    let rows = decode(&file, &bytes.into());
    let amounts: Vec<&serde_json::Value> = rows
        .iter()
        .filter(|row| row["audit"] == "unique(id)")
        .map(|row| &row["row"]["amount"])
        .collect();
    assert_eq!(amounts.len(), 10);
    assert_eq!((amounts[0], amounts[9]), (&json!(399_990), &json!(399_999)));
}
