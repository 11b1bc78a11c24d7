//! Audits that are wrong: file and line, and nothing is attempted.

use crate::audits::{event, run, sandbox, set_events};
use crate::support::TestDestination;

#[test]
fn a_wrong_audit_is_named_with_its_line() {
    let cases = [
        (
            "CALL unique(id);\n\nCALL not_null(nothing);",
            "sql/audits/t.sql:3: ",
            "nothing",
        ),
        (
            "SELECT *\nFROM this\nWHERE amout > 3",
            "sql/audits/t.sql:3: ",
            "amout",
        ),
        (
            "SELECT id FROM events",
            "sql/audits/t.sql:1: ",
            "which are called `this`",
        ),
        (
            "\nCALL every_row(id)",
            "sql/audits/t.sql:2: ",
            "`every_row` is no form of an audit",
        ),
        (
            "CALL freshness(kind, INTERVAL '1 hour')",
            "sql/audits/t.sql:1: ",
            "`kind` is neither a timestamp nor a date",
        ),
        (
            "-- key: nothing\nCALL not_null(id)",
            "sql/audits/t.sql:1: ",
            "the key `nothing` is none of the columns",
        ),
        (
            "SELECT * FROM this WHERE kind = $site",
            "sql/audits/t.sql:1: ",
            "the parameter `$site` has no value here",
        ),
        (
            "SELECT * FROM this WHERE kind LIKE",
            "sql/audits/t.sql:1: ",
            "",
        ),
        (
            "SELECT a.id FROM this a RIGHT JOIN this b USING (id)",
            "sql/audits/t.sql:1: ",
            "USING",
        ),
        (
            "DELETE FROM this",
            "sql/audits/t.sql:1: ",
            "a query or a CALL",
        ),
    ];
    for (audits, position, what) in cases {
        let sandbox = sandbox(TestDestination::local(), audits);
        set_events(&sandbox, [event("1", "a", 1)]);
        run(&sandbox, &[])
            .exited_with(2)
            .stderr_has(position)
            .stderr_has(what);
        assert!(sandbox.destination.keys().is_empty(), "{audits}");
        sandbox
            .dayport(&["check"])
            .exited_with(1)
            .stdout_has(position);
    }
}

#[test]
fn check_counts_audits_and_places_their_findings() {
    let sandbox = sandbox(
        TestDestination::local(),
        "CALL unique(id);\nCALL not_null(id);",
    );
    sandbox
        .dayport(&["check"])
        .succeeded()
        .stdout_has("audits")
        .stdout_has("2 compile");
    sandbox.write("sql/audits/t.sql", "CALL unique(id);\nCALL not_null(idd);");
    sandbox
        .dayport(&["check", "--output", "github"])
        .exited_with(1)
        .stdout_has("file=sql/audits/t.sql,line=2");
}

/// The first is never true, since NULL is equal to nothing.
#[test]
fn check_notes_queries_that_never_return_a_row() {
    let sandbox = sandbox(
        TestDestination::local(),
        "SELECT * FROM this WHERE id = NULL;\nSELECT * FROM this WHERE id IS NULL;\nCALL not_null(id);",
    );
    let output = sandbox
        .dayport(&["check"])
        .succeeded()
        .stdout_has("sql/audits/t.sql:1: no row can break the audit `line 1`");
    assert_eq!(output.stdout.matches("no row can break").count(), 1);
}

#[test]
fn audits_without_a_definition_are_refused() {
    let sandbox = sandbox(TestDestination::local(), "CALL unique(id);");
    sandbox.write("sql/audits/u.sql", "CALL unique(id);");
    run(&sandbox, &[])
        .exited_with(2)
        .stderr_has("sql/audits/u.sql: there is no definition of a table `u`");
}
