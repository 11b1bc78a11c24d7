//! Cuts a case out of real data: the lines of an event, or the rows of a query.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;

use crate::cases::folder::{Case, CaseName, SETTINGS, load_cases};
use crate::cases::update::write;
use crate::cycle::Cycle;
use crate::definition::{Definition, TESTS};
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::query::{self, QueryContext};
use crate::scan::search::{declared_name, json_lines};
use crate::trace::{self, TraceRequest};

/// The maximum number of rows of a case: more are no example.
const MAX_ROWS: usize = 1_000;

/// The rows that a case is cut from.
pub(crate) enum RowsOf<'a> {
    /// All lines with the id of an event, in the sources that the definition reads.
    Event(TraceRequest<'a>),
    /// The rows of a query over one source.
    Query(QueryContext<'a>, &'a str),
}

/// The case to write.
pub(crate) struct CutRequest<'a> {
    /// The folder of the definitions.
    pub(crate) sql: &'a Path,
    pub(crate) definitions: &'a [Definition],
    /// The names of the declared tables.
    pub(crate) sources: BTreeSet<&'a str>,
    pub(crate) name: CaseName,
    pub(crate) rows: RowsOf<'a>,
    /// The cycle of the case.
    pub(crate) cycle: Cycle,
}

/// Writes the lines of a new case and its settings, without expectations, and returns it with the number of its
/// lines.
///
/// # Errors
/// [`Error::invalid`] if there is such a case already, if no row is found, or too many.
pub(crate) async fn cut(request: CutRequest<'_>) -> Result<(Vec<Case>, usize)> {
    let Some(case) = &request.name.case else {
        return Err(
            Error::invalid(format!("`{}` is a table, not a case", request.name)).with_hint(
                format!("name the new case, such as {}/one_event", request.name),
            ),
        );
    };
    let mut defined = request.definitions.iter();
    if !defined.any(|definition| definition.table == request.name.table) {
        let what = format!("there is no definition `{}`", request.name.table);
        return Err(Error::invalid(what));
    }
    let folder: PathBuf = [request.name.table.as_str(), case].iter().collect();
    let folder = request.sql.join(TESTS).join(folder);
    if folder.exists() {
        let what = format!("there is a case `{}` already", request.name);
        return Err(Error::invalid(what).with_hint("choose another name, or remove its folder"));
    }
    let lines = match request.rows {
        RowsOf::Event(request) => of_event(&request).await?,
        RowsOf::Query(context, sql) => of_query(&context, sql).await?,
    };
    let count: usize = lines.values().map(Vec::len).sum();
    if count == 0 {
        return Err(Error::invalid("no row was found, so there is no case")
            .with_hint("is it of another day? --date selects the cycle that is searched"));
    }
    std::fs::create_dir_all(&folder).map_err(|error| {
        Error::invalid(format!("cannot create `{}`", folder.display())).with_source(error)
    })?;
    for (source, mut lines) in lines {
        lines.push(String::new());
        write(&folder.join(format!("{source}.jsonl")), &lines.join("\n"))?;
    }
    write(
        &folder.join(SETTINGS),
        &format!("date = \"{}\"\n", request.cycle),
    )?;
    let selected = [request.name];
    let cases = load_cases(
        request.sql,
        request.definitions,
        &request.sources,
        &selected,
    )?;
    Ok((cases, count))
}

async fn of_event(request: &TraceRequest<'_>) -> Result<BTreeMap<String, Vec<String>>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in trace::find(request).await? {
        let line = found.json_line()?;
        lines.entry(found.source).or_default().push(line);
    }
    Ok(lines)
}

async fn of_query(context: &QueryContext<'_>, sql: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let opened = query::open(context, sql).await?;
    let sources = sources_of(opened.frame.logical_plan())?;
    let mut sources = sources.into_iter();
    let (Some(source), None) = (sources.next(), sources.next()) else {
        return Err(
            Error::invalid("the query does not read one source").with_hint(
                "its rows become lines of the source that it reads: SELECT * FROM events WHERE …",
            ),
        );
    };
    let table = context
        .engine
        .session()
        .table_provider(source.as_str())
        .await;
    let columns = table.map_err(from_datafusion)?.schema();
    let selected = opened.frame.schema().as_arrow().clone();
    let is_unknown = |name: &&String| columns.index_of(name).is_err();
    let mut names = selected.fields().iter().map(|field| field.name());
    if let Some(name) = names.find(is_unknown) {
        let what = format!("the query gives `{name}`, which is no column of `{source}`");
        return Err(Error::invalid(what).with_hint("select columns of the source as they are"));
    }
    let rows = opened
        .frame
        .limit(0, Some(MAX_ROWS + 1))
        .map_err(from_datafusion)?;
    let batches = rows.collect().await.map_err(from_datafusion)?;
    let mut lines = Vec::new();
    for batch in &batches {
        lines.extend(json_lines(batch)?);
    }
    if lines.len() > MAX_ROWS {
        let what = format!("the query gives more than {MAX_ROWS} rows");
        return Err(Error::invalid(what).with_hint("select fewer: a case is an example"));
    }
    Ok(match lines.is_empty() {
        true => BTreeMap::new(),
        false => BTreeMap::from([(source, lines)]),
    })
}

/// Returns the names of the declared sources that a plan reads.
fn sources_of(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let table = source_as_provider(&scan.source)?;
            names.extend(declared_name(table.as_ref()).map(str::to_owned));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    Ok(names)
}
