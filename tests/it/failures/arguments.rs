//! Wrong arguments: exit code 2, and nothing is attempted.

use super::{one_day_published, run_without_effect, without_effect};
use crate::support::{TestDestination, for_each_destination};
use crate::world::world;

for_each_destination!(wrong_arguments_are_refused_without_effect);

/// Arguments of `run`, with the expected error message and hint.
const WRONG: [(&[&str], &str, &str); 12] = [
    (
        &["vews"],
        "there is no definition of a table `vews`",
        "sites, views",
    ),
    (
        &["--date", "2026-1-15"],
        "--date: `2026-1-15` is not a day",
        "2026-01-15",
    ),
    (
        &["--date", "2026-02-29"],
        "--date: `2026-02-29` is not a day",
        "year-month-day",
    ),
    (
        &["--param", "site"],
        "`site` is not a parameter",
        "name=value",
    ),
    (&["--param", "=x"], "`=x` is not a parameter", "name=value"),
    (
        &["--param", "site=x"],
        "no definition uses the parameter `site`",
        "",
    ),
    (
        &["--param", "a=1", "--param", "a=2"],
        "the parameter `a` is given twice",
        "",
    ),
    (
        &["--target-file-size", "4G"],
        "--target-file-size: `4G` is not a size",
        "4GiB",
    ),
    (
        &["--target-file-size", "10"],
        "--target-file-size: `10` is less than",
        "",
    ),
    (
        &["--memory-limit", "1MiB"],
        "--memory-limit: `1MiB` is less than",
        "",
    ),
    (
        &["--format", "csv"],
        "invalid value 'csv' for '--format",
        "",
    ),
    (
        &["--sql", "nowhere"],
        "cannot read the definitions in `nowhere`",
        "--sql",
    ),
];

fn wrong_arguments_are_refused_without_effect(destination: TestDestination) {
    let sandbox = one_day_published(destination);
    for (args, message, hint) in WRONG {
        let output = without_effect(&sandbox, || sandbox.run(args))
            .exited_with(2)
            .stderr_has(message);
        assert_eq!(output.stdout, "", "stdout of\n{output}");
        if !hint.is_empty() {
            output.hint_has(hint);
        }
    }
}

#[test]
fn invalid_locations_are_refused() {
    let sandbox = one_day_published(TestDestination::local());
    let cases = [
        (
            "gs://bucket/x",
            "is neither a folder nor an `s3://` address",
        ),
        ("s3:///x", "names no bucket"),
        ("s3://b/x?y=1", "has `?` or `#` in it"),
    ];
    for (destination, message) in cases {
        for [one, other] in [["--from", "--to"], ["--to", "--from"]] {
            let output = sandbox.dayport(&["run", one, destination, other, "raw"]);
            output
                .exited_with(2)
                .stderr_has(message)
                .hint_has("s3://bucket/prefix/");
        }
    }
    let output = sandbox
        .dayport(&["run", "--from", "raw", "--to", "s3://id:hunter2@b/x"])
        .exited_with(2)
        .stderr_has("credentials");
    assert!(!output.stderr.contains("hunter2"), "{output}");
}

#[test]
fn a_destination_that_is_a_file_is_refused() {
    let sandbox = one_day_published(TestDestination::local());
    sandbox.write("file", "not a folder");
    let output = sandbox.dayport(&["run", "--from", "raw", "--to", "file"]);
    output
        .exited_with(2)
        .stderr_has("cannot use")
        .stderr_has("as a destination");
}

#[cfg(not(feature = "cluster"))]
#[test]
fn a_build_without_clusters_says_so() {
    let sandbox = crate::world::world(TestDestination::local());
    for args in [
        &["cluster", "scheduler"][..],
        &[
            "run",
            "--from",
            "raw",
            "--to",
            "out",
            "--cluster",
            "df://a:1",
        ],
    ] {
        let output = sandbox.dayport(args).exited_with(2);
        output
            .stderr_has("was built without clusters")
            .hint_has("--features cluster");
    }
}

#[test]
fn a_wrong_environment_variable_is_named() {
    for (variable, value, option) in [
        ("DAYPORT_MEMORY_LIMIT", "lots", "--memory-limit"),
        ("DAYPORT_RETRY_TIMEOUT", "soon", "--retry-timeout"),
        ("DAYPORT_FORMAT", "csv", "--format"),
    ] {
        let mut sandbox = one_day_published(TestDestination::local());
        sandbox.set_env(variable, value);
        run_without_effect(&sandbox, &[])
            .exited_with(2)
            .stderr_has(option)
            .hint_has(&format!("comes from the environment variable `{variable}`"));
        // The command line wins, also with a wrong value.
        let output = run_without_effect(&sandbox, &[option, "wrong"]).exited_with(2);
        assert!(!output.stderr.contains(variable), "{output}");
    }
}

#[test]
fn days_may_be_relative_and_ranges_open() {
    let sandbox = world(TestDestination::local());
    let published = |args: &[&str]| {
        let output = sandbox.run(&[args, &["--output", "json", "views"]].concat());
        output.exited_with(0).results()
    };
    assert_eq!(
        published(&["--date", "-3d"]),
        ["views 2026-01-14 published"]
    );
    assert_eq!(
        published(&["--since", "2026-01-15"]),
        ["views 2026-01-15 published", "views 2026-01-16 published",]
    );
    assert_eq!(
        published(&["--date", "yesterday"]),
        ["views 2026-01-16 already_published"]
    );
    for (args, message) in [
        (["--date", "today"], "2026-01-17"),
        (["--date", "-3x"], "yesterday"),
        (["--since", "2026-01-18"], "the last closed day 2026-01-16"),
        (["--through", "2026-01-15"], "--since"),
    ] {
        sandbox.run(&args).exited_with(2).stderr_has(message);
    }
}

/// The next run would read what this one exports.
#[test]
fn a_destination_inside_of_a_source_is_a_wrong_call() {
    let sandbox = world(TestDestination::local());
    for to in ["raw/views", "raw/views/out", "./raw/../raw/views/out/"] {
        for command in ["run", "plan", "check"] {
            let output = sandbox.dayport(&[command, "--from", "raw", "--to", to]);
            output
                .exited_with(2)
                .stderr_has("sql/sources/")
                .stderr_has("is inside of the source")
                .hint_has("a folder that no source reads");
        }
    }
    assert!(!sandbox.folder().join("raw/views/out").exists());
}

#[test]
fn an_option_in_the_place_of_a_day_is_no_day() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    let to = sandbox.destination.url();
    let from = ["--from", "raw"];
    for (command, options) in [
        (
            &["run", "--to", &to, "views"][..],
            &["--date", "--since"][..],
        ),
        (&["plan", "--to", &to], &["--date", "--since"]),
        (&["check", "--to", &to], &["--date"]),
        (&["query", "SELECT 1"], &["--date"]),
        (&["verify", "--to", &to], &["--date", "--since"]),
        (&["status", "--to", &to], &["--since"]),
        (&["wait", "views", "--to", &to], &["--date"]),
    ] {
        let reads_sources = ["run", "plan", "check", "query"].contains(&command[0]);
        let sources = if reads_sources { &from[..] } else { &[] };
        for (option, next) in options
            .iter()
            .flat_map(|option| [(option, "--output"), (option, "-v")])
        {
            let rest = if next == "--output" {
                &["json"][..]
            } else {
                &[]
            };
            // What stands behind the option in the place of the day is no value of it, either.
            let args = [command, sources, &[option, next]].concat();
            without_effect(&sandbox, || sandbox.dayport(&args))
                .exited_with(2)
                .stderr_has(&format!("a day is missing between `{option}` and `{next}`"))
                .hint_has("2026-01-15");
            let days = [command, sources, &[option, "-2d", next], rest].concat();
            let output = sandbox.dayport(&days);
            assert!(!output.stderr.contains("is missing between"), "{output}");
        }
    }
}
