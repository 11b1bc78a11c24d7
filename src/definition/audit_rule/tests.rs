use super::*;

fn call(text: &str) -> Result<(AuditRule, String)> {
    let sql = SqlFile::new("a.sql".to_owned(), text.to_owned())?;
    match sql.statement()? {
        Statement::Statement(statement) => match *statement {
            SqlStatement::Call(call) => of_call(&sql, &call),
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

fn query(text: &str) -> String {
    match call(text).unwrap().0 {
        AuditRule::Query(query) => query.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn forms_about_single_rows_are_queries() {
    assert_eq!(
        query("CALL not_null(a, p['b'])"),
        "SELECT * FROM this WHERE (a) IS NULL OR (p['b']) IS NULL"
    );
    assert_eq!(
        query("CALL accepted_values(a, 'x', 'y''z')"),
        "SELECT * FROM this WHERE (a) NOT IN ('x', 'y''z')"
    );
    assert_eq!(
        query("CALL range(a + 1, 0, NULL)"),
        "SELECT * FROM this WHERE (a + 1) < 0"
    );
    assert_eq!(
        query("CALL range(a, DATE '2026-01-01', DATE '2026-02-01')"),
        "SELECT * FROM this WHERE (a) < DATE '2026-01-01' OR (a) > DATE '2026-02-01'"
    );
}

#[test]
fn forms_have_default_names() {
    for (text, name) in [
        ("CALL not_null(a, b)", "not_null(a, b)"),
        ("call UNIQUE(a)", "unique(a)"),
        ("CALL accepted_values(a, 1, 2)", "accepted_values(a)"),
        ("CALL range(a, 1, 2)", "range(a)"),
        ("CALL row_count(0.5, 2)", "row_count"),
        ("CALL freshness(time, '90m')", "freshness(time)"),
    ] {
        assert_eq!(call(text).unwrap().1, name);
    }
}

#[test]
fn ages_and_counts_are_read() {
    let age = |text: &str| match call(text).unwrap().0 {
        AuditRule::Freshness { max_age, .. } => max_age.as_secs(),
        other => panic!("{other:?}"),
    };
    assert_eq!(age("CALL freshness(time, INTERVAL '2 hours')"), 7200);
    assert_eq!(age("CALL freshness(time, INTERVAL '90' MINUTE)"), 5400);
    assert_eq!(age("CALL freshness(time, '1h 30m')"), 5400);
    assert_eq!(age("CALL freshness(time, INTERVAL '90M')"), 5400);
    assert_eq!(age("CALL freshness(time, INTERVAL '2 HOURS')"), 7200);
    let (rule, _) = call("CALL row_count(0.5, NULL, cycles => 7)").unwrap();
    let AuditRule::RowCount(rule) = rule else {
        panic!("{rule:?}");
    };
    let expected = RowCountRule {
        min_share: Some(0.5),
        max_multiple: None,
        cycles: 7,
    };
    assert_eq!(rule, expected);
}

#[test]
fn wrong_calls_say_how_to_write_them() {
    for (text, expected) in [
        ("CALL nothing(a)", "`nothing` is no form of an audit"),
        (
            "\nCALL unique()",
            "a.sql:2: `CALL unique`: 0 arguments given",
        ),
        ("CALL unique(DISTINCT a)", "no clauses"),
        ("CALL unique(a) OVER (PARTITION BY b)", "no clauses"),
        ("CALL not_null(a) FILTER (WHERE a > 3)", "no clauses"),
        ("CALL not_null('a')", "`'a'` reads no column"),
        ("CALL unique(1)", "`1` reads no column"),
        ("CALL freshness(now(), '1h')", "`now()` reads no column"),
        ("CALL accepted_values(a, 1, NULL)", "accepts every value"),
        ("CALL range(a, 3, -1)", "the minimum is greater"),
        ("CALL freshness(a, '1 month')", "is not an interval"),
        ("CALL accepted_values(a)", "1 argument given"),
        ("CALL range(a, 1)", "`CALL range`: 2 arguments"),
        ("CALL range(a, NULL, NULL)", "a range has a minimum"),
        (
            "CALL range(a, (NULL), CAST(NULL AS INT))",
            "a range has a minimum",
        ),
        ("CALL row_count(2, 0.5)", "the share is greater"),
        ("CALL row_count(0.5, 'x')", "`'x'` is not a number"),
        (
            "CALL row_count(0.5, 2, days => 3)",
            "`days => 3` is no argument",
        ),
        ("CALL row_count(0.5, 2, cycles => 1)", "is not 3 to 366"),
        (
            "CALL freshness(time, INTERVAL '1 month 2x')",
            "is not an interval",
        ),
        ("CALL unique(*)", "`*` is no argument"),
    ] {
        let error = call(text).unwrap_err().render();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("hint: "), "{error}");
    }
}
