//! Names the environment variable that a wrong value comes from: the command line does not show it.

use clap::{Arg, Command};

use crate::env;

/// Returns the hint for an error whose message names an option, if the value of that option comes from
/// the environment. `words` is the command line.
pub(super) fn env_hint(command: &Command, words: &[String], message: &str) -> Option<String> {
    let command = named(command, words);
    let (option, variable) = command
        .get_arguments()
        .filter_map(option_and_variable)
        .filter(|(option, _)| is_named(message, option))
        .filter(|(option, _)| !words.iter().any(|word| is_given(word, option)))
        .find(|(_, variable)| env::var(variable).is_some())?;
    Some(format!(
        "the value of `{option}` comes from the environment variable `{variable}`"
    ))
}

/// Returns the command of the words: a subcommand of a subcommand of the program.
fn named<'a>(program: &'a Command, words: &[String]) -> &'a Command {
    let mut command = program;
    for word in words {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    command
}

fn option_and_variable(argument: &Arg) -> Option<(String, String)> {
    let option = format!("--{}", argument.get_long()?);
    let variable = argument.get_env()?.to_str()?.to_owned();
    Some((option, variable))
}

/// Returns true if the message has the option as a word: `--sse` is none in `--sse-kms-key`.
fn is_named(message: &str, option: &str) -> bool {
    message.match_indices(option).any(|(at, _)| {
        let next = message[at + option.len()..].chars().next();
        !next.is_some_and(|next| next == '-' || next.is_ascii_alphanumeric())
    })
}

fn is_given(word: &str, option: &str) -> bool {
    word.strip_prefix(option)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_a_whole_word() {
        assert!(is_named("--sse kms is wrong", "--sse"));
        assert!(is_named("for '--sse <KIND>'", "--sse"));
        assert!(!is_named("--sse-kms-key without", "--sse"));
        assert!(is_given("--to=x", "--to") && is_given("--to", "--to"));
        assert!(!is_given("--today", "--to"));
    }
}
