//! Runs one SQL statement and prints its rows, for `dayport query` and its shell.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::WriterBuilder as CsvWriter;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use crate::cli::print;
use crate::cli::shared::RowFormat;
use crate::codec::json::StrictTimes;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::format::value_range::check_values;
use crate::human;
use crate::query::{QueryContext, open};

/// The options of printing a statement's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PrintOptions {
    pub format: RowFormat,
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
    let mut frame = open(context, statement).await?;
    if let Some(limit) = options.limit {
        frame = frame.limit(0, Some(limit)).map_err(from_datafusion)?;
    }
    if options.explain {
        frame = frame.explain(false, false).map_err(from_datafusion)?;
    }
    match options.format {
        RowFormat::Table => print_table(frame).await,
        RowFormat::Csv | RowFormat::Json => stream_rows(frame, options.format).await,
    }
}

/// Collects all rows and prints them as a table, whose columns are aligned.
async fn print_table(frame: DataFrame) -> Result<()> {
    let schema = Arc::clone(frame.schema().inner());
    let mut batches = frame.collect().await.map_err(from_datafusion)?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let table = pretty_format_batches(&batches).map_err(unprintable)?;
    print::text(&format!("{table}\n"));
    print::message(&format!("{}\n", human::counted(rows as u64, "row")));
    Ok(())
}

/// Prints the rows batch by batch, as CSV or JSON lines, until the reader closes the pipe.
async fn stream_rows(frame: DataFrame, format: RowFormat) -> Result<()> {
    let schema = Arc::clone(frame.schema().inner());
    let mut stream = frame.execute_stream().await.map_err(from_datafusion)?;
    let stdout = print::RowWriter::default();
    let mut csv = CsvWriter::new().with_header(true).build(stdout.clone());
    let times = Arc::<StrictTimes>::default();
    let mut json = WriterBuilder::new()
        .with_encoder_factory(Arc::<StrictTimes>::clone(&times))
        .build::<_, LineDelimited>(stdout.clone());
    if format == RowFormat::Csv {
        // The header, even if there are no rows.
        csv.write(&RecordBatch::new_empty(schema))
            .map_err(unprintable)?;
    }
    while let Some(received) = stream.next().await {
        let batch = received.map_err(from_datafusion)?;
        match format {
            RowFormat::Csv => csv.write(&batch).map_err(unprintable)?,
            RowFormat::Json => {
                check_values(&batch)?;
                let written = json.write(&batch).and_then(|()| times.check());
                written.map_err(unprintable)?;
            }
            RowFormat::Table => {}
        }
        if stdout.is_closed() {
            break;
        }
    }
    Ok(())
}

fn unprintable(error: ArrowError) -> Error {
    Error::data("these rows cannot be printed in this format").with_source(error)
}
