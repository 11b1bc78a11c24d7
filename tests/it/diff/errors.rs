//! Calls that are wrong: exit code 2, and nothing was read.

use crate::diff::{DAY, diff, publish, thing, things};
use crate::support::TestDestination;
use crate::world::world;

#[test]
fn wrong_calls_say_what_is_wrong() {
    let sandbox = things(TestDestination::local(), &[thing(1)]);
    publish(&sandbox, &[]);
    let wrong = |args: &[&str]| diff(&sandbox, args).exited_with(2);
    wrong(&["--left", "main", "things"])
        .stderr_has("error: --left: `main` is no side")
        .hint_has("`git:REVISION`");
    wrong(&["--left", "sql"]).stderr_has("error: both sides are `sql`");
    wrong(&["nope"]).stderr_has("error: the table `nope` is on neither side");
    wrong(&["--left", "published:2026-13-01"]).stderr_has("error: --left");
    wrong(&["--left", "at:nowhere"]).stderr_has("error: --left: there is no folder");
    wrong(&["--key", "nope", "things"])
        .stderr_has("error: sql/things.sql:1: there is no column `nope` for --key")
        .hint_has("columns that are compared: id, text, ");
    wrong(&["--key", "info", "things"]).stderr_has("error: sql/things.sql:2: ");
    wrong(&["--key", "nope"])
        .stderr_has("error: sql/things.sql:1: there is no column `nope` for --key");
    wrong(&["--key", "id,,x"]).stderr_has("error: --key id,,x: a column has no name");
    wrong(&["--key", "A b:id"]).stderr_has("error: --key A b:id: ");
    wrong(&["--ignore-columns", "nope"])
        .stderr_has("error: no compared table has the column `nope` of --ignore-columns");
    let sides = ["--key", "id", "--ignore-columns", "id", "things"];
    wrong(&sides).stderr_has("error: sql/things.sql:2: `id` of --key is not compared");
    sandbox
        .dayport(&["diff", "--from", "raw", "--date", DAY])
        .exited_with(2)
        .stderr_has("error: --left published needs --to");
    sandbox
        .dayport(&["diff", "--to", &sandbox.destination.url(), "--date", DAY])
        .exited_with(2)
        .hint_has("give `--from`");
}

#[test]
fn a_wrong_definition_names_its_file_and_line() {
    let sandbox = things(TestDestination::local(), &[thing(1)]);
    publish(&sandbox, &[]);
    sandbox.write(
        "sql/things.sql",
        "COPY (SELECT id,\n  nope FROM things) TO 'things'",
    );
    diff(&sandbox, &[])
        .exited_with(2)
        .stderr_has("error: sql/things.sql:2: ");
    sandbox.write(
        "sql/things.sql",
        "COPY (SELECT id, $x AS x FROM things) TO 'things'",
    );
    diff(&sandbox, &[])
        .exited_with(2)
        .stderr_has("sql/things.sql:1: the parameter `$x` has no value");
}

/// A key for all tables need not be one of each.
#[test]
fn a_table_without_the_key_is_compared_as_whole_rows() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&["--date", DAY, "--quiet"]).exited_with(0);
    let output = diff(&sandbox, &["--key", "time"]).exited_with(0);
    let output = output.stdout_has("note: it has no column `time`: whole rows are compared");
    output.stdout_has("2 tables identical");
}
