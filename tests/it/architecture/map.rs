//! The table of modules in the documentation of `src/lib.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::repository;

const HEADER: &str = "//! | module | concept | knows of |";

/// A row of the table.
pub(super) struct Row {
    pub(super) module: String,
    /// The last column: modules and [libraries](super::LIBRARIES).
    pub(super) knows_of: BTreeSet<String>,
}

/// Reads the rows of the table, in order.
pub(super) fn rows() -> Vec<Row> {
    let text = fs::read_to_string(repository().join("src/lib.rs")).expect("UTF-8");
    let lines = text.lines().skip_while(|line| *line != HEADER).skip(2);
    let rows: Vec<Row> = lines.map_while(row).collect();
    assert!(rows.len() > 20, "only {} rows", rows.len());
    rows
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix("//! | ")?.split(" | ").collect();
    let [module, _, knows_of] = cells.as_slice() else {
        panic!("{line}: not three columns");
    };
    let knows_of = knows_of.trim_end_matches(" |");
    let is_nothing = knows_of == "–";
    Some(Row {
        module: plain_name(module),
        knows_of: knows_of
            .split(", ")
            .filter(|_| !is_nothing)
            .map(plain_name)
            .collect(),
    })
}

/// Returns the name behind "[`scan`]", "`scan`" or "DataFusion".
fn plain_name(cell: &str) -> String {
    cell.trim_matches(['[', ']', '`', ' ']).to_owned()
}

/// Returns the text of a last column.
pub(super) fn cell(knows_of: &BTreeSet<&str>) -> String {
    let is_library = |name: &str| {
        super::LIBRARIES
            .iter()
            .any(|(library, ..)| *library == name)
    };
    let names: Vec<String> = knows_of
        .iter()
        .map(|name| match is_library(name) {
            true => (*name).to_owned(),
            false => format!("`{name}`"),
        })
        .collect();
    if names.is_empty() {
        "–".to_owned()
    } else {
        names.join(", ")
    }
}

/// Returns the names that can be reached from each name by one edge or more.
pub(super) fn reached<'a>(
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let from = |start: &'a str| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(name) = open.pop() {
            for next in edges.get(name).into_iter().flatten() {
                if reached.insert(*next) {
                    open.push(next);
                }
            }
        }
        reached
    };
    edges.keys().map(|start| (*start, from(start))).collect()
}

/// Returns what the last column has to say: the edges of each name but those to what another one
/// of its edges leads to as well.
pub(super) fn reduced<'a>(
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let reached = reached(edges);
    let is_implied = |name: &str, others: &BTreeSet<&str>| {
        let leads_there = |other: &&str| reached.get(other).is_some_and(|all| all.contains(name));
        others.iter().any(leads_there)
    };
    let rows = edges.iter().map(|(name, others)| {
        let direct = others.iter().copied();
        (
            *name,
            direct.filter(|other| !is_implied(other, others)).collect(),
        )
    });
    rows.collect()
}

#[test]
fn what_is_implied_is_left_out() {
    let edges = BTreeMap::from([
        ("a", BTreeSet::new()),
        ("b", BTreeSet::from(["a"])),
        ("c", BTreeSet::from(["a", "b"])),
        ("d", BTreeSet::from(["a", "c"])),
    ]);
    let reduced = reduced(&edges);
    assert_eq!(reduced["c"], BTreeSet::from(["b"]));
    assert_eq!(reduced["d"], BTreeSet::from(["c"]));
}
