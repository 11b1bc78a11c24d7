//! `dayport status`: the calendar, and its page.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Place, Ran, Sandbox, in_both_places};
use crate::world::{set_views, view, world};

in_both_places!(
    every_day_has_its_state,
    an_odd_day_is_held_against_those_before,
    nothing_is_published_and_nothing_is_written,
);

fn status(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let to = sandbox.place.url();
    sandbox.dayport(&[&["status", "--to", &to], args].concat())
}

/// Day and state of each day of a table.
fn states(ran: &Ran, table: &str) -> Vec<String> {
    let report = ran.report();
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

fn every_day_has_its_state(place: Place) {
    let mut sandbox = world(place);
    set_views(&sandbox, 13, &[]);
    for day in ["2026-01-12", "2026-01-13", "2026-01-15"] {
        sandbox.run(&["--date", day]).succeeded();
    }
    let rerun = ["--date", "2026-01-12", "--rerun", "views"];
    sandbox.run(&rerun).succeeded();
    let ran = status(&sandbox, &["--days", "6", "--output", "json"]).succeeded();
    assert_eq!(
        states(&ran, "views"),
        [
            "2026-01-11 none",
            "2026-01-12 published",
            "2026-01-13 published",
            "2026-01-14 missing",
            "2026-01-15 published",
            "2026-01-16 missing",
        ]
    );
    // A snapshot shows the present: what was skipped is not missed.
    assert_eq!(
        states(&ran, "sites")[3..],
        [
            "2026-01-14 none",
            "2026-01-15 published",
            "2026-01-16 missing"
        ]
    );
    let text = status(&sandbox, &["--days", "6"]).succeeded();
    text.says("views  .r0!#!")
        .says("sites  .##.#!")
        .says("missing: views: 2 cycles from 2026-01-14 to 2026-01-16")
        .says("3 cycles missing");
    sandbox.set_clock("2026-01-16T03:00:00Z");
    let earlier = status(&sandbox, &["--days", "2"]).succeeded();
    earlier.says("views  !#").says("1 cycles missing");
    // All that is published is older than the calendar.
    sandbox.set_clock("2026-02-20T03:00:00Z");
    let later = status(&sandbox, &["--days", "3"]).succeeded();
    later.says("views  !!!").says("sites  ..!");
}

fn an_odd_day_is_held_against_those_before(place: Place) {
    let sandbox = world(place);
    for day in 11..=15 {
        let views: Vec<Value> = (0..10).map(|id| view(100 * day + id, day)).collect();
        set_views(&sandbox, day, &views);
    }
    let args = ["--since", "2026-01-11", "--through", "2026-01-16", "views"];
    sandbox.run(&args).succeeded();
    let text = status(&sandbox, &["--days", "7"]).succeeded();
    text.says("views  .#####v")
        .says("outlier: views 2026-01-16: 1 rows are 0.10 times the median before");
}

fn nothing_is_published_and_nothing_is_written(place: Place) {
    let sandbox = world(place);
    status(&sandbox, &[])
        .succeeded()
        .says("nothing is published in ");
    let page = sandbox.folder().join("status.html");
    let file = page.display().to_string();
    status(&sandbox, &["--html", &file]).succeeded();
    assert!(
        fs::read_to_string(&page)
            .expect("a page")
            .contains("Nothing is published yet")
    );
    assert_eq!(sandbox.place.keys(), Vec::<String>::new());
    status(&sandbox, &["--days", "0"]).ended(2);
    status(&sandbox, &["--html", "not/there.html"])
        .ended(2)
        .complains("cannot write `not/there.html`");
}

/// A commit that nobody has finished, and lines set aside.
#[test]
fn an_unfinished_day_and_its_trouble_are_shown() {
    let mut sandbox = world(Place::s3());
    sandbox.set_env("DAYPORT_RETRY_TIMEOUT", "1");
    sandbox.write("raw/sites/more.json", "not JSON\n");
    sandbox
        .run(&["--date", "2026-01-15", "--max-rejects", "1"])
        .ended(0);
    let dead = Fault::on(
        Operation::CompleteMultipartUpload,
        Action::Before(Failure::Hangup),
    );
    sandbox.place.server().inject(dead.crash_at(1));
    let broken = sandbox.run(&["--date", "2026-01-16", "views"]);
    assert_ne!(broken.code, 0);
    sandbox.place.server().clear_faults();
    let before = sandbox.place.contents();
    let text = status(&sandbox, &["--days", "3"]).succeeded();
    text.says("views  .#~")
        .says("trouble: views 2026-01-16: run 20260117T030000Z-")
        .says("trouble: sites 2026-01-15: 1 malformed lines of its sources are set aside");
    assert_eq!(sandbox.place.contents(), before);
}

/// Published days of all kinds, as a page.
fn page() -> (Sandbox, PathBuf) {
    let sandbox = world(Place::local());
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
fn the_page_needs_nothing_but_itself() {
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
        "Last troubles",
    ] {
        assert!(text.contains(part), "no `{part}` in the page");
    }
}

/// In a real browser, at the width of a desk and of a phone: laid out, and nothing overflows.
#[test]
fn the_page_fits_a_desk_and_a_phone() {
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
