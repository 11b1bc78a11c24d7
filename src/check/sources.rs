//! Checks that the sources exist, match their declarations, and are fresh.

use chrono::{DateTime, Utc};

use crate::check::list::{CheckArea, CheckList};
use crate::cycle::Cycle;
use crate::engine::Engine;
use crate::human;
use crate::scan::rejects::MaxRejects;
use crate::scan::sample::{Sample, sample};

/// The number of rows that are read of each source.
const SAMPLE_ROWS: usize = 1000;

const AREA: CheckArea = CheckArea::Sources;

/// Reads a sample of each source; if its folders are partitioned by time, of the last closed cycle.
pub(crate) async fn check_sources<'a>(
    engine: &Engine,
    names: impl Iterator<Item = &'a str>,
    cycle: Cycle,
    now: DateTime<Utc>,
    max_rejects: MaxRejects,
    list: &mut CheckList,
) {
    let session = engine.session();
    for name in names {
        match sample(&session, name, cycle, SAMPLE_ROWS).await {
            Ok(sample) => judge(name, &sample, cycle, now, max_rejects, list),
            Err(error) => list.error(AREA, name, &error),
        }
    }
}

/// Adds the sample of one source to the list.
fn judge(
    name: &str,
    sample: &Sample,
    cycle: Cycle,
    now: DateTime<Utc>,
    max_rejects: MaxRejects,
    list: &mut CheckList,
) {
    let rejected = sample.rejects.len() as u64;
    if !max_rejects.allows(rejected, sample.rows)
        && let Some(first) = sample.rejects.first()
    {
        let detail = format!(
            "{} of {} do not match the declaration; the first is `{}` line {}: {}",
            human::count(rejected),
            human::counted(rejected + sample.rows, "line"),
            first.file,
            first.line,
            first.reason
        );
        let hint = "fix the source, or its declaration in sql/sources";
        return list.finding(AREA, name, detail, Some(hint));
    }
    let planned = &sample.planned;
    let of_cycle = match sample.of_cycle {
        true => format!(" for {cycle}"),
        false => String::new(),
    };
    if planned.files == 0 {
        let hint = "is the source late? a run would publish the cycle without rows";
        return list.finding(
            AREA,
            name,
            format!("there is no file{of_cycle}"),
            Some(hint),
        );
    }
    let newest = planned.newest.map_or_else(String::new, |newest| {
        format!(", the newest {} old", human::age(now - newest))
    });
    let detail = format!(
        "{}, {}{of_cycle}{newest}; {} read, all as declared",
        human::counted(planned.files, "file"),
        human::bytes(planned.bytes),
        human::counted(sample.rows, "row")
    );
    list.passed(AREA, name, detail);
}
