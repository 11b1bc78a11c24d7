//! The command line: arguments as typed → settings as meant → the work → its output.
//!
//! Results go to stdout; progress, errors and hints to stderr.

mod absent_columns;
mod access;
mod annotation;
mod args;
mod audits;
mod available;
mod changes;
mod check;
mod cluster;
mod config;
mod cycle_markers;
mod days;
mod ddl;
mod descriptors;
mod diff;
mod env_hint;
mod failure_log;
mod init;
mod job;
mod log;
mod manual;
mod passed_over;
mod plan;
mod policy;
mod print;
mod progress;
mod query;
mod rejected_lines;
mod rejects_to;
mod rows_csv;
mod rows_table;
mod run;
mod schema_files;
mod serve;
mod shared;
mod shell;
mod signal;
mod statement;
mod status;
mod test;
#[cfg(test)]
mod tests;
mod trace;
mod units;
mod verify;
mod wait;

use clap::error::ErrorKind as ClapErrorKind;
use clap::{CommandFactory, Parser};
use tracing::Level;

use crate::cli::args::{Arguments, Command};
use crate::env;
use crate::error::{ExitCode, Result};
use crate::resident;

/// The environment variables by which an operator tunes the C library's allocator.
const ALLOCATOR_SETTINGS: [&str; 2] = ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"];

/// Parses the process's arguments and runs the command that they name.
pub async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            return match error.kind() {
                ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion => {
                    // There is no way to report that the terminal is closed.
                    let _ = error.print();
                    ExitCode::Done
                }
                _ => {
                    // It repeats what was typed, so it has no colours: those could be of the data.
                    print::message(&error.render().to_string());
                    print_env_hint(&error.to_string());
                    ExitCode::Invalid
                }
            };
        }
    };
    log::start(&arguments.log, default_level(&arguments.command));
    descriptors::raise_limit();
    limit_arenas();
    let done = match dispatch(arguments).await {
        Ok(code) => print::check_written().map(|()| code),
        Err(error) => Err(error),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            let rendered = error.render();
            print::message(&format!("{rendered}\n"));
            print_env_hint(&rendered);
            error.kind().exit_code()
        }
    }
}

/// Limits the arenas of the allocator, unless the operator has tuned it.
fn limit_arenas() {
    let is_tuned = ALLOCATOR_SETTINGS
        .iter()
        .any(|name| env::var(name).is_some());
    if !is_tuned {
        resident::limit_arenas(env::processors());
    }
}

/// Prints which environment variable a wrong value comes from, if it does.
fn print_env_hint(message: &str) {
    let words = env::arguments();
    if let Some(hint) = env_hint::env_hint(&Arguments::command(), &words, message) {
        print::message(&format!("hint: {hint}\n"));
    }
}

/// Returns the log level without `-v`. Most commands report by themselves.
fn default_level(command: &Command) -> Level {
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
        Command::Changes(arguments) => changes::changes(arguments).await,
        Command::Check(arguments) => check::check(arguments).await,
        Command::Cluster(arguments) => cluster::cluster(arguments).await,
        Command::Completions(arguments) => {
            Ok(manual::completions(&arguments, Arguments::command()))
        }
        Command::Init(arguments) => init::init(arguments).await,
        Command::Man(arguments) => manual::man(&arguments, Arguments::command()),
        Command::Diff(arguments) => diff::diff(*arguments).await,
        Command::Policy(arguments) => policy::policy(&arguments),
        Command::Query(query) => query::query(query).await,
        Command::Serve(arguments) => serve::serve(*arguments).await,
        Command::Status(arguments) => status::status(arguments).await,
        Command::Verify(verify) => verify::verify(verify).await,
        Command::Wait(wait) => wait::wait(wait).await,
        Command::Ddl(ddl) => ddl::ddl(ddl).await,
        Command::Test(arguments) => test::test(arguments).await,
        Command::Trace(trace) => trace::trace(trace).await,
    }
}
