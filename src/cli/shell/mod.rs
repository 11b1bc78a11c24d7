//! The shell of `dayport query`: reads statements from a terminal and runs them.

mod describe;
mod editor;

use std::pin::pin;

use rustyline::error::ReadlineError;

use crate::cli::print;
use crate::cli::rows_table::Expanded;
use crate::cli::shared::RowFormat;
use crate::cli::shell::editor::Editor;
use crate::cli::statement::{PrintOptions, run_statement};
use crate::error::{Error, Result};
use crate::query::{QueryCatalog, QueryContext, split};
use crate::visible::visible_line;

const HELP: &str = "\
\\d          list the tables: sources, definitions and, with --to, published tables
\\d TABLE    describe the columns of a table
\\x [MODE]   print a line for each column instead of a table: on, off, or auto, which is on
            for rows that are wider than the terminal; without a mode, on and off in turn
\\?          print this help
\\q          quit, as Ctrl-D does

Anything else is SQL. It may span lines and ends with `;`. EXPLAIN and EXPLAIN ANALYZE show how a query
runs; Ctrl-C stops it. Tab completes names.";

/// A line of input: a command of the shell, or SQL.
#[derive(Debug, PartialEq, Eq)]
enum ShellCommand<'a> {
    List,
    Describe(&'a str),
    Expand(&'a str),
    Help,
    Quit,
    Unknown(&'a str),
    Sql,
}

/// Reads and runs statements until the user quits. An error is printed and does not end the shell.
///
/// # Errors
/// The terminal cannot be read, or the tables cannot be listed.
pub(super) async fn shell(context: &QueryContext<'_>, mut options: PrintOptions) -> Result<()> {
    let mut editor = Editor::open(&QueryCatalog::load(context).await?)?;
    // The first poll installs a handler, so that Ctrl-C no longer ends the process.
    let _ = futures::poll!(pin!(tokio::signal::ctrl_c()));
    if options.format == RowFormat::Table {
        print::text(&format!(
            "dayport {}; \\? for help\n",
            env!("CARGO_PKG_VERSION")
        ));
    }
    if let Some(reason) = context.left_out {
        let reason = visible_line(&reason.chain()).into_owned();
        print::message(&format!(
            "note: there are neither sources nor definitions: {reason}\n"
        ));
    }
    loop {
        let text = match tokio::task::block_in_place(|| editor.read()) {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => {
                return Err(Error::unavailable("cannot read the terminal").with_source(error));
            }
        };
        match command(&text) {
            ShellCommand::List => {
                print::text(&describe::list(&QueryCatalog::load(context).await?));
            }
            ShellCommand::Describe(name) => {
                let catalog = QueryCatalog::load(context).await?;
                match describe::table(&catalog, name) {
                    Some(text) => print::text(&text),
                    None => print::message(&format!(
                        "error: there is no table `{}`\nhint: \\d lists them\n",
                        visible_line(name)
                    )),
                }
            }
            ShellCommand::Expand(_) if options.format != RowFormat::Table => {
                print::message("error: \\x is for --output table\n");
            }
            ShellCommand::Expand(mode) => match expanded(mode, options.expanded) {
                Some(chosen) => {
                    options.expanded = chosen;
                    print::message(announcement(chosen));
                }
                None => print::message(&format!(
                    "error: `{}` is no mode of \\x\nhint: the modes are on, off and auto\n",
                    visible_line(mode)
                )),
            },
            ShellCommand::Help => print::text(&format!("{HELP}\n")),
            ShellCommand::Quit => return Ok(()),
            ShellCommand::Unknown(word) => {
                print::message(&format!(
                    "error: there is no command `{}`\nhint: \\? lists the commands\n",
                    visible_line(word)
                ));
            }
            ShellCommand::Sql => {
                for statement in split(&text).complete {
                    if !run(context, statement, options).await {
                        break;
                    }
                }
            }
        }
    }
}

/// Parses a line of input.
fn command(text: &str) -> ShellCommand<'_> {
    let line = text.trim().trim_end_matches(';').trim();
    if !line.starts_with('\\') {
        return ShellCommand::Sql;
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (word, rest.trim()) {
        ("\\d", "") => ShellCommand::List,
        ("\\d", name) => ShellCommand::Describe(name),
        ("\\x", mode) => ShellCommand::Expand(mode),
        ("\\?", _) => ShellCommand::Help,
        ("\\q", _) => ShellCommand::Quit,
        _ => ShellCommand::Unknown(word),
    }
}

/// Returns the form of rows that `\x` chooses; `None` if there is no such mode.
fn expanded(mode: &str, current: Expanded) -> Option<Expanded> {
    match (mode, current) {
        ("", Expanded::Off) | ("on", _) => Some(Expanded::On),
        ("", Expanded::On | Expanded::Auto) | ("off", _) => Some(Expanded::Off),
        ("auto", _) => Some(Expanded::Auto),
        _ => None,
    }
}

/// Says which form rows have from now on, in the words of psql.
fn announcement(expanded: Expanded) -> &'static str {
    match expanded {
        Expanded::On => "Expanded display is on.\n",
        Expanded::Off => "Expanded display is off.\n",
        Expanded::Auto => "Expanded display is used automatically.\n",
    }
}

/// Runs a statement until it ends or Ctrl-C stops it; returns true if it succeeded.
async fn run(context: &QueryContext<'_>, statement: &str, options: PrintOptions) -> bool {
    let ended = tokio::select! {
        ended = run_statement(context, statement, options) => ended,
        _ = tokio::signal::ctrl_c() => {
            print::message("stopped\n");
            return false;
        }
    };
    if let Err(error) = &ended {
        print::message(&(error.render() + "\n"));
    }
    ended.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_begin_with_a_backslash() {
        assert_eq!(command("\\d"), ShellCommand::List);
        assert_eq!(
            command(" \\d  exported.views ;"),
            ShellCommand::Describe("exported.views")
        );
        assert_eq!(command("\\?"), ShellCommand::Help);
        assert_eq!(command("\\q"), ShellCommand::Quit);
        assert_eq!(command("\\x"), ShellCommand::Expand(""));
        assert_eq!(command("\\x auto;"), ShellCommand::Expand("auto"));
        assert_eq!(command("\\y z"), ShellCommand::Unknown("\\y"));
        assert_eq!(command("SELECT 1;"), ShellCommand::Sql);
    }

    #[test]
    fn rows_are_expanded_on_off_and_in_turn() {
        use Expanded::{Auto, Off, On};
        for (mode, current, chosen) in [
            ("", Off, Some(On)),
            ("", On, Some(Off)),
            ("", Auto, Some(Off)),
            ("on", On, Some(On)),
            ("off", Auto, Some(Off)),
            ("auto", Off, Some(Auto)),
            ("ON", Off, None),
        ] {
            assert_eq!(expanded(mode, current), chosen, "{mode} {current:?}");
        }
    }
}
