//! `dayport run`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cli::args::{ReportForm, RunArguments};
use crate::cli::progress::Bars;
use crate::cli::{config, render};
use crate::definition;
use crate::engine::{Engine, EngineSettings};
use crate::env::{self, Clock};
use crate::error::{Error, ExitCode, Result};
use crate::run::{Context, Request, Unwatched, Watch, pick, run as run_tables};
use crate::source::Sources;
use crate::store::{Destination, Location};

pub async fn run(arguments: RunArguments) -> Result<ExitCode> {
    let clock = Clock::from_environment()?;
    let s3 = config::s3(&arguments.s3)?;
    let places = &arguments.places;
    let from = config::from(places)?;
    let to = Location::parse(&arguments.to)?;
    let definitions = definition::load(&places.sql)?;
    let request = Request {
        definitions: pick(definitions, &arguments.tables)?,
        selection: config::selection(&arguments)?,
        rerun: arguments.rerun,
        parameters: config::parameters(places)?,
        format: config::format(arguments.format),
        target_file_size: config::target_file_size(&arguments)?,
        jobs: config::jobs(&arguments)?,
        max_cycles: arguments.max_cycles,
        max_rejects: arguments
            .max_rejects
            .parse()
            .map_err(|error: Error| error.context("--max-rejects"))?,
        max_shrink: arguments.max_shrink,
        allow_shrink: arguments.allow_shrink,
    };
    let sources = Sources::load(&places.sql.join("sources"))?;
    let settings = EngineSettings {
        gzip_level: config::gzip_level(&arguments)?,
        ..config::engine(places)?
    };
    let source_s3 = config::source_s3(&arguments.s3);
    let engine = Engine::open(&sources, from.as_ref(), &source_s3, settings).await?;
    let watch: Box<dyn Watch> = if arguments.quiet {
        Box::new(Unwatched)
    } else {
        Box::new(Bars::new())
    };
    let now = clock.now();
    let context = Arc::new(Context {
        engine,
        destination: Destination::open(&to, &s3).await?,
        clock,
        run_id: format!("{}-{}", now.format("%Y%m%dT%H%M%SZ"), env::random_suffix()),
        watch,
        stop: stop_on_signal(),
    });
    let report = run_tables(context, request).await?;
    if !arguments.quiet {
        match arguments.output {
            ReportForm::Text => print!("{}", render::report(&report)),
            ReportForm::Json => {
                let text = serde_json::to_string_pretty(&report).map_err(|error| {
                    Error::internal("cannot print the report").with_source(error)
                })?;
                println!("{text}");
            }
        }
    }
    eprint!("{}", render::complaints(&report));
    Ok(report.exit_code())
}

/// Set by the first Ctrl-C or SIGTERM; the second one ends the process as usual.
fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        if wait_for_signal().await.is_ok() {
            eprintln!("stopping: staged files are given up, a commit under way is finished");
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
