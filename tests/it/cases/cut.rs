//! Cases that are cut out of real data.

use super::{CLICKS, EVENTS, VIEW, read};
use crate::support::{CommandOutput, Sandbox, TestDestination, for_each_destination, gzip};

for_each_destination!(
    lines_of_an_event_become_a_case,
    rows_of_a_query_become_a_case,
    what_cannot_be_a_case_is_told,
);

const LINES: &str = r#"{"event_id":"a","name":"click","n":5, "price":"1.5","time":"2026-01-15T03:04:05Z","more":1e2}
{"event_id":"b","name":"click","n":6,"page":{"url":"u","tags":[]},"time":"2026-01-15T03:04:06Z"}
{"event_id":"a","name":"click","n":"many","time":"2026-01-15T03:04:07Z"}
"#;

/// Raw data of one hour, in the destination.
fn sandbox(destination: TestDestination) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    sandbox
        .write("sql/sources/events.sql", EVENTS)
        .write("sql/sources/clicks_only.sql", VIEW)
        .write("sql/clicks.sql", CLICKS);
    let file = "raw/events/date=2026-01-15/hour=03/events.json.gz";
    sandbox.destination.put(file, gzip(LINES));
    sandbox
}

fn cut(sandbox: &Sandbox, name: &str, args: &[&str]) -> CommandOutput {
    let from = format!("{}/raw/", sandbox.destination.url().trim_end_matches('/'));
    let fixed = [
        "test",
        name,
        "--from",
        &from,
        "--date",
        "2026-01-15",
        "--param",
        "least=1",
    ];
    sandbox.dayport(&[&fixed[..], args].concat())
}

/// The lines are those of the files, with the values of their folders, malformed ones too.
fn lines_of_an_event_become_a_case(destination: TestDestination) {
    let sandbox = sandbox(destination);
    let output = cut(&sandbox, "clicks/twice", &["--from-trace", "a"]).exited_with(0);
    let output =
        output.stderr_has("note: the case has 2 lines of real data: replace what is personal");
    output.stdout_has("wrote sql/tests/clicks/twice/expected.jsonl, ");
    let folder = "sql/tests/clicks/twice";
    assert_eq!(
        read(&sandbox, &format!("{folder}/events.jsonl")),
        "{\"event_id\":\"a\",\"name\":\"click\",\"n\":5, \"price\":\"1.5\",\"time\":\"2026-01-15T03:04:05Z\",\"more\":1e2,\"date\":\"2026-01-15\",\"hour\":3}\n\
         {\"event_id\":\"a\",\"name\":\"click\",\"n\":\"many\",\"time\":\"2026-01-15T03:04:07Z\",\"date\":\"2026-01-15\",\"hour\":3}\n"
    );
    assert_eq!(
        read(&sandbox, &format!("{folder}/case.toml")),
        "date = \"2026-01-15\"\n"
    );
    assert_eq!(
        read(&sandbox, &format!("{folder}/expected.jsonl")),
        "{\"event_id\":\"a\",\"n\":5,\"price\":1.50,\"page\":null,\"day\":15}\n"
    );
    let rejects = read(&sandbox, &format!("{folder}/expected_rejects.jsonl"));
    assert!(
        rejects.starts_with("{\"source\":\"events\",\"line\":2,\"field\":\"n\""),
        "{rejects}"
    );
    sandbox.dayport(&["test", "--param", "least=1"]).succeeded();
    // Nothing is overwritten.
    let output = cut(&sandbox, "clicks/twice", &["--from-trace", "a"]).exited_with(2);
    output.stderr_has("there is a case `clicks/twice` already");
}

fn rows_of_a_query_become_a_case(destination: TestDestination) {
    let sandbox = sandbox(destination);
    // A malformed line would be missing in the case.
    let all = "SELECT * FROM events ORDER BY event_id";
    let output = cut(&sandbox, "clicks/query", &["--from-query", all]).exited_with(1);
    output.stderr_has("field `n`");
    let good =
        "SELECT event_id, name, page, time, date FROM clicks_only ORDER BY event_id DESC LIMIT 1";
    cut(&sandbox, "clicks/query", &["--from-query", good]).exited_with(0);
    assert_eq!(
        read(&sandbox, "sql/tests/clicks/query/events.jsonl"),
        "{\"event_id\":\"b\",\"name\":\"click\",\"page\":{\"url\":\"u\",\"tags\":[]},\"time\":\"2026-01-15T03:04:06Z\",\"date\":\"2026-01-15\"}\n"
    );
}

fn what_cannot_be_a_case_is_told(destination: TestDestination) {
    let sandbox = sandbox(destination);
    let query = "SELECT event_id FROM events";
    for (name, args, complaint) in [
        (
            "clicks/none",
            ["--from-trace", "nobody"],
            "no row was found",
        ),
        (
            "clicks/none",
            ["--from-query", "SELECT event_id FROM events WHERE false"],
            "no row was found",
        ),
        (
            "clicks",
            ["--from-query", query],
            "`clicks` is a table, not a case",
        ),
        (
            "views/a",
            ["--from-query", query],
            "there is no definition `views`",
        ),
        (
            "clicks/a",
            ["--from-query", "SELECT 1 AS event_id"],
            "the query does not read one source",
        ),
        (
            "clicks/a",
            ["--from-query", "SELECT event_id AS id FROM events"],
            "the query gives `id`, which is no column of `events`",
        ),
    ] {
        cut(&sandbox, name, &args)
            .exited_with(2)
            .stderr_has(complaint);
    }
    assert!(!sandbox.folder().join("sql/tests").exists());
    // The day of cases is in their files.
    for option in ["--date=2026-01-15", "--column=id"] {
        let output = sandbox.dayport(&["test", option]).exited_with(2);
        output.stderr_has("required arguments were not provided");
    }
}
