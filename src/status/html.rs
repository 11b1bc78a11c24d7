//! Renders the state of a destination as one page without scripts or network access, light and dark.
//! The module does no I/O.

use std::cmp::Reverse;
use std::fmt::Write;

use chrono::{DateTime, Datelike, Utc};

use crate::cycle::Cycle;
use crate::human;
use crate::status::chart::{Bar, bars};
use crate::status::{DayStatus, PublishedDay, Status, TableStatus, folded};

const STYLE: &str = include_str!("page.css");

/// The number of shades of the heat map.
const SHADES: f64 = 5.0;

/// The name of a chart, the figure that it takes from a day, and the format of that figure.
type Chart = (&'static str, fn(&PublishedDay) -> f64, fn(f64) -> String);

/// The maximum number of incidents that are shown.
const MAX_INCIDENTS: usize = 20;

/// The maximum number of unusual days that are listed.
const MAX_UNUSUAL: usize = 30;

/// The number of days from which a calendar fills the width of the page.
const WIDE_CALENDAR: usize = 30;

/// Renders the whole page.
pub(crate) fn page(status: &Status) -> String {
    let mut body = String::new();
    let _ = write!(
        body,
        "<header><h1>dayport</h1><p>{} · {} to {} (UTC) · as of {}</p></header>",
        escaped(&status.destination),
        status.first,
        status.last,
        instant(status.at)
    );
    tiles(status, &mut body);
    if status.tables.is_empty() {
        body.push_str("<section><h2>Nothing is published yet</h2><p>The first run writes the first manifests.</p></section>");
    } else {
        heat_map(status, &mut body);
        unusual_days(status, &mut body);
        cards(status, &mut body);
    }
    incidents(status, &mut body);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\"><title>dayport: {}</title><style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>\n",
        escaped(&status.destination)
    )
}

fn tiles(status: &Status, body: &mut String) {
    let missing: u64 = status.tables.iter().map(|table| table.missing).sum();
    let days = || status.tables.iter().flat_map(|table| &table.days);
    let unfinished = days()
        .filter(|day| matches!(day, DayStatus::Unfinished { .. }))
        .count();
    let published = days()
        .filter(|day| matches!(day, DayStatus::Published(_)))
        .count();
    let outliers = status
        .tables
        .iter()
        .filter(|table| {
            table
                .published()
                .next_back()
                .is_some_and(|day| day.outlier.is_some())
        })
        .count();
    let newest = status.tables.iter().filter_map(|table| table.newest).max();
    let tone = |count: u64, tone: &'static str| if count == 0 { "good" } else { tone };
    body.push_str("<div class=\"tiles\">");
    let tables = status.tables.len() as u64;
    for (class, figure, label) in [
        ("", tables.to_string(), human::noun(tables, "table")),
        (
            "",
            published.to_string(),
            format!("{} published", human::noun(published as u64, "cycle")),
        ),
        (
            tone(missing, "bad"),
            missing.to_string(),
            format!("{} missing", human::noun(missing, "cycle")),
        ),
        (
            tone(unfinished as u64, "warn"),
            unfinished.to_string(),
            "unfinished".to_owned(),
        ),
        (
            tone(outliers as u64, "warn"),
            outliers.to_string(),
            match outliers {
                1 => "table whose last day is an outlier".to_owned(),
                _ => "tables whose last day is an outlier".to_owned(),
            },
        ),
        (
            "",
            newest.map_or_else(
                || "–".to_owned(),
                |cycle| human::age(status.at - cycle.end()).to_string(),
            ),
            newest.map_or_else(
                || "no data".to_owned(),
                |cycle| format!("since the end of <nobr>{cycle}</nobr>"),
            ),
        ),
    ] {
        let _ = write!(
            body,
            "<div class=\"tile {class}\"><b>{figure}</b><span>{label}</span></div>"
        );
    }
    body.push_str("</div>");
}

fn heat_map(status: &Status, body: &mut String) {
    let cycles = Cycle::range(status.first, status.last);
    let wide = if cycles.len() >= WIDE_CALENDAR {
        " wide"
    } else {
        ""
    };
    let _ = write!(
        body,
        "<section><h2>Calendar</h2><div class=\"scroll\" tabindex=\"0\"><table class=\"calendar{wide}\"><thead><tr><th></th>"
    );
    body.push_str(&months(&cycles));
    body.push_str("</tr></thead><tbody>");
    for table in &status.tables {
        let _ = write!(body, "<tr><th scope=\"row\">{}</th>", table.table);
        // One outlier must not make all other days pale.
        let usual_days = table.published().filter(|day| day.outlier.is_none());
        let max_rows = usual_days.map(|day| day.rows).max().unwrap_or(0);
        for day in &table.days {
            body.push_str(&cell(table, day, max_rows));
        }
        body.push_str("</tr>");
    }
    body.push_str("</tbody></table></div>");
    body.push_str(LEGEND);
    body.push_str("</section>");
}

const LEGEND: &str = "<div class=\"legend\"><span><table class=\"calendar\"><tr>\
<td class=\"s1\"></td><td class=\"s2\"></td><td class=\"s3\"></td><td class=\"s4\"></td><td class=\"s5\"></td></tr></table>few to many rows, scaled for each table</span>\
<span><table class=\"calendar\"><tr><td class=\"empty\">0</td></tr></table>published, empty</span>\
<span><table class=\"calendar\"><tr><td class=\"missing\">×</td></tr></table>missing</span>\
<span><table class=\"calendar\"><tr><td class=\"unfinished\">…</td></tr></table>unfinished</span>\
<span><table class=\"calendar\"><tr><td class=\"s2\">r</td></tr></table>revised</span>\
<span><table class=\"calendar\"><tr><td class=\"s2\">p</td></tr></table>provisional</span>\
<span><table class=\"calendar\"><tr><td class=\"s2\">l</td></tr></table>lacks source files that came too late</span>\
<span><table class=\"calendar\"><tr><td class=\"s1 outlier\"></td></tr></table>under half or over twice the trailing median</span></div>";

/// Renders one heading for the days of each month.
fn months(cycles: &[Cycle]) -> String {
    let mut headings: Vec<(String, usize)> = Vec::new();
    for cycle in cycles {
        let (long, short) = (cycle.start().format("%b %Y"), cycle.start().format("%b"));
        let name = if headings.is_empty() || cycle.start().month() == 1 {
            long.to_string()
        } else {
            short.to_string()
        };
        match headings.last_mut() {
            Some((last, days)) if last.starts_with(&short.to_string()) => *days += 1,
            _ => headings.push((name, 1)),
        }
    }
    let cells = headings.into_iter().map(|(name, days)| {
        // A name does not fit above three days.
        let label = if days < 4 { "" } else { &name };
        format!("<th colspan=\"{days}\"><span>{label}</span></th>")
    });
    cells.collect()
}

fn cell(table: &TableStatus, day: &DayStatus, max_rows: u64) -> String {
    let (class, mark, description) = match day {
        DayStatus::None { .. } => (String::new(), "", "not due".to_owned()),
        DayStatus::Missing { .. } => ("missing".to_owned(), "×", "missing".to_owned()),
        DayStatus::Unfinished { run_id, .. } => (
            "unfinished".to_owned(),
            "…",
            format!("committed by run {}, not finished", escaped(run_id)),
        ),
        DayStatus::Published(published) => {
            let mut class = match published.rows {
                0 => "empty".to_owned(),
                rows => format!("s{}", shade(rows, max_rows)),
            };
            if published.outlier.is_some() {
                class.push_str(" outlier");
            }
            let mark = match (published.rows, published.revision) {
                _ if published.provisional => "p",
                _ if published.late.is_some() => "l",
                (_, 1..) => "r",
                (0, _) => "0",
                _ => "",
            };
            (class, mark, describe(published))
        }
    };
    format!(
        "<td class=\"{class}\" title=\"{} {}: {description}\">{mark}</td>",
        table.table,
        day.cycle()
    )
}

/// Returns the shade of a number of rows, from 1 to 5.
fn shade(rows: u64, max_rows: u64) -> u64 {
    let share = rows as f64 / max_rows.max(1) as f64;
    (share * SHADES).ceil().clamp(1.0, SHADES) as u64
}

fn describe(day: &PublishedDay) -> String {
    let mut text = format!(
        "{}, {}, {}, {:.1} s",
        human::counted(day.rows, "row"),
        human::bytes(day.bytes),
        human::counted(day.files, "file"),
        day.seconds
    );
    if day.revision > 0 {
        let _ = write!(text, ", revision {}", day.revision);
    }
    if day.provisional {
        text.push_str(", provisional: a source was not ready");
    }
    if let Some(late) = &day.late {
        let files = human::counted(late.count(), "source file");
        let _ = write!(text, ", {files} came too late");
    }
    if day.is_final {
        text.push_str(", final");
    }
    if let Some(times) = day.outlier {
        let _ = write!(text, ", {times:.2} times the trailing median");
    }
    if day.rejects > 0 {
        let rejects = human::counted(day.rejects, "malformed line");
        let _ = write!(text, ", {rejects} set aside");
    }
    if let Some(balance) = &day.balance {
        let _ = write!(text, "; {}", escaped(&balance.to_string()));
    }
    text
}

/// Lists the outliers, the days that are empty although the ones next to them are not, and those that lack
/// source files; the newest first.
fn unusual_days(status: &Status, body: &mut String) {
    let mut days: Vec<(&TableStatus, &PublishedDay)> = status
        .tables
        .iter()
        .flat_map(|table| table.published().map(move |day| (table, day)))
        .filter(|(_, day)| day.outlier.is_some() || day.empty_among_full || day.late.is_some())
        .collect();
    if days.is_empty() {
        return;
    }
    days.sort_by_key(|(_, day)| Reverse(day.cycle));
    body.push_str("<section><h2>Unusual days</h2><ul class=\"incidents\">");
    for (table, day) in days.iter().take(MAX_UNUSUAL) {
        let mut why = Vec::new();
        why.extend(
            day.outlier
                .map(|times| format!("{times:.2} times the trailing median")),
        );
        if day.empty_among_full {
            why.push("the days around it have rows".to_owned());
        }
        why.extend(day.late.as_ref().map(|late| {
            let first = late.files.first().map_or("", String::as_str);
            let files = human::counted(late.count(), "source file");
            format!("{files} came too late, first {}", escaped(first))
        }));
        let why = why.join("; ");
        let _ = write!(
            body,
            "<li><b>{} {}</b> {}: {why}</li>",
            table.table,
            day.cycle,
            human::counted(day.rows, "row")
        );
    }
    if let Some(more) = days.len().checked_sub(MAX_UNUSUAL).filter(|more| *more > 0) {
        let _ = write!(
            body,
            "<li>and {} before</li>",
            human::counted(more as u64, "day")
        );
    }
    body.push_str("</ul></section>");
}

fn cards(status: &Status, body: &mut String) {
    body.push_str("<section><h2>Tables</h2><div class=\"cards\">");
    for table in &status.tables {
        card(status, table, body);
    }
    body.push_str("</div></section>");
}

fn card(status: &Status, table: &TableStatus, body: &mut String) {
    let mode = table
        .sync_mode
        .map(|mode| mode.to_string())
        .unwrap_or_default();
    let missing_badge = match table.missing {
        0 => String::new(),
        count => format!("<span class=\"badge bad\">{count} missing</span>"),
    };
    let _ = write!(
        body,
        "<div class=\"card\"><h3>{}<span class=\"badge\">{mode}</span>{missing_badge}</h3>",
        table.table
    );
    let mut facts = Vec::new();
    match table.newest {
        Some(newest) => {
            let since_end = human::age(status.at - newest.end());
            facts.push(format!("newest {newest}, ended {since_end} ago"));
            facts.extend(
                table
                    .final_through
                    .map(|cycle| format!("final through {cycle}")),
            );
        }
        None => facts.push("never published".to_owned()),
    }
    if let Some(median) = table.median_rows {
        facts.push(format!("median {}", human::counted(median, "row")));
    }
    if let Some(trend) = table.trend_percent {
        facts.push(format!("{trend:+.0} % in a week"));
    }
    let _ = write!(body, "<p>{}</p>", facts.join(" · "));
    let charts: [Chart; 3] = [
        (
            "rows",
            |day| day.rows as f64,
            |rows| human::count(rows as u64).to_string(),
        ),
        (
            "bytes",
            |day| day.bytes as f64,
            |bytes| human::bytes(bytes as u64).to_string(),
        ),
        (
            "seconds to commit",
            |day| day.seconds,
            |seconds| format!("{seconds:.1} s"),
        ),
    ];
    for (label, figure, format) in charts {
        let day_bars: Vec<Bar> = table
            .days
            .iter()
            .map(|day| match day {
                DayStatus::Published(published) => Bar {
                    value: Some(figure(published)),
                    title: format!("{}: {}", published.cycle, format(figure(published))),
                    is_outlier: label == "rows" && published.outlier.is_some(),
                },
                _ => Bar {
                    value: None,
                    title: String::new(),
                    is_outlier: false,
                },
            })
            .collect();
        let max = day_bars
            .iter()
            .filter_map(|bar| bar.value)
            .fold(0.0, f64::max);
        body.push_str(&bars(label, &format!("up to {}", format(max)), &day_bars));
    }
    let _ = write!(
        body,
        "<div class=\"axis\"><span>{}</span><span>{}</span></div></div>",
        status.first, status.last
    );
}

fn incidents(status: &Status, body: &mut String) {
    body.push_str("<section><h2>Last incidents</h2>");
    if status.incidents.is_empty() {
        body.push_str("<p>None.</p>");
    } else {
        body.push_str("<ul class=\"incidents\">");
        for (incident, count) in folded(&status.incidents).into_iter().take(MAX_INCIDENTS) {
            let cycle = incident.cycle.map(|cycle| format!(" {cycle}"));
            let times = match count {
                1 => String::new(),
                count => format!("<span class=\"badge\">×{count}</span>"),
            };
            let _ = write!(
                body,
                "<li><time>{}</time><b>{}{}</b> {}{times}</li>",
                instant(incident.at),
                escaped(&incident.table),
                cycle.unwrap_or_default(),
                escaped(&incident.text)
            );
        }
        body.push_str("</ul>");
    }
    body.push_str("</section>");
}

fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_stays_text() {
        assert_eq!(escaped("<a b=\"&\">"), "&lt;a b=&quot;&amp;&quot;&gt;");
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!((shade(1, 100), shade(100, 100), shade(21, 100)), (1, 5, 2));
    }
}
