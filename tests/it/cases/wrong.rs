//! What is wrong in a file of a case is told with file and line, and no case runs.

use super::{CLICK, EXPORTED, case, one_case, sandbox, test};

#[test]
fn files_that_are_wrong_are_named_with_their_lines() {
    let folder = "sql/tests/clicks/one";
    for (file, text, complaint) in [
        (
            "expected.jsonl",
            "\n{\"event_id\":\"a\"}",
            "expected.jsonl:2: the line has no value of `n`, `price`, `page`, `day`",
        ),
        (
            "expected.jsonl",
            "{\"evnt_id\":\"a\"}",
            "expected.jsonl:1: no such column in the export: `evnt_id`",
        ),
        (
            "expected.jsonl",
            "{\"event_id\":\"a\",\"n\":\"x\",\"price\":null,\"page\":null,\"day\":15}",
            "expected.jsonl:1: field `n`: ",
        ),
        ("expected.jsonl", "{\"event_id\"", "expected.jsonl:1: "),
        (
            "expected_rejects.jsonl",
            "{}\n",
            "expected_rejects.jsonl:1: no reject of a line",
        ),
        (
            "case.toml",
            "date = 7\n",
            "case.toml:1: `date` is not a day: `7`",
        ),
        (
            "case.toml",
            "[parameters]\nleast = 1\nmost = 2\n",
            "case.toml:3: `clicks` has no parameter `$most`",
        ),
        (
            "case.toml",
            "ignore = [\"x\"]\n[parameters]\nleast = 1\n",
            "case.toml:1: `ignore` names `x`, which `clicks` does not export",
        ),
        (
            "event.jsonl",
            "{}",
            "`sql/tests/clicks/one/event.jsonl` is no file of a case",
        ),
        (
            "clicks_only.jsonl",
            "{}",
            "`sql/tests/clicks/one/clicks_only.jsonl` is no file of a case",
        ),
    ] {
        let sandbox = one_case();
        sandbox.write(&format!("{folder}/{file}"), text);
        test(&sandbox, &[]).exited_with(2).stderr_has(complaint);
    }
}

#[test]
fn text_that_is_no_utf8_is_named_with_its_line() {
    let sandbox = one_case();
    sandbox.write(
        "sql/tests/clicks/one/events.jsonl",
        &b"{}\n{\"name\":\"\xff\"}"[..],
    );
    let output = test(&sandbox, &[]).exited_with(2);
    output.stderr_has("events.jsonl:2: the file is not UTF-8");
}

#[test]
fn all_complaints_are_told_together() {
    let sandbox = one_case();
    sandbox
        .write("sql/tests/clicks/two/events.jsonl", "{}")
        .write(
            "sql/tests/clicks/two/case.toml",
            "[parameters]\nleast = 1\n",
        )
        .write("sql/tests/clicks/three/expected.jsonl", "")
        .write("sql/tests/clikcs/one/expected.jsonl", "");
    let output = test(&sandbox, &[]).exited_with(2);
    let output = output.stderr_has("the case `sql/tests/clicks/three` has no lines of a source");
    output.stderr_has("`sql/tests/clikcs` has cases of `clikcs`, and there is no such definition");
    // Without these, the next.
    std::fs::remove_dir_all(sandbox.folder().join("sql/tests/clikcs")).unwrap();
    sandbox.remove("sql/tests/clicks/three/expected.jsonl");
    std::fs::remove_dir(sandbox.folder().join("sql/tests/clicks/three")).unwrap();
    let output = test(&sandbox, &[]).exited_with(2);
    output
        .stderr_has("the case `sql/tests/clicks/two` expects nothing: it has no expected.jsonl")
        .hint_has("`dayport test --update clicks/two`");
}

#[test]
fn names_without_a_case_are_told() {
    let sandbox = sandbox();
    test(&sandbox, &[])
        .exited_with(2)
        .stderr_has("there is no case in `sql/tests`");
    case(&sandbox, CLICK, EXPORTED);
    test(&sandbox, &["clicks/other"])
        .exited_with(2)
        .stderr_has("there is no case `clicks/other`");
    test(&sandbox, &["views"])
        .exited_with(2)
        .stderr_has("there is no case `views`");
    test(&sandbox, &["clicks/../x"])
        .exited_with(2)
        .stderr_has("is not the name of a case");
}

/// An error of the definition is told once, however many cases it has.
#[test]
fn a_definition_that_is_wrong_is_told_once() {
    let sandbox = one_case();
    for name in ["two", "three"] {
        let folder = format!("sql/tests/clicks/{name}");
        sandbox
            .write(&format!("{folder}/events.jsonl"), CLICK)
            .write(&format!("{folder}/expected.jsonl"), EXPORTED)
            .write(&format!("{folder}/case.toml"), "[parameters]\nleast = 1\n");
    }
    let sql = super::CLICKS.replace("price", "prize");
    sandbox.write("sql/clicks.sql", sql);
    let output = test(&sandbox, &[]).exited_with(2);
    assert_eq!(output.stderr.matches("clicks.sql:2").count(), 1, "{output}");
}

/// SQL files among the cases are nobody's, and other folders are still complained about.
#[test]
fn the_folder_of_the_cases_is_no_folder_of_definitions() {
    let sandbox = one_case();
    sandbox.write("sql/tests/clicks/one/notes.md", "a note");
    test(&sandbox, &[]).succeeded();
    sandbox.write("sql/old/clicks.sql", "");
    test(&sandbox, &[])
        .exited_with(2)
        .stderr_has("`sql/old/clicks.sql` is not read");
}
