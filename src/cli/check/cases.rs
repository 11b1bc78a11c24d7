//! The test cases of the definitions, as items of the check.

use std::collections::BTreeSet;

use crate::cases::{CaseRequest, load_cases, run_cases};
use crate::catalog::Sources;
use crate::check::{CheckArea, CheckList};
use crate::cli::config;
use crate::cli::shared::JobArguments;
use crate::cli::test::summary;
use crate::definition::{self, Definition};
use crate::error::Result;
use crate::human;

const AREA: CheckArea = CheckArea::Tests;

/// Runs the cases of the definitions that are checked. Without any case nothing is added.
pub(super) async fn check_cases(
    job: &JobArguments,
    definitions: &[Definition],
    sources: &Sources,
    list: &mut CheckList,
) -> Result<()> {
    let names: BTreeSet<&str> = sources.table_names().collect();
    let all = definition::load(&job.engine.sql)?;
    let mut cases = match load_cases(&job.engine.sql, &all, &names, &[]) {
        Ok(cases) => cases,
        Err(error) => {
            list.error(AREA, "cases", &error);
            return Ok(());
        }
    };
    cases.retain(|case| {
        definitions
            .iter()
            .any(|definition| definition.table == case.table)
    });
    if cases.is_empty() {
        return Ok(());
    }
    let request = CaseRequest {
        sources,
        definitions,
        settings: config::engine(&job.engine)?,
        parameters: config::parameters(&job.engine)?,
        format: job.format,
        update: false,
    };
    let report = match run_cases(&request, cases).await {
        Ok(report) => report,
        Err(error) => {
            list.error(AREA, "cases", &error);
            return Ok(());
        }
    };
    let mut passed = report.cases.len() as u64;
    for (case, failure) in report.failed() {
        passed -= 1;
        let detail = format!(
            "{}:{}: {}",
            case.file,
            failure.line(),
            summary(case, failure)
        );
        let hint = format!(
            "`dayport test {}` shows the values that differ",
            case.full_name()
        );
        list.finding(AREA, &case.full_name(), detail, Some(&hint));
    }
    if passed > 0 {
        let detail = format!("{} passed", human::counted(passed, "case"));
        list.passed(AREA, "cases", detail);
    }
    Ok(())
}
