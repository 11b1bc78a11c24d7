//! The audits of a cycle while its rows pass.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::memory_pool::MemoryConsumer;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::audit::bound::{BoundAudit, BoundAudits, BoundRule};
use crate::audit::distinct::{ComparedRows, DistinctResources, DistinctValues};
use crate::audit::failing_rows::{FailingRow, FailingRows, KeptRows};
use crate::audit::newest::NewestTime;
use crate::audit::query_rule::{self, QueryRule};
use crate::audit::report::{AuditResult, Ended};
use crate::audit::row_count::{AuditedCycle, row_count};
use crate::audit::row_rule::RowRule;
use crate::audit::row_spill::RowSpill;
use crate::audit::this_table::WaitingRows;
use crate::cycle::Cycle;
use crate::definition::{Audit, RowCountRule};
use crate::engine::Engine;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::manifest::{AuditRecord, AuditVerdict};
use crate::memory_budget::MemoryBudget;
use crate::memory_gate::MemoryGate;
use crate::stage::RowTap;
use crate::view_gc::batch_bytes;

/// The running audits of a cycle.
pub(crate) struct AuditRun {
    engine: Engine,
    cycle: Cycle,
    passing: Mutex<Passing>,
    /// The inputs of queries that run beside the export.
    channels: tokio::sync::Mutex<Vec<Channel>>,
}

/// The audits that see the rows as they pass.
struct Passing {
    audits: Vec<RunningAudit>,
    /// The rows that queries read once all have passed.
    spill: Option<(RowSpill, Vec<usize>)>,
}

struct RunningAudit {
    audit: Audit,
    rule: RunningRule,
    failing: FailingRows,
    /// The error that ended the audit.
    error: Option<Error>,
}

enum RunningRule {
    Rows {
        rule: RowRule,
        key: Option<Vec<usize>>,
    },
    Distinct {
        rule: RowRule,
        key: Option<Vec<usize>>,
        values: Box<DistinctValues>,
    },
    Newest {
        time: RowRule,
        max_age: Duration,
        newest: NewestTime,
    },
    RowCount(RowCountRule),
    /// A query that runs beside the export.
    Streamed(SpawnedTask<Result<FailingRows>>),
    /// A query that runs once all rows have passed.
    Spilled {
        rule: QueryRule,
        key: Option<Vec<usize>>,
    },
    /// It has ended.
    Ended,
}

/// The input of a query that runs beside the export.
struct Channel {
    /// The columns that it reads.
    columns: Vec<usize>,
    gate: MemoryGate,
    /// `None` once the query reads no more.
    sender: Option<mpsc::Sender<WaitingRows>>,
}

impl fmt::Debug for AuditRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditRun")
            .field("cycle", &self.cycle)
            .finish_non_exhaustive()
    }
}

impl BoundAudits {
    /// Starts the audits of one of `tables` tables that are written concurrently. With `keeps_rows`, the first
    /// rows that break each are kept, and otherwise their keys alone.
    pub(crate) async fn start(
        self,
        engine: &Engine,
        tables: usize,
        keeps_rows: bool,
    ) -> Result<AuditRun> {
        let count = self.audits.len();
        let of_kind = |is_kind: fn(&BoundRule) -> bool| {
            self.audits
                .iter()
                .filter(|bound| is_kind(&bound.rule))
                .count()
        };
        let distinct = of_kind(|rule| matches!(rule, BoundRule::Distinct { .. }));
        let streamed =
            of_kind(|rule| matches!(rule, BoundRule::Query { rule, .. } if rule.is_streamed));
        let runtime = engine.session().runtime_env();
        let budget = MemoryBudget::of(&*runtime.memory_pool);
        let kept = KeptRows {
            rows: keeps_rows,
            max_bytes: budget.failing_bytes(count),
        };
        let mut spilled_columns: Option<Vec<usize>> = None;
        let (mut audits, mut channels) = (Vec::new(), Vec::new());
        for BoundAudit { audit, rule } in self.audits {
            let rule = match rule {
                BoundRule::Rows { rule, key } => RunningRule::Rows { rule, key },
                BoundRule::Newest { time, max_age } => RunningRule::Newest {
                    time,
                    max_age,
                    newest: NewestTime::default(),
                },
                BoundRule::RowCount(rule) => RunningRule::RowCount(rule),
                BoundRule::Distinct { values, key } => {
                    let consumer = MemoryConsumer::new("values that an audit compares");
                    RunningRule::Distinct {
                        rule: values,
                        key,
                        values: Box::new(DistinctValues::new(DistinctResources {
                            max_bytes: budget.compared_bytes(tables, distinct),
                            reservation: consumer.register(&runtime.memory_pool),
                            runtime: Arc::clone(&runtime),
                            folder: engine.spill_folder(),
                        })),
                    }
                }
                BoundRule::Query { rule, key } if rule.is_streamed => {
                    let (sender, receiver) = mpsc::channel(1);
                    rule.input.set_channel(receiver);
                    let (plan, context) = engine.plan_over_rows(&rule.plan).await?;
                    channels.push(Channel {
                        columns: rule.columns,
                        gate: MemoryGate::new(
                            &runtime.memory_pool,
                            "rows that wait for an audit",
                            budget.audited_rows(tables, streamed),
                        ),
                        sender: Some(sender),
                    });
                    let running = query_rule::run(plan, context, key, FailingRows::new(kept));
                    RunningRule::Streamed(SpawnedTask::spawn(running))
                }
                BoundRule::Query { rule, key } => {
                    let spilled = spilled_columns.get_or_insert_default();
                    spilled.extend(&rule.columns);
                    RunningRule::Spilled { rule, key }
                }
            };
            audits.push(RunningAudit {
                audit,
                rule,
                failing: FailingRows::new(kept),
                error: None,
            });
        }
        let spill = spilled_columns.map(|mut columns| {
            // Rows without a column are counted by their first one.
            columns.push(0);
            columns.sort_unstable();
            columns.dedup();
            (RowSpill::new(Arc::clone(&runtime)), columns)
        });
        Ok(AuditRun {
            engine: engine.clone(),
            cycle: self.cycle,
            passing: Mutex::new(Passing { audits, spill }),
            channels: tokio::sync::Mutex::new(channels),
        })
    }
}

#[async_trait]
impl RowTap for AuditRun {
    async fn add(&self, rows: &RecordBatch) -> Result<()> {
        self.passing.lock().add(rows)?;
        for channel in self.channels.lock().await.iter_mut() {
            channel.send(rows).await?;
        }
        Ok(())
    }
}

impl Channel {
    /// Sends rows to the query, unless it reads no more.
    async fn send(&mut self, rows: &RecordBatch) -> Result<()> {
        let Some(sender) = &self.sender else {
            return Ok(());
        };
        let read = rows.project(&self.columns);
        let read = read.map_err(|error| from_datafusion(error.into()))?;
        let is_sent = tokio::select! {
            // What is in the channel of a query that has ended holds its permit until the sender is dropped.
            () = sender.closed() => false,
            permit = self.gate.acquire(batch_bytes(&read)) => sender.send((read, permit)).await.is_ok(),
        };
        if !is_sent {
            self.sender = None;
        }
        Ok(())
    }
}

impl Passing {
    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        for running in &mut self.audits {
            if running.error.is_none()
                && let Err(error) = running.add(rows)
            {
                running.error = Some(error);
            }
        }
        if let Some((spill, columns)) = &mut self.spill {
            let read = rows.project(columns);
            spill.add(&read.map_err(|error| from_datafusion(error.into()))?)?;
        }
        Ok(())
    }
}

impl RunningAudit {
    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        match &mut self.rule {
            RunningRule::Rows { rule, key } => rule.add(rows, key.as_deref(), &mut self.failing),
            RunningRule::Distinct { rule, key, values } => {
                let compared = rule.values(&rule.read(rows)?)?;
                let keys = match key {
                    None => compared.clone(),
                    Some(key) => rows
                        .project(key)
                        .map_err(|error| from_datafusion(error.into()))?,
                };
                let rows = ComparedRows {
                    values: &compared,
                    rows,
                    keys: &keys,
                };
                values.add(&rows, &mut self.failing)
            }
            RunningRule::Newest { time, newest, .. } => {
                let times = time.values(&time.read(rows)?)?;
                newest.add(times.column(0))
            }
            RunningRule::RowCount(_)
            | RunningRule::Streamed(_)
            | RunningRule::Spilled { .. }
            | RunningRule::Ended => Ok(()),
        }
    }
}

impl AuditRun {
    /// Ends the audits, once all rows have passed. Returns their results, and the rows that break them if these
    /// are kept.
    ///
    /// # Errors
    /// Fails if the rows that passed cannot be read back. An audit that cannot be evaluated has that as its result.
    pub(crate) async fn finish(
        &self,
        facts: &AuditedCycle,
    ) -> Result<(Vec<AuditResult>, Vec<FailingRow>)> {
        self.channels.lock().await.clear();
        let (audits, spill) = {
            let mut passing = self.passing.lock();
            (std::mem::take(&mut passing.audits), passing.spill.take())
        };
        let spilled = match spill {
            None => None,
            Some((spill, columns)) => Some(Arc::new(spill.finish(columns)?)),
        };
        let (mut results, mut rows) = (Vec::new(), Vec::new());
        for mut running in audits {
            if let RunningRule::Spilled { rule, .. } = &running.rule
                && let Some(spilled) = &spilled
            {
                rule.input.set_spilled(Arc::clone(spilled));
            }
            let ended = self.end(&mut running, facts).await;
            let name = running.audit.name.clone();
            let (result, failing) = running.into_result(ended);
            results.push(result);
            rows.extend(failing.into_rows(&name)?);
        }
        Ok((results, rows))
    }

    /// Ends an audit. Returns its verdict, with the reason unless that is the number of rows.
    async fn end(&self, running: &mut RunningAudit, facts: &AuditedCycle) -> Result<Ended> {
        if let Some(error) = running.error.take() {
            return Err(error);
        }
        match std::mem::replace(&mut running.rule, RunningRule::Ended) {
            RunningRule::Rows { .. } | RunningRule::Ended => {}
            RunningRule::Distinct { mut values, .. } => {
                values.finish(&mut running.failing).await?;
            }
            RunningRule::Newest {
                newest, max_age, ..
            } => return Ok(Ended::of(newest.too_old(self.cycle, max_age))),
            RunningRule::RowCount(rule) => return Ok(row_count(rule, facts)),
            RunningRule::Streamed(task) => {
                let ended = task.join().await.map_err(|error| {
                    Error::internal("an audit ended unexpectedly").with_source(error)
                })?;
                running.failing = ended?;
            }
            RunningRule::Spilled { rule, key } => {
                let (plan, context) = self.engine.plan_over_rows(&rule.plan).await?;
                let failing =
                    std::mem::replace(&mut running.failing, FailingRows::new(KeptRows::NONE));
                running.failing = query_rule::run(plan, context, key, failing).await?;
            }
        }
        Ok(match running.failing.count {
            0 => Ended::Passed,
            _ => Ended::Failed(None),
        })
    }
}

impl RunningAudit {
    fn into_result(self, ended: Result<Ended>) -> (AuditResult, FailingRows) {
        let Self {
            audit, mut failing, ..
        } = self;
        let (result, detail) = match ended {
            Ok(Ended::Passed) => (AuditVerdict::Passed, None),
            Ok(Ended::Failed(reason)) => (AuditVerdict::Failed, reason),
            Ok(Ended::Skipped(reason)) => (AuditVerdict::Skipped, Some(reason)),
            Err(error) => (
                AuditVerdict::Error,
                Some(format!("it cannot be evaluated: {}", error.chain())),
            ),
        };
        let record = AuditRecord {
            name: audit.name.clone(),
            severity: audit.severity,
            result,
            rows: failing.count,
            accepted: false,
        };
        let result = AuditResult {
            record,
            position: audit.position(),
            detail,
            keys: failing.take_keys(),
        };
        (result, failing)
    }
}
