//! The tables that a cycle consists of.

use serde_json::json;

use super::{assert_complete, latest, marker, markers};
use crate::support::{Sandbox, TestDestination, check_published, for_each_destination};
use crate::world::{VIEWS, world};

for_each_destination!(
    a_cycle_is_marked_when_its_last_table_is_published,
    a_removed_table_is_waited_for_until_it_is_left_out,
    runners_with_different_tables_complete_a_cycle_together,
    a_later_snapshot_completes_a_cycle,
    a_backfill_marks_each_cycle,
);

const DAY: [&str; 2] = ["--date", "2026-01-15"];

fn a_cycle_is_marked_when_its_last_table_is_published(destination: TestDestination) {
    let sandbox = world(destination);
    let output = sandbox.run(&[&DAY[..], &["views"]].concat()).succeeded();
    output.stdout_has("2026-01-15 is not complete: missing sites\n");
    assert_eq!(markers(&sandbox.destination), Vec::<String>::new());
    assert_eq!(sandbox.destination.find("latest.json"), None);

    let output = sandbox.run(&[&DAY[..], &["sites"]].concat()).succeeded();
    output.stdout_has("2026-01-15 is complete (cycles/2026-01-15.r0.json)\n");
    let both = ["sites 2026-01-15 r0", "views 2026-01-15 r0"];
    assert_complete(&sandbox, "2026-01-15", 0, &both);
    assert_eq!(latest(&sandbox), "cycles/2026-01-15.r0.json");

    let before = sandbox.destination.contents();
    let report = sandbox.run(&[&DAY[..], &["--output", "json"]].concat());
    assert_eq!(
        report.succeeded().report()["cycles"],
        json!([{ "cycle": "2026-01-15", "result": "already_complete", "revision": 0,
                 "marker": "cycles/2026-01-15.r0.json" }])
    );
    assert_eq!(sandbox.destination.contents(), before);
    check_published(&sandbox.destination);
}

/// What a night costs beside its tables. The listing and the reads of manifests come on top.
#[test]
fn a_marker_costs_few_requests() {
    let mut sandbox = world(TestDestination::s3());
    sandbox.set_clock("2026-01-15T03:00:00Z");
    sandbox.run(&[]).succeeded();
    let calls_of_a_run = |sandbox: &Sandbox| {
        let server = sandbox.destination.server();
        let before = server.calls().len();
        sandbox.run(&[]).succeeded();
        let mut calls: Vec<String> = server.calls()[before..]
            .iter()
            .map(|call| format!("{:?} {}", call.operation, call.key))
            .collect();
        // Those of markers come last.
        let last = calls
            .iter()
            .rposition(|call| call.contains("_dayport/log/"));
        calls.drain(..=last.expect("a log is listed"));
        calls.retain(|call| !call.ends_with("manifests/views/2026-01-15.r0.json"));
        calls.retain(|call| !call.ends_with("manifests/sites/2026-01-15.r0.json"));
        calls
    };
    sandbox.set_clock("2026-01-16T03:00:00Z");
    let night = calls_of_a_run(&sandbox).join("\n");
    let marked = night
        .split_once("ListObjects acme/dayport/cycles/\n")
        .expect("a listing")
        .1;
    assert_eq!(
        marked,
        "ListObjects acme/dayport/manifests/\nPutObject acme/dayport/cycles/2026-01-15.r0.json\n\
         GetObject acme/dayport/latest.json\nPutObject acme/dayport/latest.json\n\
         ListObjects acme/dayport/cycles/"
    );
    let idle = calls_of_a_run(&sandbox).join("\n");
    let looked = idle
        .split_once("ListObjects acme/dayport/cycles/\n")
        .expect("a listing")
        .1;
    assert_eq!(
        looked,
        "ListObjects acme/dayport/manifests/\nGetObject acme/dayport/latest.json"
    );
}

fn a_removed_table_is_waited_for_until_it_is_left_out(destination: TestDestination) {
    let mut sandbox = world(destination);
    let clicks = VIEWS.replace("TO 'views'", "TO 'clicks'");
    sandbox.write("sql/clicks.sql", clicks);
    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    sandbox.remove("sql/clicks.sql");
    let output = sandbox.run(&DAY).exited_with(0);
    output
        .stdout_has("2026-01-15 is not complete: missing clicks\n")
        .hint_has("`clicks` has no definition here: if it was removed, --without clicks");
    assert_eq!(markers(&sandbox.destination), ["cycles/2026-01-14.r0.json"]);

    let refused = [&DAY[..], &["--without", "views"]].concat();
    sandbox
        .run(&refused)
        .exited_with(2)
        .stderr_has("--without: the table `views` has a definition");
    sandbox
        .run(&[&DAY[..], &["--without", "clicks"]].concat())
        .succeeded();
    let both = ["sites 2026-01-15 r0", "views 2026-01-15 r0"];
    assert_complete(&sandbox, "2026-01-15", 0, &both);

    // After a week nothing waits for it any more.
    sandbox.set_clock("2026-01-22T03:00:00Z");
    for day in ["2026-01-20", "2026-01-21"] {
        sandbox
            .run(&["--date", day, "--allow-empty"])
            .exited_with(0);
    }
    assert_eq!(
        markers(&sandbox.destination),
        [
            "cycles/2026-01-14.r0.json",
            "cycles/2026-01-15.r0.json",
            "cycles/2026-01-21.r0.json"
        ]
    );
}

fn runners_with_different_tables_complete_a_cycle_together(destination: TestDestination) {
    let sandbox = world(destination);
    for name in ["views", "sites"] {
        let text = std::fs::read_to_string(sandbox.folder().join(format!("sql/{name}.sql")));
        sandbox.write(&format!("sql-{name}/{name}.sql"), text.expect("UTF-8"));
        let source =
            std::fs::read_to_string(sandbox.folder().join(format!("sql/sources/{name}.sql")));
        sandbox.write(
            &format!("sql-{name}/sources/{name}.sql"),
            source.expect("UTF-8"),
        );
    }
    let run = |name: &str, day: &str| {
        let sql = format!("sql-{name}");
        sandbox.run(&["--sql", &sql, "--date", day]).exited_with(0)
    };
    // The first runner cannot know of the other one.
    run("views", "2026-01-14");
    assert_complete(&sandbox, "2026-01-14", 0, &["views 2026-01-14 r0"]);
    run("sites", "2026-01-14");
    let both = ["sites 2026-01-14 r0", "views 2026-01-14 r0"];
    assert_complete(&sandbox, "2026-01-14", 1, &both);
    // From then on, each waits for the other.
    for (first, second) in [("views", "sites"), ("sites", "views")] {
        let day = match first {
            "views" => "2026-01-15",
            _ => "2026-01-16",
        };
        run(first, day).stdout_has(&format!("{day} is not complete: missing {second}\n"));
        run(second, day).stdout_has(&format!("{day} is complete (cycles/{day}.r0.json)\n"));
        let both = ["sites", "views"].map(|table| format!("{table} {day} r0"));
        assert_complete(&sandbox, day, 0, &[&both[0], &both[1]]);
    }
    assert_eq!(latest(&sandbox), "cycles/2026-01-16.r0.json");
}

fn a_later_snapshot_completes_a_cycle(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-16", "sites"]).succeeded();
    sandbox.run(&["--date", "2026-01-14"]).exited_with(0);
    let tables = ["sites 2026-01-16 r0", "views 2026-01-14 r0"];
    assert_complete(&sandbox, "2026-01-14", 0, &tables);
    // A newer snapshot does not revise the markers of earlier cycles.
    sandbox
        .run(&["--date", "2026-01-16", "--rerun", "sites"])
        .succeeded();
    assert_eq!(markers(&sandbox.destination), ["cycles/2026-01-14.r0.json"]);
    // A rerun of the earlier cycle keeps to the rule.
    sandbox
        .run(&["--date", "2026-01-14", "--rerun", "views"])
        .succeeded();
    let tables = ["sites 2026-01-16 r1", "views 2026-01-14 r1"];
    assert_complete(&sandbox, "2026-01-14", 1, &tables);
}

fn a_backfill_marks_each_cycle(destination: TestDestination) {
    let sandbox = world(destination);
    let range = ["--since", "2026-01-12", "--through", "2026-01-15"];
    let output = sandbox.run(&range).succeeded();
    output.stdout_has("4 cycles 2026-01-12 to 2026-01-15: complete\n");
    for day in 12..=15 {
        // The snapshot is exported for the last cycle alone, and completes the earlier ones.
        let views = format!("views 2026-01-{day} r0");
        let cycle = format!("2026-01-{day}");
        assert_complete(&sandbox, &cycle, 0, &["sites 2026-01-15 r0", &views]);
    }
    assert_eq!(latest(&sandbox), "cycles/2026-01-15.r0.json");

    // Without the snapshot in the way, each marker is there before the next cycle begins.
    let only_views = [
        "--since",
        "2026-01-12",
        "--through",
        "2026-01-15",
        "--rerun",
        "views",
    ];
    sandbox.run(&only_views).succeeded();
    let written_at = |key: &str| marker(&sandbox, &key[..10], 1)["written_at"].clone();
    assert_eq!(written_at("2026-01-12"), "2026-01-17T03:00:00Z");
    assert_eq!(markers(&sandbox.destination).len(), 8);
    check_published(&sandbox.destination);
}
