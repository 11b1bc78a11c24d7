//! Interrupts: a first signal cancels the work, a second one ends the process.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::print;
use crate::cli::progress::suspend_bars;
use crate::error::{Error, Result};
use crate::store::silent_store;

/// The silence of a store after which a stop waits for it no longer, and the time between two looks.
const MAX_SILENCE: Duration = Duration::from_millis(1_500);
const LOOK: Duration = Duration::from_millis(100);

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

/// Waits for the end of work that ends early by itself after a stop. If a store is silent then, the work is
/// given up: what it leaves is what a killed process leaves.
///
/// # Errors
/// Fails as the work does; as unavailable if the work is given up.
pub(super) async fn unless_silent<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let silence = async {
        stop.cancelled().await;
        loop {
            tokio::time::sleep(LOOK).await;
            let then = Instant::now().checked_sub(MAX_SILENCE);
            if let Some(store) = then.and_then(silent_store) {
                return store;
            }
        }
    };
    tokio::select! {
        biased;
        ended = work => ended,
        store = silence => Err(Error::unavailable(format!("stopped while waiting for {store}"))
            .with_hint("run again: a commit that had begun is finished first")),
    }
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
