//! Definitions of git revisions.

use std::process::Command;

use serde_json::{Value, json};

use crate::diff::{ALL_THINGS, DAY, columns, counts, only_table, report_of, thing, things};
use crate::support::{CommandOutput, Sandbox, TestDestination};

/// A repository of git with a sandbox's definitions. CI has git; elsewhere tests say that they are skipped.
struct Repository {
    sandbox: Sandbox,
}

impl Repository {
    fn new() -> Option<Self> {
        let sandbox = things(TestDestination::local(), &[thing(1), thing(2)]);
        sandbox.write("sql/ids.sql", "COPY (SELECT id FROM things) TO 'ids'");
        let repository = Self { sandbox };
        if Command::new("git").arg("--version").output().is_err() {
            assert_eq!(dayport::env::var("CI"), None, "there is no git");
            eprintln!("skipped: there is no program `git`");
            return None;
        }
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.commit();
        Some(repository)
    }

    fn git(&self, args: &[&str]) {
        let done = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(args)
            .current_dir(self.sandbox.folder())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.sandbox.folder())
            .output()
            .expect("run git");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "git {args:?}: {stderr}");
    }

    fn commit(&self) {
        self.git(&["add", "sql"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
    }

    fn diff(&self, args: &[&str]) -> CommandOutput {
        let call = ["diff", "--from", "raw", "--date", DAY];
        self.sandbox.dayport(&[&call, args].concat())
    }

    #[track_caller]
    fn report(&self, code: i32, args: &[&str]) -> Value {
        let output = self.diff(&[args, &["--output", "json"]].concat());
        report_of(output.exited_with(code))
    }
}

#[test]
fn a_change_is_compared_with_the_revision_before() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let changed = ALL_THINGS.replacen("text,", "upper(text) AS text,", 1);
    repository.sandbox.write("sql/things.sql", changed);
    let sides = ["--left", "git:HEAD", "--right", "sql", "--key", "id"];
    let report = repository.report(1, &sides);
    assert_eq!(report["left"]["kind"], "git");
    assert_eq!(report["left"]["commit"].as_str().map(str::len), Some(40));
    let tables = report["tables"].as_array().expect("tables");
    // A definition that is the same is not run.
    assert_eq!(tables[0]["table"], "ids");
    assert_eq!(
        (&tables[0]["result"], &tables[0]["proof"]),
        (&json!("identical"), &json!("definition"))
    );
    assert_eq!(counts(&tables[1]), [0, 2, 0, 0]);
    assert_eq!(columns(&tables[1]), ["text 2"]);
    let sample = &tables[1]["samples"]["changed"][0]["columns"][0];
    assert_eq!(
        (&sample["left"], &sample["right"]),
        (&json!("text 1"), &json!("TEXT 1"))
    );

    repository.commit();
    let sides = [
        "--left",
        "git:HEAD~1",
        "--right",
        "git:main",
        "--key",
        "id",
        "things",
    ];
    let report = repository.report(1, &sides);
    assert_eq!(counts(only_table(&report)), [0, 2, 0, 0]);
    let same = ["--left", "git:HEAD", "--right", "sql"];
    let report = repository.report(0, &same);
    assert_eq!(report["summary"]["identical"], 2);
}

/// A change that does not matter to the rows is proved by them.
#[test]
fn a_refactoring_is_identical() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let refactored = ALL_THINGS.replacen(
        "FROM things",
        "FROM (SELECT * FROM things) AS t WHERE true",
        1,
    );
    repository.sandbox.write("sql/things.sql", refactored);
    let sides = ["--left", "git:HEAD", "--right", "sql", "things"];
    let report = repository.report(0, &sides);
    let table = only_table(&report);
    assert_eq!(
        (&table["result"], &table["proof"]),
        (&json!("identical"), &json!("rows"))
    );
    assert_eq!(counts(table), [2, 0, 0, 0]);
}

/// A declaration of a source is part of what the rows depend on.
#[test]
fn a_changed_source_is_a_change_of_all_definitions() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let path = "sql/sources/things.sql";
    let text = std::fs::read_to_string(repository.sandbox.folder().join(path)).expect("UTF-8");
    repository
        .sandbox
        .write(path, text.replacen("small INTEGER", "small BIGINT", 1));
    let report = repository.report(1, &["--left", "git:HEAD", "--right", "sql"]);
    let tables = report["tables"].as_array().expect("tables").iter();
    let proofs: Vec<&Value> = tables.map(|table| &table["proof"]).collect();
    assert_eq!(proofs, ["rows", "rows"]);
}

#[test]
fn errors_name_the_revision() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let left = |side: &str| repository.diff(&["--left", side, "--right", "sql"]);
    left("git:nope")
        .exited_with(2)
        .stderr_has("error: there is no git revision `nope`");
    left("git:--all")
        .exited_with(2)
        .stderr_has("there is no git revision `--all`");

    repository
        .sandbox
        .write("sql/ids.sql", "COPY (SELECT nope\nFROM things) TO 'ids'");
    repository.commit();
    repository
        .sandbox
        .write("sql/ids.sql", "COPY (SELECT id FROM things) TO 'ids'");
    left("git:HEAD")
        .exited_with(2)
        .stderr_has("error: HEAD:sql/ids.sql:1: ");
    repository.sandbox.write("sql/T.SQL", "");
    repository.commit();
    repository.sandbox.remove("sql/T.SQL");
    left("git:HEAD")
        .exited_with(2)
        .stderr_has("`HEAD:sql/T.SQL` is not read");

    let elsewhere = [
        "--left",
        "git:HEAD",
        "--right",
        "sql",
        "--sql",
        "raw/things",
    ];
    repository
        .diff(&elsewhere)
        .exited_with(2)
        .stderr_has("error: there is no definition in `raw/things` at the git revision `HEAD`");
}

#[test]
fn a_folder_in_no_repository_is_an_error() {
    let sandbox = things(TestDestination::local(), &[thing(1)]);
    if Command::new("git").arg("--version").output().is_ok() {
        let sides = [
            "diff", "--left", "git:HEAD", "--right", "sql", "--from", "raw",
        ];
        sandbox
            .dayport(&sides)
            .exited_with(2)
            .stderr_has("error: `sql` is in no repository of git");
    }
    let mut sandbox = sandbox;
    sandbox.set_env("PATH", "/nowhere");
    sandbox
        .dayport(&[
            "diff", "--left", "git:HEAD", "--right", "sql", "--from", "raw",
        ])
        .exited_with(2)
        .stderr_has("error: there is no program `git`");
}
