//! `dayport completions` and `dayport man`: generate completion scripts and manual pages from the
//! program's arguments.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::print;
use crate::error::{Error, ExitCode, Result};

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  dayport completions bash > /etc/bash_completion.d/dayport
  dayport completions zsh > ~/.zfunc/_dayport
  dayport completions fish > ~/.config/fish/completions/dayport.fish";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  dayport man | man -l -
      the manual page of dayport
  dayport man --dir /usr/local/share/man/man1
      a manual page for each command";

/// The arguments of `dayport completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// The arguments of `dayport man`.
#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints the completion script of a shell for `command`.
pub(super) fn completions(arguments: &CompletionsArguments, mut command: Command) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "dayport", &mut text);
    print::raw(&String::from_utf8_lossy(&text));
    ExitCode::Done
}

/// Prints the manual page of `command`, or writes the pages of all its subcommands.
pub(super) fn man(arguments: &ManArguments, command: Command) -> Result<ExitCode> {
    let Some(folder) = &arguments.dir else {
        let page = page(command)?;
        print::raw(&String::from_utf8_lossy(&page));
        return Ok(ExitCode::Done);
    };
    clap_mangen::generate_to(command, folder).map_err(|error| {
        Error::invalid(format!("cannot write the manual to `{}`", folder.display()))
            .with_source(error)
    })?;
    Ok(ExitCode::Done)
}

fn page(command: Command) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command)
        .render(&mut text)
        .map_err(|error| Error::internal("cannot make the manual").with_source(error))?;
    Ok(text)
}
