//! Seeded mutations of the shipped definitions: their cases have to notice an edit that changes what is exported.

use std::fs;

use super::test;
use crate::support::{Sandbox, TestDestination, repository};

const SEED: u64 = 18;

/// The number of mutations that are tried.
const MUTATIONS: usize = 40;

/// The minimum of them that fail a case.
const MIN_CAUGHT: usize = 36;

/// A text of a definition, and what stands in its place in a mutation.
const EDITS: [(&str, &str); 23] = [
    ("coalesce(segments, [])", "segments"),
    ("coalesce(segments, [])", "coalesce(segments, [0])"),
    ("IS NOT NULL THEN", "IS NULL THEN"),
    ("WHERE name = '", "WHERE name <> '"),
    ("WHERE name = '", "WHERE name >= '"),
    ("WHERE name = '", "WHERE lower(name) = lower('"),
    ("date_part('month', time)", "date_part('day', time)"),
    ("date_part('year', time)", "date_part('month', time)"),
    ("    view_id,\n", "    session_id AS view_id,\n"),
    ("    user_id,\n", "    CAST(NULL AS VARCHAR) AS user_id,\n"),
    (
        "    workspace_id,\n",
        "    coalesce(workspace_id, '') AS workspace_id,\n",
    ),
    (
        "    event_id,\n",
        "    lower(event_id) || '' AS event_id,\n",
    ),
    ("SELECT\n", "SELECT DISTINCT\n"),
    ("max(date)", "min(date)"),
    ("WHERE date = (", "WHERE date >= ("),
    ("WHERE date = (", "WHERE date <> ("),
    ("recency = 1", "recency >= 1"),
    ("updated_at DESC", "updated_at"),
    (", date DESC", ""),
    ("PARTITION BY workspace_id, id", "PARTITION BY id"),
    ("PARTITION BY workspace_id, id", "PARTITION BY workspace_id"),
    (
        "    priority,\n",
        "    coalesce(priority, 0) AS priority,\n",
    ),
    (
        "    pageviews\n",
        "    coalesce(pageviews, 0) AS pageviews\n",
    ),
];

struct Mutation {
    table: String,
    sql: String,
    edit: String,
}

/// Returns every mutation of every definition: the edits, and each pair of leaves that are next to each other swapped.
fn mutations() -> Vec<Mutation> {
    let mut mutations = Vec::new();
    for entry in fs::read_dir(repository().join("sql")).expect("the definitions") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let table = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let sql = fs::read_to_string(&path).expect("a definition");
        let mut add = |sql: String, edit: String| {
            mutations.push(Mutation {
                table: table.clone(),
                sql,
                edit: format!("{table}: {edit}"),
            });
        };
        for (text, other) in EDITS {
            if sql.contains(text) {
                let mut mutated = sql.replacen(text, other, 1);
                if other.ends_with("lower('") {
                    mutated = mutated.replacen("'\n    AND", "')\n    AND", 1);
                }
                add(mutated, format!("`{text}` → `{other}`"));
            }
        }
        let leaves: Vec<&str> = sql.lines().filter_map(leaf).collect();
        for pair in leaves.windows(2) {
            let swapped = sql.replace(pair[0], "<first>").replace(pair[1], pair[0]);
            let swapped = swapped.replace("<first>", pair[1]);
            add(swapped, format!("{} and {} swapped", pair[0], pair[1]));
        }
    }
    mutations.sort_by(|left, right| left.edit.cmp(&right.edit));
    mutations
}

/// Returns the leaf of a line `'name', properties['…']`.
fn leaf(line: &str) -> Option<&str> {
    let (_, leaf) = line.trim().split_once(" properties[")?;
    if !leaf.trim_end_matches(',').ends_with(']') {
        return None;
    }
    let start = line.find("properties[")?;
    line.get(start..start + "properties[".len() + leaf.trim_end_matches(',').len())
}

#[test]
fn cases_notice_seeded_mutations_of_the_shipped_definitions() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    let mut mutations = mutations();
    assert!(mutations.len() >= 3 * MUTATIONS, "{}", mutations.len());
    fastrand::Rng::with_seed(SEED).shuffle(&mut mutations);
    let mut unnoticed = Vec::new();
    for mutation in mutations.iter().take(MUTATIONS) {
        let file = format!("sql/{}.sql", mutation.table);
        let original = fs::read_to_string(sandbox.folder().join(&file)).expect("a definition");
        sandbox.write(&file, mutation.sql.clone());
        let output = test(&sandbox, &[&mutation.table]);
        match output.code {
            1 => {}
            0 => unnoticed.push(mutation.edit.clone()),
            // Its columns are others.
            2 if output.stderr.contains("expected.jsonl:1: ") => {}
            _ => panic!(
                "{} is refused, so it is no mutation: {output}",
                mutation.edit
            ),
        }
        sandbox.write(&file, original);
    }
    let caught = MUTATIONS - unnoticed.len();
    println!("{caught} of {MUTATIONS} were noticed");
    assert!(
        caught >= MIN_CAUGHT,
        "{caught} noticed, and not {unnoticed:#?}"
    );
}
