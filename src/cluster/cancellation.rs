//! The cancellation of a task, as its operators see it.

use datafusion::common::Result;
use datafusion::execution::TaskContext;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// The cancellation token of a task: an extension of the session that the task runs in.
#[derive(Debug, Clone, Default)]
pub(super) struct TaskCancellation(CancellationToken);

impl TaskCancellation {
    /// Creates the cancellation of a task that is cancelled with `token`.
    pub(super) fn new(token: CancellationToken) -> Self {
        Self(token)
    }

    /// Returns the cancellation of the task that runs in `context`. A session without one falls back
    /// to a token that is never cancelled.
    pub(super) fn of(context: &TaskContext) -> Self {
        let cancellation = context.session_config().get_extension::<Self>();
        cancellation.map_or_else(Self::default, |shared| shared.as_ref().clone())
    }

    /// Runs `work` to its end, or until the task is cancelled.
    ///
    /// # Errors
    /// [`Error::unavailable`] if the task is cancelled first.
    pub(super) async fn run_until_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let done = self.0.run_until_cancelled(work).await;
        done.unwrap_or_else(|| Err(Error::unavailable("the task was given up").into()))
    }
}
