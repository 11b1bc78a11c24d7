//! What a run would do: the same decisions from the same state, and nothing written.

use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde::Serialize;

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::delivery::{self, Action, Decision, History, LogEntry, Open, State};
use crate::error::{Error, ExitCode, Result};
use crate::layout::{FileFormat, ManifestName};
use crate::manifest::Manifest;
use crate::run::deliver::Context;
use crate::run::report::{Failure, exit_code};
use crate::run::{Request, Selection, chosen_cycles, due_cycles, guards, prepare};
use crate::scan::planned::PlannedSource;

/// What a run would do now.
#[derive(Debug, Serialize)]
pub struct Plan {
    pub destination: String,
    pub planned_at: DateTime<Utc>,
    pub tables: Vec<PlannedTable>,
}

/// One table and one cycle, or one table of which no cycle is due.
#[derive(Debug, Serialize)]
pub struct PlannedTable {
    pub table: String,
    pub sync_mode: SyncMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle: Option<Cycle>,
    #[serde(flatten)]
    pub step: Step,
}

/// What would happen to it.
#[derive(Debug, Serialize)]
#[serde(tag = "plan", rename_all = "snake_case")]
pub enum Step {
    Publish {
        revision: u32,
        format: FileFormat,
        sources: Vec<PlannedSource>,
        /// What is taken away as the new files appear.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<Replaced>,
        /// What may come out, by the newest publication of the table.
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<Expected>,
        /// What is going to stop it, as far as that can be told without running the query.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        guards: Vec<String>,
        /// What an earlier run left open and this one finishes first.
        #[serde(skip_serializing_if = "Option::is_none")]
        finishes: Option<String>,
    },
    AlreadyPublished {
        revision: u32,
        run_id: String,
    },
    /// A snapshot of this later cycle is published.
    Superseded {
        by: Cycle,
    },
    UpToDate,
    Failed(Failure),
}

/// The publication that a new one replaces.
#[derive(Debug, Serialize)]
pub struct Replaced {
    /// Key of the manifest.
    pub manifest: String,
    pub rows: u64,
    pub bytes: u64,
    /// The new files take over these names, in order; those left over are deleted.
    pub files: Vec<String>,
}

/// Rows and bytes as those of an earlier cycle, in proportion to the bytes read; files as there.
#[derive(Debug, Serialize)]
pub struct Expected {
    pub like: Cycle,
    pub rows: u64,
    pub bytes: u64,
    pub files: u64,
}

/// Plans a request. An error means that a run would attempt nothing.
pub async fn plan(context: &Context, request: &Request) -> Result<Plan> {
    let (planned_at, last_closed) = prepare(context, request).await?;
    let planner = Planner {
        context,
        request,
        last_closed,
    };
    let tables: Vec<_> = request
        .definitions
        .iter()
        .map(|definition| planner.table(definition))
        .collect();
    let tables: Vec<Vec<PlannedTable>> = futures::stream::iter(tables)
        .buffered(request.jobs.max(1))
        .collect()
        .await;
    Ok(Plan {
        destination: context.destination.to_string(),
        planned_at,
        tables: tables.into_iter().flatten().collect(),
    })
}

struct Planner<'a> {
    context: &'a Context,
    request: &'a Request,
    last_closed: Cycle,
}

impl Planner<'_> {
    async fn table(&self, definition: &Definition) -> Vec<PlannedTable> {
        let planned = |cycle, step| PlannedTable {
            table: definition.table.to_string(),
            sync_mode: definition.sync_mode,
            cycle,
            step,
        };
        let destination = &self.context.destination;
        let state = match delivery::inspect(destination, &definition.table).await {
            Ok(state) => state,
            Err(error) => return vec![planned(None, failed(&error))],
        };
        let table = PlannedState::new(state);
        let cycles = match &self.request.selection {
            Selection::Due => {
                due_cycles(self.request, definition, &table.history, self.last_closed)
            }
            Selection::Cycles(cycles) => chosen_cycles(definition, cycles),
        };
        if cycles.is_empty() {
            return vec![planned(None, Step::UpToDate)];
        }
        let mut tables = Vec::new();
        for (index, cycle) in cycles.into_iter().enumerate() {
            let step = self.cycle(definition, cycle, &table, index == 0).await;
            let step = step.unwrap_or_else(|error| failed(&error));
            let stops = matches!(step, Step::Failed(_));
            tables.push(planned(Some(cycle), step));
            if stops {
                // Cycles of one table are published in order.
                break;
            }
        }
        tables
    }

    async fn cycle(
        &self,
        definition: &Definition,
        cycle: Cycle,
        table: &PlannedState,
        is_first: bool,
    ) -> Result<Step> {
        let (mode, request) = (definition.sync_mode, self.request);
        let publication = match delivery::decide(&table.history, mode, cycle, request.rerun) {
            Decision::Publish(publication) => publication,
            Decision::AlreadyPublished(name) => {
                return Ok(Step::AlreadyPublished {
                    revision: name.revision,
                    run_id: self.manifest(table, &name).await?.run_id,
                });
            }
            Decision::Superseded(name) => return Ok(Step::Superseded { by: name.cycle }),
        };
        let engine = &self.context.engine;
        let bound = engine
            .bind(definition, cycle, &request.parameters, request.format)
            .await?;
        let sources = engine.look(&bound).await?;
        let replaced = match &publication.replaces {
            Some(name) => Some(self.manifest(table, name).await?),
            None => None,
        };
        let newest = match table.history.newest() {
            Some(name) => Some(self.manifest(table, &name).await?),
            None => None,
        };
        Ok(Step::Publish {
            revision: publication.name.revision,
            format: bound.spec.encoding.format(),
            guards: guards::foresee(request, &sources, replaced.as_ref()),
            expected: newest.and_then(|manifest| expected(&manifest, &sources)),
            sources,
            replaces: replaced.map(|manifest| Replaced {
                manifest: manifest.name().path().to_string(),
                rows: manifest.rows,
                bytes: manifest.bytes,
                files: manifest.files.into_iter().map(|file| file.path).collect(),
            }),
            finishes: table.finishes.clone().filter(|_| is_first),
        })
    }

    async fn manifest(&self, table: &PlannedState, name: &ManifestName) -> Result<Manifest> {
        match &table.committed {
            Some(manifest) if manifest.name() == *name => Ok(manifest.as_ref().clone()),
            _ => delivery::read_manifest(&self.context.destination, name).await,
        }
    }
}

/// A table as a run would find it after recovery.
struct PlannedState {
    history: History,
    /// The manifest that recovery is going to write.
    committed: Option<Box<Manifest>>,
    finishes: Option<String>,
}

impl PlannedState {
    fn new(state: State) -> Self {
        let State { history, open } = state;
        let plain = |history, finishes| Self {
            history,
            committed: None,
            finishes,
        };
        match open {
            Open::Nothing => plain(history, None),
            // Repeated for certainty: most of the time nothing is left of them.
            Open::Deletes(_) => plain(history, None),
            Open::Publication(entry) => {
                let LogEntry { run_id, action, .. } = *entry;
                let Action::Publish { manifest, .. } = action else {
                    return plain(history, None);
                };
                let finishes = format!("the publication that run {run_id} committed");
                Self {
                    history: history.assuming(&manifest.name()),
                    finishes: Some(format!("{finishes}: {}", manifest.name().path())),
                    committed: Some(manifest),
                }
            }
        }
    }
}

fn failed(error: &Error) -> Step {
    Step::Failed(error.into())
}

impl Plan {
    /// What a run would end with, as far as that can be told.
    pub fn exit_code(&self) -> ExitCode {
        exit_code(self.tables.iter().filter_map(|table| match &table.step {
            Step::Failed(failure) => Some(failure),
            _ => None,
        }))
    }
}

/// `None` where there is nothing to compare with.
fn expected(manifest: &Manifest, sources: &[PlannedSource]) -> Option<Expected> {
    let then: u64 = manifest.sources.iter().map(|source| source.bytes).sum();
    let now: u64 = sources.iter().map(|source| source.bytes).sum();
    let scaled = |figure: u64| {
        let scaled = u128::from(figure) * u128::from(now) / u128::from(then);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    };
    (then > 0).then(|| Expected {
        like: manifest.cycle.id,
        rows: scaled(manifest.rows),
        bytes: scaled(manifest.bytes),
        files: manifest.files.len() as u64,
    })
}
