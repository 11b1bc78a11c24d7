//! The execution of a bound definition, which is replaceable.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::session_state::SessionState;

use crate::books::Balance;
use crate::engine::binding::BoundDefinition;
use crate::error::Result;
use crate::scan::MissingSource;
use crate::scan::scan_log::{ScanLog, SourceScan};
use crate::scan::shared::barrier::Participant;
use crate::stage::{RowTap, StagingSession};
use crate::staged::StagedFile;

/// A bound definition to be staged, with the components that record what is read and written.
pub struct StagingJob<'a> {
    /// The definition.
    pub bound: &'a BoundDefinition,
    /// The session that uploads the files, and aborts them if the job fails.
    pub session: Arc<StagingSession>,
    /// An empty log, which records the scans of the plan.
    pub scans: Arc<ScanLog>,
    /// The table's part in a shared scan: the plan waits for the other tables before it runs. `None`
    /// for a table that reads its sources by itself.
    pub participant: Option<Participant>,
    /// The tap that the rows pass before they are encoded, if there is one. The runner has to
    /// [see the rows](PlanRunner::sees_rows).
    pub tap: Option<Arc<dyn RowTap>>,
}

/// The result of staging a table.
#[derive(Debug)]
pub struct Staged {
    /// The staged files.
    pub files: Vec<StagedFile>,
    /// The books, which are not checked yet.
    pub balance: Balance,
    /// The record of what was read of each source, sorted by name.
    pub sources: Vec<SourceScan>,
    /// The sources without a file for the cycle, which the query could do without.
    pub missing: Vec<MissingSource>,
    /// The sources that the cycle has to wait for if there is no row.
    pub doubtful: Vec<MissingSource>,
    /// The sources that are not ready: the cycle is provisional.
    pub unready: Vec<MissingSource>,
}

/// The outcome of a staging job.
#[derive(Debug)]
pub enum Staging {
    /// The files are staged.
    Staged(Staged),
    /// The cycle waits for files of these sources. Nothing was read.
    Awaited(Vec<MissingSource>),
}

/// Plans and runs bound definitions.
#[async_trait]
pub trait PlanRunner: fmt::Debug + Send + Sync {
    /// Returns true if the rows pass through this process, where a tap sees them.
    fn sees_rows(&self) -> bool;

    /// Plans a bound definition in the engine's session `state`, and runs the plan to its end unless
    /// files of its sources are awaited.
    async fn run(&self, state: &SessionState, job: StagingJob<'_>) -> Result<Staging>;
}
