//! The pruning of folders by a query, checked on the snapshot of the file list.

use crate::catalog::tests::*;

const EVENTS: &str = "
    CREATE EXTERNAL TABLE events (id VARCHAR NOT NULL, time TIMESTAMP(6) WITH TIME ZONE)
    STORED AS JSON PARTITIONED BY (date DATE, hour INT) LOCATION 'events/'
    OPTIONS ('time_column' 'time', 'time_slack' '10 minutes')";

/// Writes hourly files of three days, padded on the first and third day. The time of each row is the
/// half hour of its folder.
fn three_days() -> World {
    let mut world = World::new().declare("events", EVENTS);
    for day in 14..=16 {
        for hour in 0..24 {
            let name = if day == 15 {
                format!("hour={hour}")
            } else {
                format!("hour={hour:02}")
            };
            let row = format!(
                "{{\"id\":\"{day}.{hour}\",\"time\":\"2026-01-{day}T{hour:02}:30:00Z\"}}\n"
            );
            world = world.raw(&format!("events/date=2026-01-{day}/{name}/0.json"), row);
        }
    }
    world
}

fn of_day<'a>(keys: &[&'a str], day: u32) -> Vec<&'a str> {
    let prefix = format!("events/date=2026-01-{day}/");
    let hours = keys.iter().filter_map(|key| key.strip_prefix(&prefix));
    hours.map(|key| key.trim_end_matches("/0.json")).collect()
}

#[tokio::test]
async fn a_window_opens_its_folders_and_the_slack_around_them() {
    let sql = "SELECT id FROM events
        WHERE time >= TIMESTAMP '2026-01-15T00:00:00Z' AND time < TIMESTAMP '2026-01-16T00:00:00Z'";
    let answer = three_days().query(sql).await.unwrap();
    let keys = answer.keys();
    assert_eq!(of_day(&keys, 14), ["hour=23"]);
    assert_eq!(of_day(&keys, 15).len(), 24);
    assert_eq!(of_day(&keys, 16), ["hour=00"]);
    assert_eq!(answer.rows().len(), 24);
    assert_eq!(answer.scans[0].rows_read, 26);
}

#[tokio::test]
async fn a_bound_window_is_pruned_like_a_written_one() {
    let world = three_days();
    let (ctx, log) = world.session().await.unwrap();
    let sql = "SELECT id FROM events WHERE time >= $window_start AND time < $window_end";
    let unbound = ctx.state().create_logical_plan(sql).await.unwrap();
    let instant = |text: &str| {
        let time = text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        let micros = Some(time.timestamp_micros());
        datafusion::common::ScalarValue::TimestampMicrosecond(micros, Some("+00:00".into()))
    };
    let window = vec![
        ("window_start", instant("2026-01-15T05:10:00Z")),
        ("window_end", instant("2026-01-15T06:00:00Z")),
    ];
    let bound = unbound.with_param_values(window).unwrap();
    let plan = ctx.state().create_physical_plan(&bound).await.unwrap();
    let scans = log.report(&plan);
    let keys: Vec<&str> = scans[0]
        .files
        .iter()
        .map(|file| file.key.as_str())
        .collect();
    let hours: Vec<&str> = keys
        .iter()
        .filter_map(|key| key.split('/').rev().nth(1))
        .collect();
    // 05:10 with 10 minutes of slack is 05:00, and hour 6 may hold a row of 05:59.
    assert_eq!(hours, ["hour=5", "hour=6"]);
}

#[tokio::test]
async fn partition_columns_decide_exactly_padded_or_not() {
    let world = three_days();
    let answer = world
        .query("SELECT id, hour FROM events WHERE hour = 3")
        .await
        .unwrap();
    assert_eq!(answer.rows(), ["14.3|3", "15.3|3", "16.3|3"]);
    assert_eq!(answer.scans[0].rows_read, 3);
    let plan = datafusion::physical_plan::displayable(answer.plan.as_ref()).indent(false);
    assert!(!plan.to_string().contains("FilterExec"), "{plan}");

    let sql = "SELECT count(*) FROM events WHERE date = '2026-01-15' AND hour IN (1, 2) OR date > DATE '2026-01-15' AND hour + 1 = 24";
    let answer = world.query(sql).await.unwrap();
    assert_eq!(answer.rows(), ["3"]);
    assert_eq!(answer.keys().len(), 3);

    let sql = "SELECT count(*) FROM events WHERE date >= '2027-01-01'";
    let answer = world.query(sql).await.unwrap();
    assert_eq!(
        (answer.rows(), answer.keys().len()),
        (vec!["0".to_owned()], 0)
    );
    assert_eq!(answer.scans[0].digest, snapshot::digest(&[]));
}

#[tokio::test]
async fn conditions_that_need_other_tables_are_left_to_the_plan() {
    let world = three_days();
    for (condition, rows) in [
        ("date = (SELECT max(date) FROM events)", "24"),
        ("hour IN (SELECT hour FROM events WHERE id = '15.5')", "3"),
        ("random() < 2 AND hour = 1 AND date IS NOT NULL", "3"),
    ] {
        let sql = format!("SELECT count(*) FROM events WHERE {condition}");
        let answer = world.query(&sql).await.unwrap();
        assert_eq!(answer.rows(), [rows], "{condition}");
    }
}

#[tokio::test]
async fn conditions_on_time_in_other_shapes() {
    let world = three_days();
    for (condition, hours) in [
        (
            "time BETWEEN '2026-01-15T05:15:00Z' AND '2026-01-15T05:45:00Z'",
            1,
        ),
        ("'2026-01-15T05:30:00Z' = time", 1),
        ("time > TIMESTAMP '2026-01-16T22:15:00'", 2),
        ("CAST(time AS DATE) = '2026-01-15'", 26),
        ("time < '2026-01-14T02:00:00Z' OR id = '15.5'", 72),
    ] {
        let sql = format!("SELECT count(*) FROM events WHERE {condition}");
        let answer = world.query(&sql).await.unwrap();
        assert_eq!(answer.keys().len(), hours, "{condition}");
    }
}

#[tokio::test]
async fn calendars_are_pruned_at_each_level() {
    let mut world = World::new().declare(
        "events",
        "CREATE EXTERNAL TABLE events (time TIMESTAMP) STORED AS JSON
         PARTITIONED BY (year INT, month INT, day INT) LOCATION 'events/'
         OPTIONS ('time_column' 'time')",
    );
    for (folder, time) in [
        ("year=2025/month=12/day=31", "2025-12-31T10:00:00"),
        ("year=2026/month=01/day=01", "2026-01-01T10:00:00"),
        ("year=2026/month=1/day=2", "2026-01-02T10:00:00"),
        ("year=2026/month=2/day=1", "2026-02-01T10:00:00"),
    ] {
        world = world.raw(
            &format!("events/{folder}/a.json"),
            format!("{{\"time\":\"{time}\"}}"),
        );
    }
    // Nothing may be listed below 2027: its folders are not days.
    world = world.raw("events/year=2027/oops/a.json", "");
    let sql = "SELECT count(*) FROM events WHERE time >= '2026-01-01T00:00:00' AND time < '2026-02-01T00:00:00'";
    let answer = world.query(sql).await.unwrap();
    assert_eq!(answer.rows(), ["2"]);
    assert_eq!(
        answer.keys(),
        [
            "events/year=2026/month=01/day=01/a.json",
            "events/year=2026/month=1/day=2/a.json"
        ]
    );
    let error = world.error("SELECT * FROM events").await;
    assert!(
        error.contains("folder `file:///raw/events/year=2027/oops` is not `month=<value>`"),
        "{error}"
    );
}

#[tokio::test]
async fn misplaced_files_and_folders_are_named() {
    let error = |key: &'static str, content: &'static str| async move {
        let world = three_days().raw(key, content);
        world
            .error("SELECT count(*) FROM events WHERE hour = 30")
            .await
    };
    for (key, reason) in [
        (
            "events/day=1/x.json",
            "folder `file:///raw/events/day=1` is not `date=<value>`",
        ),
        (
            "events/date=2026-02-30/x.json",
            "folder `file:///raw/events/date=2026-02-30` holds no Date32 in `date`",
        ),
        (
            "events/x.json",
            "file `file:///raw/events/x.json` is in no partition folder",
        ),
        (
            "events/date=2026-01-14/x.json",
            "file `file:///raw/events/date=2026-01-14/x.json` is in no partition folder",
        ),
    ] {
        let error = error(key, "{}").await;
        let expected = format!(
            "error: source `events`: {reason}\nhint: the source is PARTITIONED BY (date, hour)"
        );
        assert_eq!(error, expected);
    }
    let deep = three_days().raw("events/date=2026-01-14/hour=00/more/x.json", "{}");
    let error = deep
        .error("SELECT count(*) FROM events WHERE hour = 0")
        .await;
    assert!(
        error.contains("hour=00/more` is not a declared partition column"),
        "{error}"
    );
}

#[tokio::test]
async fn hidden_names_and_folder_markers_are_no_data() {
    let world = three_days()
        .raw("events/_temporary/x.json", "no JSON")
        .raw("events/_SUCCESS", "x")
        .raw("events/.crc", "x")
        .raw("events/date=2026-01-14_$folder$", "")
        .raw("events/date=2026-01-15/hour=5/.part.crc", "x")
        .raw("events/date=2026-01-15/hour=5/empty.json", "");
    let sql = "SELECT id FROM events WHERE date = '2026-01-15' AND hour = 5";
    let answer = world.query(sql).await.unwrap();
    assert_eq!(answer.rows(), ["15.5"]);
    // Empty files are on record.
    assert_eq!(
        answer.keys(),
        [
            "events/date=2026-01-15/hour=5/0.json",
            "events/date=2026-01-15/hour=5/empty.json"
        ]
    );
}

#[tokio::test]
async fn hive_nulls_are_nulls() {
    let world = World::new()
        .declare(
            "t",
            "CREATE EXTERNAL TABLE t (id INT) STORED AS JSON PARTITIONED BY (org VARCHAR, n INT) LOCATION 't/'",
        )
        .raw("t/org=a%2Fb/n=1/x.json", "{\"id\":1}")
        .raw("t/org=__HIVE_DEFAULT_PARTITION__/n=__HIVE_DEFAULT_PARTITION__/x.json", "{\"id\":2}");
    let answer = world.query("SELECT id, org, n FROM t").await.unwrap();
    assert_eq!(answer.rows(), ["1|a/b|1", "2||"]);
    let answer = world
        .query("SELECT id FROM t WHERE org IS NULL")
        .await
        .unwrap();
    assert_eq!(
        (answer.rows(), answer.keys().len()),
        (vec!["2".to_owned()], 1)
    );
}

#[tokio::test]
async fn sources_without_partitions() {
    let table = |location: &str| {
        format!("CREATE EXTERNAL TABLE t (id INT) STORED AS JSON LOCATION '{location}'")
    };
    let world = |location: &str| {
        World::new()
            .declare("t", &table(location))
            .raw("t/a.json", "{\"id\":1}")
            .raw("t/b.json", "{\"id\":2}")
    };
    for (location, rows) in [("t/", 2), ("t", 2), ("t/a.json", 1)] {
        let answer = world(location).query("SELECT id FROM t").await.unwrap();
        assert_eq!(answer.rows().len(), rows, "{location}");
    }
    let dated = world("t/").raw("t/date=2026-01-01/c.json", "{\"id\":3}");
    let error = dated.error("SELECT * FROM t").await;
    assert!(error.contains("date=2026-01-01` is not a declared partition column\nhint: the source declares no PARTITIONED BY"), "{error}");
    for location in ["x/", "x", "t/c.json"] {
        let error = world(location).error("SELECT * FROM t").await;
        assert!(
            error.contains("source `t`: there is nothing at `file:///raw/"),
            "{error}"
        );
    }
}
