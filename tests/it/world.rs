//! A small world for scenarios that change their raw data: `views` is incremental, with cycles by the
//! instant of receipt and partitions by the day of the event; `sites` is a snapshot.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Sandbox, TestDestination, lines};

const SOURCES: [(&str, &str); 2] = [
    (
        "views",
        "CREATE EXTERNAL TABLE views (
           id BIGINT NOT NULL, time TIMESTAMP(6) WITH TIME ZONE NOT NULL,
           received TIMESTAMP(6) WITH TIME ZONE NOT NULL, note VARCHAR, date DATE
         ) STORED AS JSON PARTITIONED BY (date) LOCATION 'views/'",
    ),
    (
        "sites",
        "CREATE EXTERNAL TABLE sites (id BIGINT NOT NULL, name VARCHAR)
         STORED AS JSON LOCATION 'sites/'",
    ),
];

pub(crate) const VIEWS: &str = "COPY (
  SELECT id, time, note, date_part('year', time) AS year, date_part('month', time) AS month,
         date_part('day', time) AS day
  FROM views WHERE received >= $window_start AND received < $window_end
) TO 'views' PARTITIONED BY (year, month, day)";

const SITES: &str = "COPY (SELECT id, name FROM sites) TO 'sites'";

/// Creates two sites, and one view for each of the days 2026-01-11 to 16: the day is its id.
pub(crate) fn world(destination: TestDestination) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    for (name, text) in SOURCES {
        sandbox.write(&format!("sql/sources/{name}.sql"), text);
    }
    sandbox.write("sql/views.sql", VIEWS);
    sandbox.write("sql/sites.sql", SITES);
    set_sites(&sandbox, 2);
    for day in 11..=16 {
        set_views(&sandbox, day, &[view(day, day)]);
    }
    sandbox
}

/// Returns a view of a day of January 2026.
pub(crate) fn view(id: u64, day: u64) -> Value {
    json!({ "id": id, "time": format!("2026-01-{day:02}T12:00:00Z"), "note": incompressible(id) })
}

/// Replaces the views that were received on a day.
pub(crate) fn set_views(sandbox: &Sandbox, day: u64, views: &[Value]) {
    let received = views.iter().map(|view| {
        let mut view = view.clone();
        view["received"] = json!(format!("2026-01-{day:02}T12:00:01Z"));
        view
    });
    let path = format!("raw/views/date=2026-01-{day:02}/views.json");
    sandbox.write(&path, lines(received));
}

pub(crate) fn set_sites(sandbox: &Sandbox, count: u64) {
    let sites = (0..count).map(|id| json!({ "id": id, "name": incompressible(id) }));
    sandbox.write("raw/sites/sites.json", lines(sites));
}

/// Returns text that does not compress well.
pub(crate) fn incompressible(seed: u64) -> String {
    format!("{:x}", Sha256::digest(seed.to_le_bytes()))
}
