//! Names that are passed over: counted and named, in the plan, the report and the manifest.

use serde_json::json;

use super::{DAY, add, ids, passed_over, row, run, sandbox, source};
use crate::support::{Sandbox, TestDestination, check_published};

/// Creates a source of plain files and a snapshot of it.
fn flat(location: &str, options: &str) -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write(
        "sql/sources/events.sql",
        format!(
            "CREATE EXTERNAL TABLE events (id BIGINT, time TIMESTAMP(6) WITH TIME ZONE)
             STORED AS JSON LOCATION '{location}' {options}"
        ),
    );
    sandbox.write("sql/t.sql", "COPY (SELECT id FROM events) TO 't'");
    sandbox
}

const TIME: &str = "2026-01-15T00:30:00Z";

#[test]
fn names_that_are_no_data_are_passed_over_counted_and_named() {
    let sandbox = flat("events/", "");
    add(&sandbox, "events/a.json", 1, TIME);
    add(&sandbox, "events/readme_opened.json", 2, TIME);
    let no_data = [
        ".DS_Store",
        "README.md",
        "_SUCCESS",
        "_temporary/0/b.json",
        "a.json.crc",
        "a.json.md5",
        "b.json.BAK",
        "b.json.tmp",
        "readme.txt",
    ];
    for name in no_data {
        sandbox.write(&format!("raw/events/{name}"), "no JSON {");
    }
    let mut names: Vec<String> = no_data
        .iter()
        .map(|name| format!("events/{}", name.strip_suffix("0/b.json").unwrap_or(name)))
        .collect();
    names.sort();

    let to = sandbox.destination.url();
    let plan = ["plan", "--from", "raw", "--to", &to, "--date", DAY];
    let text = sandbox.dayport(&plan).succeeded();
    text.stdout_has("source events: 9 names passed over, `file:///")
        .stdout_has("/raw/events/README.md`")
        .stdout_has("and 6 more\n");
    let planned = sandbox.dayport(&[&plan[..], &["--output", "json"]].concat());
    let planned = &planned.report()["tables"][0]["sources"][0];
    assert_eq!(planned["passed_over"]["count"], 9);
    assert_eq!(passed_over(planned), names);

    let output = sandbox
        .run(&["--date", DAY, "--output", "json"])
        .succeeded();
    assert_eq!(
        passed_over(&output.report()["tables"][0]["sources"][0]),
        names
    );
    assert_eq!(passed_over(&source(&sandbox)), names);
    assert_eq!(ids(&sandbox), [1, 2]);
    let rerun = sandbox.run(&["--date", DAY, "--rerun"]).exited_with(0);
    rerun.stdout_has("source events: 9 names passed over, `file:///");
}

#[test]
fn the_files_of_a_source_may_be_named() {
    let sandbox = flat("events/", "OPTIONS ('files' '*.json.gz, *.json')");
    add(&sandbox, "events/a.json", 1, TIME);
    add(&sandbox, "events/b.csv", 2, TIME);
    add(&sandbox, "events/c.json.md5", 3, TIME);
    add(&sandbox, "events/D.JSON", 4, TIME);
    sandbox.run(&["--date", DAY]).succeeded();
    assert_eq!(ids(&sandbox), [1]);
    let names = ["events/D.JSON", "events/b.csv", "events/c.json.md5"];
    assert_eq!(passed_over(&source(&sandbox)), names);
}

#[test]
fn files_that_are_no_data_else_may_be_named() {
    for (location, options) in [
        ("events/", "OPTIONS ('files' '_*.json')"),
        ("events/_*.json", ""),
    ] {
        let sandbox = flat(location, options);
        add(&sandbox, "events/_a.json", 1, TIME);
        add(&sandbox, "events/b.json", 2, TIME);
        sandbox.run(&["--date", DAY]).succeeded();
        assert_eq!(ids(&sandbox), [1]);
        assert_eq!(passed_over(&source(&sandbox)), ["events/b.json"]);
    }
}

#[test]
fn globs_choose_files_and_folders() {
    for (location, expected, others) in [
        (
            "events/*.json",
            &[1][..],
            &["events/a/", "events/b/", "events/x.csv"][..],
        ),
        (
            "events/?/",
            &[2, 4],
            &["events/a/deep/", "events/x.csv", "events/x.json"],
        ),
        ("events/a/**", &[2, 3], &[]),
        ("events/a/**/*.json", &[2, 3], &[]),
        ("events/**/", &[1, 2, 3, 4, 5], &[]),
        (
            "**/y.json",
            &[3],
            &[
                "events/a/a.json",
                "events/b/a.json",
                "events/x.csv",
                "events/x.json",
            ],
        ),
        ("*/*/deep/", &[3], &["events/x.csv", "events/x.json"]),
    ] {
        let sandbox = flat(location, "");
        add(&sandbox, "events/x.json", 1, TIME);
        add(&sandbox, "events/a/a.json", 2, TIME);
        add(&sandbox, "events/a/deep/y.json", 3, TIME);
        add(&sandbox, "events/b/a.json", 4, TIME);
        add(&sandbox, "events/x.csv", 5, TIME);
        sandbox.run(&["--date", DAY]).succeeded();
        assert_eq!(ids(&sandbox), expected, "{location}");
        assert_eq!(passed_over(&source(&sandbox)), others, "{location}");
    }
}

#[test]
fn what_does_not_match_is_passed_over_and_named() {
    let mut sandbox = sandbox("events/{year}/{month}/{day}/{hour}/", "");
    add(
        &sandbox,
        "events/2026/01/15/03/a.json",
        1,
        "2026-01-15T03:00:00Z",
    );
    add(
        &sandbox,
        "events/2026/1/15/4/a=b c.json",
        2,
        "2026-01-15T04:00:00Z",
    );
    for (number, path) in [
        "2026/01/15/24/a.json",
        "2026/01/15/003/a.json",
        "2026/01/15/x.json",
        "2026/01/15/03/deep/a.json",
        "2026/01/15/03/_b.json",
        "2026/JAN/15/03/a.json",
        "2026/x.json",
        "26/01/15/03/a.json",
        "Year=2026/a.json",
        "2026/13/01/00/a.json",
    ]
    .into_iter()
    .enumerate()
    {
        let id = 100 + i64::try_from(number).expect("a number");
        add(
            &sandbox,
            &format!("events/{path}"),
            id,
            "2026-01-15T03:00:00Z",
        );
    }
    run(&sandbox, DAY).succeeded();
    assert_eq!(ids(&sandbox), [1, 2]);
    let names = [
        "events/2026/01/15/003/",
        "events/2026/01/15/03/_b.json",
        "events/2026/01/15/03/deep/",
        "events/2026/01/15/24/",
        "events/2026/01/15/x.json",
        "events/2026/13/",
        "events/2026/JAN/",
        "events/2026/x.json",
        "events/26/",
        "events/Year=2026/",
    ];
    assert_eq!(passed_over(&source(&sandbox)), names);
    // No month has a 31st that it does not have.
    add(
        &sandbox,
        "events/2026/02/31/00/a.json",
        9,
        "2026-03-03T00:00:00Z",
    );
    add(
        &sandbox,
        "events/2026/02/28/00/a.json",
        10,
        "2026-02-28T00:00:00Z",
    );
    sandbox.set_clock("2026-03-05T03:00:00Z");
    run(&sandbox, "2026-02-28").succeeded();
    assert!(passed_over(&source(&sandbox)).contains(&"events/2026/02/31/".to_owned()));
    assert_eq!(ids(&sandbox), [1, 2, 10]);
}

#[test]
fn a_location_that_nothing_matches_is_an_error() {
    let sandbox = sandbox("events/{year}/{month}/{day}/", "");
    sandbox.write("raw/events/README", "");
    run(&sandbox, DAY).exited_with(75);
    add(&sandbox, "events/dt=2026-01-15/a.json", 1, TIME);
    run(&sandbox, DAY)
        .exited_with(1)
        .stderr_has("matches LOCATION `events/{year}/{month}/{day}/`; there is `file:///")
        .stderr_has("/raw/events/dt=2026-01-15/`");
    let flat = flat("events/*.json", "");
    flat.write("raw/events/a.csv", "id");
    flat.run(&["--date", DAY])
        .exited_with(1)
        .stderr_has("matches LOCATION `events/*.json`; there is `file:///");
    let nothing = super::names::flat("nothing/*.json", "");
    nothing
        .run(&["--date", DAY])
        .exited_with(1)
        .stderr_has("there is nothing at `file:///");
}

#[test]
fn plain_folders_without_a_pattern_are_refused_with_the_pattern() {
    let sandbox = flat("events/", "");
    add(&sandbox, "events/2026/01/15/10/a.json", 1, TIME);
    let plain = sandbox.run(&["--date", DAY]).exited_with(1);
    plain
        .stderr_has("folder `file:///")
        .hint_has("LOCATION, such as '{year}/{month}/{day}/', with '*/' for any name");
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT) STORED AS JSON
         PARTITIONED BY (y INT, m INT) LOCATION 'events/'",
    );
    sandbox
        .run(&["--date", DAY])
        .exited_with(1)
        .hint_has("LOCATION, such as '{y}/{m}/'");
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT, y INT, m INT) STORED AS JSON
         PARTITIONED BY (y, m) LOCATION 'events/{y}/{m}/**/'",
    );
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, y, m FROM events WHERE m = 1) TO 't'",
    );
    sandbox.run(&["--date", DAY]).succeeded();
    let rows = crate::support::rows(&sandbox.destination, "t");
    assert_eq!(rows, [json!({"id": 1, "y": 2026, "m": 1})]);
    check_published(&sandbox.destination);
}

#[test]
fn wrong_locations_are_refused_with_file_and_line() {
    for (location, reason) in [
        ("events/{yaer}/", "`{yaer}` is no column of PARTITIONED BY"),
        ("events/{year}/{day}/", "it has {day} without {month}"),
        ("events/{hour}/", "it has {hour} without {day} or {date}"),
        ("events/**/{year}/", "`**` stands for folders of any depth"),
        (
            "events/{year}/{month}",
            "it ends in `{month}`: end it with `{month}/`",
        ),
        ("events/{year", "has a `{` without a `}`"),
        ("events/{year}//", "it has a part `` between its slashes"),
    ] {
        let sandbox = sandbox(location, "");
        run(&sandbox, DAY)
            .exited_with(2)
            .stderr_has("sql/sources/events.sql:2: LOCATION `")
            .stderr_has(reason);
    }
}

#[test]
fn check_names_what_is_passed_over() {
    let mut sandbox = sandbox("events/{date}/", "");
    sandbox.set_clock("2026-01-16T12:00:00Z");
    sandbox.write("raw/events/2026-01-15/a.json", row(1, TIME));
    sandbox.write("raw/events/2026-01-15/a.json.md5", "0123");
    let to = sandbox.destination.url();
    sandbox
        .dayport(&["check", "--from", "raw", "--to", &to])
        .exited_with(0)
        .stdout_has("all as declared; 1 name passed over, `file:///");
}
