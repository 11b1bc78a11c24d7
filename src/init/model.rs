//! A source as it was understood: columns, time, events, and the tables that are made of it.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::error::{Error, Result};
use crate::init::case_line::case_line;
use crate::init::column::{BIGINT, Column, ColumnType, LeftOut, Note};
use crate::init::events::{self, EventColumn};
use crate::init::explore::FoundSource;
use crate::init::facts::{Facts, ObjectFacts};
use crate::init::folders::{FolderColumn, are_time_folders};
use crate::init::json::Json;
use crate::init::names::{UniqueNames, event_table};
use crate::init::parquet_file::united;
use crate::init::sample::{Sample, SampledLine};
use crate::init::time::{self, FolderFit, TimeCandidate, TimeForm};
use crate::init::types;
use crate::jsonl::EpochUnit;

/// The number of lines of the test case of a table.
const CASE_LINES: usize = 5;

/// The options of the caller for the sources that are inferred.
#[derive(Debug, Default, Clone)]
pub(crate) struct InferenceOptions {
    /// The path of the column with the names of events.
    pub(crate) event_column: Option<String>,
    /// The path of the column with the time of the rows.
    pub(crate) time_column: Option<String>,
    /// One table for all rows, with its name if it is given.
    pub(crate) one_table: Option<Option<String>>,
    /// The maximum number of tables of a source.
    pub(crate) max_tables: usize,
}

/// The format of the files of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceFiles {
    Json,
    Parquet,
}

/// A source with its tables.
#[derive(Debug)]
pub(super) struct SourceModel {
    pub(super) name: String,
    pub(super) location: String,
    /// The pattern of the folders below it, if they have no columns in their names.
    pub(super) pattern: String,
    pub(super) files: SourceFiles,
    pub(super) columns: Vec<Column>,
    pub(super) folders: Vec<FolderColumn>,
    pub(super) time: Option<RowTime>,
    pub(super) events: Option<EventColumn>,
    pub(super) tables: Vec<TableModel>,
    pub(super) sample: Sample,
}

/// The time of the rows of a source.
#[derive(Debug)]
pub(super) struct RowTime {
    pub(super) chosen: TimeCandidate,
    /// The other columns that have times.
    pub(super) others: Vec<String>,
    /// The agreement with the folders, if these contain the time and it is a column of the declaration.
    pub(super) fit: Option<FolderFit>,
    /// True if the column is no TIMESTAMP, and a function makes one of it.
    pub(super) is_converted: bool,
}

impl SourceModel {
    /// Returns the columns of the folders that say the day of a row, if the window selects by them: they
    /// have the time of no column, or rows have none.
    pub(super) fn selects_by_folders(&self) -> bool {
        self.time.is_none() && are_time_folders(&self.folders)
    }
}

/// The rows of a source that a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    All,
    Event(String),
    /// The rows of no other table.
    Others(Vec<String>),
}

/// A table that is made of a source.
#[derive(Debug)]
pub(super) struct TableModel {
    pub(super) name: String,
    pub(super) selection: Selection,
    /// The facts about its rows.
    pub(super) rows: ObjectFacts,
    /// The day of its test case, which is that of most of its rows.
    pub(super) day: Option<NaiveDate>,
    /// The lines of its test case.
    pub(super) lines: Vec<String>,
}

impl TableModel {
    /// Returns the day of its test case. A snapshot has no day of its own.
    pub(super) fn day_or_any(&self) -> String {
        self.day
            .map_or_else(|| "2026-01-15".to_owned(), |day| day.to_string())
    }
}

/// Infers a source from its sample. `taken` are the names of the tables of other sources.
///
/// # Errors
/// [`Error::invalid`] if there is no column that an option names.
pub(super) fn infer(
    name: &str,
    found: &FoundSource,
    sample: Sample,
    options: &InferenceOptions,
    taken: &mut UniqueNames,
) -> Result<SourceModel> {
    let parsed: Vec<(Json<'_>, &SampledLine)> = sample
        .lines
        .iter()
        .filter_map(|line| Some((Json::parse(&line.text).ok()?, line)))
        .collect();
    let rows = facts_of(parsed.iter().map(|(row, line)| (row, *line)));
    let files = match sample.parquet.is_empty() {
        true => SourceFiles::Json,
        false => SourceFiles::Parquet,
    };
    let mut columns = match files {
        SourceFiles::Json => types::columns(&rows),
        SourceFiles::Parquet => united(&sample.parquet),
    };
    for column in &mut columns {
        if found
            .columns
            .iter()
            .any(|folder| folder.name == column.name)
        {
            column.declared = Err(LeftOut::OfFolders);
        }
    }
    let count = rows.seen.count;
    let has_time_folders = are_time_folders(&found.columns);
    let time = row_time(name, &rows, &columns, &parsed, &sample, options)?;
    let mut time = time.map(|(chosen, others)| RowTime {
        fit: chosen.folder_fit().filter(|_| has_time_folders),
        chosen,
        others,
        is_converted: false,
    });
    let is_named = options.time_column.is_some();
    // The days of the folders are the cycles then: each row is in one of them.
    time = time.filter(|time| {
        let is_in_all = time.chosen.values * 1000 >= count * 999;
        !has_time_folders || is_named || time.fit.is_some() && is_in_all
    });
    if let Some(time) = &mut time {
        declare_time(time, files, &mut columns, &rows);
        if time.chosen.path.len() > 1 || time.is_converted {
            time.fit = None;
        }
    }
    let events = event_column(name, &rows, &columns, &parsed, options)?;
    for (path, is_complete) in [
        time.as_ref()
            .map(|time| (&time.chosen.path, time.chosen.values == count)),
        events
            .as_ref()
            .map(|events| (&events.path, events.missing == 0)),
    ]
    .into_iter()
    .flatten()
    {
        let is_top = path.len() == 1;
        let named = columns
            .iter_mut()
            .find(|column| path.first() == Some(&column.name));
        if let Some(column) = named.filter(|_| is_top && is_complete && files == SourceFiles::Json)
        {
            column.is_required = true;
        }
    }
    let tables = tables(
        name,
        events.as_ref(),
        &parsed,
        time.as_ref(),
        &sample,
        options,
        taken,
    );
    Ok(SourceModel {
        name: name.to_owned(),
        location: found.location.clone(),
        pattern: found.pattern.clone(),
        files,
        columns,
        folders: found.columns.clone(),
        time,
        events,
        tables,
        sample,
    })
}

fn facts_of<'a>(rows: impl Iterator<Item = (&'a Json<'a>, &'a SampledLine)>) -> ObjectFacts {
    let mut facts = Facts::default();
    for (row, line) in rows {
        facts.add(row, line.place);
    }
    facts.objects
}

/// Returns the declared column that a path leads to.
pub(super) fn declared_at<'a>(columns: &'a [Column], path: &[String]) -> Option<&'a ColumnType> {
    let (first, rest) = path.split_first()?;
    let column = columns.iter().find(|column| column.name == *first)?;
    let declared = column.declared.as_ref().ok()?;
    match rest {
        [] => Some(declared),
        rest => declared_at(declared.members(), rest),
    }
}

fn column_mut<'a>(columns: &'a mut [Column], path: &[String]) -> Option<&'a mut Column> {
    let (first, rest) = path.split_first()?;
    let column = columns.iter_mut().find(|column| column.name == *first)?;
    if rest.is_empty() {
        return Some(column);
    }
    match &mut column.declared {
        Ok(ColumnType::Struct(members)) => column_mut(members, rest),
        _ => None,
    }
}

/// Returns the path of a column that the caller names, as it is or with dots between structs.
fn named_path(columns: &[Column], name: &str) -> Option<Vec<String>> {
    let whole = vec![name.to_owned()];
    let split: Vec<String> = name.split('.').map(str::to_owned).collect();
    [whole, split]
        .into_iter()
        .find(|path| declared_at(columns, path).is_some())
}

fn row_time(
    source: &str,
    rows: &ObjectFacts,
    columns: &[Column],
    parsed: &[(Json<'_>, &SampledLine)],
    sample: &Sample,
    options: &InferenceOptions,
) -> Result<Option<(TimeCandidate, Vec<String>)>> {
    let mut candidates = time::candidates(rows);
    candidates.retain(|candidate| declared_at(columns, &candidate.path).is_some());
    for (row, line) in parsed {
        let file = sample.files.get(line.place.file);
        let folder = file.and_then(|file| file.folder_time.as_ref());
        let named = file.and_then(|file| file.file_time.as_ref());
        for candidate in &mut candidates {
            candidate.add(row, folder, named);
        }
    }
    let mut order = time::choose(&candidates, rows.seen.count);
    if let Some(name) = &options.time_column {
        let path = named_path(columns, name);
        let known = order.iter().position(|index| {
            let candidate = candidates.get(*index);
            candidate.is_some_and(|candidate| Some(&candidate.path) == path.as_ref())
        });
        let Some(position) = known else {
            let names: Vec<String> = candidates.iter().map(TimeCandidate::shown).collect();
            return Err(not_found("--time-column", name, source, "of times", &names));
        };
        let index = order.remove(position);
        order.insert(0, index);
    }
    let mut chosen = order.iter().filter_map(|index| candidates.get(*index));
    let Some(first) = chosen.next().cloned() else {
        return Ok(None);
    };
    Ok(Some((first, chosen.map(TimeCandidate::shown).collect())))
}

fn not_found(flag: &str, name: &str, source: &str, kind: &str, names: &[String]) -> Error {
    let hint = match names {
        [] => format!("the sample of `{source}` has no column {kind}"),
        names => format!("the columns {kind} are: {}", names.join(", ")),
    };
    let what = format!("{flag} names `{name}`, which is no column {kind} of the source `{source}`");
    Error::invalid(what).with_hint(hint)
}

/// Declares the column of the time as a TIMESTAMP, or as a number that a function converts.
fn declare_time(
    time: &mut RowTime,
    files: SourceFiles,
    columns: &mut [Column],
    rows: &ObjectFacts,
) {
    let path = time.chosen.path.clone();
    let is_number = matches!(time.chosen.form, TimeForm::NumberText(_))
        || matches!(time.chosen.form, TimeForm::Number(unit) if files == SourceFiles::Parquet || unit == EpochUnit::Nanosecond);
    let facts = facts_at(rows, &path);
    let Some(column) = column_mut(columns, &path) else {
        return;
    };
    if is_number {
        time.is_converted = true;
        column.declared = Ok(BIGINT);
        return;
    }
    let is_of_file = matches!(&column.declared, Ok(ColumnType::OfFile(_)));
    if let (TimeForm::Text { .. }, Some(facts), false) = (time.chosen.form, facts, is_of_file) {
        column
            .notes
            .retain(|note| matches!(note, Note::Rare { .. } | Note::Repeated(_)));
        column.declared = Ok(types::instant(facts, &mut column.notes));
    }
}

fn facts_at<'a>(rows: &'a ObjectFacts, path: &[String]) -> Option<&'a Facts> {
    let (first, rest) = path.split_first()?;
    let facts = rows.member(first)?;
    match rest {
        [] => Some(facts),
        rest => facts_at(&facts.objects, rest),
    }
}

fn event_column(
    source: &str,
    rows: &ObjectFacts,
    columns: &[Column],
    parsed: &[(Json<'_>, &SampledLine)],
    options: &InferenceOptions,
) -> Result<Option<EventColumn>> {
    if options.one_table.is_some() {
        return Ok(None);
    }
    let mut candidates = events::candidates(rows);
    candidates.retain(|path| declared_at(columns, path).is_some());
    let count = |path: &[String]| EventColumn::count(path, parsed.iter().map(|(row, _)| row));
    if let Some(name) = &options.event_column {
        let path = named_path(columns, name)
            .filter(|path| facts_at(rows, path).is_some_and(|facts| facts.texts.seen.count > 0));
        return match path {
            Some(path) => Ok(Some(count(&path))),
            None => {
                let names: Vec<String> = candidates.iter().map(|path| path.join(".")).collect();
                Err(not_found(
                    "--event-column",
                    name,
                    source,
                    "of strings",
                    &names,
                ))
            }
        };
    }
    let mut counted = candidates.iter().map(|path| count(path));
    Ok(counted.find(EventColumn::is_plausible))
}

/// Returns the tables: one for each name of an event, and one for the rest if there are too many or rows
/// have none.
fn tables(
    source: &str,
    events: Option<&EventColumn>,
    parsed: &[(Json<'_>, &SampledLine)],
    time: Option<&RowTime>,
    sample: &Sample,
    options: &InferenceOptions,
    taken: &mut UniqueNames,
) -> Vec<TableModel> {
    let mut selections = Vec::new();
    match events {
        Some(events) if events.names.len() > 1 && options.max_tables == 1 => {
            selections.push((source.to_owned(), Selection::All));
        }
        None => {
            let name = options.one_table.clone().flatten();
            selections.push((name.unwrap_or_else(|| source.to_owned()), Selection::All));
        }
        Some(events) => {
            let is_cut = events.names.len() > options.max_tables;
            let kept = match is_cut {
                true => options.max_tables.saturating_sub(1),
                false => events.names.len(),
            };
            let names = events.names.iter().take(kept).map(|(name, _)| name.clone());
            let names: Vec<String> = names.collect();
            for name in &names {
                selections.push((event_table(name), Selection::Event(name.clone())));
            }
            if is_cut || events.missing > 0 {
                let name = format!("other_{source}");
                selections.push((name, Selection::Others(names)));
            }
        }
    }
    let in_table = |row: &Json<'_>, selection: &Selection| {
        let name = || events.and_then(|events| row.at(&events.path)?.as_text());
        match selection {
            Selection::All => true,
            Selection::Event(event) => name() == Some(event),
            Selection::Others(listed) => {
                !name().is_some_and(|name| listed.iter().any(|other| other == name))
            }
        }
    };
    let table = |(name, selection): (String, Selection)| {
        let rows: Vec<&(Json<'_>, &SampledLine)> = parsed
            .iter()
            .filter(|(row, _)| in_table(row, &selection))
            .collect();
        let day_of = |(row, line): &&(Json<'_>, &SampledLine)| match time {
            Some(time) => time.chosen.time(row).map(|time| time.date_naive()),
            None => {
                let file = sample.files.get(line.place.file)?;
                file.folder_time
                    .as_ref()
                    .map(|range| range.start.date_naive())
            }
        };
        let mut days: BTreeMap<NaiveDate, usize> = BTreeMap::new();
        for day in rows.iter().filter_map(day_of) {
            *days.entry(day).or_default() += 1;
        }
        let day = days
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(day, _)| *day);
        let of_day = rows
            .iter()
            .filter(|row| day.is_none() || day_of(row) == day);
        TableModel {
            name: taken.give(&name),
            selection,
            lines: of_day
                .take(CASE_LINES)
                .map(|(_, line)| case_line(line, sample))
                .collect(),
            rows: facts_of(rows.iter().map(|(row, line)| (row, *line))),
            day,
        }
    };
    selections.into_iter().map(table).collect()
}
