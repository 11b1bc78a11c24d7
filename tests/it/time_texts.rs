//! Texts of times: the forms of loggers, declared formats and zones, through the program.

use serde_json::{Value, json};

use crate::support::{
    Sandbox, TestDestination, check_published, decode, for_each_destination, lines, repository,
    rows,
};

for_each_destination!(
    the_forms_of_loggers_are_exported_as_instants,
    declared_zones_and_formats_are_read
);

const DAY: &str = "2026-01-15";

fn sandbox(destination: TestDestination, columns: &str, options: &str) -> Sandbox {
    let mut sandbox = Sandbox::empty(destination);
    sandbox.set_clock("2026-01-16T12:00:00Z");
    let declaration = format!(
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL, {columns})\n\
         STORED AS JSON LOCATION 'events/'\n{options};"
    );
    sandbox.write("sql/sources/events.sql", declaration);
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, time, CAST(day AS VARCHAR) AS day FROM events) TO 't';",
    );
    sandbox
}

fn exported(sandbox: &Sandbox) -> Vec<Value> {
    let mut exported = rows(&sandbox.destination, "t");
    exported.sort_by_key(|row| row["id"].as_i64());
    exported
}

fn the_forms_of_loggers_are_exported_as_instants(destination: TestDestination) {
    let sandbox = sandbox(destination, "time TIMESTAMP(6), day DATE", "");
    let texts = [
        ("2026-01-15T10:00Z", "2026-01-15T10:00:00Z"),
        ("2026-01-15 10:00", "2026-01-15T10:00:00Z"),
        ("2026-01-15T10:00:00,123Z", "2026-01-15T10:00:00.123Z"),
        ("2026-01-15 10:00:00 +0100", "2026-01-15T09:00:00Z"),
        (
            "2026-01-15 10:00:00.5 +0000 UTC",
            "2026-01-15T10:00:00.500Z",
        ),
        (" 2026-01-15T10:00:00Z\t", "2026-01-15T10:00:00Z"),
        ("2026-01-15T24:00:00Z", "2026-01-16T00:00:00Z"),
        (
            "2026-01-15T10:00+01:00[Europe/Berlin]",
            "2026-01-15T09:00:00Z",
        ),
    ];
    let numbered = || (0_i64..).zip(texts);
    let records =
        numbered().map(|(id, (text, _))| json!({"id": id, "time": text, "day": " 2026-01-15 "}));
    sandbox.write("raw/events/a.json", lines(records));

    sandbox.run(&["--date", DAY]).succeeded();

    let expected = numbered().map(|(id, (_, time))| json!({"id": id, "time": time, "day": DAY}));
    assert_eq!(exported(&sandbox), expected.collect::<Vec<_>>());
}

fn declared_zones_and_formats_are_read(destination: TestDestination) {
    let page = std::fs::read_to_string(repository().join("docs/values.md")).expect("the page");
    let after = |start: &str| {
        let rest = page.split(start).nth(1).expect(start);
        rest.split("```").next().expect("the end").to_owned()
    };
    let declaration = format!(
        "CREATE EXTERNAL TABLE requests {}",
        after("CREATE EXTERNAL TABLE requests ")
    );
    let sample = format!("{{\"at\":{}", after("```json\n{\"at\":"));
    let sandbox = Sandbox::empty(destination);
    sandbox.write("sql/sources/requests.sql", declaration);
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT at, CAST(expires AS VARCHAR) AS expires, seen FROM requests) TO 't';",
    );
    let at = "15/Jan/2026:10:00:00 +0100";
    let others = lines([
        json!({"at": "15/Jan/2026:10:00:01 -0730", "seen": "2026-07-15 10:00"}),
        json!({"at": "2026-01-15T10:00:00Z"}),
        json!({"at": at, "expires": "2026-01-31"}),
        json!({"at": at, "seen": "2026-10-25 02:30:00"}),
        json!({"at": at, "seen": "2026-03-29 02:30:00"}),
    ]);
    sandbox.write("raw/requests/a.json", format!("{sample}{others}"));

    let run = sandbox.run(&["--date", DAY, "--max-rejects", "100%"]);
    run.exited_with(0).stderr_has("4 malformed lines");

    assert_eq!(
        rows(&sandbox.destination, "t"),
        [
            json!({"at": "2026-01-15T09:00:00Z", "expires": "2026-01-31", "seen": "2026-01-15T09:00:00.250Z"}),
            json!({"at": "2026-01-15T17:30:01Z", "seen": "2026-07-15T08:00:00Z"}),
        ]
    );
    let manifest = &check_published(&sandbox.destination)["t"][0];
    let path = manifest["rejects"][0]["path"].as_str().expect("a path");
    let rejected = decode(path, &sandbox.destination.read(path));
    let reasons: Vec<&str> = rejected
        .iter()
        .filter_map(|reject| reject["reason"].as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "field `at`: the string is not a time of the format `%d/%b/%Y:%H:%M:%S %z`",
            "field `expires`: the string is not a time of the format `%d.%m.%Y`",
            "field `seen`: clocks of `Europe/Berlin` were set back over the local time, so that it is two instants",
            "field `seen`: clocks of `Europe/Berlin` were set forward over the local time, so that it is no instant",
        ]
    );
}
