//! Checks the examples and help texts against the arguments that the program takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::{CommandFactory, Parser};

use super::args::Arguments;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap()
}

/// The destination, which files for operators leave to the environment.
fn with_destination(words: Vec<String>) -> Vec<String> {
    let names_one = words.iter().any(|word| word == "--to");
    let needs_none =
        ["query", "cluster", "completions", "init", "man", "test"].contains(&words[1].as_str());
    if names_one || needs_none {
        return words;
    }
    let mut words = words;
    words.extend(["--to", "out"].map(str::to_owned));
    words
}

#[track_caller]
fn is_taken(words: Vec<String>) {
    let line = words.join(" ");
    if let Err(error) = Arguments::try_parse_from(with_destination(words)) {
        panic!("{line}: {error}");
    }
}

fn words(list: &str) -> Vec<String> {
    let list: Vec<String> = serde_json::from_str(list).unwrap();
    [vec!["dayport".to_owned()], list].concat()
}

#[test]
fn deployments_use_documented_flags() {
    let mut commands = 0;
    for file in ["dayport.service", "dayport-serve.service"] {
        let text = read(&format!("docs/deploy/{file}"));
        for line in text
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStart="))
        {
            assert!(line.starts_with("/usr/local/bin/dayport "), "{line}");
            is_taken(line.split_whitespace().map(str::to_owned).collect());
            commands += 1;
        }
    }
    let job = read("docs/deploy/cronjob.yaml");
    for list in job
        .lines()
        .filter_map(|line| line.trim().strip_prefix("args: "))
    {
        is_taken(words(list));
        commands += 1;
    }
    let image = read("docs/deploy/Containerfile");
    for list in image.lines().filter_map(|line| line.strip_prefix("CMD ")) {
        is_taken(words(list));
        commands += 1;
    }
    assert_eq!(commands, 4);
}

/// Containers have what the documentation promises for the memory limit in them.
#[test]
fn deployments_are_sized_by_their_memory_limit() {
    const LIMIT_MIB: u64 = 2048;
    let size = LIMIT_MIB + LIMIT_MIB / 4 + 100;
    let job = read("docs/deploy/cronjob.yaml");
    assert!(job.contains("\"--memory-limit\", \"2GiB\""));
    let sizes: Vec<&str> = job
        .lines()
        .filter_map(|line| line.trim().strip_prefix("memory: "))
        .collect();
    assert_eq!(sizes, [format!("{size}Mi"), format!("{size}Mi")]);
    for file in ["dayport.service", "dayport-serve.service"] {
        let unit = read(&format!("docs/deploy/{file}"));
        assert!(
            unit.contains("\nEnvironment=DAYPORT_MEMORY_LIMIT=2GiB\n"),
            "{file}"
        );
        assert!(unit.contains(&format!("\nMemoryMax={size}M\n")), "{file}");
    }
}

#[test]
fn deployments_set_documented_variables() {
    let command = Arguments::command();
    let options = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments);
    let options = options.chain(command.get_arguments());
    let known: BTreeSet<String> = options
        .filter_map(|option| Some(option.get_env()?.to_string_lossy().into_owned()))
        .collect();
    let mut used = BTreeSet::new();
    for file in [
        "dayport.service",
        "dayport-serve.service",
        "cronjob.yaml",
        "Containerfile",
    ] {
        let text = read(&format!("docs/deploy/{file}"));
        let names = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        used.extend(
            names
                .filter(|name| name.starts_with("DAYPORT_"))
                .map(str::to_owned),
        );
    }
    assert!(
        used.len() >= 4 && used.is_subset(&known),
        "{used:?} of {known:?}"
    );
}

#[test]
fn the_readme_shows_commands_that_are_taken() {
    let readme = read("README.md");
    let mut commands = 0;
    let code = readme.split("```").skip(1).step_by(2);
    let lines = code.flat_map(str::lines);
    for line in lines.filter(|line| line.starts_with("dayport ")) {
        let command = ["  #", " | ", " > "]
            .into_iter()
            .fold(line, |text, end| text.split(end).next().unwrap_or_default());
        // The one argument in quotes is SQL.
        let mut pieces = command.split('"');
        let before = pieces.next().unwrap_or_default().split_whitespace();
        let quoted = pieces.next().map(str::to_owned);
        let after = pieces.next().unwrap_or_default().split_whitespace();
        let words = before.map(str::to_owned).chain(quoted);
        is_taken(words.chain(after.map(str::to_owned)).collect());
        commands += 1;
    }
    assert!(commands >= 12, "{commands}");
}
