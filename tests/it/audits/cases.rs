//! Audits tried on the rows of a test case.

use crate::audits::{event, sandbox};
use crate::support::{Sandbox, TestDestination, lines};

fn with_case(broken_audits: &str) -> Sandbox {
    let sandbox = sandbox(
        TestDestination::local(),
        "CALL unique(id);\n-- name: kinds\nCALL accepted_values(kind, 'a');\nCALL row_count(0.5, 2);\n\
         SELECT a.id FROM this a JOIN this b ON a.id = b.id AND a.amount < b.amount;",
    );
    let folder = "sql/tests/t/twice";
    let events = lines([event("1", "a", 1), event("1", "a", 2)]);
    sandbox.write(&format!("{folder}/events.jsonl"), events);
    sandbox.write(&format!("{folder}/case.toml"), broken_audits.to_owned());
    sandbox.dayport(&["test", "--update"]).succeeded();
    sandbox
}

#[test]
fn a_case_names_the_audits_that_its_rows_break() {
    let sandbox = with_case("broken_audits = [\"unique(id)\", \"line 5\"]");
    sandbox.dayport(&["test"]).succeeded();
    sandbox.write(
        "sql/tests/t/twice/case.toml",
        "broken_audits = [\"line 5\", \"kinds\"]",
    );
    sandbox
        .dayport(&["test"])
        .exited_with(1)
        .stdout_has("2 not as expected of the audits")
        .stdout_has("broken: `unique(id)` (sql/audits/t.sql:1): 1 row, first id = \"1\"")
        .stdout_has("not broken: `kinds` (sql/audits/t.sql:3)");
    let report = sandbox.dayport(&["test", "--output", "json"]).report();
    let audits = report["cases"][0]["audits"].as_array().map(Vec::len);
    assert_eq!(audits, Some(2), "{report}");
}

#[test]
fn a_case_without_the_member_runs_no_audit() {
    with_case("").dayport(&["test"]).succeeded();
    with_case("broken_audits = []")
        .dayport(&["test"])
        .exited_with(1)
        .stdout_has("2 not as expected of the audits");
}

#[test]
fn a_case_that_names_no_audit_is_wrong() {
    let sandbox = with_case("");
    let case = "sql/tests/t/twice/case.toml";
    sandbox.write(case, "\nbroken_audits = [\"unique(kind)\"]");
    sandbox
        .dayport(&["test"])
        .exited_with(2)
        .stderr_has("case.toml:2: `t` has no audit `unique(kind)`")
        .hint_has("unique(id), kinds, row_count, line 5");
    sandbox.remove("sql/audits/t.sql");
    sandbox
        .dayport(&["test"])
        .exited_with(2)
        .stderr_has("case.toml:2: `t` has no audits");
}
