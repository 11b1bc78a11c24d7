//! Checks that the sources exist, match their declarations, and are fresh.

use chrono::{DateTime, Utc};

use crate::check::list::{CheckArea, CheckList};
use crate::cycle::Cycle;
use crate::engine::Engine;
use crate::human;
use crate::scan::MaxMisplaced;
use crate::scan::absent::AbsentRule;
use crate::scan::misplaced_report::check_misplaced;
use crate::scan::parquet::page_checksums::PageChecksums;
use crate::scan::reject_limit::check_rejects;
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
    max_misplaced: MaxMisplaced,
    list: &mut CheckList,
) {
    let session = engine.session();
    for name in names {
        match sample(&session, name, cycle, SAMPLE_ROWS).await {
            Ok(sample) => judge(name, &sample, cycle, now, max_rejects, max_misplaced, list),
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
    max_misplaced: MaxMisplaced,
    list: &mut CheckList,
) {
    if let Err(error) = check_rejects(&sample.scan, max_rejects) {
        return list.error(AREA, name, &error);
    }
    if let Err(error) = check_misplaced(&sample.scan, max_misplaced) {
        return list.error(AREA, name, &error);
    }
    if let Some(misplaced) = &sample.scan.misplaced {
        list.note(AREA, name, misplaced.describe(name), misplaced.remedy());
    }
    let planned = &sample.planned;
    let of_cycle = match sample.of_cycle {
        true => format!(" for {cycle}"),
        false => String::new(),
    };
    let beside = planned.passed_over.as_ref();
    let beside = beside.map_or_else(String::new, |record| format!("; {}", record.describe()));
    if planned.files == 0 {
        let hint = "is the source late? a run publishes nothing of the cycle before there is a file, unless \
                    the table or --allow-empty allows it";
        return list.finding(
            AREA,
            name,
            format!("there is no file{of_cycle}{beside}"),
            Some(hint),
        );
    }
    let newest = planned.newest.map_or_else(String::new, |newest| {
        format!(", the newest {} old", human::age(now - newest))
    });
    let files = format!(
        "{}, {}{of_cycle}{newest}; {} read",
        human::counted(planned.files, "file"),
        human::bytes(planned.bytes),
        human::counted(sample.rows, "row")
    );
    match sample.scan.rows_rejected {
        0 => list.passed(AREA, name, format!("{files}, all as declared{beside}")),
        rejected => {
            let example = first_reject(sample);
            let detail = format!(
                "{files}, {} set aside{example}{beside}",
                human::counted(rejected, "malformed line")
            );
            let hint =
                format!("--max-rejects {max_rejects} allows them: a run records and counts them");
            list.note(AREA, name, detail, hint);
        }
    }
    judge_columns(name, sample, list);
    note_missing_checksums(name, sample, list);
}

/// Adds a note if pages of Parquet files have no checksums.
fn note_missing_checksums(name: &str, sample: &Sample, list: &mut CheckList) {
    let PageChecksums { files, without } = sample.page_checksums;
    if without > 0 {
        list.note(
            AREA,
            name,
            format!(
                "{} of {} without checksums of their pages: a byte that changes in storage may be exported",
                human::count(without),
                human::counted(files, "file")
            ),
            "let the writer add them: `write_page_checksum=True` of pyarrow, \
             `parquet.page.write-checksum.enabled` of Spark",
        );
    }
}

/// Returns where the first malformed line is, and why it is one.
fn first_reject(sample: &Sample) -> String {
    let first = sample.scan.rejects.first().ok().flatten();
    first.map_or_else(String::new, |first| {
        format!(
            ", the first in `{}` {}: {}",
            first.file,
            first.position(),
            first.reason
        )
    })
}

/// Adds the columns for which no line of the sample has a value.
fn judge_columns(name: &str, sample: &Sample, list: &mut CheckList) {
    let of_rule = |rule| -> Vec<String> {
        let columns = sample.scan.columns.without_values.iter();
        let of_rule = columns.filter(|(_, of)| **of == rule);
        of_rule.map(|(column, _)| format!("`{column}`")).collect()
    };
    let detail = |columns: &[String]| {
        format!(
            "none of the {} has a value of {}",
            human::counted(sample.rows, "row"),
            columns.join(", ")
        )
    };
    let hint = "check how the lines spell it; the option 'missing.<column>' 'null' of the source accepts it";
    match (
        of_rule(AbsentRule::Error).as_slice(),
        of_rule(AbsentRule::Warn).as_slice(),
    ) {
        _ if sample.rows == 0 => {}
        ([], []) => {}
        ([], warned) => list.note(AREA, name, detail(warned), hint),
        (failing, _) => list.finding(AREA, name, detail(failing), Some(hint)),
    }
}
