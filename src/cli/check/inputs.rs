//! The check of definitions, sources and test cases.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::audit::{AuditScope, BoundAudits};
use crate::catalog::Sources;
use crate::check::{CheckArea, CheckList, DefinedTable, check_sources};
use crate::cli::check::cases::check_cases;
use crate::cli::job;
use crate::cli::shared::JobArguments;
use crate::cli::{config, rejects_to};
use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::engine::line_rows::LineEngine;
use crate::engine::{BoundDefinition, Engine};
use crate::error::Result;
use crate::human;
use crate::store::Location;

/// The tables and places that are known after the check of definitions and sources.
#[derive(Default)]
pub(super) struct CheckedInputs {
    /// The tables that compile.
    pub(super) tables: Vec<DefinedTable>,
    /// The operator's place for malformed lines, which is apart from the sources and the destination.
    pub(super) rejects_place: Option<Location>,
}

/// Checks definitions, sources and test cases. `to` is the destination of the runs to come, if it is known.
pub(super) async fn check_inputs(
    job: &JobArguments,
    to: Option<&Location>,
    cycle: Cycle,
    now: DateTime<Utc>,
    list: &mut CheckList,
) -> Result<CheckedInputs> {
    let Some(inputs) = open_inputs(job, to, list).await? else {
        return Ok(CheckedInputs::default());
    };
    let Inputs {
        definitions,
        sources,
        engine,
        has_files,
    } = &inputs;
    let from = config::source_root(&job.engine)?;
    let rejects_place = match to {
        Some(to) => rejects_to::place(job, sources, from.as_ref(), to)?,
        None => None,
    };
    let bound = bind(job, engine, definitions, cycle, list).await?;
    if *has_files {
        let read = read_sources(job, definitions, &bound)?;
        let max_rejects = job::max_rejects(&job.rejects)?;
        let max_misplaced = job::max_misplaced(job)?;
        let is_read = |name: &&str| read.as_ref().is_none_or(|read| read.contains(*name));
        let names = sources.table_names().filter(is_read);
        check_sources(engine, names, cycle, now, max_rejects, max_misplaced, list).await;
    } else {
        let count = sources.table_names().count() as u64;
        let declared = format!("{} as declared", human::counted(count, "source"));
        list.passed(CheckArea::Sources, "declarations", declared);
        let detail = "no file was read: give --from to read a sample of each source";
        list.unknown(CheckArea::Sources, "files", detail);
    }
    check_audits(engine, definitions, &bound, cycle, list).await;
    if bound.len() == definitions.len() {
        check_cases(job, definitions, sources, list).await?;
    }
    Ok(CheckedInputs {
        tables: bound.into_iter().map(|(table, _)| table).collect(),
        rejects_place,
    })
}

/// Compiles the audits of the tables that compile. Without any audit nothing is added.
async fn check_audits(
    engine: &Engine,
    definitions: &[Definition],
    bound: &[(DefinedTable, BoundDefinition)],
    cycle: Cycle,
    list: &mut CheckList,
) {
    let mut compiled = 0;
    for definition in definitions {
        let of_table = bound
            .iter()
            .find(|(table, _)| table.name == definition.table);
        let Some((_, bound)) = of_table else {
            continue;
        };
        let scope = AuditScope {
            engine,
            definition,
            bound,
            cycle,
        };
        match BoundAudits::bind(&scope).await {
            Ok(None) => {}
            Ok(Some(audits)) => {
                compiled += audits.len() as u64;
                for (name, position) in audits.never_broken() {
                    let detail = format!("{position}: no row can break the audit `{name}`");
                    let hint = "its condition is never true: `= NULL` never is, and a column that is \
                                required is never NULL";
                    list.note(CheckArea::Audits, definition.table.as_str(), detail, hint);
                }
            }
            Err(error) => list.error(CheckArea::Audits, definition.table.as_str(), &error),
        }
    }
    if compiled > 0 {
        let detail = match compiled {
            1 => "1 compiles".to_owned(),
            count => format!("{count} compile"),
        };
        list.passed(CheckArea::Audits, "audits", detail);
    }
}

/// Returns the sources that the named tables read. Returns `None` for all sources: if no tables are
/// named, or if one does not compile, so that its sources are not known.
fn read_sources(
    job: &JobArguments,
    definitions: &[Definition],
    bound: &[(DefinedTable, BoundDefinition)],
) -> Result<Option<BTreeSet<String>>> {
    if job.tables.is_empty() || bound.len() < definitions.len() {
        return Ok(None);
    }
    let mut read = BTreeSet::new();
    for (_, bound) in bound {
        read.extend(bound.source_names()?);
    }
    Ok(Some(read))
}

/// Definitions and sources that are declared as they should be.
struct Inputs {
    definitions: Vec<Definition>,
    sources: Sources,
    engine: Engine,
    /// True if the files of the sources are known: without `--from` their declarations alone are.
    has_files: bool,
}

/// Loads definitions and declarations of sources, which needs no store. `None` if any is wrong,
/// which is then on the list.
async fn open_inputs(
    job: &JobArguments,
    to: Option<&Location>,
    list: &mut CheckList,
) -> Result<Option<Inputs>> {
    let source_root = config::source_root(&job.engine)?;
    let settings = config::job_engine(job)?;
    let definitions = job::selected_definitions(job)
        .map_err(|error| list.error(CheckArea::Definitions, "definitions", &error));
    let sources = job::load_sources(&job.engine)
        .map_err(|error| list.error(CheckArea::Sources, "declarations", &error));
    let (Ok(definitions), Ok(sources)) = (definitions, sources) else {
        return Ok(None);
    };
    let base = source_root.as_ref().map(Location::url);
    if let Some(to) = to {
        sources.check_destination(to.url(), base)?;
    }
    let source_s3 = config::source_store(&job.s3);
    // Without a destination, no run is prepared: the declarations can be checked without the files.
    let has_files = to.is_some() || source_root.is_some() || sources.locations(None).is_ok();
    let opened = match has_files {
        true => Engine::open(&sources, source_root.as_ref(), &source_s3, settings).await,
        false => LineEngine::open(&sources, settings)
            .await
            .map(|lines| lines.engine().clone()),
    };
    match opened {
        Ok(engine) => Ok(Some(Inputs {
            definitions,
            sources,
            engine,
            has_files,
        })),
        Err(error) => {
            list.error(CheckArea::Sources, "declarations", &error);
            Ok(None)
        }
    }
}

/// Compiles each definition over the sources. Returns the tables that compile.
async fn bind(
    job: &JobArguments,
    engine: &Engine,
    definitions: &[Definition],
    cycle: Cycle,
    list: &mut CheckList,
) -> Result<Vec<(DefinedTable, BoundDefinition)>> {
    let parameters = config::parameters(&job.engine)?;
    let format = job.format;
    let mut compiled = Vec::new();
    for definition in definitions {
        match engine.bind(definition, cycle, &parameters, format).await {
            Ok(bound) => {
                note_volatile(definition, &bound, list)?;
                let table = DefinedTable {
                    name: definition.table.clone(),
                    shape: bound.spec.table_shape(definition.sync_mode),
                };
                compiled.push((table, bound));
            }
            Err(error) => list.error(CheckArea::Definitions, definition.table.as_str(), &error),
        }
    }
    if !compiled.is_empty() {
        let detail = match compiled.len() {
            1 => "1 compiles".to_owned(),
            count => format!("{count} compile"),
        };
        list.passed(CheckArea::Definitions, "definitions", detail);
    }
    Ok(compiled)
}

/// Notes the functions of a definition that give a rerun of a cycle other rows.
fn note_volatile(
    definition: &Definition,
    bound: &BoundDefinition,
    list: &mut CheckList,
) -> Result<()> {
    let names = bound.volatile_functions()?;
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "{}: {} gives another value when a cycle is run again",
        definition.sql.name(),
        quoted.join(", ")
    );
    let hint = "write `$window_start` or `$window_end` for the time of the cycle, and a hash such as \
                `md5(…)` of a key for an id";
    list.note(
        CheckArea::Definitions,
        definition.table.as_str(),
        detail,
        hint,
    );
    Ok(())
}
