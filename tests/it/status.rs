//! `dayport status`: the calendar and its HTML page.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{CommandOutput, Sandbox, TestDestination, for_each_destination};
use crate::world::{set_views, view, world};

for_each_destination!(
    every_day_has_its_state,
    an_outlier_is_compared_with_the_days_before,
    nothing_is_published_and_nothing_is_written,
);

fn status(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let to = sandbox.destination.url();
    sandbox.dayport(&[&["status", "--to", &to], args].concat())
}

/// Returns each day of a table with its state.
fn states(output: &CommandOutput, table: &str) -> Vec<String> {
    let report = output.report();
    let tables = report["tables"].as_array().expect("tables");
    let table = tables.iter().find(|found| found["table"] == table);
    let days = table.expect("the table")["days"]
        .as_array()
        .expect("days")
        .clone();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    days.iter()
        .map(|day| format!("{} {}", text(&day["cycle"]), text(&day["state"])))
        .collect()
}

fn every_day_has_its_state(destination: TestDestination) {
    let mut sandbox = world(destination);
    set_views(&sandbox, 13, &[]);
    for day in ["2026-01-12", "2026-01-13", "2026-01-15"] {
        sandbox.run(&["--date", day]).succeeded();
    }
    let rerun = ["--date", "2026-01-12", "--rerun", "views"];
    sandbox.run(&rerun).succeeded();
    let output = status(&sandbox, &["--days", "6", "--output", "json"]).succeeded();
    assert_eq!(
        states(&output, "views"),
        [
            "2026-01-11 none",
            "2026-01-12 published",
            "2026-01-13 published",
            "2026-01-14 missing",
            "2026-01-15 published",
            "2026-01-16 missing",
        ]
    );
    // A snapshot shows the present: skipped days are not missing.
    assert_eq!(
        states(&output, "sites")[3..],
        [
            "2026-01-14 none",
            "2026-01-15 published",
            "2026-01-16 missing"
        ]
    );
    let text = status(&sandbox, &["--days", "6"]).succeeded();
    text.stdout_has("views  .r0!#!")
        .stdout_has("empty: views 2026-01-13: the days around it have rows")
        .stdout_has("sites  .##.#!")
        .stdout_has("missing: views: 2 cycles from 2026-01-14 to 2026-01-16")
        .stdout_has("3 cycles missing");
    text_of_a_range_and_exit_codes(&sandbox);
    sandbox.set_clock("2026-01-16T03:00:00Z");
    let earlier = status(&sandbox, &["--days", "2"]).succeeded();
    earlier
        .stdout_has("views  !#")
        .stdout_has("1 cycle missing");
    // All published cycles are older than the calendar.
    sandbox.set_clock("2026-02-20T03:00:00Z");
    let later = status(&sandbox, &["--days", "3"]).succeeded();
    later.stdout_has("views  !!!").stdout_has("sites  ..!");
}

/// The 14th is missing, and the 16th has ended three hours ago.
fn text_of_a_range_and_exit_codes(sandbox: &Sandbox) {
    let range = ["--since", "2026-01-12", "--through", "2026-01-13"];
    status(sandbox, &range)
        .succeeded()
        .stdout_has("2026-01-12 to 2026-01-13")
        .stdout_has("views  r0")
        .stdout_has("legend: # published; 0 published, empty; r published again");
    let failing =
        |what: &str, args: &[&str]| status(sandbox, &[&["--fail-on", what], args].concat());
    failing("missing", &[])
        .exited_with(1)
        .stderr_has("error: 1 missing cycle\n");
    failing("late", &[]).exited_with(0);
    failing("missing,late", &["--late-after", "2h"])
        .exited_with(1)
        .stderr_has("error: 1 missing cycle, 2 late cycles\n");
    failing("missing,unfinished,outlier", &range).exited_with(0);
    status(
        sandbox,
        &[
            "--days",
            "3",
            "--since",
            "2026-01-12",
            "--through",
            "2026-01-13",
        ],
    )
    .exited_with(2);
}

fn an_outlier_is_compared_with_the_days_before(destination: TestDestination) {
    let sandbox = world(destination);
    for day in 11..=15 {
        let views: Vec<Value> = (0..10).map(|id| view(100 * day + id, day)).collect();
        set_views(&sandbox, day, &views);
    }
    let args = ["--since", "2026-01-11", "--through", "2026-01-16", "views"];
    sandbox.run(&args).succeeded();
    let text = status(&sandbox, &["--days", "7"]).succeeded();
    text.stdout_has("views  .#####v")
        .stdout_has("outlier: views 2026-01-16: 1 row, 0.10 times the median before");
}

fn nothing_is_published_and_nothing_is_written(destination: TestDestination) {
    let sandbox = world(destination);
    status(&sandbox, &[])
        .exited_with(2)
        .stderr_has("nothing is published in ")
        .hint_has("prefix");
    let page = sandbox.folder().join("status.html");
    let file = page.display().to_string();
    status(&sandbox, &["--html", &file]).exited_with(2);
    assert!(
        fs::read_to_string(&page)
            .expect("a page")
            .contains("Nothing is published yet")
    );
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
    status(&sandbox, &["--days", "0"]).exited_with(2);
    status(&sandbox, &["--html", "not/there.html"])
        .exited_with(2)
        .stderr_has("cannot write `not/there.html`");
}

/// A committed cycle is unfinished, and another one has rejected lines.
#[test]
fn an_unfinished_day_and_its_incidents_are_shown() {
    let mut sandbox = world(TestDestination::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    sandbox.write("raw/sites/more.json", "not JSON\n");
    sandbox
        .run(&["--date", "2026-01-15", "--max-rejects", "1"])
        .exited_with(0);
    let dead = Fault::on(
        Operation::CompleteMultipartUpload,
        Action::Before(Failure::Hangup),
    );
    sandbox.destination.server().inject(dead.crash_at(1));
    let broken = sandbox.run(&["--date", "2026-01-16", "views"]);
    assert_ne!(broken.code, 0);
    sandbox.destination.server().clear_faults();
    let before = sandbox.destination.contents();
    let text = status(&sandbox, &["--days", "3"]).succeeded();
    text.stdout_has("views  .#~")
        .stdout_has("incident: views 2026-01-16: run 20260117T030000Z-")
        .stdout_has("incident: sites 2026-01-15: 1 malformed line of its sources set aside");
    assert_eq!(sandbox.destination.contents(), before);
}

/// Writes the page of a destination with published, empty and missing days.
fn page() -> (Sandbox, PathBuf) {
    let sandbox = world(TestDestination::local());
    set_views(&sandbox, 13, &[]);
    for day in ["2026-01-12", "2026-01-13", "2026-01-15"] {
        sandbox.run(&["--date", day]).succeeded();
    }
    let page = sandbox.folder().join("status.html");
    let file = page.display().to_string();
    status(&sandbox, &["--days", "90", "--html", &file]).succeeded();
    (sandbox, page)
}

#[test]
fn the_page_is_self_contained() {
    let (_sandbox, page) = page();
    let text = fs::read_to_string(page).expect("a page");
    for foreign in ["http:", "https:", "<script", "src=", "@import", "url("] {
        assert!(!text.contains(foreign), "`{foreign}` in the page");
    }
    for part in [
        "prefers-color-scheme: dark",
        "views 2026-01-14: missing",
        "views 2026-01-13: 0 rows",
        "<svg",
        "seconds to commit",
        "Last incidents",
        "Unusual days",
        "<b>views 2026-01-13</b> 0 rows: the days around it have rows",
        "<b>2</b><span>tables</span>",
    ] {
        assert!(text.contains(part), "no `{part}` in the page");
    }
}

/// Renders the page in a real browser at two widths, and checks that nothing overflows.
#[test]
fn the_page_fits_a_desktop_and_a_phone() {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    let Some(chromium) = std::env::var_os("DAYPORT_CHROMIUM") else {
        eprintln!("skipped: DAYPORT_CHROMIUM does not name a Chromium (see .ci/run)");
        return;
    };
    let (sandbox, page) = page();
    let text = fs::read_to_string(page).expect("a page");
    let escaped = text.replace('&', "&amp;").replace('"', "&quot;");
    for width in [1280, 390] {
        let frame = format!(
            "<!doctype html><title></title><iframe style=\"width:{width}px;height:900px;border:0\" srcdoc=\"{escaped}\"
             onload=\"const d = this.contentDocument; const cell = d.querySelector('td.missing');
             const style = this.contentWindow.getComputedStyle(cell);
             document.title = [d.documentElement.scrollWidth == d.documentElement.clientWidth, d.querySelectorAll('tbody td').length > 180,
             cell.getBoundingClientRect().right &lt;= {width}, d.querySelectorAll('rect').length > 5,
             style.backgroundColor != 'rgba(0, 0, 0, 0)'].join(' ')\"></iframe>"
        );
        let file = sandbox.folder().join(format!("frame-{width}.html"));
        fs::write(&file, frame).expect("write a file");
        let output = Command::new(&chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args([
                "--window-size=1400,1000",
                "--virtual-time-budget=5000",
                "--dump-dom",
            ])
            .arg(format!(
                "--user-data-dir={}",
                sandbox.folder().join("profile").display()
            ))
            .arg(format!("file://{}", file.display()))
            .output()
            .expect("start Chromium");
        let dom = String::from_utf8_lossy(&output.stdout);
        let title = "<title>true true true true true</title>";
        let found = dom.split("<iframe").next().unwrap_or_default();
        assert!(
            found.contains(title),
            "{found}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
