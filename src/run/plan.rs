//! Plans a run: makes the same decisions from the same state, and writes nothing.

use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde::Serialize;

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::delivery::{self, Decision, History, InspectedTable, LogAction, LogEntry, PendingWork};
use crate::error::{Error, ExitCode, Result};
use crate::layout::{FileFormat, ManifestName};
use crate::manifest::Manifest;
use crate::run::context::RunContext;
use crate::run::guards::{self, total};
use crate::run::late::{LateFiles, Standing};
use crate::run::late_files::{self, LateCycles, LookedAt};
use crate::run::prepare::{check_catch_up, chosen_cycles, due_cycles, max_attempts, prepare};
use crate::run::report::{TableFailure, exit_code};
use crate::run::request::{CycleSelection, RunRequest};
use crate::scan::MissingSource;
use crate::scan::planned::PlannedSource;

/// The plan of a run: the steps that it would take now.
#[derive(Debug, Serialize)]
pub struct RunPlan {
    /// The URL or path of the destination.
    pub destination: String,
    /// The time at which the plan was made.
    pub planned_at: DateTime<Utc>,
    /// The tables, each with the cycles that are due.
    pub tables: Vec<PlannedTable>,
}

/// The plan for one table and one cycle, or for a table of which no cycle is due.
#[derive(Debug, Serialize)]
pub struct PlannedTable {
    /// The name of the table.
    pub table: String,
    /// The sync mode: cycles append to the table, or replace it.
    pub sync_mode: SyncMode,
    /// The cycle; absent if no cycle is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle: Option<Cycle>,
    /// The step that a run would take.
    #[serde(flatten)]
    pub step: PlannedStep,
}

/// The step that a run would take for one table and cycle.
#[derive(Debug, Serialize)]
#[serde(tag = "plan", rename_all = "snake_case")]
pub enum PlannedStep {
    /// The cycle would be exported and published.
    Publish {
        /// The revision that would be published.
        revision: u32,
        /// The format of the files.
        format: FileFormat,
        /// The sources that would be read.
        sources: Vec<PlannedSource>,
        /// The publication whose files are removed as the new files appear.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<ReplacedPublication>,
        /// The estimated output, extrapolated from the newest publication of the table.
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<ExpectedOutput>,
        /// The guards that are going to stop it, as far as that is known without running the query.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        guards: Vec<String>,
        /// The pending publication of an earlier run that this one finishes first.
        #[serde(skip_serializing_if = "Option::is_none")]
        finishes: Option<String>,
        /// The sources without a file for the cycle, which the query could do without.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing: Vec<MissingSource>,
        /// The sources that the cycle has to wait for if the query yields no row.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        doubtful: Vec<MissingSource>,
        /// The sources that are not ready: the cycle would be provisional.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        unready: Vec<MissingSource>,
        /// The changes against the table as it was published before.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        changes: Vec<String>,
    },
    /// The cycle would not be published, because no file of its sources exists or they are not ready.
    Awaits {
        /// The sources without a file, by name.
        sources: Vec<MissingSource>,
    },
    /// The cycle is published, and would be skipped.
    AlreadyPublished {
        /// The published revision.
        revision: u32,
        /// The id of the run that published it.
        run_id: String,
    },
    /// A snapshot of this later cycle is published.
    Superseded {
        /// The later cycle.
        by: Cycle,
    },
    /// Source files arrived after the cycle was published.
    Late {
        /// The files.
        #[serde(flatten)]
        files: LateFiles,
        /// What becomes of the cycle. Its rows may turn out to be the same.
        #[serde(flatten)]
        standing: Standing,
    },
    /// No cycle of the table is due.
    UpToDate,
    /// The run would fail with this error.
    Failed(TableFailure),
}

/// The publication that a new one replaces.
#[derive(Debug, Serialize)]
pub struct ReplacedPublication {
    /// The key of the manifest.
    pub manifest: String,
    /// The number of rows.
    pub rows: u64,
    /// The size of the files, in bytes.
    pub bytes: u64,
    /// The keys that the new files reuse, in order; the remaining ones are deleted.
    pub files: Vec<String>,
}

/// The estimated output: rows and bytes of an earlier cycle, scaled by the bytes of the sources, and
/// its number of files.
#[derive(Debug, Serialize)]
pub struct ExpectedOutput {
    /// The cycle that the estimate is based on.
    pub like: Cycle,
    /// The number of rows.
    pub rows: u64,
    /// The size of the files, in bytes.
    pub bytes: u64,
    /// The number of files.
    pub files: u64,
}

/// Plans a request.
///
/// # Errors
/// Fails where a run would fail before it attempts any table.
pub async fn plan(context: &RunContext, request: &RunRequest) -> Result<RunPlan> {
    let (planned_at, last_closed) = prepare(context, request).await?;
    let planner = Planner {
        context,
        request,
        last_closed,
    };
    let jobs = request.jobs.max(1);
    let inspecting = request.definitions.iter().map(|definition| async move {
        let inspected = delivery::inspect(&context.destination, &definition.table).await;
        inspected.map(PlannedState::new)
    });
    let states: Vec<Result<PlannedState>> = futures::stream::iter(inspecting)
        .buffered(jobs)
        .collect()
        .await;
    let late = planner.late(&states).await;
    let definitions = request.definitions.iter();
    let pending: Vec<_> = definitions
        .zip(states)
        .zip(late)
        .map(|((definition, state), late)| planner.table(definition, state, late))
        .collect();
    let tables: Vec<Result<Vec<PlannedTable>>> = futures::stream::iter(pending)
        .buffered(jobs)
        .collect()
        .await;
    let mut complaints = Vec::new();
    let tables: Vec<Vec<PlannedTable>> = tables
        .into_iter()
        .filter_map(|table| table.map_err(|error| complaints.push(error)).ok())
        .collect();
    Error::all(complaints)?;
    Ok(RunPlan {
        destination: context.destination.to_string(),
        planned_at,
        tables: tables.into_iter().flatten().collect(),
    })
}

struct Planner<'a> {
    context: &'a RunContext,
    request: &'a RunRequest,
    last_closed: Cycle,
}

impl Planner<'_> {
    /// Finds the late source files of each table that could be inspected.
    async fn late(&self, states: &[Result<PlannedState>]) -> Vec<Result<LateCycles>> {
        let definitions = self.request.definitions.iter();
        let looked_at: Vec<Option<LookedAt<'_>>> = definitions
            .zip(states)
            .map(|(definition, state)| {
                let state = state.as_ref().ok()?;
                let committed = state.committed.as_ref();
                Some(LookedAt {
                    definition,
                    history: &state.history,
                    unfinished: committed.map(|manifest| manifest.cycle.id),
                })
            })
            .collect();
        late_files::find(self.context, self.request, &looked_at, self.last_closed).await
    }

    /// Plans a table.
    ///
    /// # Errors
    /// Fails if more of its cycles are due than a run catches up with.
    async fn table(
        &self,
        definition: &Definition,
        state: Result<PlannedState>,
        late: Result<LateCycles>,
    ) -> Result<Vec<PlannedTable>> {
        let planned = |cycle, step| PlannedTable {
            table: definition.table.to_string(),
            sync_mode: definition.sync_mode,
            cycle,
            step,
        };
        let table = match state {
            Ok(table) => table,
            Err(error) => return Ok(vec![planned(None, failed(&error))]),
        };
        let cycles = match &self.request.selection {
            CycleSelection::Due => due_cycles(definition, &table.history, self.last_closed),
            CycleSelection::Cycles(cycles) => chosen_cycles(definition, cycles),
        };
        let late = match late {
            Ok(late) => late
                .into_iter()
                .map(|(cycle, found)| match found {
                    Ok((files, standing)) => {
                        planned(Some(cycle), PlannedStep::Late { files, standing })
                    }
                    Err(error) => planned(Some(cycle), not_looked(error)),
                })
                .collect(),
            Err(error) => vec![planned(None, not_looked(error))],
        };
        if cycles.is_empty() {
            return Ok(match late.is_empty() {
                true => vec![planned(None, PlannedStep::UpToDate)],
                false => late,
            });
        }
        check_catch_up(self.request, [(definition, cycles.as_slice())])?;
        let mut attempts_left = max_attempts(self.request);
        let mut tables: Vec<PlannedTable> = Vec::new();
        for (index, cycle) in cycles.into_iter().enumerate() {
            let step = self
                .cycle(definition, cycle, &table, index == 0)
                .await
                .unwrap_or_else(|error| failed(&error));
            // Cycles of one table are published in order.
            let mut stops = matches!(step, PlannedStep::Failed(_));
            if !matches!(step, PlannedStep::Awaits { .. }) {
                attempts_left = attempts_left.saturating_sub(1);
                stops |= attempts_left == 0;
            }
            tables.push(planned(Some(cycle), step));
            if stops {
                break;
            }
        }
        tables.extend(late);
        Ok(tables)
    }

    async fn cycle(
        &self,
        definition: &Definition,
        cycle: Cycle,
        table: &PlannedState,
        is_first: bool,
    ) -> Result<PlannedStep> {
        let (mode, request) = (definition.sync_mode, self.request);
        let publication = match delivery::decide(&table.history, mode, cycle, request.rerun)? {
            Decision::Publish(publication) => publication,
            Decision::AlreadyPublished(name) => {
                return Ok(PlannedStep::AlreadyPublished {
                    revision: name.revision,
                    run_id: self.manifest(table, &name).await?.run_id,
                });
            }
            Decision::Superseded(name) => return Ok(PlannedStep::Superseded { by: name.cycle }),
        };
        let engine = &self.context.engine;
        let bound = engine
            .bind(definition, cycle, &request.parameters, request.format)
            .await?;
        let replaced = match &publication.replaces {
            Some(name) => Some(self.manifest(table, name).await?),
            None => None,
        };
        if let Some(replaced) = &replaced {
            delivery::require_own_files(replaced)?;
        }
        let newest = match table.history.newest() {
            Some(name) => Some(self.manifest(table, &name).await?),
            None => None,
        };
        let changes = match replaced.as_ref().or(newest.as_ref()) {
            Some(held) => guards::check_changes(request, definition, &bound.spec, held)?,
            None => Vec::new(),
        };
        let rule = request.await_rule(definition, cycle, &table.history, self.context.clock.now());
        let (sources, missing) = engine.plan_sources(&bound, rule).await?;
        if missing.is_awaited {
            return Ok(PlannedStep::Awaits {
                sources: missing.sources,
            });
        }
        Ok(PlannedStep::Publish {
            revision: publication.name.revision,
            format: bound.spec.encoding.format(),
            guards: guards::predict(request, &sources, replaced.as_ref()),
            expected: newest.and_then(|manifest| expected(&manifest, &sources)),
            sources,
            replaces: replaced.map(|manifest| ReplacedPublication {
                manifest: manifest.name().path().to_string(),
                rows: manifest.rows,
                bytes: manifest.bytes,
                files: manifest.files.into_iter().map(|file| file.path).collect(),
            }),
            finishes: table.finishes.clone().filter(|_| is_first),
            missing: missing.sources,
            doubtful: missing.doubtful,
            unready: missing.unready,
            changes: changes.iter().map(ToString::to_string).collect(),
        })
    }

    async fn manifest(&self, table: &PlannedState, name: &ManifestName) -> Result<Manifest> {
        match &table.committed {
            Some(manifest) if manifest.name() == *name => Ok(manifest.as_ref().clone()),
            _ => delivery::read_manifest(&self.context.destination, name).await,
        }
    }
}

/// The state of a table as a run would find it after recovery.
struct PlannedState {
    history: History,
    /// The manifest that recovery would write.
    committed: Option<Box<Manifest>>,
    finishes: Option<String>,
}

impl PlannedState {
    fn new(inspected: InspectedTable) -> Self {
        let InspectedTable { history, pending } = inspected;
        let plain = |history, finishes| Self {
            history,
            committed: None,
            finishes,
        };
        match pending {
            PendingWork::None => plain(history, None),
            // Repeated to be safe: these files usually no longer exist.
            PendingWork::Deletes(_) => plain(history, None),
            PendingWork::Publication(entry) => {
                let LogEntry { run_id, action, .. } = *entry;
                let LogAction::Publish { manifest, .. } = action else {
                    return plain(history, None);
                };
                let finishes = format!("the publication that run {run_id} committed");
                Self {
                    history: history.with_published(&manifest.name()),
                    finishes: Some(format!("{finishes}: {}", manifest.name().path())),
                    committed: Some(manifest),
                }
            }
        }
    }
}

fn not_looked(error: Error) -> PlannedStep {
    failed(&error.context("cannot look for late source files"))
}

fn failed(error: &Error) -> PlannedStep {
    PlannedStep::Failed(error.into())
}

impl RunPlan {
    /// Returns the exit code that a run would end with, as far as that is known.
    pub fn exit_code(&self) -> ExitCode {
        let failures = self.tables.iter().filter_map(|table| match &table.step {
            PlannedStep::Failed(failure) => Some(failure.kind),
            _ => None,
        });
        let mut tables = self.tables.iter();
        let is_awaiting = tables.any(|table| matches!(table.step, PlannedStep::Awaits { .. }));
        exit_code(failures, is_awaiting)
    }
}

/// Estimates the output. Returns `None` if the earlier publication read no bytes to compare with.
fn expected(manifest: &Manifest, sources: &[PlannedSource]) -> Option<ExpectedOutput> {
    let then = total(manifest.sources.iter().map(|source| source.bytes));
    let now = total(sources.iter().map(|source| source.bytes));
    let scaled = |figure: u64| {
        let exact = u128::from(figure).saturating_mul(now) / then;
        u64::try_from(exact).unwrap_or(u64::MAX)
    };
    (then > 0).then(|| ExpectedOutput {
        like: manifest.cycle.id,
        rows: scaled(manifest.rows),
        bytes: scaled(manifest.bytes),
        files: manifest.files.len() as u64,
    })
}
