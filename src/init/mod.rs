//! Scaffolds sources and definitions from a sample of files.
//!
//! ```text
//! --from ─explore→ FoundSource (folders, files) ─sample→ lines with their places ─facts→ Facts of each path
//!    ─types, time, events→ SourceModel ─try_out→ the same, read by the decoder and bound by the engine
//!    ─source_sql, definition_sql, readme→ files ─patch→ written if they are new
//! ```
//! Types are chosen here, once, and written down. A run never infers any.

mod case_line;
mod column;
mod dated;
mod dated_source;
mod definition_sql;
mod documents;
mod epoch;
mod events;
mod explore;
mod facts;
mod folders;
mod json;
mod model;
mod names;
mod numbers;
mod parquet_file;
mod patch;
mod place;
mod readme;
mod sample;
mod source_sql;
mod texts;
mod time;
mod try_out;
mod types;

pub(crate) use explore::Problem;
pub(crate) use model::InferenceOptions;
pub(crate) use patch::{NewFile, Written, patch, write_new};
pub(crate) use sample::SampleSize;

use std::fmt::Write;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::{Error, Result};
use crate::init::definition_sql::definition_sql;
use crate::init::explore::{Explorer, FoundSource};
use crate::init::model::{Selection, SourceModel, TableModel, infer};
use crate::init::names::{UniqueNames, table_name};
use crate::init::source_sql::{lost_rows, source_sql};
use crate::init::try_out::try_out;
use crate::store::{Location, StoreOptions, open_source, path_of_url};

/// Names of folders that say nothing of what is in them.
const GENERIC: [&str; 9] = [
    "data", "files", "input", "json", "logs", "raw", "sample", "samples", "test",
];

/// The maximum number of malformed lines of a source that are named.
const MAX_MALFORMED: usize = 3;

/// The place to sample, and the choices of the caller.
pub(crate) struct InitRequest<'a> {
    pub(crate) from: &'a Location,
    /// The value of `--from` and the folder of the definitions, for the next commands.
    pub(crate) from_text: &'a str,
    pub(crate) sql_text: &'a str,
    pub(crate) store: &'a StoreOptions,
    pub(crate) size: SampleSize,
    /// The name of the source, if there is one only.
    pub(crate) source: Option<&'a str>,
    pub(crate) options: &'a InferenceOptions,
}

/// The files that were made of a sample, and what was found.
pub(crate) struct Scaffold {
    pub(crate) files: Vec<NewFile>,
    /// Lines for people: each source, its tables, and the columns that are left out.
    pub(crate) summary: String,
    pub(crate) problems: Vec<Problem>,
    /// The commands to run next.
    pub(crate) commands: String,
}

/// Samples the files below a folder, and makes sources and definitions of them. Writes nothing.
///
/// # Errors
/// [`Error::invalid`] if nothing there can be a source, or if there is no column that an option names;
/// [`Error::store`] if something cannot be listed or read.
pub(crate) async fn scaffold(request: &InitRequest<'_>) -> Result<Scaffold> {
    let opened = open_source(request.from, request.store).await?;
    let store = opened.store.as_ref();
    let root = root_of(request.from)?;
    refuse_file(store, &root, request).await?;
    let explorer = Explorer { store, root: &root };
    let found = explorer.find().await?;
    let mut problems = found.problems;
    refuse_several(request, &found.sources)?;
    for source in &found.refused {
        let sample = sample::sample(store, source, request.size).await?;
        problems.extend(sample.problems);
    }
    let (mut names, mut tables) = (UniqueNames::default(), UniqueNames::default());
    let mut sources: Vec<SourceModel> = Vec::new();
    for source in &found.sources {
        let mut sample = sample::sample(store, source, request.size).await?;
        problems.append(&mut sample.problems);
        let is_parquet = |file: usize| sample.parquet.iter().any(|(parquet, _)| *parquet == file);
        let has_others = sample.lines.iter().any(|line| !is_parquet(line.place.file));
        if !sample.parquet.is_empty() && has_others {
            let what = "it has Parquet files and others, which one source cannot read";
            let remedy = "keep each format in a folder of its own";
            problems.push(Problem::new(&source.location, what, remedy));
            continue;
        }
        for (place, reason) in sample.malformed.iter().take(MAX_MALFORMED) {
            let remedy = match sample.malformed.len() {
                count if count > MAX_MALFORMED => format!(
                    "{count} lines of the sample are malformed; a run sets them aside, up to `--max-rejects`"
                ),
                _ => "a run sets it aside, up to `--max-rejects`".to_owned(),
            };
            problems.push(Problem::new(sample.show(*place), reason.clone(), remedy));
        }
        if sample.lines.is_empty() && sample.parquet.is_empty() {
            continue;
        }
        let name = match request.source {
            Some(name) => name.to_owned(),
            None => source_name(&source.location, request.from),
        };
        let name = names.give(&name);
        sources.push(infer(&name, source, sample, request.options, &mut tables)?);
    }
    if sources.is_empty() {
        return Err(nothing(request, problems));
    }
    problems.extend(try_out(&mut sources, request.from, request.store).await?);
    let mut files: Vec<NewFile> = Vec::new();
    for source in &sources {
        files.push(NewFile {
            path: format!("sources/{}.sql", source.name),
            text: source_sql(source),
        });
        for table in &source.tables {
            push_table(&mut files, source, table);
        }
    }
    files.push(NewFile {
        path: "README.md".to_owned(),
        text: readme::readme(&sources, request.from_text, request.sql_text),
    });
    Ok(Scaffold {
        summary: summary(&sources),
        commands: readme::commands(&sources, request.from_text, request.sql_text),
        files,
        problems,
    })
}

fn push_table(files: &mut Vec<NewFile>, source: &SourceModel, table: &TableModel) {
    files.push(NewFile {
        path: format!("{}.sql", table.name),
        text: definition_sql(source, table),
    });
    let day = table.day_or_any();
    let case = format!("tests/{}/sample", table.name);
    files.push(NewFile {
        path: format!("{case}/case.toml"),
        text: format!(
            "# Lines of the sample as they are. Replace personal data in them before you commit them.\n\
             # `dayport test --update` writes expected.jsonl.\ndate = \"{day}\"\n"
        ),
    });
    files.push(NewFile {
        path: format!("{case}/{}.jsonl", source.name),
        text: table.lines.iter().map(|line| format!("{line}\n")).collect(),
    });
}

/// Returns the key of a location in its store.
fn root_of(location: &Location) -> Result<Path> {
    match location.s3_prefix() {
        Some(prefix) => Ok(prefix.prefix.clone()),
        None => Ok(path_of_url(location.url())),
    }
}

/// Refuses options that are about one source, if there are several.
fn refuse_several(request: &InitRequest<'_>, sources: &[FoundSource]) -> Result<()> {
    let options = request.options;
    let flags = [
        ("--source", request.source.is_some()),
        ("--event-column", options.event_column.is_some()),
        ("--time-column", options.time_column.is_some()),
        (
            "--one-table NAME",
            matches!(options.one_table, Some(Some(_))),
        ),
    ];
    let given = flags.into_iter().find(|(_, is_given)| *is_given);
    match given {
        Some((flag, _)) if sources.len() > 1 => {
            let names: Vec<&str> = sources
                .iter()
                .map(|source| source.location.as_str())
                .collect();
            let what = format!(
                "`{flag}` is about one source, and there are {}",
                sources.len()
            );
            let hint = format!("name the folder of one with `--from`: {}", names.join(", "));
            Err(Error::invalid(what).with_hint(hint))
        }
        _ => Ok(()),
    }
}

async fn refuse_file(
    store: &dyn ObjectStore,
    root: &Path,
    request: &InitRequest<'_>,
) -> Result<()> {
    let exists =
        !root.as_ref().is_empty() && store.head(root).await.is_ok_and(|meta| meta.size > 0);
    match exists {
        false => Ok(()),
        true => Err(is_file(request.from_text)),
    }
}

/// Returns the error of a `--from` that is a file.
pub(crate) fn is_file(from: &str) -> Error {
    Error::invalid(format!("`{from}` is a file"))
        .with_hint("name its folder: a source is all files of a folder")
}

/// Returns the name of a source, by the last folder of its location that says something.
fn source_name(location: &str, from: &Location) -> String {
    let url = from.url().path().trim_end_matches('/').to_owned();
    let own = location.trim_start_matches("./");
    let parts = own.trim_end_matches('/').rsplit('/').chain(url.rsplit('/'));
    let mut names = parts
        .filter(|part| !part.is_empty())
        .map(|part| table_name(part, "source"));
    let first = names.next().unwrap_or_else(|| "events".to_owned());
    match GENERIC.contains(&first.as_str()) {
        true => "events".to_owned(),
        false => first,
    }
}

/// Returns the error of a folder of which nothing can be a source.
fn nothing(request: &InitRequest<'_>, problems: Vec<Problem>) -> Error {
    let errors: Vec<Error> = problems
        .into_iter()
        .map(|problem| {
            Error::invalid(format!("{}: {}", problem.place, problem.what)).with_hint(problem.remedy)
        })
        .collect();
    if let Err(error) = Error::all(errors) {
        return error;
    }
    Error::invalid(format!("there is no file with rows at `{}`", request.from))
        .with_hint("check `--from`: JSON lines, plain, gzip or zstd, and Parquet files are sampled")
}

/// Describes the sources and their tables for people.
fn summary(sources: &[SourceModel]) -> String {
    let mut text = String::new();
    for source in sources {
        let _ = writeln!(text, "{}: {}", source.name, readme::found(source));
        for table in &source.tables {
            let rows = crate::human::counted(table.rows.seen.count, "row");
            let of = match &table.selection {
                Selection::All => String::new(),
                Selection::Event(event) => format!(" of {}", crate::visible::visible_line(event)),
                Selection::Others(_) => " of other events".to_owned(),
            };
            let _ = writeln!(text, "  {}: {rows}{of}", table.name);
        }
        for line in lost_rows(source) {
            let _ = writeln!(text, "  {line}");
        }
        for line in &readme::left_out_columns(source) {
            let _ = writeln!(text, "  left out: {line}");
        }
    }
    text
}
