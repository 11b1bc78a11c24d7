//! Folders that are dates without the names of columns: a LOCATION with a pattern.

use serde_json::json;

use super::{counts, export, sql};
use crate::support::{Sandbox, TestDestination, lines};

/// Creates files with a row at half past each hour, in folders of that hour.
fn sandbox(folder: impl Fn(u32, u32) -> String) -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    for (day, hour) in [(14, 23), (15, 0), (15, 1), (15, 23), (16, 0)] {
        let time = format!("2026-01-{day}T{hour:02}:30:00Z");
        let row = json!({"id": day * 100 + hour, "received_at": time});
        let path = format!("raw/{}/{day}-{hour}.json", folder(day, hour));
        sandbox.write(&path, lines([row]));
    }
    sandbox
}

#[test]
fn they_are_declared_and_read() {
    type Folder = fn(u32, u32) -> String;
    let layouts: [(Folder, &str, &str); 6] = [
        (
            |day, hour| format!("hits/2026/01/{day}/{hour:02}"),
            "hits/{year}/{month}/{day}/{hour}/",
            "year, month, day, hour",
        ),
        (
            |day, _| format!("hits/2026-01-{day}"),
            "hits/{date}/",
            "date",
        ),
        (
            |day, hour| format!("hits/x_202601{day}/{hour}"),
            "hits/x_{date}/{hour}/",
            "date, hour",
        ),
        (
            |day, hour| format!("hits/2026-01-{day}T{hour:02}"),
            "hits/{date}T{hour}/",
            "date, hour",
        ),
        (
            |day, hour| format!("a{{b/2026-01/{day}/web-{hour}"),
            "a\\{b/{year}-{month}/{day}/*/",
            "year, month, day",
        ),
        (
            |day, hour| format!("hits/202601{day}{hour:02}"),
            "hits/{year}{month}{day}{hour}/",
            "year, month, day, hour",
        ),
    ];
    for (folder, location, columns) in layouts {
        let sandbox = sandbox(folder);
        sandbox
            .dayport(&["init", "--from", "raw", "--source", "hits"])
            .succeeded();
        let declared = sql(&sandbox, "sources/hits.sql");
        let expected = format!("PARTITIONED BY ({columns})\nLOCATION '{location}'");
        assert!(declared.contains(&expected), "{declared}");
        assert!(
            declared.contains("OPTIONS ('time_column' 'received_at')"),
            "{declared}"
        );
        assert_eq!(counts(&export(&sandbox)), "hits 3", "{location}");
        sandbox.dayport(&["test", "--update"]).exited_with(0);
        sandbox.dayport(&["test"]).exited_with(0);
    }
}

#[test]
fn what_lies_beside_them_is_told() {
    let sandbox = sandbox(|day, _| format!("hits/2026/01/{day}"));
    sandbox.write("raw/hits/archive/a.json", lines([json!({"id": 1})]));
    sandbox.write("raw/hits/b.json", lines([json!({"id": 2})]));
    sandbox
        .dayport(&["init", "--from", "raw"])
        .exited_with(1)
        .stderr_has("warning: hits/archive/: it lies beside folders that are dates, and a run passes over it")
        .stderr_has("warning: hits/b.json: it lies beside");
    let run = sandbox.run(&["--date", "2026-01-15"]).succeeded();
    run.stdout_has("source hits: 2 names passed over, `file:///");
}
