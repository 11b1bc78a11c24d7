//! Whether the sources are there, fit their declarations, and are fresh.

use chrono::{DateTime, Utc};

use crate::check::list::{Area, List};
use crate::cycle::Cycle;
use crate::engine::Engine;
use crate::scan::rejects::MaxRejects;
use crate::scan::sample::{Sample, sample};

/// Rows read of each source.
const SAMPLE: usize = 1000;

const AREA: Area = Area::Sources;

/// Reads a sample of each source, of the last closed cycle where its folders tell it.
pub async fn check_sources<'a>(
    engine: &Engine,
    names: impl Iterator<Item = &'a str>,
    cycle: Cycle,
    now: DateTime<Utc>,
    max_rejects: MaxRejects,
    list: &mut List,
) {
    let session = engine.session();
    for name in names {
        match sample(&session, name, cycle, SAMPLE).await {
            Ok(sample) => judge(name, &sample, cycle, now, max_rejects, list),
            Err(error) => list.error(AREA, name, &error),
        }
    }
}

fn judge(
    name: &str,
    sample: &Sample,
    cycle: Cycle,
    now: DateTime<Utc>,
    max_rejects: MaxRejects,
    list: &mut List,
) {
    let rejected = sample.rejects.len() as u64;
    if !max_rejects.allows(rejected, sample.rows)
        && let Some(first) = sample.rejects.first()
    {
        let detail = format!(
            "{rejected} of {} lines do not fit the declaration; the first is `{}` line {}: {}",
            rejected + sample.rows,
            first.file,
            first.line,
            first.reason
        );
        let hint = "mend the source or its declaration in sql/sources";
        return list.finding(AREA, name, detail, Some(hint));
    }
    let planned = &sample.planned;
    let of = match sample.of_cycle {
        true => format!(" for {cycle}"),
        false => String::new(),
    };
    if planned.files == 0 {
        let hint = "is the delivery late? a run would publish the cycle without rows";
        return list.finding(AREA, name, format!("there is no file{of}"), Some(hint));
    }
    let newest = planned.newest.map_or_else(String::new, |newest| {
        format!(", the newest {} old", age(now - newest))
    });
    let detail = format!(
        "{} files, {} bytes{of}{newest}; {} rows read, all as declared",
        planned.files, planned.bytes, sample.rows
    );
    list.fine(AREA, name, detail);
}

fn age(age: chrono::TimeDelta) -> String {
    match (age.num_days(), age.num_hours(), age.num_minutes()) {
        (days @ 2.., _, _) => format!("{days} days"),
        (_, hours @ 2.., _) => format!("{hours} hours"),
        (_, _, minutes) => format!("{} minutes", minutes.max(0)),
    }
}
