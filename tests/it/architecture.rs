//! Imports point one way.
//!
//! ```text
//! plain ──> store ──> sql ───────────┐
//!                └──> delivery ──────┴──> run, query ──> cli
//! ```
//! Each module may use those before it, but `delivery` knows nothing of SQL and SQL nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::repository;

/// A file longer than this holds more than one concept.
const MOST_LINES: usize = 500;

/// Every module in an order in which each uses only earlier ones, with the groups it may use
/// besides its own.
const MODULES: [(&str, &str, &[&str]); 32] = [
    ("error", "plain", &[]),
    ("env", "plain", &[]),
    ("cycle", "plain", &[]),
    ("layout", "plain", &[]),
    ("policy", "plain", &[]),
    ("schema", "plain", &[]),
    ("compact", "plain", &[]),
    ("manifest", "plain", &[]),
    ("staged", "plain", &[]),
    ("encode", "plain", &[]),
    ("store", "store", &["plain"]),
    ("engine_error", "sql", &["plain", "store"]),
    ("task", "sql", &["plain", "store"]),
    ("sql_file", "sql", &["plain", "store"]),
    ("definition", "sql", &["plain", "store"]),
    ("source", "sql", &["plain", "store"]),
    ("stage", "sql", &["plain", "store"]),
    ("cluster", "sql", &["plain", "store"]),
    ("engine", "sql", &["plain", "store"]),
    ("delivery", "delivery", &["plain", "store"]),
    ("verify", "receiver", &["plain", "store", "delivery"]),
    ("status", "receiver", &["plain", "store", "delivery"]),
    ("wait", "receiver", &["plain", "store", "delivery"]),
    ("ddl", "query", &["plain", "store", "sql"]),
    ("exported", "query", &["plain", "store", "sql", "delivery"]),
    ("trace", "query", &["plain", "store", "sql", "delivery"]),
    ("query", "query", &["plain", "store", "sql", "delivery"]),
    ("run", "run", &["plain", "store", "sql", "delivery"]),
    ("check", "run", &["plain", "store", "sql", "delivery"]),
    ("serve", "serve", &["plain", "receiver", "run"]),
    (
        "cli",
        "cli",
        &[
            "plain", "store", "sql", "delivery", "receiver", "query", "run", "serve",
        ],
    ),
    ("main", "cli", &[]),
];

/// What a group must not name, besides modules of this crate.
const FORBIDDEN: [(&str, &[&str]); 9] = [
    (
        "plain",
        &[
            "datafusion",
            "ObjectStore",
            "MultipartStore",
            "clap",
            "indicatif",
        ],
    ),
    ("store", &["datafusion", "clap", "indicatif"]),
    ("sql", &["clap", "indicatif"]),
    ("delivery", &["datafusion", "clap", "indicatif"]),
    ("receiver", &["datafusion", "clap", "indicatif"]),
    ("query", &["clap", "indicatif"]),
    ("run", &["datafusion", "clap", "indicatif"]),
    ("serve", &["datafusion", "clap", "indicatif"]),
    ("cli", &[]),
];

/// One file of `src`, without its tests.
struct Source {
    path: PathBuf,
    /// The module of the crate that it belongs to.
    module: String,
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = repository().join("src");
    let (mut sources, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("read a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sources.push(source(&root, &path));
            }
        }
    }
    assert!(sources.len() > 50, "only {} files", sources.len());
    sources
}

fn source(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("UTF-8");
    let relative = path.strip_prefix(root).expect("a path below src");
    let first = relative.iter().next().expect("a name").to_string_lossy();
    let is_test = relative
        .iter()
        .any(|part| part == "tests" || part == "tests.rs");
    let without_tests = text.split("#[cfg(test)]\nmod tests {").next();
    let code = match without_tests {
        Some(code) if !is_test => code.lines().map(without_comment).collect(),
        _ => String::new(),
    };
    Source {
        path: relative.to_owned(),
        module: first.trim_end_matches(".rs").to_owned(),
        code,
        lines: text.lines().count(),
    }
}

fn without_comment(line: &str) -> String {
    let code = line.split("//").next().unwrap_or_default();
    format!("{code}\n")
}

/// The words of code: names, and nothing of what stands between them.
fn words(code: &str) -> BTreeSet<&str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect()
}

/// What follows each `crate::` of a file.
fn imports(source: &Source) -> BTreeSet<&str> {
    let after = source.code.split("crate::").skip(1);
    let imports: BTreeSet<&str> = after
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
        .collect();
    assert!(
        !imports.contains(""),
        "{}: one path in each `use crate::…`",
        source.path.display()
    );
    imports
}

#[test]
fn every_module_has_its_place() {
    let of_source = |source: Source| source.module;
    let mut there: BTreeSet<String> = sources().into_iter().map(of_source).collect();
    assert!(there.remove("lib"));
    let listed = MODULES.iter().map(|(module, ..)| (*module).to_owned());
    assert_eq!(there, listed.collect());
}

#[test]
fn imports_point_one_way() {
    let position = |wanted: &str| MODULES.iter().position(|(module, ..)| *module == wanted);
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let Some(own) = position(&source.module) else {
            continue;
        };
        let (_, group, allowed) = MODULES[own];
        for import in imports(source)
            .into_iter()
            .filter(|import| *import != source.module)
        {
            let Some(other) = position(import) else {
                wrong.push(format!(
                    "{}: unknown `crate::{import}`",
                    source.path.display()
                ));
                continue;
            };
            let its_group = MODULES[other].1;
            if other > own || (its_group != group && !allowed.contains(&its_group)) {
                wrong.push(format!("{}: uses `crate::{import}`", source.path.display()));
            }
        }
        let is_root = source.path.components().count() == 1 || source.path.ends_with("mod.rs");
        let is_top = source.path.components().count() <= 2;
        if is_root && is_top && source.code.contains("super::") {
            wrong.push(format!(
                "{}: leaves its module by `super::`",
                source.path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn groups_name_only_what_is_theirs() {
    let groups: BTreeMap<&str, &str> = MODULES
        .iter()
        .map(|(name, group, _)| (*name, *group))
        .collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let group = groups
            .get(source.module.as_str())
            .copied()
            .unwrap_or_default();
        let forbidden = FORBIDDEN.iter().find(|(of, _)| *of == group);
        let (_, forbidden) = forbidden.expect("a rule for each group");
        let words = words(&source.code);
        for word in forbidden.iter().filter(|word| words.contains(**word)) {
            wrong.push(format!("{}: names `{word}`", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The clock, randomness and the environment.
#[test]
fn only_one_file_reads_the_surroundings() {
    let mut readers = BTreeSet::new();
    for source in sources() {
        for reading in [
            "std::env",
            "Utc::now",
            "Local::now",
            "Uuid::new",
            "available_parallelism",
        ] {
            if source.code.contains(reading) {
                readers.insert(source.path.display().to_string());
            }
        }
    }
    assert_eq!(readers, BTreeSet::from(["env.rs".to_owned()]));
}

#[test]
fn files_are_short() {
    let long = sources()
        .into_iter()
        .filter(|source| source.lines > MOST_LINES);
    let long: Vec<String> = long
        .map(|source| format!("{}: {} lines", source.path.display(), source.lines))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}
