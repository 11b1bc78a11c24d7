//! `dayport query` without SQL, on a terminal: one statement after the other.

mod describe;
mod editor;

use std::pin::pin;

use rustyline::error::ReadlineError;

use crate::cli::args::RowForm;
use crate::cli::query::{Printing, run_statement};
use crate::cli::render;
use crate::error::{Error, Result};
use crate::query::{Catalog, Workbench, split};
use editor::Editor;

const HELP: &str = "\
\\d          the tables: sources, definitions and, with --to, what is published
\\d TABLE    the columns of a table
\\?          this help
\\q          leave; Ctrl-D too

Anything else is SQL and ends with `;`. It may go over many lines. EXPLAIN and EXPLAIN ANALYZE show how a
query runs; Ctrl-C stops it. Tab completes names.";

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command<'a> {
    List,
    Describe(&'a str),
    Help,
    Quit,
    Unknown(&'a str),
    Sql,
}

/// Reads and runs statements until the user leaves. What goes wrong with one does not end the others.
pub async fn shell(workbench: &Workbench<'_>, printing: Printing) -> Result<()> {
    let catalog = Catalog::load(workbench).await?;
    let mut editor = Editor::open(&catalog)?;
    // From its first use on, Ctrl-C does not end the process.
    let _ = futures::poll!(pin!(tokio::signal::ctrl_c()));
    if printing.form == RowForm::Table {
        render::print(&format!(
            "dayport {}; \\? for help\n",
            env!("CARGO_PKG_VERSION")
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
            Command::List => render::print(&describe::list(&Catalog::load(workbench).await?)),
            Command::Describe(name) => {
                let catalog = Catalog::load(workbench).await?;
                match describe::table(&catalog, name) {
                    Some(text) => render::print(&text),
                    None => eprintln!("error: there is no table `{name}`\nhint: \\d lists them"),
                }
            }
            Command::Help => render::print(&format!("{HELP}\n")),
            Command::Quit => return Ok(()),
            Command::Unknown(word) => {
                eprintln!("error: `{word}` is no command\nhint: \\? for help")
            }
            Command::Sql => {
                for statement in split(&text).ended {
                    if !run(workbench, statement, printing).await {
                        break;
                    }
                }
            }
        }
    }
}

fn command(text: &str) -> Command<'_> {
    let text = text.trim().trim_end_matches(';').trim();
    if !text.starts_with('\\') {
        return Command::Sql;
    }
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match (word, rest.trim()) {
        ("\\d", "") => Command::List,
        ("\\d", name) => Command::Describe(name),
        ("\\?", _) => Command::Help,
        ("\\q", _) => Command::Quit,
        _ => Command::Unknown(word),
    }
}

/// Whether it came to its end.
async fn run(workbench: &Workbench<'_>, statement: &str, printing: Printing) -> bool {
    let ended = tokio::select! {
        ended = run_statement(workbench, statement, printing) => ended,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("stopped");
            return false;
        }
    };
    if let Err(error) = &ended {
        eprintln!("{}", error.render());
    }
    ended.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_begin_with_a_backslash() {
        assert_eq!(command("\\d"), Command::List);
        assert_eq!(
            command(" \\d  exported.views ;"),
            Command::Describe("exported.views")
        );
        assert_eq!(command("\\?"), Command::Help);
        assert_eq!(command("\\q"), Command::Quit);
        assert_eq!(command("\\x y"), Command::Unknown("\\x"));
        assert_eq!(command("SELECT 1;"), Command::Sql);
    }
}
