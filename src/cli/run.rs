//! `dayport run`.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cli::args::{ReportForm, RunArguments};
use crate::cli::cluster;
use crate::cli::job::{Job, To};
use crate::cli::progress::{Bars, aside};
use crate::cli::render;
use crate::error::{ExitCode, Result};
use crate::run::{NoProgress, ProgressListener, run as run_tables};

/// For what a cluster is still told when a run is over.
const LAST_CALLS: Duration = Duration::from_secs(5);

pub async fn run(arguments: RunArguments) -> Result<ExitCode> {
    let listener: Box<dyn ProgressListener> = if arguments.quiet {
        Box::new(NoProgress)
    } else {
        Box::new(Bars::default())
    };
    let mut job = Job::open(&arguments.job, &arguments.selection, To::Write).await?;
    let mut calls = None;
    if let Some(address) = &arguments.on.cluster {
        let (distributed, tracker) = cluster::distribute(job, address, &arguments).await?;
        job = distributed;
        calls = Some(tracker);
    }
    let (context, request) = job.with(listener, stop_on_signal(STOPPING));
    let report = run_tables(Arc::new(context), request).await;
    if let Some(calls) = calls {
        // A cluster that does not answer is not waited for.
        calls.close();
        let _ = tokio::time::timeout(LAST_CALLS, calls.wait()).await;
    }
    let report = report?;
    if !arguments.quiet {
        match arguments.output {
            ReportForm::Text => render::print(&render::report(&report)),
            ReportForm::Json => render::json(&report)?,
        }
    }
    eprint!("{}", render::complaints(&report));
    Ok(report.exit_code())
}

/// What happens to a run that is interrupted.
pub const STOPPING: &str = "staged files are given up, a commit under way is finished";

/// Set by the first Ctrl-C or SIGTERM, which says what happens now; the second one ends the process
/// as usual.
pub fn stop_on_signal(stopping: &'static str) -> CancellationToken {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        if wait_for_signal().await.is_ok() {
            aside(|| eprintln!("stopping: {stopping}"));
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
