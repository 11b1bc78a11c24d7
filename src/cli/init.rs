//! `dayport init`: scaffolds sources and definitions from a sample of files.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::shared::{DEFAULT_SQL, S3Arguments};
use crate::cli::{config, print};
use crate::error::{Error, ExitCode, Result};
use crate::init::{
    InferenceOptions, InitRequest, NewFile, Problem, SampleSize, Written, is_file, patch, scaffold,
    write_new,
};
use crate::layout::TableName;
use crate::store::Location;
use crate::visible::visible_line;

pub(super) const EXAMPLES: &str = "\
Samples files below --from, chooses a type for each key, and writes a source for each kind of files, a
definition and a test case for each event, and a README. Reads JSON lines (plain, gzip, zstd) and
Parquet, in Hive folders or without folders. Comments in the sources say what was left out and why.

A file that exists is never changed: a patch is printed instead, and the exit code is 1.

Examples:
  dayport init --from fixtures/raw/events
      the first definitions of a project
  dayport init --from s3://raw-bucket/events/ --sql definitions --source events
      from a bucket, into another folder
  dayport init --from fixtures/raw/events --dry-run
      print what would be written

Exit codes: 0 done, 1 a file differs or some files cannot be read, 2 the call is wrong or there is
nothing to read, 75 a store is unavailable.";

/// The arguments of `dayport init`.
#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The folder or s3://bucket/prefix/ of the files
    #[arg(
        long,
        env = "DAYPORT_FROM",
        value_name = "PATH|URL",
        hide_env_values = true
    )]
    pub from: String,

    /// The folder to write the definitions to
    #[arg(long, env = "DAYPORT_SQL", value_name = "DIR", default_value = DEFAULT_SQL)]
    pub sql: PathBuf,

    /// The name of the source [default: that of its folder]
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,

    /// The column with the names of events, such as type or data.schema [default: found by name and values]
    #[arg(long, value_name = "COLUMN", conflicts_with = "one_table")]
    pub event_column: Option<String>,

    /// The column with the time of the rows [default: the one that agrees with the folders, then by name]
    #[arg(long, value_name = "COLUMN")]
    pub time_column: Option<String>,

    /// One table for all events of a source [default name: that of the source]
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    pub one_table: Option<Option<String>>,

    /// The maximum number of tables of a source; the last one has the rows of all further events
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_tables: u16,

    /// The maximum number of files to read of a source: the first, the last, and others between them
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    pub sample_files: u16,

    /// The maximum number of rows to look at of a source
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub sample_rows: u32,

    /// Print what would be written, as a patch, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// Runs the command.
pub(super) async fn init(arguments: InitArguments) -> Result<ExitCode> {
    let from = Location::parse(&arguments.from)?;
    if Path::new(&arguments.from).is_file() {
        return Err(is_file(&arguments.from));
    }
    if !from.may_exist() {
        return Err(
            Error::invalid(format!("there is no folder `{from}`")).with_hint("check `--from`")
        );
    }
    let names = [
        arguments.source.as_ref(),
        arguments.one_table.as_ref().and_then(Option::as_ref),
    ];
    for name in names.into_iter().flatten() {
        name.parse::<TableName>()?;
    }
    let options = InferenceOptions {
        event_column: arguments.event_column.clone(),
        time_column: arguments.time_column.clone(),
        one_table: arguments.one_table.clone(),
        max_tables: usize::from(arguments.max_tables),
    };
    let sql = arguments.sql.display().to_string();
    let made = scaffold(&InitRequest {
        from: &from,
        from_text: &arguments.from,
        sql_text: &sql,
        store: &config::source_store(&arguments.s3),
        size: SampleSize {
            files: usize::from(arguments.sample_files),
            rows: usize::try_from(arguments.sample_rows).unwrap_or(usize::MAX),
        },
        source: arguments.source.as_deref(),
        options: &options,
    })
    .await?;
    for problem in &made.problems {
        print::message(&warning(problem));
    }
    let has_problems = !made.problems.is_empty();
    if arguments.dry_run {
        for file in &made.files {
            print::raw(&dry_run(&arguments.sql, file));
        }
        return Ok(exit_code(has_problems));
    }
    print::text(&format!("{}\n", made.summary));
    let mut patches = String::new();
    for file in &made.files {
        let shown = arguments.sql.join(&file.path).display().to_string();
        match write_new(&arguments.sql, file)? {
            Written::New => print::text(&format!("written    {shown}\n")),
            Written::Unchanged => print::text(&format!("unchanged  {shown}\n")),
            Written::Differs(patch) => {
                print::text(&format!("differs    {shown}\n"));
                patches.push_str(&patch);
            }
        }
    }
    if !patches.is_empty() {
        print::text("\n");
        print::raw(&patches);
        print::message(
            "warning: files that exist have other texts; nothing of them was written\n\
             hint: the patch on stdout makes them what this sample suggests: `patch -p0`\n",
        );
        return Ok(ExitCode::Failed);
    }
    print::text(&format!("\nnext:\n{}", indented(&made.commands)));
    Ok(exit_code(has_problems))
}

fn exit_code(has_problems: bool) -> ExitCode {
    match has_problems {
        true => ExitCode::Failed,
        false => ExitCode::Done,
    }
}

fn warning(problem: &Problem) -> String {
    let text = format!("warning: {}: {}", problem.place, problem.what);
    format!(
        "{}\nhint: {}\n",
        visible_line(&text),
        visible_line(&problem.remedy)
    )
}

fn dry_run(folder: &Path, file: &NewFile) -> String {
    let shown = folder.join(&file.path).display().to_string();
    patch("/dev/null", &shown, "", &file.text)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
