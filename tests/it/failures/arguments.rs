//! A wrong call: exit code 2, and nothing is attempted.

use super::{one_day_published, without_effect};
use crate::support::{Place, in_both_places};

in_both_places!(a_wrong_call_is_refused_before_anything_is_done);

/// Arguments of `run`, what stderr says, and the advice on it.
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
        &["--target-file-size", "4GB"],
        "--target-file-size: `4GB` is not a size",
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

fn a_wrong_call_is_refused_before_anything_is_done(place: Place) {
    let sandbox = one_day_published(place);
    for (args, message, hint) in WRONG {
        let ran = without_effect(&sandbox, || sandbox.run(args));
        let ran = ran.ended(2).complains(message);
        assert_eq!(ran.stdout, "", "stdout of\n{ran}");
        if !hint.is_empty() {
            ran.hints(hint);
        }
    }
}

#[test]
fn places_that_are_none_are_refused() {
    let sandbox = one_day_published(Place::local());
    let cases = [
        (
            "gs://bucket/x",
            "is neither a folder nor an `s3://` address",
        ),
        ("s3:///x", "names no bucket"),
        ("s3://b/x?y=1", "has `?` or `#` in it"),
    ];
    for (place, message) in cases {
        for [one, other] in [["--from", "--to"], ["--to", "--from"]] {
            let ran = sandbox.dayport(&["run", one, place, other, "raw"]);
            ran.ended(2).complains(message).hints("s3://bucket/prefix/");
        }
    }
    let secret = sandbox.dayport(&["run", "--from", "raw", "--to", "s3://id:hunter2@b/x"]);
    let secret = secret.ended(2).complains("credentials");
    assert!(!secret.stderr.contains("hunter2"), "{secret}");
}

#[test]
fn a_destination_that_is_a_file_is_refused() {
    let sandbox = one_day_published(Place::local());
    sandbox.write("file", "not a folder");
    let ran = sandbox.dayport(&["run", "--from", "raw", "--to", "file"]);
    ran.ended(2)
        .complains("cannot use")
        .complains("as a destination");
}

#[cfg(not(feature = "cluster"))]
#[test]
fn a_build_without_clusters_says_so() {
    let sandbox = crate::world::world(Place::local());
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
        let ran = sandbox.dayport(args).ended(2);
        ran.complains("was built without clusters")
            .hints("--features cluster");
    }
}
