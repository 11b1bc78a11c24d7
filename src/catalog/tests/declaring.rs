//! Declarations: the accepted ones, and the complaints about the others.

use crate::catalog::tests::*;

async fn rejected(sql: &str) -> String {
    let world = World::new().declare("events", sql);
    let error = world.session().await.err().expect("it should be rejected");
    world
        .without_path(&error)
        .strip_prefix("error: /sql/sources/events.sql:")
        .expect("a complaint begins with file and line")
        .to_owned()
}

#[tokio::test]
async fn complaints_name_file_line_and_remedy() {
    for (sql, complaint) in [
        (
            "CREATE EXTERNAL TABLE event (id INT) STORED AS JSON LOCATION 'x/'",
            "1: the source is called `event`; name it `events`, as the file is called",
        ),
        (
            "CREATE EXTERNAL TABLE raw.events (id INT) STORED AS JSON LOCATION 'x/'",
            "1: the source is called `raw.events`; name it `events`, as the file is called",
        ),
        (
            "-- a comment\nSELECT 1",
            "2: a source is one CREATE EXTERNAL TABLE or one CREATE VIEW",
        ),
        (
            "CREATE TABLE events (id INT)",
            "1: a source is one CREATE EXTERNAL TABLE or one CREATE VIEW",
        ),
        (
            "CREATE VIEW events AS SELECT 1;\n\nSELECT 2",
            "3: a second statement; write one statement a file",
        ),
        (
            "CREATE EXTERNAL TABLE events\nSTORED AS JSON LOCATION 'x/'",
            "1: the source has no columns; declare each with its type, none is guessed",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT)\nSTORED AS CSV\nLOCATION 'x/'",
            "2: STORED AS CSV is not supported; write JSON or PARQUET",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT) STORED AS JSON LOCATION 'x/'\nOPTIONS (\n'speed' 'high')",
            "3: unknown option `speed`; the options are `compression`, `files`, `missing`, `missing.<column>`, `ready`, `records`, `time_column`, `time_format`",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT) STORED AS PARQUET LOCATION 'x/'\nOPTIONS ('compression' 'gzip')",
            "2: Parquet files record their own compression; omit `compression`",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT,\nhour DOUBLE) STORED AS JSON PARTITIONED BY (hour) LOCATION 'x/'",
            "2: partition column `hour` is Float64; declare it as DATE, TIMESTAMP, BOOLEAN, INT, BIGINT or VARCHAR",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT) STORED AS JSON PARTITIONED BY (date DATE)\nLOCATION 'x/'\nOPTIONS ('time_column' 'time')",
            "3: `time_column` names `time`, which is not a column of the files",
        ),
        (
            "CREATE EXTERNAL TABLE events (time VARCHAR) STORED AS JSON PARTITIONED BY (date DATE)\nLOCATION 'x/'\nOPTIONS ('time_column' 'time')",
            "3: `time_column` names `time`, which is Utf8View, not a TIMESTAMP",
        ),
        (
            "CREATE EXTERNAL TABLE events (time TIMESTAMP) STORED AS JSON PARTITIONED BY (org)\nLOCATION 'x/'\nOPTIONS ('time_column' 'time')",
            "3: `time_column` needs folders that contain the time: PARTITIONED BY (date), (date, hour), (year, month, day) or (year, month, day, hour)",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT,\ni INTERVAL) STORED AS JSON LOCATION 'x/'",
            "2: column `i` is Interval(MonthDayNano), which cannot be read from JSON",
        ),
        (
            "CREATE EXTERNAL TABLE events (time TIMESTAMP) STORED AS PARQUET LOCATION 'x/'\nOPTIONS ('time_unit' 'ms')",
            "2: `time_unit` is an option of JSON sources; declare the column BIGINT and convert it in the query, for example with to_timestamp_millis",
        ),
        (
            "CREATE EXTERNAL TABLE events (time TIMESTAMP) STORED AS PARQUET LOCATION 'x/'\nOPTIONS ('time_zone.time' 'UTC')",
            "2: `time_zone.time` is an option of JSON sources; times in Parquet files are instants, or are read as UTC",
        ),
        (
            "CREATE EXTERNAL TABLE events (time TIMESTAMP) STORED AS JSON LOCATION 'x/'\nOPTIONS ('time_zone' 'Europe/Berln')",
            "2: option `time_zone` is `Europe/Berln`; write a name such as 'Europe/Berlin', or an offset such as '+01:00'",
        ),
        (
            "CREATE EXTERNAL TABLE events (time TIMESTAMP) STORED AS JSON LOCATION 'x/'\nOPTIONS ('time_format' '%H:%M')",
            "2: option `time_format` is `%H:%M`; write a format such as '%d/%b/%Y:%H:%M:%S %z': its texts do not say which time they are",
        ),
        (
            "CREATE EXTERNAL TABLE events (day DATE) STORED AS JSON LOCATION 'x/'\nOPTIONS ('time_format.day' '%d/%b/%Y %H:%M')",
            "2: `time_format.day` has a time of day, which a DATE cannot keep; declare a TIMESTAMP",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT, day DATE) STORED AS JSON LOCATION 'x/'\nOPTIONS ('time_format.id' '%F')",
            "2: `time_format.id`: `id` is not a TIMESTAMP or DATE",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT PRIMARY KEY) STORED AS JSON LOCATION 'x/'",
            "1: constraints and defaults are not checked on files; only NOT NULL is",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT) STORED AS JSON LOCATION ('x/', 'y/')",
            "1: write one LOCATION; a view can join several sources",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT)\nSTORED AS JSON LOCATION '../x/'",
            "2: LOCATION `../x/` is not usable",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT)\nSTORED AS JSON PARTITIONED BY (\nLOCATION 'x/'",
            "3: Expected: a data type name, found: 'x/'",
        ),
        (
            "CREATE EXTERNAL TABLE events (id INT,\nid INT) STORED AS JSON LOCATION 'x/'",
            "1: Schema error: Schema contains duplicate unqualified field name id",
        ),
        (
            "CREATE EXTERNAL TABLE events (id GEOMETRY) STORED AS JSON LOCATION 'x/'",
            "1: Unsupported SQL type GEOMETRY",
        ),
        (
            "CREATE VIEW events AS SELECT *\nFROM nothing",
            "2: there is no source `nothing`",
        ),
        (
            "CREATE VIEW events AS SELECT *\nFROM events",
            "1: the views `events` read each other in a circle",
        ),
    ] {
        let text = rejected(sql).await;
        let first = text.lines().next().unwrap();
        assert!(first.starts_with(complaint), "{sql}\n{text}");
    }
}

#[tokio::test]
async fn types_are_datafusions_own() {
    let sql = r#"
        -- Events of the organisation.
        CREATE EXTERNAL TABLE events (
            event_id VARCHAR NOT NULL,
            time TIMESTAMP(6) WITH TIME ZONE NOT NULL,
            properties STRUCT<client STRUCT<title VARCHAR, tags VARCHAR[]>, n BIGINT>,
            segments BIGINT[],
            hour INT
        ) STORED AS NDJSON PARTITIONED BY ("date", hour) LOCATION 'events/'
        OPTIONS (compression gzip, time_column 'time', 'time_slack' '10 minutes')"#;
    let world = World::new().declare("events", sql);
    let (ctx, _) = world.session().await.unwrap();
    let schema = ctx.table_provider("events").await.unwrap().schema();
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            format!(
                "{} {} {}",
                field.name(),
                field.data_type(),
                field.is_nullable()
            )
        })
        .collect();
    assert_eq!(
        columns,
        [
            "event_id Utf8View false",
            "time Timestamp(µs, \"+00:00\") false",
            "properties Struct(\"client\": Struct(\"title\": Utf8View, \"tags\": List(Utf8View)), \"n\": Int64) true",
            "segments List(Int64) true",
            "date Utf8View true",
            "hour Int32 true",
        ]
    );
    let sources = Sources::load(&world.path("sql/sources")).unwrap();
    assert_eq!(
        sources.description("events"),
        Some("Events of the organisation.")
    );
    assert_eq!(sources.names().collect::<Vec<_>>(), ["events"]);
}

#[tokio::test]
async fn views_are_registered_after_the_tables_that_they_read() {
    let world = World::new()
        .declare(
            "a",
            "CREATE VIEW a AS WITH b AS (SELECT id FROM c) SELECT id + 1 AS id FROM b",
        )
        .declare(
            "c",
            "CREATE VIEW c AS SELECT id FROM d JOIN d AS e USING (id)",
        )
        .declare(
            "d",
            "CREATE EXTERNAL TABLE d (id INT) STORED AS JSON LOCATION 'd/'",
        )
        .raw("d/1.json", "{\"id\":1}\n");
    let answer = world.query("SELECT id FROM a").await.unwrap();
    assert_eq!(answer.rows(), ["2"]);
    // Both scans of `d`, on record as one source.
    assert_eq!(
        (answer.keys(), answer.scans[0].rows_read),
        (vec!["d/1.json"], 2)
    );
    let circle = World::new()
        .declare("a", "CREATE VIEW a AS SELECT * FROM b")
        .declare("b", "CREATE VIEW b AS SELECT * FROM a");
    let error = circle.session().await.err().unwrap();
    assert!(
        error
            .to_string()
            .ends_with("a.sql:1: the views `a`, `b` read each other in a circle"),
        "{error}"
    );
}

#[test]
fn folders_without_sources_and_odd_names_are_errors() {
    let world = World::new();
    let load = |folder: &str| world.without_path(&Sources::load(&world.path(folder)).unwrap_err());
    assert!(load("sql/missing").starts_with("error: cannot read `/sql/missing`"));
    assert!(load("sql/sources").starts_with("error: no `*.sql` in `/sql/sources`\nhint: "));
    std::fs::write(world.path("sql/sources/My Events.sql"), "").unwrap();
    assert!(
        load("sql/sources")
            .starts_with("error: `/sql/sources/My Events.sql` is not named like a source")
    );
}

#[test]
fn stores_are_named_once() {
    let table = |name: &str, location: &str| {
        format!("CREATE EXTERNAL TABLE {name} (id INT) STORED AS JSON LOCATION '{location}'")
    };
    let world = World::new()
        .declare("a", &table("a", "a/"))
        .declare("b", &table("b", "s3://other/b/"))
        .declare("c", &table("c", "s3://raw/c/"))
        .declare("v", "CREATE VIEW v AS SELECT 1");
    let sources = Sources::load(&world.path("sql/sources")).unwrap();
    let base = Url::parse("s3://raw/org").unwrap();
    let locations = sources.locations(Some(&base)).unwrap();
    let urls: Vec<&str> = locations.iter().map(Url::as_str).collect();
    assert_eq!(urls, ["s3://other/", "s3://raw/"]);
    let error = world.without_path(&sources.locations(None).unwrap_err());
    assert!(
        error.starts_with("error: /sql/sources/a.sql:1: LOCATION `a/` is relative"),
        "{error}"
    );
    let local = sources.locations(Some(&world.base())).unwrap();
    assert_eq!(local[0].as_str(), "file:///");
}
