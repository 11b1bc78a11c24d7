//! A writer in a task on another machine, from its start to its end.

use std::sync::Arc;

use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::cluster::counts::rows_written_counter;
use crate::stage::StagingSession;
use crate::staged::StagedFile;

/// A writer that has started: its uploads are aborted unless it comes to its end.
pub(crate) struct RemoteWriter {
    index: u64,
    session: Arc<StagingSession>,
    guard: AbortGuard,
}

impl RemoteWriter {
    /// Starts the writer that uploads with `session`.
    pub(crate) fn new(session: StagingSession) -> Self {
        let session = Arc::new(session);
        Self {
            index: session.config().writer.index,
            guard: AbortGuard {
                session: Some(Arc::clone(&session)),
            },
            session,
        }
    }

    /// Returns the session that the writer uploads with.
    pub(crate) fn session(&self) -> &Arc<StagingSession> {
        &self.session
    }

    /// Ends the writer: `files` are staged. Reports their rows, for `partition` of the operator with
    /// these metrics.
    pub(crate) fn finish(
        self,
        files: &[StagedFile],
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
    ) {
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        let count = rows_written_counter(self.index, metrics, partition);
        count.add(usize::try_from(rows).unwrap_or(usize::MAX));
        self.guard.disarm();
    }
}

/// Aborts the uploads that a writer has started, unless it is disarmed.
struct AbortGuard {
    session: Option<Arc<StagingSession>>,
}

impl AbortGuard {
    fn disarm(mut self) {
        self.session = None;
    }
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = session.abort().await {
                    tracing::warn!(
                        error = error.chain(),
                        "unfinished uploads are left behind; a lifecycle rule removes them"
                    );
                }
            });
        }
    }
}
