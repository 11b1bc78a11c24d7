//! An export that touches many partitions stays within its memory: most of them have no open file
//! while the query runs, and go through a sort that spills.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use crate::support::{Place, Sandbox, check_published, decode, gzip, lines};

const DAYS: u64 = 400;
const ROWS: u64 = DAYS * 250;

/// Steps through all places in turn, so that neighbours are far apart. Coprime to [`ROWS`].
const STRIDE: u64 = 61_007;

const SOURCE: &str = "CREATE EXTERNAL TABLE late (
  place BIGINT, time TIMESTAMP(6) WITH TIME ZONE, received TIMESTAMP(6) WITH TIME ZONE, note VARCHAR
) STORED AS JSON LOCATION 'late/'";

const DEFINITION: &str = "COPY (
  SELECT place, note, date_part('year', time) AS year, date_part('month', time) AS month,
         date_part('day', time) AS day
  FROM late WHERE received >= $window_start AND received < $window_end
) TO 'late' PARTITIONED BY (year, month, day)";

macro_rules! in_any_order {
    ($($test:ident: $place:ident, $format:literal;)+) => {
        $(#[test] fn $test() { in_any_order(Place::$place(), $format); })+
    };
}

macro_rules! in_order {
    ($($test:ident: $place:ident, $format:literal;)+) => {
        $(#[test] fn $test() { in_order(Place::$place(), $format); })+
    };
}

in_any_order! {
    json_in_a_folder: local, "json";
    parquet_on_s3: s3, "parquet";
}

in_order! {
    parquet_in_a_folder_in_order: local, "parquet";
    json_on_s3_in_order: s3, "json";
}

fn in_any_order(place: Place, format: &str) {
    let sandbox = sandbox(place, DEFINITION);
    let args = [
        "--date",
        "2026-01-15",
        "--format",
        format,
        "--memory-limit",
        "64MiB",
    ];
    sandbox.run(&args).succeeded();
    for (number, places) in by_day(&sandbox) {
        let mut places = places;
        places.sort_unstable();
        assert!(
            places.into_iter().eq(of_day(number)),
            "the rows of {}",
            day(number)
        );
    }
}

/// The sort of the query takes memory too, but rows of a partition stay in the order it gave them.
fn in_order(place: Place, format: &str) {
    let ordered = DEFINITION.replace("\n) TO", "\n  ORDER BY place\n) TO");
    assert_ne!(ordered, DEFINITION);
    let sandbox = sandbox(place, &ordered);
    let args = [
        "--date",
        "2026-01-15",
        "--format",
        format,
        "--memory-limit",
        "128MiB",
    ];
    sandbox.run(&args).succeeded();
    for (number, places) in by_day(&sandbox) {
        assert!(
            places.into_iter().eq(of_day(number)),
            "the rows of {}",
            day(number)
        );
    }
}

fn day(number: u64) -> NaiveDate {
    let first = NaiveDate::from_ymd_opt(2024, 12, 1).expect("a day");
    first + Days::new(number)
}

/// The day of a row is the remainder of its place.
fn of_day(number: u64) -> impl Iterator<Item = u64> {
    (number..ROWS).step_by(DAYS as usize)
}

/// Rows of four hundred days in no order, all received on one.
fn sandbox(place: Place, definition: &str) -> Sandbox {
    let sandbox = Sandbox::empty(place);
    sandbox.write("sql/sources/late.sql", SOURCE);
    sandbox.write("sql/late.sql", definition.to_owned());
    let rows = (0..ROWS).map(|number| {
        let place = number * STRIDE % ROWS;
        json!({
            "place": place,
            "time": format!("{}T12:00:00Z", day(place % DAYS)),
            "received": "2026-01-15T12:00:00Z",
            "note": format!("{place:0>200}"),
        })
    });
    sandbox.write("raw/late/late.json.gz", gzip(&lines(rows)));
    sandbox
}

/// The places of the rows of each day, in the order of its file. There is one file a day.
fn by_day(sandbox: &Sandbox) -> Vec<(u64, Vec<u64>)> {
    let published = check_published(&sandbox.place);
    let files = published["late"][0]["files"]
        .as_array()
        .expect("a list of files");
    assert_eq!(files.len() as u64, DAYS);
    (0..DAYS)
        .map(|number| {
            let folders = day(number)
                .format("data/late/year=%Y/month=%-m/day=%-d/")
                .to_string();
            let path = format!(
                "{folders}data-000000000000.{}",
                extension(&published["late"][0])
            );
            let rows = decode(&path, &sandbox.place.read(&path));
            let places = rows
                .iter()
                .map(|row| row["place"].as_u64().expect("a place"));
            (number, places.collect())
        })
        .collect()
}

fn extension(manifest: &Value) -> &'static str {
    if manifest["format"] == "json" {
        "json.gz"
    } else {
        "parquet"
    }
}
