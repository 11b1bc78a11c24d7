//! The command line: what was typed → what is meant → the work → what is printed.
//!
//! Results go to stdout; progress, errors and hints to stderr.

#![expect(
    clippy::print_stderr,
    reason = "progress, errors and hints go to stderr; results go through `render::print`, which does not \
              panic when its reader is gone"
)]

mod args;
mod check;
mod cluster;
mod config;
mod ddl;
mod job;
mod log;
mod manual;
mod plan;
mod policy;
mod progress;
mod query;
mod render;
mod run;
mod serve;
mod shell;
mod status;
#[cfg(test)]
mod tests;
mod trace;
mod verify;
mod wait;

use clap::Parser;
use clap::error::ErrorKind as ClapErrorKind;
use tracing::Level;

use crate::cli::args::{Arguments, Command};
use crate::error::{ExitCode, Result};

/// Parses the process's arguments and does what they ask.
pub async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return match error.kind() {
                ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion => ExitCode::Done,
                _ => ExitCode::Invalid,
            };
        }
    };
    log::start(&arguments.log, least(&arguments.command));
    match dispatch(arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", error.render());
            error.kind().exit_code()
        }
    }
}

/// What is logged without `-v`: commands report by themselves.
fn least(command: &Command) -> Level {
    match command {
        Command::Run(run) if run.quiet => Level::ERROR,
        Command::Serve(_) | Command::Cluster(_) => Level::INFO,
        _ => Level::WARN,
    }
}

async fn dispatch(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Run(run) => run::run(run).await,
        Command::Plan(plan) => plan::plan(plan).await,
        Command::Check(arguments) => check::check(arguments).await,
        Command::Cluster(arguments) => cluster::cluster(arguments).await,
        Command::Completions(arguments) => Ok(manual::completions(&arguments)),
        Command::Man(arguments) => manual::man(&arguments),
        Command::Policy(arguments) => policy::policy(&arguments),
        Command::Query(query) => query::query(query).await,
        Command::Serve(arguments) => serve::serve(*arguments).await,
        Command::Status(arguments) => status::status(arguments).await,
        Command::Verify(verify) => verify::verify(verify).await,
        Command::Wait(wait) => wait::wait(wait).await,
        Command::Ddl(ddl) => ddl::ddl(ddl).await,
        Command::Trace(trace) => trace::trace(trace).await,
    }
}
