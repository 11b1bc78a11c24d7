//! Runs one SQL statement and prints its rows, for `dayport query` and its shell.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use futures::{StreamExt, TryStreamExt};

use crate::cli::rows_table::{Expanded, render};
use crate::cli::shared::RowFormat;
use crate::cli::{print, rows_csv};
use crate::codec::json::StrictTimes;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::format::value_range::check_values;
use crate::human;
use crate::query::{OpenQuery, QueryContext, SetAside, open};
use crate::visible::visible_line;

/// The options of printing a statement's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PrintOptions {
    pub format: RowFormat,
    /// The form of the format `table`.
    pub expanded: Expanded,
    /// The maximum number of rows.
    pub limit: Option<usize>,
    /// True to print the plan instead of the rows.
    pub explain: bool,
}

/// Runs an SQL statement, or reads a table given by its name, and prints its rows.
pub(super) async fn run_statement(
    context: &QueryContext<'_>,
    statement: &str,
    options: PrintOptions,
) -> Result<()> {
    let OpenQuery { mut frame, scans } = open(context, statement).await?;
    if let Some(limit) = options.limit {
        frame = frame.limit(0, Some(limit)).map_err(from_datafusion)?;
    }
    if options.explain {
        frame = frame.explain(false, false).map_err(from_datafusion)?;
    }
    let schema = Arc::clone(frame.schema().inner());
    let task = Arc::new(frame.task_ctx());
    let plan = frame
        .create_physical_plan()
        .await
        .map_err(from_datafusion)?;
    let rows = execute_stream(Arc::clone(&plan), task).map_err(from_datafusion)?;
    let set_aside = match options.format {
        RowFormat::Table => {
            let batches = rows.try_collect().await.map_err(from_datafusion)?;
            // A run that fails exports no row.
            let set_aside = scans.check(&plan)?;
            print_table(schema, batches, options.expanded)?;
            set_aside
        }
        RowFormat::Csv => {
            stream_csv(&schema, rows).await?;
            scans.check(&plan)?
        }
        RowFormat::Json => {
            stream_json(rows).await?;
            scans.check(&plan)?
        }
    };
    for lines in &set_aside {
        print::message(&warning(lines));
    }
    Ok(())
}

/// Prints all rows in a form for people.
fn print_table(schema: SchemaRef, mut batches: Vec<RecordBatch>, expanded: Expanded) -> Result<()> {
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    print::text(&render(&batches, expanded, width).map_err(unprintable)?);
    print::message(&format!("{}\n", human::counted(rows as u64, "row")));
    Ok(())
}

/// Prints the rows batch by batch as CSV, until the reader closes the pipe.
async fn stream_csv(schema: &SchemaRef, mut rows: SendableRecordBatchStream) -> Result<()> {
    let mut stdout = print::RowWriter::default();
    // The header, even if there are no rows.
    let header = rows_csv::header(schema)?;
    let written = stdout
        .write_all(header.as_bytes())
        .map_err(ArrowError::from);
    written.map_err(unprintable)?;
    while let Some(received) = rows.next().await {
        let batch = received.map_err(from_datafusion)?;
        rows_csv::write(&mut stdout, &batch).map_err(unprintable)?;
        if stdout.is_closed() {
            break;
        }
    }
    Ok(())
}

/// Prints the rows batch by batch as JSON lines, until the reader closes the pipe.
async fn stream_json(mut rows: SendableRecordBatchStream) -> Result<()> {
    let stdout = print::RowWriter::default();
    let times = Arc::<StrictTimes>::default();
    let mut json = WriterBuilder::new()
        .with_encoder_factory(Arc::<StrictTimes>::clone(&times))
        .build::<_, LineDelimited>(stdout.clone());
    while let Some(received) = rows.next().await {
        let batch = received.map_err(from_datafusion)?;
        check_values(&batch)?;
        let written = json.write(&batch).and_then(|()| times.check());
        written.map_err(unprintable)?;
        if stdout.is_closed() {
            break;
        }
    }
    Ok(())
}

/// Renders the malformed lines of a source, for stderr.
fn warning(set_aside: &SetAside) -> String {
    let lines = set_aside.lines;
    let mut text = format!(
        "warning: {} of the source `{}` {} set aside",
        human::counted(lines, "malformed line"),
        visible_line(&set_aside.source),
        if lines == 1 { "is" } else { "are" },
    );
    if set_aside.read_in_part {
        text.push_str("; the query ended before it had read the whole source");
    }
    text.push('\n');
    for reject in &set_aside.first {
        let (file, reason) = (visible_line(&reject.file), visible_line(&reject.reason));
        let _ = writeln!(text, "  `{file}` {}: {reason}", reject.position());
    }
    let more = lines - set_aside.first.len() as u64;
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
    text
}

fn unprintable(error: ArrowError) -> Error {
    Error::data("these rows cannot be printed in this format").with_source(error)
}
