//! Where one cycle ends and the next begins: to the nanosecond, on odd days of the calendar.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::{Place, Sandbox, check_published, decode, in_both_places, lines};

in_both_places!(every_instant_is_in_the_one_cycle_it_belongs_to);

/// Days whose neighbour is not the next number: a leap day, a year's end, the ends of two months.
const ODD_DAYS: [(&str, &str); 4] = [
    ("2028-02-29", "2028-03-01"),
    ("2026-12-31", "2027-01-01"),
    ("2026-02-28", "2026-03-01"),
    ("2026-04-30", "2026-05-01"),
];

fn every_instant_is_in_the_one_cycle_it_belongs_to(place: Place) {
    let mut sandbox = Sandbox::empty(place);
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
    for (day, next) in ODD_DAYS {
        instants.push((day, format!("{day}T00:00:00.000000000Z")));
        instants.push((day, format!("{day}T23:59:59.999999999Z")));
        instants.push((next, format!("{next}T00:00:00.000000000Z")));
        instants.push((next, format!("{next}T00:00:00.000000001Z")));
    }
    let records = instants.iter().enumerate();
    let records = records.map(|(id, (_, time))| json!({"id": id, "time": time}));
    sandbox.write("raw/ticks/ticks.json", lines(records));

    for (day, next) in ODD_DAYS {
        sandbox
            .run(&["--since", day, "--through", next])
            .succeeded();
    }

    let mut cycles = BTreeMap::new();
    for manifest in &check_published(&sandbox.place)["ticks"] {
        for file in manifest["files"].as_array().expect("files") {
            let path = file["path"].as_str().expect("a path");
            for row in decode(path, &sandbox.place.read(path)) {
                let cycle = manifest["cycle"]["id"].as_str().expect("a day").to_owned();
                let id = row["id"].as_u64().expect("an id");
                assert_eq!(cycles.insert(id, cycle), None, "{id} is there twice");
            }
        }
    }
    let belongs = (0..).zip(&instants);
    let belongs = belongs.map(|(id, (day, _))| (id, (*day).to_owned()));
    assert_eq!(cycles, belongs.collect());
}
