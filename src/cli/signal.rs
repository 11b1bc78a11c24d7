//! Interrupts: a first signal cancels the work, a second one ends the process.

use tokio_util::sync::CancellationToken;

use crate::cli::print;
use crate::cli::progress::suspend_bars;

/// The consequence of an interrupt for a run, as it is printed.
pub(super) const RUN_STOPS: &str = "staged files are discarded, a commit in progress is finished";

/// Returns a token that the first Ctrl-C or SIGTERM cancels.
///
/// That signal also prints `consequence`; a second one ends the process, with exit code 130.
pub(super) fn stop_on_signal(consequence: &'static str) -> CancellationToken {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        if wait_for_signal().await.is_ok() {
            suspend_bars(|| print::message(&format!("stopping: {consequence}\n")));
            stopped.cancel();
            if wait_for_signal().await.is_ok() {
                std::process::exit(130);
            }
        }
    });
    stop
}

#[cfg(unix)]
async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
