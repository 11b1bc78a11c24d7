//! Definitions, sources and the destination, opened for a run or to look at what one would do.

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::catalog::Sources;
use crate::cli::args::{JobArguments, SelectionArguments};
use crate::cli::config;
use crate::definition;
use crate::engine::Engine;
use crate::env::{self, Clock};
use crate::error::{Error, Result};
use crate::run::{ProgressListener, RunContext, RunRequest, pick};
use crate::scan::rejects::MaxRejects;
use crate::store::{Destination, Location};

/// Whether anything may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Write,
    Look,
}

/// All that a run needs.
pub struct Job {
    pub engine: Engine,
    pub destination: Destination,
    pub clock: Clock,
    pub request: RunRequest,
}

impl Job {
    /// Parses and opens everything. All complaints come at once.
    pub async fn open(
        arguments: &JobArguments,
        selection: &SelectionArguments,
        to: To,
    ) -> Result<Self> {
        let mut complaints = Vec::new();
        let opened = Self::parts(arguments, selection, to, &mut complaints).await;
        Error::all(complaints)?;
        opened.ok_or_else(|| Error::internal("a part is missing without a complaint"))
    }

    async fn parts(
        arguments: &JobArguments,
        selection: &SelectionArguments,
        to: To,
        complaints: &mut Vec<Error>,
    ) -> Option<Self> {
        let places = &arguments.places;
        let clock = keep(Clock::from_environment(), complaints);
        let s3 = keep(config::destination_store(&arguments.s3), complaints);
        let from = keep(config::from(places), complaints);
        let location = keep(Location::parse(&arguments.to), complaints);
        let settings = keep(config::job_engine(arguments), complaints);
        let definitions = definition::load(&places.sql)
            .and_then(|definitions| pick(definitions, &arguments.tables));
        let definitions = keep(definitions, complaints);
        let sources = keep(Sources::load(&places.sql.join("sources")), complaints);
        let selected = keep(config::selection(selection), complaints);
        let parameters = keep(config::parameters(places), complaints);
        let target_file_size = keep(config::target_file_size(arguments), complaints);
        let jobs = keep(config::jobs(arguments), complaints);
        let max_rejects = keep(max_rejects(arguments), complaints);

        let engine = match (&sources, &from, settings) {
            (Some(sources), Some(from), Some(settings)) => {
                let source_s3 = config::source_store(&arguments.s3);
                let engine = Engine::open(sources, from.as_ref(), &source_s3, settings).await;
                keep(engine, complaints)
            }
            _ => None,
        };
        // A folder is made only for a call that is right.
        let to = if complaints.is_empty() { to } else { To::Look };
        let destination = match (&location, &s3) {
            (Some(location), Some(s3)) => {
                let opened = match to {
                    To::Write => Destination::open(location, s3).await,
                    To::Look => Destination::open_read_only(location, s3).await,
                };
                keep(opened, complaints)
            }
            _ => None,
        };
        Some(Self {
            engine: engine?,
            destination: destination?,
            clock: clock?,
            request: RunRequest {
                definitions: definitions?,
                selection: selected?,
                rerun: selection.rerun,
                parameters: parameters?,
                format: arguments.format,
                target_file_size: target_file_size?,
                jobs: jobs?,
                max_cycles: selection.max_cycles,
                max_rejects: max_rejects?,
                max_shrink: arguments.max_shrink,
                allow_shrink: arguments.allow_shrink,
            },
        })
    }

    /// A run of it, under an id of its own.
    pub fn with(
        self,
        listener: Box<dyn ProgressListener>,
        stop: CancellationToken,
    ) -> (RunContext, RunRequest) {
        let run_id = run_id(self.clock.now());
        let context = RunContext {
            engine: self.engine,
            destination: self.destination,
            clock: self.clock,
            run_id,
            listener,
            stop,
        };
        (context, self.request)
    }
}

pub fn max_rejects(arguments: &JobArguments) -> Result<MaxRejects> {
    let parsed = arguments.max_rejects.parse();
    parsed.map_err(|error: Error| error.context("--max-rejects"))
}

/// Tells runs apart, and sorts by their start.
pub fn run_id(now: DateTime<Utc>) -> String {
    format!("{}-{}", now.format("%Y%m%dT%H%M%SZ"), env::random_suffix())
}

fn keep<T>(result: Result<T>, complaints: &mut Vec<Error>) -> Option<T> {
    result.map_err(|error| complaints.push(error)).ok()
}
