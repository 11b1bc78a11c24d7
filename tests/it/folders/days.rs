//! Cycles over folders that have their time by a pattern: as over Hive folders.

use serde_json::json;

use super::{DAY, add, declare, ids, passed_over, row, run, sandbox, source};
use crate::support::{Sandbox, TestDestination, check_published};

/// Adds a row at half past each of these hours, whose id is the day and the hour.
fn fill(sandbox: &Sandbox, folder: impl Fn(u32, u32) -> String) {
    for (day, hour) in [(14, 23), (15, 0), (15, 3), (15, 23), (16, 0)] {
        let time = format!("2026-01-{day}T{hour:02}:30:00Z");
        let path = format!("{}/a{hour}.json", folder(day, hour));
        add(sandbox, &path, i64::from(day * 100 + hour), &time);
    }
}

#[test]
fn a_day_reads_its_folders_however_they_are_written() {
    type Folder = fn(u32, u32) -> String;
    let layouts: [(&str, Folder); 9] = [
        ("events/{year}/{month}/{day}/{hour}/", |day, hour| {
            format!("events/2026/01/{day}/{hour:02}")
        }),
        ("events/{year}/{month}/{day}/{hour}/", |day, hour| {
            format!("events/2026/1/{day}/{hour}")
        }),
        ("events/dt={year}{month}{day}-{hour}/", |day, hour| {
            format!("events/dt=202601{day}-{hour:02}")
        }),
        ("e x/{year}-{month}-{day}T{hour}/", |day, hour| {
            format!("e x/2026-01-{day}T{hour:02}")
        }),
        ("events/{date}/", |day, _| format!("events/2026-01-{day}")),
        ("logs/*/CloudTrail/*/{year}/{month}/{day}/", |day, hour| {
            format!("logs/{hour}/CloudTrail/eu-west-1/2026/01/{day}")
        }),
        ("{year}/{month}/{day}/**/", |day, hour| {
            format!("2026/01/{day}/x/{hour}")
        }),
        (
            "y={year}/{year}-{month}/{day}_{hour}{minute}/",
            |day, hour| format!("y=2026/2026-01/{day}_{hour:02}30"),
        ),
        ("events/{dt}/*/{hr}h/", |day, hour| {
            format!("events/202601{day}/x/{hour:02}h")
        }),
    ];
    for (location, folder) in layouts {
        let sandbox = sandbox(location, "");
        fill(&sandbox, folder);
        run(&sandbox, DAY).succeeded();
        assert_eq!(ids(&sandbox), [1500, 1503, 1523], "{location}");
        // The hour folders of the other days are not opened.
        assert_eq!(source(&sandbox)["files"], 3, "{location}");
        assert_eq!(passed_over(&source(&sandbox)), [""; 0], "{location}");
    }
}

#[test]
fn the_names_of_files_may_have_the_time() {
    let sandbox = sandbox("events/app-*_{date}.json", "");
    for day in [14, 15, 16] {
        let path = format!("events/app-1_2026-01-{day}.json");
        add(&sandbox, &path, day, &format!("2026-01-{day}T12:00:00Z"));
    }
    add(
        &sandbox,
        "events/app_2026-01-15.json",
        99,
        "2026-01-15T12:00:00Z",
    );
    run(&sandbox, DAY).succeeded();
    assert_eq!(ids(&sandbox), [15]);
    assert_eq!(source(&sandbox)["files"], 1);
    assert_eq!(
        passed_over(&source(&sandbox)),
        ["events/app_2026-01-15.json"]
    );
    run(&sandbox, "2026-01-13")
        .exited_with(75)
        .stderr_has("has no file in `file:///")
        .stderr_has("/raw/events/app-*_2026-01-13.json`;");
}

#[test]
fn a_cycle_without_its_folder_is_awaited() {
    let sandbox = sandbox(
        "events/{year}/{month}/{day}/{hour}/",
        ", 'time_slack' '1 hour'",
    );
    add(
        &sandbox,
        "events/2026/01/14/23/a.json",
        1,
        "2026-01-14T23:30:00Z",
    );
    add(
        &sandbox,
        "events/2026/01/15/x.json",
        2,
        "2026-01-15T00:30:00Z",
    );
    let awaited = run(&sandbox, DAY)
        .exited_with(75)
        .stdout_has("awaits events 2026/01/15")
        .stderr_has("/raw/events/2026/01/15/`; the cycle is awaited")
        .stderr_has("1 name passed over, `file:///")
        .stderr_has("/raw/events/2026/01/15/x.json`");
    assert!(!awaited.stderr.contains("error"), "{awaited}");
    // An empty file is a file.
    sandbox.write("raw/events/2026/01/15/00/empty.json", "");
    run(&sandbox, DAY).exited_with(0);
    // The folder of a day without a file is none.
    std::fs::create_dir_all(sandbox.folder().join("raw/events/2026/01/16/00")).expect("a folder");
    run(&sandbox, "2026-01-16").exited_with(75);
}

#[test]
fn slack_opens_the_folders_around_a_day_over_the_end_of_a_year() {
    let sandbox = sandbox(
        "events/{year}/{month}/{day}/{hour}/",
        ", 'time_slack' '10 minutes'",
    );
    add(
        &sandbox,
        "events/2025/12/31/23/a.json",
        1,
        "2026-01-01T00:00:00Z",
    );
    add(
        &sandbox,
        "events/2025/12/31/22/a.json",
        2,
        "2025-12-31T22:00:00Z",
    );
    add(
        &sandbox,
        "events/2026/01/01/00/a.json",
        3,
        "2025-12-31T23:59:59Z",
    );
    add(
        &sandbox,
        "events/2026/01/01/05/a.json",
        4,
        "2026-01-01T05:00:00Z",
    );
    add(
        &sandbox,
        "events/2026/12/31/05/a.json",
        5,
        "2026-12-31T05:00:00Z",
    );
    run(&sandbox, "2025-12-31").succeeded();
    assert_eq!(ids(&sandbox), [2, 3]);
    assert_eq!(source(&sandbox)["files"], 3);
    run(&sandbox, "2026-01-01").succeeded();
    assert_eq!(ids(&sandbox), [1, 2, 3, 4]);
    assert_eq!(source(&sandbox)["files"], 3);
}

#[test]
fn misplaced_rows_are_counted_in_json_and_parquet() {
    for format in ["JSON", "PARQUET"] {
        let sandbox = sandbox("events/{year}/{month}/{day}/{hour}/", "");
        declare(&sandbox, format, "events/{year}/{month}/{day}/{hour}/", "");
        let file = |id: i64, time: &str| match format {
            "JSON" => row(id, time).into_bytes(),
            _ => parquet(id, time),
        };
        let write = |path: &str, id: i64, time: &str| {
            sandbox.write(&format!("raw/events/2026/01/{path}"), file(id, time));
        };
        write("15/00/a", 1, "2026-01-14T23:59:30Z");
        write("15/03/a", 2, "2026-01-15T04:00:00Z");
        write("15/23/a", 3, "2026-01-15T23:00:00Z");
        write("14/23/a", 4, "2026-01-14T23:00:00Z");
        run(&sandbox, DAY)
            .exited_with(0)
            .stderr_has("1 row of the source `events` is in no cycle, up to 30 seconds outside")
            .stderr_has("01/15/00/a`: declare OPTIONS ('time_slack' '30 seconds')");
        assert_eq!(source(&sandbox)["misplaced"]["rows"], 1, "{format}");
        assert_eq!(ids(&sandbox), [2, 3], "{format}");
        declare(
            &sandbox,
            format,
            "events/{year}/{month}/{day}/{hour}/",
            ", 'time_slack' '30 seconds'",
        );
        run(&sandbox, "2026-01-14").succeeded();
        assert_eq!(ids(&sandbox), [1, 2, 3, 4], "{format}");
    }
}

/// Returns a Parquet file with one row, an export of dayport.
fn parquet(id: i64, time: &str) -> Vec<u8> {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write(
        "sql/sources/one.sql",
        "CREATE EXTERNAL TABLE one (id BIGINT, time TIMESTAMP(6) WITH TIME ZONE)
         STORED AS JSON LOCATION 'one/'",
    );
    sandbox.write("sql/s.sql", "COPY (SELECT id, time FROM one) TO 's'");
    sandbox.write("raw/one/a.json", row(id, time));
    sandbox
        .run(&["--date", DAY, "--format", "parquet"])
        .succeeded();
    sandbox
        .destination
        .read("data/s/data-000000000000.parquet")
        .to_vec()
}

#[test]
fn late_files_are_found() {
    let mut sandbox = sandbox("events/{year}/{month}/{day}/{hour}/", "");
    sandbox.set_clock("2026-01-16T03:00:00Z");
    add(
        &sandbox,
        "events/2026/01/15/03/a.json",
        1,
        "2026-01-15T03:00:00Z",
    );
    sandbox.run(&["t"]).succeeded();
    sandbox.write("raw/events/2026/01/15/03/README.md", "of no consequence");
    sandbox.run(&["t"]).succeeded().stdout_has("nothing is due");
    add(
        &sandbox,
        "events/2026/01/15/04/late.json",
        2,
        "2026-01-15T04:00:00Z",
    );
    sandbox.run(&["t"]).exited_with(0);
    assert_eq!(ids(&sandbox), [1, 2]);
    let published = check_published(&sandbox.destination);
    let newest = published["t"].last().expect("a manifest");
    assert_eq!(newest["revision"], 1);
    assert_eq!(newest["cause"]["added"], json!(1));
}

#[test]
fn the_rules_of_readiness_hold() {
    let location = "events/{year}/{month}/{day}/{hour}/";
    let sandbox = sandbox(location, ", 'ready' 'folders 2, next folder'");
    add(
        &sandbox,
        "events/2026/01/15/03/a.json",
        1,
        "2026-01-15T03:00:00Z",
    );
    run(&sandbox, DAY)
        .exited_with(75)
        .stderr_has("1 folder of the cycle instead of 2");
    add(
        &sandbox,
        "events/2026/01/15/04/a.json",
        2,
        "2026-01-15T04:00:00Z",
    );
    run(&sandbox, DAY)
        .exited_with(75)
        .stderr_has("no folder of the next day has a file");
    add(
        &sandbox,
        "events/2026/01/16/00/a.json",
        3,
        "2026-01-16T00:00:00Z",
    );
    run(&sandbox, DAY).succeeded();
    assert_eq!(ids(&sandbox), [1, 2]);
}

#[test]
fn a_source_without_a_time_column_waits_if_it_has_no_row_of_the_day() {
    let sandbox = sandbox("events/{date}/", "");
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT, time TIMESTAMP(6) WITH TIME ZONE)
         STORED AS JSON LOCATION 'events/{date}/'",
    );
    add(
        &sandbox,
        "events/2026-01-14/a.json",
        1,
        "2026-01-14T03:00:00Z",
    );
    run(&sandbox, DAY)
        .exited_with(75)
        .stdout_has("awaits events 2026-01-15");
    run(&sandbox, "2026-01-14").succeeded();
}
