//! Declares the program's arguments: its commands, each with its own arguments.

use clap::{Parser, Subcommand};

use crate::cli::changes::{self, ChangesArguments};
use crate::cli::check::{self, CheckArguments};
use crate::cli::cluster::{self, ClusterArguments};
use crate::cli::ddl::{self, DdlArguments};
use crate::cli::diff::{self, DiffArguments};
use crate::cli::init::{self, InitArguments};
use crate::cli::log::LogArguments;
use crate::cli::manual::{self, CompletionsArguments, ManArguments};
use crate::cli::plan::{self, PlanArguments};
use crate::cli::policy::{self, PolicyArguments};
use crate::cli::query::{self, QueryArguments};
use crate::cli::run::{self, RunArguments};
use crate::cli::serve::{self, ServeArguments};
use crate::cli::status::{self, StatusArguments};
use crate::cli::test::{self, TestArguments};
use crate::cli::trace::{self, TraceArguments};
use crate::cli::verify::{self, VerifyArguments};
use crate::cli::wait::{self, WaitArguments};

/// Exports tables, defined in SQL, to S3 or a folder: complete days, exactly once, with proof.
#[derive(Debug, Parser)]
#[command(name = "dayport", version, propagate_version = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub command: Command,

    #[command(flatten)]
    pub log: LogArguments,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Scaffold sources and definitions from a sample of files
    #[command(after_help = init::EXAMPLES)]
    Init(InitArguments),
    /// Export the cycles that are due
    #[command(after_help = run::EXAMPLES)]
    Run(RunArguments),
    /// Show what `run` would do, and write nothing
    #[command(after_help = plan::EXAMPLES)]
    Plan(PlanArguments),
    /// Check that a run can succeed, by trying what it does
    #[command(after_help = check::EXAMPLES, mut_arg("to", check::with_optional_destination))]
    Check(CheckArguments),
    /// Print the policies that grant what `run` needs, for the bucket's owner
    #[command(after_help = policy::EXAMPLES)]
    Policy(PolicyArguments),
    /// Run SQL over sources, definitions and published tables, for debugging
    #[command(after_help = query::EXAMPLES)]
    Query(QueryArguments),
    /// Compare tables: definitions, git revisions of them, and what is published
    #[command(after_help = diff::EXAMPLES)]
    Diff(Box<DiffArguments>),
    /// Run definitions over the cases of `sql/tests`
    #[command(after_help = test::EXAMPLES)]
    Test(TestArguments),
    /// Keep running, and export what is due every day
    #[command(after_help = serve::EXAMPLES)]
    Serve(Box<ServeArguments>),
    /// Show what is published, day by day
    #[command(after_help = status::EXAMPLES)]
    Status(StatusArguments),
    /// Read what is published and compare it with the manifests
    #[command(after_help = verify::EXAMPLES)]
    Verify(VerifyArguments),
    /// Wait until a cycle is published
    #[command(after_help = wait::EXAMPLES)]
    Wait(WaitArguments),
    /// List the cycles to load again, since an instant
    #[command(after_help = changes::EXAMPLES)]
    Changes(ChangesArguments),
    /// Print the SQL statements that let a receiver read the export
    #[command(after_help = ddl::EXAMPLES)]
    Ddl(DdlArguments),
    /// Explain why an event is in the export of a day, or is not
    #[command(after_help = trace::EXAMPLES)]
    Trace(TraceArguments),
    /// Run the scheduler or an executor of a cluster, for `run --cluster`
    #[command(after_help = cluster::EXAMPLES)]
    Cluster(ClusterArguments),
    /// Print a completion script for a shell
    #[command(after_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArguments),
    /// Print the manual
    #[command(after_help = manual::MAN_EXAMPLES)]
    Man(ManArguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_help_of_each_command_has_examples_and_exit_codes() {
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains(&format!("Examples:\n  dayport {name}")),
                "{name}"
            );
            let prints = ["query", "ddl", "completions", "man"].contains(&name);
            assert!(prints || help.contains("Exit codes:"), "{name}");
        }
    }
}
