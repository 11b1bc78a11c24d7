//! Compares tables: definitions, git revisions of them, and what is published.
//!
//! ```text
//! side: definition + cycle ─engine→ rows ┐
//!       manifest ─exported→ rows ────────┴─columns→ compared values ─compare→ rows that differ ─matching→ DiffReport
//! ```
//! Both sides are planned before anything is read, so that a call that is wrong attempts nothing. Tables that
//! are proved identical by what is on record are not read.
//!
//! | file | concept |
//! |---|---|
//! | `revision` | the definitions of a git revision |
//! | `side`, `published_files` | the rows of one side |
//! | `prepare`, `columns` | what is compared of a table |
//! | `compare`, `row_hasher`, `row_set`, `row_store` | rows without an equal one |
//! | `matching`, `key_tally` | rows matched by their keys |
//! | `samples`, `report` | what is shown |

mod columns;
mod compare;
mod key_tally;
mod matching;
mod prepare;
mod published_files;
pub(crate) mod report;
mod revision;
mod row_hasher;
mod row_set;
mod row_store;
mod samples;
mod side;

use std::collections::BTreeMap;

pub(crate) use prepare::{DiffOptions, KeyChoice};
pub(crate) use report::DiffReport;
pub(crate) use revision::{SqlFiles, read_folder, read_revision};
pub(crate) use side::{DefinedSide, DiffSide, DiffSides, PublishedSide};

use crate::diff::compare::{ComparedRows, RowComparison};
use crate::diff::key_tally::KeyPairs;
use crate::diff::prepare::{PairedTable, TablePlan, pair, position_of, table_names};
use crate::diff::report::{
    ColumnDiff, Comparison, DiffProof, DiffResult, DuplicateKey, DuplicateKeys, RowCounts,
    TableDiff,
};
use crate::diff::side::TableSide;
use crate::error::{Error, ErrorKind, Result};
use crate::format::json::json_value;
use crate::layout::TableName;
use crate::scan::MissingSource;

/// Compares the tables of two sides. `started` is called before the rows of each table are read.
///
/// # Errors
/// The call or a definition is wrong: nothing has been read. What goes wrong later is the result of its
/// table.
pub(crate) async fn diff(
    sides: &DiffSides<'_>,
    options: &DiffOptions,
    started: impl Fn(&TableName),
) -> Result<DiffReport> {
    let left_tables = table_names(&sides.left).await?;
    let right_tables = table_names(&sides.right).await?;
    let mut tables: Vec<TableName> = left_tables.union(&right_tables).cloned().collect();
    if !options.tables.is_empty() {
        tables = options.tables.iter().cloned().collect();
    }
    if tables.is_empty() {
        return Err(Error::invalid("there is no table on either side"));
    }
    let (mut pairs, mut complaints) = (Vec::new(), Vec::new());
    for table in tables {
        match pair(&table, &sides.left, &sides.right, options).await {
            Ok(paired) => pairs.push((table, Ok(paired))),
            Err(error) if error.kind() == ErrorKind::Invalid => complaints.push(error),
            Err(error) => pairs.push((table, Err(error))),
        }
    }
    complaints.extend(unknown_columns(&pairs, options));
    Error::all(complaints)?;

    let mut diffs = Vec::with_capacity(pairs.len());
    for (table, paired) in pairs {
        started(&table);
        let result = match &paired {
            Ok(PairedTable::OnlyLeft { reason }) => DiffResult::OnlyLeft {
                reason: reason.clone(),
            },
            Ok(PairedTable::OnlyRight { reason }) => DiffResult::OnlyRight {
                reason: reason.clone(),
            },
            Ok(PairedTable::Both { left, right, plan }) => {
                match compare_table(left, right, plan, options.samples).await {
                    Ok(compared) => result_of(compared),
                    Err(error) => failed(&error),
                }
            }
            Err(error) => failed(error),
        };
        diffs.push(TableDiff { table, result });
    }
    let (left, right) = (sides.left_record.clone(), sides.right_record.clone());
    Ok(DiffReport::new(left, right, diffs))
}

type Pairs<'a> = [(TableName, Result<PairedTable<'a>>)];

/// Returns complaints about columns that are named and that no table has.
fn unknown_columns(pairs: &Pairs<'_>, options: &DiffOptions) -> Vec<Error> {
    let plans = || {
        pairs.iter().filter_map(|(_, paired)| match paired {
            Ok(PairedTable::Both { plan, .. }) => Some(plan),
            _ => None,
        })
    };
    if plans().next().is_none() {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for ignored in &options.ignored {
        let is_known = plans().any(|plan| {
            let mut left_out = plan.not_compared.iter();
            left_out.any(|left_out| left_out.column == *ignored)
        });
        if !is_known {
            complaints.push(Error::invalid(format!(
                "no compared table has the column `{ignored}` of --ignore-columns"
            )));
        }
    }
    let is_used = plans().any(|plan| plan.key_from == Some(report::KeyOrigin::Option));
    if !is_used {
        let absent = plans().filter_map(|plan| plan.absent_key.as_ref());
        complaints.extend(absent.map(Error::detached));
    }
    complaints
}

fn failed(error: &Error) -> DiffResult {
    DiffResult::Failed {
        error: error.chain(),
        hint: error.hint().map(str::to_owned),
        kind: error.kind(),
    }
}

fn result_of(compared: Comparison) -> DiffResult {
    let has_same_rows = compared
        .rows
        .is_none_or(|rows| (rows.changed, rows.only_left, rows.only_right) == (0, 0, 0));
    match has_same_rows && compared.schema.is_empty() {
        true => DiffResult::Identical(Box::new(compared)),
        false => DiffResult::Different(Box::new(compared)),
    }
}

async fn compare_table(
    left: &TableSide<'_>,
    right: &TableSide<'_>,
    plan: &TablePlan,
    max_samples: usize,
) -> Result<Comparison> {
    let mut comparison = Comparison {
        proof: DiffProof::Rows,
        left: left.recorded_counts(),
        right: right.recorded_counts(),
        schema: plan.changes.clone(),
        not_compared: plan.not_compared.clone(),
        key: plan
            .key
            .iter()
            .map(|key| plan.columns[*key].path())
            .collect(),
        key_from: plan.key_from,
        rows: None,
        columns: Vec::new(),
        samples: report::Samples::default(),
        notes: plan.notes.clone(),
    };
    if let Some(proof) = proof_on_record(left, right)? {
        comparison.proof = proof;
        if plan.key_from == Some(report::KeyOrigin::Option) {
            let note = "no row was read: whether the key is unique is not known";
            comparison.notes.push(note.to_owned());
        }
        return Ok(comparison);
    }
    let compared = RowComparison::new(left, right, plan)
        .run(max_samples)
        .await?;
    fill(&mut comparison, compared, [left, right], plan)?;
    Ok(comparison)
}

/// Returns the proof that both sides have the same rows by what is on record, if there is one.
fn proof_on_record(left: &TableSide<'_>, right: &TableSide<'_>) -> Result<Option<DiffProof>> {
    if let (Some(left_digest), Some(right_digest)) = (left.query_digest(), right.query_digest()) {
        let is_same = left_digest == right_digest && left.volatile_functions()?.is_empty();
        return Ok(is_same.then_some(DiffProof::Definition));
    }
    let (TableSide::Files(left), TableSide::Files(right)) = (left, right) else {
        return Ok(None);
    };
    let files = |side: &side::FilesSide<'_>| {
        let mut counts: BTreeMap<(Vec<(String, String)>, String), u64> = BTreeMap::new();
        for file in &side.manifest.files {
            let values = file.partition.values().to_vec();
            *counts.entry((values, file.sha256.clone())).or_default() += 1;
        }
        counts
    };
    let is_same = left.schema == right.schema
        && left.manifest.format == right.manifest.format
        && files(left) == files(right);
    Ok(is_same.then_some(DiffProof::FileDigests))
}

/// Adds what the rows say to a comparison.
fn fill(
    comparison: &mut Comparison,
    compared: ComparedRows,
    sides: [&TableSide<'_>; 2],
    plan: &TablePlan,
) -> Result<()> {
    let ComparedRows {
        rows,
        read,
        keys,
        null_keys,
        differing,
    } = compared;
    let identical = rows[0].min(rows[1]);
    let mut counts = RowCounts {
        identical,
        changed: 0,
        only_left: rows[0] - identical,
        only_right: rows[1] - identical,
    };
    if plan.columns.is_empty() {
        let note = "no column is compared: only the numbers of rows are";
        comparison.notes.push(note.to_owned());
    }
    if let Some(mut differing) = differing {
        let matched = &differing.matched;
        let [only_left, only_right] = matched.only;
        let identical = rows[0].checked_sub(only_left + matched.changed);
        // Each side accounts for the rows that both have.
        if identical.is_none() || identical != rows[1].checked_sub(only_right + matched.changed) {
            return Err(Error::internal(format!(
                "rows of {} and {} cannot be {} changed, {only_left} only left and {only_right} only right",
                rows[0], rows[1], matched.changed
            )));
        }
        counts = RowCounts {
            identical: identical.unwrap_or_default(),
            changed: matched.changed,
            only_left,
            only_right,
        };
        let matched_keys = keys.as_ref().map_or(0, |keys| keys.matched);
        comparison.columns = column_diffs(&matched.columns, matched_keys, plan);
        comparison.samples = samples::samples(&mut differing, plan)?;
    }
    comparison.rows = Some(counts);
    let counted = [&mut comparison.left, &mut comparison.right];
    for (side, counts) in counted.into_iter().enumerate() {
        counts.rows = Some(rows[side]);
        counts.null_keys = null_keys[side];
        if let Some(rejected) = read[side].rejected {
            counts.rejected = Some(rejected);
        }
        if let Some(keys) = &keys {
            counts.duplicate_keys = duplicate_keys(keys, side, sides[side], plan)?;
        }
    }
    for (read, name) in read.iter().zip(["left", "right"]) {
        if !read.missing.is_empty() {
            let missing = MissingSource::list(&read.missing);
            comparison.notes.push(format!(
                "no source file for the cycle on the {name}: {missing}"
            ));
        }
    }
    Ok(())
}

fn column_diffs(changed: &[u64], matched_keys: u64, plan: &TablePlan) -> Vec<ColumnDiff> {
    let columns = plan.columns.iter().zip(changed);
    columns
        .filter(|(_, changed)| **changed > 0)
        .map(|(column, changed)| ColumnDiff {
            column: column.path(),
            kind: column.shown_type.clone(),
            changed: *changed,
            share: share(*changed, matched_keys),
        })
        .collect()
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn duplicate_keys(
    keys: &KeyPairs,
    side: usize,
    table: &TableSide<'_>,
    plan: &TablePlan,
) -> Result<Option<DuplicateKeys>> {
    let (duplicates, extra_rows) = keys.duplicates[side];
    if duplicates == 0 {
        return Ok(None);
    }
    let examples = keys.examples[side].iter().map(|(example, rows)| {
        let values = example.values.iter().map(|value| json_value(value, 0));
        Ok(DuplicateKey {
            key: values.collect::<Result<_>>()?,
            rows: *rows,
        })
    });
    let first = plan.key.first().map(|key| &plan.columns[*key]);
    Ok(Some(DuplicateKeys {
        keys: duplicates,
        extra_rows,
        examples: examples.collect::<Result<_>>()?,
        position: first.and_then(|column| position_of(table, column)),
    }))
}
