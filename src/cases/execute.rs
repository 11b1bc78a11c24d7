//! Runs cases: all of them are checked first, then each runs by itself, several at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::SchemaRef;

use crate::audit::AuditScope;
use crate::cases::cells;
use crate::cases::difference;
use crate::cases::expected::{self, ExpectedRow};
use crate::cases::expected_audits;
use crate::cases::expected_rejects::{self, ExpectedReject};
use crate::cases::folder::{Case, EXPECTED, SETTINGS};
use crate::cases::lines;
use crate::cases::report::{CaseOutcome, CaseReport, Failure, TestReport, shown};
use crate::cases::settings::line_of;
use crate::cases::update::{CaseRun, update};
use crate::catalog::Sources;
use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::engine::line_rows::LineEngine;
use crate::engine::{BoundDefinition, EngineSettings};
use crate::error::{Error, Result};
use crate::layout::FileFormat;

/// The number of cases for each engine below which fewer engines are opened.
const CASES_PER_ENGINE: usize = 4;

/// The inputs of a test.
pub(crate) struct CaseRequest<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) definitions: &'a [Definition],
    /// The resources. As many cases run at the same time as a query would have tasks: each has one.
    pub(crate) settings: EngineSettings,
    /// The values of parameters that a case does not give.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The format of definitions without `STORED AS`.
    pub(crate) format: FileFormat,
    /// True to write the expectations instead of comparing with them.
    pub(crate) update: bool,
}

/// A case that is bound and checked.
struct PreparedCase {
    case: Case,
    definition: Definition,
    bound: Arc<BoundDefinition>,
    lines: BTreeMap<String, Bytes>,
    /// The columns that are compared.
    columns: SchemaRef,
    expected: Option<Vec<ExpectedRow>>,
    expected_rejects: Vec<(ExpectedReject, String)>,
}

/// Runs cases, and returns what became of each.
///
/// # Errors
/// [`Error::invalid`] with the complaints about definitions and files of all cases: then none was run. Any error of
/// a run is part of the report.
pub(crate) async fn run_cases(request: &CaseRequest<'_>, cases: Vec<Case>) -> Result<TestReport> {
    let engine = open_engine(request, 0).await?;
    let with_cases: BTreeSet<_> = cases.iter().map(|case| case.table.clone()).collect();
    let prepared = prepare_all(request, &engine, cases).await?;
    let definitions = request
        .definitions
        .iter()
        .map(|definition| &definition.table);
    let without = definitions.filter(|table| !with_cases.contains(*table));
    let mut report = TestReport {
        cases: Vec::with_capacity(prepared.len()),
        without_cases: without.cloned().collect(),
    };
    for (case, run) in execute_all(request, engine, prepared).await? {
        report.cases.push(judge(case, run, request.update)?);
    }
    Ok(report)
}

async fn open_engine(request: &CaseRequest<'_>, number: usize) -> Result<LineEngine> {
    let settings = EngineSettings {
        parallelism: 1,
        spill_id: format!("{}-{number}", request.settings.spill_id),
        ..request.settings.clone()
    };
    LineEngine::open(request.sources, settings).await
}

async fn prepare_all(
    request: &CaseRequest<'_>,
    engine: &LineEngine,
    cases: Vec<Case>,
) -> Result<Vec<PreparedCase>> {
    let (mut prepared, mut complaints) = (Vec::new(), Vec::new());
    // Most cases of a table are bound to the same day.
    let mut binder = Binder::default();
    for case in cases {
        match prepare(request, engine, &mut binder, case).await {
            Ok(case) => prepared.push(case),
            Err(complaint) => complaints.extend(complaint),
        }
    }
    Error::all(complaints)?;
    Ok(prepared)
}

fn definition_of<'a>(request: &CaseRequest<'a>, case: &Case) -> Result<&'a Definition> {
    let mut definitions = request.definitions.iter();
    definitions
        .find(|definition| definition.table == case.table)
        .ok_or_else(|| Error::internal("a case without a definition"))
}

type BindKey = (String, Cycle, BTreeMap<String, String>);

/// The definitions that are bound already.
#[derive(Default)]
struct Binder {
    bound: BTreeMap<BindKey, Arc<BoundDefinition>>,
    /// Those that cannot be bound, each of which is told once.
    failed: BTreeSet<BindKey>,
}

impl Binder {
    /// Binds the definition of a case. Returns `None` if that failed before.
    async fn bind(
        &mut self,
        request: &CaseRequest<'_>,
        engine: &LineEngine,
        case: &Case,
    ) -> Result<Option<Arc<BoundDefinition>>> {
        let definition = definition_of(request, case)?;
        let file = shown(&case.folder.join(SETTINGS));
        let unknown = |name: &&String| !definition.parameters.contains_key(*name);
        if let Some(name) = case.settings.parameters.keys().find(unknown) {
            let line = line_of(&case.settings.text, name);
            let what = format!("{file}:{line}: `{}` has no parameter `${name}`", case.table);
            return Err(Error::invalid(what));
        }
        let mut parameters = request.parameters.clone();
        parameters.extend(case.settings.parameters.clone());
        parameters.retain(|name, _| definition.parameters.contains_key(name));
        let mut needed = definition.parameters.keys();
        if let Some(name) = needed.find(|name| !parameters.contains_key(*name)) {
            let what = format!(
                "the case `{}` has no value of the parameter `${name}`",
                case.full_name()
            );
            let hint = format!("give it in [parameters] of {file}, or with --param {name}=VALUE");
            return Err(Error::invalid(what).with_hint(hint));
        }
        let (cycle, format) = (case.settings.cycle, request.format);
        let key = (case.table.to_string(), cycle, parameters);
        if let Some(bound) = self.bound.get(&key) {
            return Ok(Some(Arc::clone(bound)));
        }
        if self.failed.contains(&key) {
            return Ok(None);
        }
        match engine
            .engine()
            .bind(definition, cycle, &key.2, format)
            .await
        {
            Ok(bound) => {
                let bound = Arc::new(bound);
                self.bound.insert(key, Arc::clone(&bound));
                Ok(Some(bound))
            }
            Err(error) => {
                self.failed.insert(key);
                Err(error)
            }
        }
    }
}

/// # Errors
/// The complaint about the case; `None` if it was told for another case.
async fn prepare(
    request: &CaseRequest<'_>,
    engine: &LineEngine,
    binder: &mut Binder,
    case: Case,
) -> Result<PreparedCase, Option<Error>> {
    let definition = definition_of(request, &case).map_err(Some)?;
    expected_audits::check(&case, definition).map_err(Some)?;
    let bound = binder.bind(request, engine, &case).await.map_err(Some)?;
    let bound = bound.ok_or(None)?;
    let exported = engine.exported_columns(&bound).map_err(Some)?;
    let ignored = &case.settings.ignore;
    if let Some(unknown) = ignored.iter().find(|name| exported.index_of(name).is_err()) {
        let file = shown(&case.folder.join(SETTINGS));
        let line = line_of(&case.settings.text, "ignore");
        return Err(Some(Error::invalid(format!(
            "{file}:{line}: `ignore` names `{unknown}`, which `{}` does not export",
            case.table
        ))));
    }
    let columns = expected::compared(&exported, |name| ignored.contains(name));
    let expected = match (&case.expected, request.update) {
        // What is wrong there is written anew.
        (Some(text), true) => expected::parse(text, &columns).ok(),
        (Some(text), false) => Some(expected::parse(text, &columns).map_err(Some)?),
        (None, true) => None,
        (None, false) => {
            let folder = shown(&case.folder);
            let what = format!("the case `{folder}` expects nothing: it has no {EXPECTED}");
            let name = case.full_name();
            let hint = format!("write it, or have it written by `dayport test --update {name}`");
            return Err(Some(Error::invalid(what).with_hint(hint)));
        }
    };
    let expected_rejects = match request.update {
        true => Vec::new(),
        false => expected_rejects::parse(case.expected_rejects.as_ref()).map_err(Some)?,
    };
    let mut lines = BTreeMap::new();
    for source in engine.sources() {
        if let Some(text) = case.sources.get(&source.name) {
            let completed = lines::complete(text, source, case.settings.cycle).map_err(Some)?;
            lines.insert(source.name.clone(), completed);
        }
    }
    Ok(PreparedCase {
        case,
        definition: definition.clone(),
        bound,
        lines,
        columns,
        expected,
        expected_rejects,
    })
}

/// Runs the cases, and returns them in their order.
async fn execute_all(
    request: &CaseRequest<'_>,
    first: LineEngine,
    cases: Vec<PreparedCase>,
) -> Result<Vec<(PreparedCase, Result<CaseRun>)>> {
    let wanted = cases.len() / CASES_PER_ENGINE;
    let engines = request.settings.parallelism.min(wanted).max(1);
    let share = cases.len().div_ceil(engines).max(1);
    let mut tasks = Vec::new();
    let mut cases = cases.into_iter();
    let mut first = Some(first);
    for number in 0..engines {
        let engine = match first.take() {
            Some(engine) => engine,
            None => open_engine(request, number).await?,
        };
        let cases: Vec<PreparedCase> = cases.by_ref().take(share).collect();
        tasks.push(tokio::spawn(execute_some(engine, cases)));
    }
    let mut runs = Vec::new();
    for task in tasks {
        let ended = task.await;
        runs.extend(ended.map_err(|error| {
            Error::internal("the run of a case ended early").with_source(error)
        })?);
    }
    Ok(runs)
}

async fn execute_some(
    engine: LineEngine,
    cases: Vec<PreparedCase>,
) -> Vec<(PreparedCase, Result<CaseRun>)> {
    let mut runs = Vec::new();
    for case in cases {
        let run = execute(&engine, &case).await;
        runs.push((case, run));
    }
    runs
}

async fn execute(engine: &LineEngine, case: &PreparedCase) -> Result<CaseRun> {
    let exported = engine.export(&case.bound, &case.lines).await?;
    let mut rows = Vec::new();
    for batch in &exported.rows {
        let fields = case.columns.fields().iter();
        let indexes = fields.map(|field| batch.schema().index_of(field.name()));
        let projected = indexes
            .collect::<Result<Vec<_>, _>>()
            .and_then(|indexes| batch.project(&indexes))
            .map_err(|error| Error::internal("a column is missing").with_source(error))?;
        rows.extend(cells::rows(&projected)?);
    }
    let audits = match &case.case.settings.broken_audits {
        None => Vec::new(),
        Some(_) => {
            let scope = AuditScope {
                engine: engine.engine(),
                definition: &case.definition,
                bound: &case.bound,
                cycle: case.case.settings.cycle,
            };
            expected_audits::results(&scope, &exported.rows).await?
        }
    };
    Ok(CaseRun {
        rows,
        audits,
        rejected: expected_rejects::rejected(&exported.sources)?,
    })
}

/// Compares a run with what is expected, or writes what is expected from now on.
fn judge(prepared: PreparedCase, run: Result<CaseRun>, is_update: bool) -> Result<CaseReport> {
    let expected = prepared.expected.as_deref().unwrap_or_default();
    let mut report = CaseReport::new(&prepared.case, expected.len());
    let run = match run {
        Ok(run) => run,
        Err(error) => {
            report.outcome = CaseOutcome::Failed(Failure {
                error: Some(error.chain()),
                ..Failure::default()
            });
            return Ok(report);
        }
    };
    report.exported_rows = run.rows.len();
    report.rejected_lines = run.rejected.len();
    let fields = prepared.columns.fields().iter();
    let columns: Vec<String> = fields.map(|field| field.name().clone()).collect();
    if is_update {
        let files = update(&prepared.case, &columns, prepared.expected.as_deref(), &run)?;
        report.outcome = CaseOutcome::Updated { files };
        return Ok(report);
    }
    let failure = Failure {
        error: None,
        rows: difference::compare(&columns, expected, &run.rows),
        rejects: expected_rejects::compare(&prepared.expected_rejects, run.rejected),
        audits: match &prepared.case.settings.broken_audits {
            None => Vec::new(),
            Some(expected) => expected_audits::compare(expected, &run.audits),
        },
    };
    if !failure.rows.is_empty() || !failure.rejects.is_empty() || !failure.audits.is_empty() {
        report.outcome = CaseOutcome::Failed(failure);
    }
    Ok(report)
}
