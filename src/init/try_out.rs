//! Tries new declarations and definitions before they are written: the decoder of a run reads the sample
//! by them, and the engine binds them.
//!
//! A column for which the decoder rejects a line of the sample becomes text if it is a date or a time in
//! strings. Another one is left out, with the line and the reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use datafusion::arrow::datatypes::{FieldRef, Schema};

use crate::catalog::Sources;
use crate::codec::deflate::GzipLevel;
use crate::cycle::Cycle;
use crate::definition;
use crate::engine::{Engine, EngineSettings};
use crate::engine_error::from_datafusion;
use crate::env;
use crate::error::{Error, Result};
use crate::init::column::{Column, ColumnType, LeftOut, Note, VARCHAR};
use crate::init::definition_sql::definition_sql;
use crate::init::events::EventColumn;
use crate::init::explore::Problem;
use crate::init::model::{SourceFiles, SourceModel};
use crate::init::sample::SampledLine;
use crate::init::source_sql::source_sql;
use crate::jsonl::{BadLine, CHUNK_BYTES, Chunk, LeafRule, LeafRules, LineSchema, LineSplitter};
use crate::layout::FileFormat;
use crate::store::{Location, StoreOptions};

/// The maximum number of columns that are left out because of the decoder.
const MAX_ROUNDS: usize = 100;

/// The number of rows of a batch.
const BATCH_ROWS: usize = 1024;

/// The memory of the session that binds the definitions, in bytes.
const MEMORY: usize = 256 << 20;

/// Tries the sources and their tables, and leaves out columns that the decoder rejects. Returns the lines
/// that are rejected whatever is declared.
///
/// # Errors
/// A declaration or a definition is not accepted.
pub(super) async fn try_out(
    sources: &mut [SourceModel],
    from: &Location,
    store: &StoreOptions,
) -> Result<Vec<Problem>> {
    let folder = tempfile::tempdir().map_err(|error| cannot_write(&error))?;
    let mut round = 0;
    loop {
        let engine = open(sources, from, store, folder.path()).await?;
        let (mut is_changed, mut problems) = (false, Vec::new());
        for source in sources.iter_mut() {
            if source.files == SourceFiles::Parquet {
                continue;
            }
            let Some(bad) = first_reject(&engine, source).await? else {
                continue;
            };
            match leave_out(source, &bad) {
                true => is_changed = true,
                false => problems.extend(problem(source, &bad)),
            }
        }
        round += 1;
        if !is_changed || round == MAX_ROUNDS {
            bind(&engine, sources, folder.path()).await?;
            return Ok(problems);
        }
    }
}

fn cannot_write(error: &std::io::Error) -> Error {
    Error::data(format!("a temporary folder cannot be written: {error}"))
}

/// Opens a session over the declarations, which are written to `folder`.
async fn open(
    sources: &[SourceModel],
    from: &Location,
    store: &StoreOptions,
    folder: &Path,
) -> Result<Engine> {
    let declarations = folder.join(definition::SOURCES);
    fs::create_dir_all(&declarations).map_err(|error| cannot_write(&error))?;
    for source in sources {
        let path = declarations.join(format!("{}.sql", source.name));
        fs::write(path, source_sql(source)).map_err(|error| cannot_write(&error))?;
    }
    let settings = EngineSettings {
        memory_limit: MEMORY,
        parallelism: 1,
        gzip_level: GzipLevel::default(),
        spill_dir: Some(folder.to_owned()),
        spill_id: env::random_suffix(),
    };
    Engine::open(&Sources::load(&declarations)?, Some(from), store, settings).await
}

async fn bind(engine: &Engine, sources: &[SourceModel], folder: &Path) -> Result<()> {
    for source in sources {
        for table in &source.tables {
            let path = folder.join(format!("{}.sql", table.name));
            fs::write(path, definition_sql(source, table)).map_err(|error| cannot_write(&error))?;
        }
    }
    let mut tables = sources.iter().flat_map(|source| &source.tables);
    let Some(table) = tables.next() else {
        return Ok(());
    };
    let cycle: Cycle = table.day_or_any().parse()?;
    for definition in definition::load_any(folder)? {
        let parameters = BTreeMap::new();
        engine
            .bind(&definition, cycle, &parameters, FileFormat::Parquet)
            .await
            .map_err(|error| error.context("the sample has names that a definition cannot have"))?;
    }
    Ok(())
}

/// Returns the first line of the sample that the decoder rejects, by its place among the lines.
async fn first_reject(engine: &Engine, source: &SourceModel) -> Result<Option<BadLine>> {
    let provider = engine.session().table_provider(source.name.as_str()).await;
    let schema = provider.map_err(from_datafusion)?.schema();
    let is_of_folders = |field: &&FieldRef| {
        source
            .folders
            .iter()
            .any(|column| column.name == *field.name())
    };
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .filter(|field| !is_of_folders(field))
        .cloned()
        .collect();
    let all: Vec<usize> = (0..fields.len()).collect();
    let mut rules = Vec::new();
    for column in &source.columns {
        push_rules(&mut rules, column);
    }
    let lines = LineSchema::project(&Schema::new(fields), &all, None, &LeafRules::new(rules));
    let fault = |error: datafusion::arrow::error::ArrowError| {
        Error::internal(format!("the sample of `{}` cannot be decoded", source.name))
            .with_source(error)
    };
    let mut decoder = lines.decoder(BATCH_ROWS).map_err(fault)?;
    let text: Vec<&str> = source
        .sample
        .lines
        .iter()
        .map(|line| line.text.as_str())
        .collect();
    let text = text.join("\n");
    let mut splitter = LineSplitter::new(text.as_bytes(), CHUNK_BYTES);
    while let Some(chunk) = splitter
        .next_chunk()
        .map_err(|error| cannot_write(&error))?
    {
        if let Chunk::Lines(chunk) = chunk {
            let decoded = decoder.decode(&chunk).map_err(fault)?;
            if let Some(bad) = decoded.bad.into_iter().next() {
                return Ok(Some(bad));
            }
        }
    }
    Ok(None)
}

/// Appends the rules of the leaves of a column, in the order of [`crate::arrow_leaves`].
fn push_rules(rules: &mut Vec<LeafRule>, column: &Column) {
    if let Ok(declared) = &column.declared {
        push_type_rules(rules, declared);
    }
}

fn push_type_rules(rules: &mut Vec<LeafRule>, declared: &ColumnType) {
    match declared {
        ColumnType::Struct(members) => {
            for member in members {
                push_rules(rules, member);
            }
        }
        ColumnType::List(element) => push_type_rules(rules, element),
        ColumnType::Timestamp { unit } => rules.push(LeafRule {
            unit: *unit,
            ..LeafRule::default()
        }),
        _ => rules.push(LeafRule::default()),
    }
}

/// Leaves the column out that a line is rejected for. Returns false if it is not known, or if the time or
/// the event needs it.
fn leave_out(source: &mut SourceModel, bad: &BadLine) -> bool {
    let Some(field) = &bad.field else {
        return false;
    };
    let needed = [
        source.time.as_ref().map(|time| time.chosen.shown()),
        source.events.as_ref().map(EventColumn::shown),
    ];
    if needed.iter().flatten().any(|path| path == field) {
        return false;
    }
    let Some(place) = line_of(source, bad).map(|line| line.place) else {
        return false;
    };
    let reason = LeftOut::Rejected {
        reason: bad.reason.clone(),
        place,
    };
    leave_out_at(&mut source.columns, "", field, &reason)
}

fn leave_out_at(columns: &mut [Column], above: &str, field: &str, reason: &LeftOut) -> bool {
    for column in columns {
        let path = format!("{above}{}", column.name);
        if path == *field
            && let Ok(declared) = &mut column.declared
        {
            // Texts that are not all times or dates are texts.
            if let (true, LeftOut::Rejected { place, .. }) = (became_text(declared), reason) {
                column.notes.push(Note::NotAllTimes(Some(*place)));
                return true;
            }
            column.declared = Err(reason.clone());
            column.is_required = false;
            return true;
        }
        let Ok(declared) = &mut column.declared else {
            continue;
        };
        let mut inner = declared;
        while let ColumnType::List(element) = inner {
            inner = element;
        }
        if let ColumnType::Struct(members) = inner
            && leave_out_at(members, &format!("{path}."), field, reason)
        {
            if members.iter().all(|member| member.declared.is_err()) {
                column.declared = Err(LeftOut::NoMembers(None));
            }
            return true;
        }
    }
    false
}

/// Declares texts that are read as times or dates as texts. Returns false for other types.
fn became_text(declared: &mut ColumnType) -> bool {
    match declared {
        ColumnType::List(element) => became_text(element),
        ColumnType::Plain("DATE") | ColumnType::Timestamp { unit: None } => {
            *declared = VARCHAR;
            true
        }
        _ => false,
    }
}

fn line_of<'a>(source: &'a SourceModel, bad: &BadLine) -> Option<&'a SampledLine> {
    let index = usize::try_from(bad.line).ok()?.checked_sub(1)?;
    source.sample.lines.get(index)
}

fn problem(source: &SourceModel, bad: &BadLine) -> Option<Problem> {
    let line = line_of(source, bad)?;
    let field = bad
        .field
        .as_ref()
        .map_or_else(String::new, |field| format!("field `{field}`: "));
    let what = format!("a run rejects the line: {field}{}", bad.reason);
    let remedy = "mend the line, or allow some with `--max-rejects`";
    Some(Problem::new(source.sample.show(line.place), what, remedy))
}
