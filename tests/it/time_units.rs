//! The option `time_unit`: numbers in timestamp columns, through the program.

use serde_json::json;

use crate::support::{Sandbox, TestDestination, for_each_destination, lines, rows};

for_each_destination!(
    declared_units_are_exported_as_instants,
    a_number_in_another_unit_is_rejected_by_name
);

const DAY: &str = "2026-01-15";

/// 2026-01-15T10:00:00Z, in seconds since 1970.
const TEN: i64 = 1_768_471_200;

fn sandbox(destination: TestDestination, options: &str) -> Sandbox {
    let mut sandbox = Sandbox::empty(destination);
    sandbox.set_clock("2026-01-16T12:00:00Z");
    let declaration = format!(
        "CREATE EXTERNAL TABLE events (\n\
         id BIGINT NOT NULL, time TIMESTAMP(6), \"user\" STRUCT<created TIMESTAMP(3)>)\n\
         STORED AS JSON LOCATION 'events/'{options};"
    );
    sandbox.write("sql/sources/events.sql", declaration);
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, time, \"user\" FROM events\n\
         WHERE time >= $window_start AND time < $window_end) TO 't';",
    );
    sandbox
}

fn declared_units_are_exported_as_instants(destination: TestDestination) {
    let options = "\nOPTIONS ('time_unit' 's', 'time_unit.user.created' 'ms')";
    let sandbox = sandbox(destination, options);
    let created = TEN * 1000 + 7;
    let records = [
        json!({"id": 1, "time": TEN, "user": {"created": created}}),
        json!({"id": 2, "time": TEN as f64 + 0.25, "user": {"created": null}}),
        json!({"id": 3, "time": "2026-01-15T10:00:00Z"}),
    ];
    sandbox.write("raw/events/a.json", lines(records));

    sandbox.run(&["--date", DAY]).succeeded();

    let mut exported = rows(&sandbox.destination, "t");
    exported.sort_by_key(|row| row["id"].as_i64());
    let expected = [
        json!({"id": 1, "time": "2026-01-15T10:00:00Z", "user": {"created": "2026-01-15T10:00:00.007Z"}}),
        json!({"id": 2, "time": "2026-01-15T10:00:00.250Z", "user": {}}),
        json!({"id": 3, "time": "2026-01-15T10:00:00Z"}),
    ];
    assert_eq!(exported, expected);
    sandbox
        .query(&["SELECT id FROM events WHERE time = TIMESTAMP '2026-01-15 10:00:00'"])
        .exited_with(0)
        .stdout_has("3");
}

fn a_number_in_another_unit_is_rejected_by_name(destination: TestDestination) {
    let sandbox = sandbox(destination, "");
    let records = [json!({"id": 1, "time": TEN})];
    sandbox.write("raw/events/a.json", lines(records));

    sandbox
        .run(&["--date", DAY])
        .exited_with(1)
        .stderr_has("field `time`: the number is not a time from 2000 to 2100")
        .stderr_has("OPTIONS ('time_unit' 's')");
}
