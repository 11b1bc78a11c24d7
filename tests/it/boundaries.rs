//! The boundary between two cycles is exact to the nanosecond, also on special days of the calendar.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::{
    Sandbox, TestDestination, check_published, decode, for_each_destination, lines,
};

for_each_destination!(every_instant_is_in_exactly_one_cycle);

/// Days before a change of month, with their next days: a leap day and the ends of a year and of two
/// months.
const MONTH_ENDS: [(&str, &str); 4] = [
    ("2028-02-29", "2028-03-01"),
    ("2026-12-31", "2027-01-01"),
    ("2026-02-28", "2026-03-01"),
    ("2026-04-30", "2026-05-01"),
];

fn every_instant_is_in_exactly_one_cycle(destination: TestDestination) {
    let mut sandbox = Sandbox::empty(destination);
    sandbox.set_clock("2029-01-01T00:00:00Z");
    sandbox.write(
        "sql/sources/ticks.sql",
        "CREATE EXTERNAL TABLE ticks (id BIGINT NOT NULL, time TIMESTAMP(9) WITH TIME ZONE NOT NULL)\n\
         STORED AS JSON LOCATION 'ticks/';",
    );
    sandbox.write(
        "sql/ticks.sql",
        "COPY (SELECT id, time, CAST(time AS DATE) AS day FROM ticks\n\
         WHERE time >= $window_start AND time < $window_end) TO 'ticks' PARTITIONED BY (day);",
    );
    let mut instants = Vec::new();
    for (day, next) in MONTH_ENDS {
        instants.push((day, format!("{day}T00:00:00.000000000Z")));
        instants.push((day, format!("{day}T23:59:59.999999999Z")));
        instants.push((next, format!("{next}T00:00:00.000000000Z")));
        instants.push((next, format!("{next}T00:00:00.000000001Z")));
    }
    let records = instants
        .iter()
        .enumerate()
        .map(|(id, (_, time))| json!({"id": id, "time": time}));
    sandbox.write("raw/ticks/ticks.json", lines(records));

    for (day, next) in MONTH_ENDS {
        sandbox
            .run(&["--since", day, "--through", next])
            .succeeded();
    }

    let mut cycles = BTreeMap::new();
    for manifest in &check_published(&sandbox.destination)["ticks"] {
        for file in manifest["files"].as_array().expect("files") {
            let path = file["path"].as_str().expect("a path");
            for row in decode(path, &sandbox.destination.read(path)) {
                let cycle = manifest["cycle"]["id"].as_str().expect("a day").to_owned();
                let id = row["id"].as_u64().expect("an id");
                assert_eq!(cycles.insert(id, cycle), None, "{id} is exported twice");
            }
        }
    }
    let expected = (0..)
        .zip(&instants)
        .map(|(id, (day, _))| (id, (*day).to_owned()));
    assert_eq!(cycles, expected.collect());
}
