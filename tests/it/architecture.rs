//! Imports point one way: rules about what each file of `src` may name.
//!
//! ```text
//! codec ─┐
//! plain ─┴> store ──> sql ──> cluster ─┐
//!                └──> delivery ────────┴──> run, query ──> cli
//! ```
//! The order of the modules, and which others each of them knows of, stands in the documentation of
//! `src/lib.rs`; which kinds of modules may know of each other stands here, in [`GROUPS`].
//!
//! To add, rename or remove a module, change its row in `src/lib.rs` and its name in [`GROUPS`]. The
//! failure of [`the_map_is_true`] prints the correct row.

mod graph;
mod map;
mod paths;
mod source;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use graph::Graph;
use source::{SourceFile, source_files};

/// The maximum number of lines of a file; a longer one holds more than one concept.
const MAX_LINES: usize = 500;

/// A kind of modules.
struct Group {
    name: &'static str,
    modules: &'static [&'static str],
    /// The groups that its modules may import, besides each other.
    may_import: &'static [&'static str],
    /// Words that its modules must not contain.
    never_names: &'static [&'static str],
}

const GROUPS: [Group; 16] = [
    // Bytes and Arrow, nothing of dayport: each could be a crate of its own.
    Group {
        name: "codec",
        modules: &[
            "arrow_leaves",
            "year_range",
            "zone_rules",
            "view_gc",
            "codec",
            "jsonl",
        ],
        may_import: &[],
        never_names: &[
            "datafusion",
            "ObjectStore",
            "MultipartStore",
            "clap",
            "indicatif",
        ],
    },
    Group {
        name: "plain",
        modules: &[
            "visible",
            "error",
            "env",
            "planted_fault",
            "books",
            "row_hash",
            "cycle",
            "layout",
            "policy",
            "schema",
            "manifest",
            "schema_evolution",
            "schema_version",
            "staged",
            "format",
        ],
        may_import: &["codec", "figures"],
        never_names: &[
            "datafusion",
            "ObjectStore",
            "MultipartStore",
            "clap",
            "indicatif",
        ],
    },
    // Wraps the formats of indicatif, so that only the command line draws with it.
    Group {
        name: "figures",
        modules: &["human"],
        may_import: &[],
        never_names: &["datafusion", "ObjectStore", "MultipartStore", "clap"],
    },
    Group {
        name: "store",
        modules: &["store"],
        may_import: &["plain", "figures"],
        never_names: &["datafusion", "clap", "indicatif"],
    },
    Group {
        name: "sql",
        modules: &[
            "memory_budget",
            "resident",
            "memory_gate",
            "spill_folder",
            "engine_error",
            "wide_sort",
            "sql_file",
            "refusal",
            "definition",
            "listing",
            "scan",
            "catalog",
            "stage",
            "record_sorter",
            "engine",
            "audit",
        ],
        may_import: &["codec", "plain", "figures", "store"],
        never_names: &["clap", "indicatif"],
    },
    Group {
        name: "cluster",
        modules: &["cluster"],
        may_import: &["codec", "plain", "store", "sql"],
        never_names: &["clap", "indicatif"],
    },
    Group {
        name: "delivery",
        modules: &["delivery", "cycle_marker"],
        may_import: &["plain", "store"],
        never_names: &["datafusion", "clap", "indicatif"],
    },
    Group {
        name: "receiver",
        modules: &["verify", "status", "wait", "changes"],
        may_import: &["plain", "figures", "store", "delivery"],
        never_names: &["datafusion", "clap", "indicatif"],
    },
    // Reads back what was delivered.
    Group {
        name: "published",
        modules: &["exported"],
        may_import: &["codec", "plain", "store", "sql", "delivery"],
        never_names: &["clap", "indicatif"],
    },
    Group {
        name: "query",
        modules: &["diff", "ddl", "trace", "query", "cases"],
        may_import: &["codec", "plain", "store", "sql", "delivery", "published"],
        never_names: &["clap", "indicatif"],
    },
    // Tests only: no release has it.
    Group {
        name: "fuzz",
        modules: &["fuzz"],
        may_import: &["codec", "plain", "store", "sql", "delivery", "query"],
        never_names: &["clap", "indicatif"],
    },
    // Writes the files that all of the above begins with.
    Group {
        name: "init",
        modules: &["init"],
        may_import: &["codec", "plain", "figures", "store", "sql"],
        never_names: &["clap", "indicatif"],
    },
    Group {
        name: "run",
        modules: &["run", "check"],
        may_import: &[
            "codec",
            "plain",
            "figures",
            "store",
            "sql",
            "cluster",
            "delivery",
            "published",
        ],
        never_names: &["datafusion", "clap", "indicatif"],
    },
    Group {
        name: "serve",
        modules: &["serve"],
        may_import: &["plain", "receiver", "run"],
        never_names: &["datafusion", "clap", "indicatif"],
    },
    Group {
        name: "cli",
        modules: &["cli"],
        may_import: &[
            "codec", "plain", "figures", "store", "sql", "cluster", "delivery", "receiver",
            "query", "init", "run", "serve",
        ],
        never_names: &[],
    },
    Group {
        name: "program",
        modules: &["main"],
        may_import: &["cli"],
        never_names: &["clap", "datafusion"],
    },
];

/// Imports that no module has, though their groups and their order would let them.
const NEVER_IMPORTS: [(&str, &str); 2] = [
    // The writers take rows from any plan, the scans give rows to any plan.
    ("stage", "scan"),
    ("scan", "stage"),
];

/// The libraries that the last column of the table in `src/lib.rs` names, with what the names of
/// their crates begin with and what comes with them.
const LIBRARIES: [(&str, &str, &[&str]); 4] = [
    ("Arrow", "arrow", &[]),
    ("object_store", "object_store", &[]),
    ("DataFusion", "datafusion", &["Arrow", "object_store"]),
    ("Ballista", "ballista", &["DataFusion"]),
];

/// Circles between the files of a module that are true and harmless, with the reason.
const CIRCLES: [(&[&str], &str); 1] = [(
    &["scan/shared/request.rs", "scan/shared/shared_scan.rs"],
    "a request holds its shared scan, and a shared scan is assembled from requests",
)];

/// Files besides `env.rs` that name `SystemTime` or `Instant`, with the reason.
const CLOCKS: [(&str, &str); 10] = [
    (
        "cli/signal.rs",
        "the silence of a store after a stop, by tokio's clock",
    ),
    (
        "store/response_watch.rs",
        "the silence of a store, by tokio's clock",
    ),
    (
        "store/watched_client.rs",
        "the wait for a response, by tokio's clock",
    ),
    (
        "cli/serve/rounds.rs",
        "the wait for the next round, by tokio's clock, which tests pause",
    ),
    (
        "cli/serve/mod.rs",
        "the deadline of a shutdown, by tokio's clock, which tests pause",
    ),
    (
        "cli/wait.rs",
        "the deadline of the wait, by tokio's clock, which tests pause",
    ),
    (
        "cluster/client.rs",
        "the time since the scheduler last responded, by tokio's clock",
    ),
    (
        "store/credentials.rs",
        "credentials expire by the clock of the provider",
    ),
    (
        "store/local.rs",
        "the age of a staged file, by the clock of the file system",
    ),
    (
        "store/completion.rs",
        "the age of a staged file, by the clock of the file system",
    ),
];

/// Fails with every violation of a rule, each with details for the reader of the failure.
fn assert_none(violations: &BTreeMap<String, Vec<String>>) {
    assert!(violations.is_empty(), "{violations:#?}");
}

fn group_of(module: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.modules.contains(&module))
}

/// Returns the position of each module in the table of `src/lib.rs`; the program comes last.
fn positions() -> BTreeMap<String, usize> {
    let rows = map::rows().into_iter().map(|row| row.module);
    let modules = rows.chain(["main".to_owned()]);
    modules
        .enumerate()
        .map(|(position, module)| (module, position))
        .collect()
}

#[test]
fn every_module_has_a_row_and_a_group() {
    let files = source_files();
    let modules: BTreeSet<&str> = files.iter().map(SourceFile::module).collect();
    let positions = positions();
    let rows: BTreeSet<&str> = positions.keys().map(String::as_str).collect();
    assert_eq!(modules, rows, "the rows of the table in src/lib.rs");
    let grouped: Vec<&str> = GROUPS
        .iter()
        .flat_map(|group| group.modules)
        .copied()
        .collect();
    assert_eq!(modules, grouped.iter().copied().collect());
    assert_eq!(modules.len(), grouped.len(), "a module in two groups");
}

/// A module imports only modules above it in the table of `src/lib.rs`, of its own group or of
/// those that its group may import.
#[test]
fn imports_point_one_way() {
    let files = source_files();
    let positions = positions();
    let is_allowed = |module: &str, import: &str| {
        let (Some(own), Some(other)) = (group_of(module), group_of(import)) else {
            return false;
        };
        let is_above = positions.get(import) < positions.get(module);
        let is_known = own.name == other.name || own.may_import.contains(&other.name);
        is_above && is_known && !NEVER_IMPORTS.contains(&(module, import))
    };
    let mut violations = BTreeMap::new();
    for (module, imports) in Graph::new(files).modules() {
        for (import, importers) in imports {
            if !is_allowed(module, import) {
                violations.insert(format!("{module} imports {import}"), importers);
            }
        }
    }
    assert_none(&violations);
}

/// The last column of the table in `src/lib.rs` names exactly the modules and libraries that a
/// module imports, without those that come with another one of the column.
///
/// An import that points down the table is left out: [`imports_point_one_way`] refuses it.
#[test]
fn the_map_is_true() {
    let files = source_files();
    let positions = positions();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = LIBRARIES
        .iter()
        .map(|(library, _, comes_with_it)| (*library, comes_with_it.iter().copied().collect()))
        .collect();
    for (module, imports) in Graph::new(files).modules() {
        let above = imports
            .keys()
            .copied()
            .filter(|import| positions.get(*import) < positions.get(module));
        edges.insert(module, above.collect());
    }
    for file in files {
        let named = LIBRARIES
            .iter()
            .filter(|(_, prefix, _)| file.names_crate(prefix));
        let of_module = edges.entry(file.module()).or_default();
        of_module.extend(named.map(|(library, ..)| *library));
    }
    let expected_columns = map::reduced(&edges);
    let wrong: Vec<String> = map::rows()
        .iter()
        .filter_map(|row| {
            let expected = expected_columns.get(row.module.as_str())?;
            let is_true = row
                .knows_of
                .iter()
                .map(String::as_str)
                .eq(expected.iter().copied());
            (!is_true).then(|| format!("| {} | … | {} |", row.module, map::cell(expected)))
        })
        .collect();
    assert!(wrong.is_empty(), "src/lib.rs has to say: {wrong:#?}");
}

#[test]
fn no_circle_between_files_of_a_module() {
    let files = source_files();
    let graph = Graph::new(files);
    let circles = graph.circles();
    let is_excepted = |circle: &[&str]| CIRCLES.iter().any(|(files, _)| *files == circle);
    let mut violations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for circle in circles.iter().filter(|circle| !is_excepted(circle)) {
        let module = circle[0].split(['/', '.']).next().unwrap_or_default();
        let details = violations
            .entry(format!("{module} has a circle"))
            .or_default();
        details.extend(graph.edges_between(circle));
    }
    assert_none(&violations);
    for (files, reason) in CIRCLES {
        assert!(
            circles.contains(files),
            "no circle anymore: {files:?}, {reason}"
        );
    }
}

/// Paths leave at most one module: a file does not use `super::super`.
#[test]
fn no_path_leaves_two_modules() {
    let mut violations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in source_files() {
        if file.text.contains("super::super") {
            let files = violations.entry(format!("{} says super::super", file.module()));
            files.or_default().push(file.name.clone());
        }
        // The parent of a module of the crate is the crate.
        let leaves = file.is_module_root() && file.code.contains("super::");
        assert!(!leaves, "{}: leaves its module by `super::`", file.name);
    }
    assert_none(&violations);
}

#[test]
fn groups_name_only_what_is_theirs() {
    let mut violations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in source_files() {
        let group = group_of(file.module()).expect("a group for each module");
        let words = words(&file.code);
        for word in group
            .never_names
            .iter()
            .filter(|word| words.contains(**word))
        {
            let files = violations.entry(format!("{} names {word}", file.module()));
            files.or_default().push(file.name.clone());
        }
    }
    assert_none(&violations);
}

/// Returns the words of code: names, and nothing of what stands between them.
fn words(code: &str) -> BTreeSet<&str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect()
}

/// The clock, randomness and the environment are read by `env.rs` only.
#[test]
fn only_one_file_reads_the_surroundings() {
    let readings = [
        "std::env",
        "Utc::now",
        "Local::now",
        "Uuid::new",
        "available_parallelism",
    ];
    let reads = |file: &SourceFile| readings.iter().any(|reading| file.code.contains(reading));
    let files = source_files();
    let readers: Vec<&str> = files
        .iter()
        .filter(|file| reads(file))
        .map(|file| file.name.as_str())
        .collect();
    assert_eq!(readers, ["env.rs"]);
}

#[test]
fn only_named_files_have_a_clock() {
    let files = source_files();
    let has_clock = |file: &&SourceFile| file.names_type("time", &["SystemTime", "Instant"]);
    let clocks: BTreeSet<&str> = files
        .iter()
        .filter(has_clock)
        .map(|file| file.name.as_str())
        .filter(|name| *name != "env.rs")
        .collect();
    let excepted = CLOCKS.iter().map(|(file, _)| *file).collect();
    assert_eq!(clocks, excepted, "the clock comes from `env`");
}

#[test]
fn files_are_short() {
    let violations = source_files()
        .iter()
        .filter(|file| file.lines > MAX_LINES)
        .map(|file| {
            let lines = format!("{} lines", file.lines);
            (format!("{} is too long", file.name), vec![lines])
        });
    assert_none(&violations.collect());
}
