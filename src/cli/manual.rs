//! `dayport completions` and `dayport man`: what the shell and the manual need, from the arguments
//! themselves.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::args::Arguments;
use crate::cli::render;
use crate::error::{Error, ExitCode, Result};

pub const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  dayport completions bash > /etc/bash_completion.d/dayport
  dayport completions zsh > ~/.zfunc/_dayport
  dayport completions fish > ~/.config/fish/completions/dayport.fish";

pub const MAN_EXAMPLES: &str = "\
Examples:
  dayport man | man -l -
      the page of dayport itself
  dayport man --dir /usr/local/share/man/man1
      a page for each command";

#[derive(Debug, Args)]
pub struct CompletionsArguments {
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArguments {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

pub fn completions(arguments: &CompletionsArguments) -> ExitCode {
    let mut text = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "dayport", &mut text);
    render::print(&String::from_utf8_lossy(&text));
    ExitCode::Done
}

pub fn man(arguments: &ManArguments) -> Result<ExitCode> {
    let Some(folder) = &arguments.dir else {
        let page = page(Arguments::command())?;
        render::print(&String::from_utf8_lossy(&page));
        return Ok(ExitCode::Done);
    };
    clap_mangen::generate_to(Arguments::command(), folder).map_err(|error| {
        Error::invalid(format!("cannot write the manual to `{}`", folder.display()))
            .with_source(error)
    })?;
    Ok(ExitCode::Done)
}

fn page(command: clap::Command) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command)
        .render(&mut text)
        .map_err(|error| Error::internal("cannot make the manual").with_source(error))?;
    Ok(text)
}
