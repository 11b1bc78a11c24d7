//! Cycles wait until their sources are ready, by the rules of the sources.

use serde_json::json;

use super::ids;
use crate::support::{Sandbox, TestDestination, check_published, for_each_destination, rows};
use crate::world::{set_views, view, world};

for_each_destination!(
    a_cycle_waits_for_each_kind_of_rule,
    a_wait_that_is_too_long_fails_or_is_provisional,
);

const RUN: [&str; 5] = ["--date", "2026-01-15", "views", "--output", "json"];

/// Declares when `views` is ready.
fn ready(sandbox: &Sandbox, rules: &str) {
    let declaration = format!(
        "CREATE EXTERNAL TABLE views (id BIGINT, received TIMESTAMP(6) WITH TIME ZONE, date DATE)
         STORED AS JSON PARTITIONED BY (date) LOCATION 'views/'
         OPTIONS ('time_column' 'received', 'ready' '{rules}')"
    );
    sandbox.write("sql/sources/views.sql", declaration);
}

/// Creates the world without the day after 2026-01-15.
fn until_the_15th(destination: TestDestination) -> Sandbox {
    let sandbox = world(destination);
    sandbox.write(
        "sql/views.sql",
        "COPY (SELECT id FROM views WHERE received >= $window_start AND received < $window_end)
         TO 'views'",
    );
    sandbox.remove("raw/views/date=2026-01-16/views.json");
    sandbox
}

fn a_cycle_waits_for_each_kind_of_rule(destination: TestDestination) {
    let sandbox = until_the_15th(destination);
    type Arrives = fn(&Sandbox);
    let cases: [(&str, &str, Arrives); 4] = [
        (
            "next folder",
            "no folder of the next day has a file",
            |sandbox| {
                set_views(sandbox, 16, &[view(16, 16)]);
            },
        ),
        (
            "folders 1, object done/{date}/_SUCCESS",
            "done/2026-01-15/_SUCCESS` is not there",
            |sandbox| {
                sandbox.write("raw/done/2026-01-15/_SUCCESS", "");
            },
        ),
        (
            "folders 2",
            "1 folder of the cycle instead of 2",
            |sandbox| {
                ready(sandbox, "folders 1");
            },
        ),
        ("quiet 1 hour", "less than 60 minutes", |sandbox| {
            let file = sandbox
                .folder()
                .join("raw/views/date=2026-01-15/views.json");
            let file = std::fs::File::options().write(true).open(file).unwrap();
            let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
            file.set_modified(old).unwrap();
        }),
    ];
    for (rules, reason, arrives) in cases {
        ready(&sandbox, rules);
        let args = [&RUN[..], &["--rerun"]].concat();
        let output = sandbox.run(&args).exited_with(75);
        assert_eq!(output.results(), ["views 2026-01-15 awaited"], "{rules}");
        let source = &output.report()["tables"][0]["sources"][0];
        let unready = source["unready"].as_str().unwrap_or_default();
        assert!(unready.contains(reason), "{rules}: {source}");
        let output = output.stderr_has("the source `views` is not ready: ");
        output
            .hint_has("since 2026-01-16 00:00 UTC")
            .hint_has("--ready-timeout");
        sandbox
            .dayport(&[
                "plan",
                "--from",
                "raw",
                "--to",
                &sandbox.destination.url(),
                "--date",
                "2026-01-15",
                "--rerun",
                "views",
            ])
            .stderr_has("is not ready: ");
        arrives(&sandbox);
        let output = sandbox.run(&args).succeeded();
        assert_eq!(output.results(), ["views 2026-01-15 published"], "{rules}");
    }
    assert_eq!(ids(&rows(&sandbox.destination, "views")), [15]);
    check_published(&sandbox.destination);
}

fn a_wait_that_is_too_long_fails_or_is_provisional(destination: TestDestination) {
    let mut sandbox = until_the_15th(destination);
    ready(&sandbox, "next folder");
    sandbox.set_clock("2026-01-16T05:00:00Z");
    let within = [&RUN[..], &["--ready-timeout", "6h"]].concat();
    sandbox.run(&within).exited_with(75);
    let over = [&RUN[..], &["--ready-timeout", "5h"]].concat();
    sandbox
        .run(&over)
        .exited_with(1)
        .stderr_has("the source `views` is not ready: no folder of the next day has a file")
        .hint_has("--when-not-ready publish");
    let publish = [&over[..], &["--when-not-ready", "publish"]].concat();
    let output = sandbox.run(&publish).exited_with(0);
    let table = &output.report()["tables"][0];
    let reason = json!([{ "name": "views", "reason": "no folder of the next day has a file" }]);
    assert_eq!(table["provisional"], reason);
    output.stderr_has("the cycle is published as provisional");
    let manifest = sandbox
        .destination
        .read("manifests/views/2026-01-15.r0.json");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["provisional"], reason);
    let to = sandbox.destination.url();
    sandbox
        .dayport(&["status", "--to", &to])
        .succeeded()
        .stdout_has("provisional: views 2026-01-15: a source was not ready");
    check_published(&sandbox.destination);
}

#[test]
fn rules_that_cannot_hold_are_wrong_definitions() {
    let sandbox = until_the_15th(TestDestination::local());
    for (rules, complaint) in [
        (
            "tomorrow",
            "option `ready` is `tomorrow`; write 'next folder'",
        ),
        ("quiet", "write 'next folder'"),
    ] {
        ready(&sandbox, rules);
        sandbox.run(&RUN).exited_with(2).stderr_has(complaint);
    }
    sandbox.write(
        "sql/sources/sites.sql",
        "CREATE EXTERNAL TABLE sites (id BIGINT) STORED AS JSON LOCATION 'sites/'
         OPTIONS ('ready' 'folders 24')",
    );
    ready(&sandbox, "next folder");
    sandbox
        .run(&RUN)
        .exited_with(2)
        .stderr_has("`ready` has `folders 24`, which needs folders that contain the time");
}
