//! The command line: what was typed → what is meant → the work → what is printed.
//!
//! Results go to stdout; progress, errors and hints to stderr.

mod args;
mod config;
mod ddl;
mod progress;
mod query;
mod render;
mod run;
mod shell;
mod trace;
mod verify;
mod wait;

use clap::Parser;
use clap::error::ErrorKind as ClapErrorKind;

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
    match dispatch(arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", error.render());
            error.kind().exit_code()
        }
    }
}

async fn dispatch(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Run(run) => run::run(run).await,
        Command::Query(query) => query::query(query).await,
        Command::Verify(verify) => verify::verify(verify).await,
        Command::Wait(wait) => wait::wait(wait).await,
        Command::Ddl(ddl) => ddl::ddl(ddl).await,
        Command::Trace(trace) => trace::trace(trace).await,
    }
}
