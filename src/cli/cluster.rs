//! `dayport cluster`, and what `dayport run --cluster` needs.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio_util::task::TaskTracker;

use crate::cli::args::RunArguments;
use crate::cli::job::Job;
use crate::error::{Error, ExitCode, Result};

pub const EXAMPLES: &str = "\
A cluster is one scheduler and any number of executors, of one version of dayport. Each machine needs
the rights of a run (`dayport policy`) and its own credentials; none travel. Nothing is encrypted or
authenticated between them: keep their ports inside a trusted network.
SIGTERM drains: an executor ends its tasks, the scheduler waits for running jobs.

Examples:
  dayport cluster scheduler --listen 0.0.0.0:50050 --host scheduler
  dayport cluster executor --scheduler df://scheduler:50050 --bind 0.0.0.0 --host executor-1 \\
      --work-dir /var/lib/dayport
  dayport run --cluster df://scheduler:50050 --from s3://raw/ --to s3://bucket/prefix/

Exit codes: 0 stopped, 1 broke off, 2 the call is wrong, 75 the scheduler cannot be reached.";

#[derive(Debug, Args)]
pub struct ClusterArguments {
    #[command(subcommand)]
    pub part: Part,
}

#[derive(Debug, Subcommand)]
pub enum Part {
    /// Give the tasks of runs to executors
    Scheduler(SchedulerArguments),
    /// Do tasks
    Executor(ExecutorArguments),
}

#[derive(Debug, Args)]
pub struct SchedulerArguments {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
    pub listen: SocketAddr,

    /// The name under which executors reach it [default: the address]
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// An executor that is silent so long is lost, and its tasks are done elsewhere
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    pub executor_timeout: Duration,

    /// How long a stop waits for running jobs
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    pub grace: Duration,
}

#[derive(Debug, Args)]
pub struct ExecutorArguments {
    /// The scheduler: df://host:port
    #[arg(long, env = "DAYPORT_CLUSTER", value_name = "URL")]
    pub scheduler: String,

    /// The address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub bind: IpAddr,

    /// The port of the data; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,

    /// The port of the scheduler's commands; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub control_port: u16,

    /// The name under which the others reach it [default: the address]
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// A folder for what is spilled and exchanged
    #[arg(long, env = "DAYPORT_WORK_DIR", value_name = "DIR")]
    pub work_dir: PathBuf,

    /// Tasks at once [default: the processors]
    #[arg(long, env = "DAYPORT_SLOTS", value_name = "N")]
    pub slots: Option<usize>,

    /// Memory for all tasks together, for example 4GiB [default: half of the machine]
    #[arg(long, env = "DAYPORT_MEMORY_LIMIT", value_name = "SIZE")]
    pub memory_limit: Option<String>,

    /// It tells the scheduler so often that it is there
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub heartbeat: Duration,

    /// Seconds to try again while a source does not answer
    #[arg(
        long,
        env = "DAYPORT_RETRY_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 120
    )]
    pub retry_timeout: u64,
}

/// Where the work is done.
#[derive(Debug, Args)]
#[command(next_help_heading = "On a cluster")]
pub struct OnCluster {
    /// The scheduler of a cluster that does the work: df://host:port
    #[arg(long, env = "DAYPORT_CLUSTER", value_name = "URL")]
    pub cluster: Option<String>,

    /// What a task reads of its sources at least, as stored; each task writes files of its own
    #[arg(
        long,
        env = "DAYPORT_TASK_SIZE",
        value_name = "SIZE",
        default_value = "256MiB",
        requires = "cluster"
    )]
    pub task_size: String,

    /// Tasks of one table at most
    #[arg(
        long,
        env = "DAYPORT_TASKS",
        value_name = "N",
        default_value_t = 256,
        requires = "cluster"
    )]
    pub tasks: usize,
}

/// The job, done by the cluster behind `address`, and what is still told to the cluster after it.
#[cfg(feature = "cluster")]
pub async fn distribute(
    mut job: Job,
    address: &str,
    arguments: &RunArguments,
) -> Result<(Job, TaskTracker)> {
    use crate::cli::config;
    use crate::cluster::{ClusterClient, ClusterRunner};
    use crate::store::Location;

    let on = &arguments.on;
    let task_size = config::size("--task-size", &on.task_size, 1)?;
    let (client, work) = ClusterClient::connect(address).await?;
    let runner = ClusterRunner {
        to: Location::parse(&arguments.job.to)?,
        s3: config::destination_store(&arguments.job.s3)?,
        min_task_bytes: task_size,
        max_tasks: on.tasks,
        client,
    };
    job.engine = job.engine.with_runner(std::sync::Arc::new(runner));
    Ok((job, work))
}

#[cfg(feature = "cluster")]
pub async fn cluster(arguments: ClusterArguments) -> Result<ExitCode> {
    use tracing::info;

    use crate::cli::run::stop_on_signal;
    use crate::cluster::{run_executor, run_scheduler};

    match arguments.part {
        Part::Scheduler(arguments) => {
            let settings = scheduler(arguments);
            let listening = |address: SocketAddr| info!(address = %address, "listening");
            let stop = stop_on_signal("running jobs are waited for");
            run_scheduler(settings, stop, listening).await?;
        }
        Part::Executor(arguments) => run_executor(executor(arguments)?).await?,
    }
    Ok(ExitCode::Done)
}

#[cfg(feature = "cluster")]
fn scheduler(arguments: SchedulerArguments) -> crate::cluster::SchedulerSettings {
    let host = arguments.host;
    crate::cluster::SchedulerSettings {
        host: host.unwrap_or_else(|| arguments.listen.ip().to_string()),
        listen: arguments.listen,
        executor_timeout: arguments.executor_timeout,
        grace: arguments.grace,
    }
}

#[cfg(feature = "cluster")]
fn executor(arguments: ExecutorArguments) -> Result<crate::cluster::ExecutorSettings> {
    use crate::cli::config;
    use crate::env;
    use crate::store::StoreOptions;

    let memory_limit = match &arguments.memory_limit {
        Some(text) => config::size("--memory-limit", text, config::LEAST_MEMORY)?,
        None => env::machine_memory().map_or(config::MOST_DEFAULT_MEMORY, |machine| machine / 2),
    };
    let slots = arguments.slots.unwrap_or_else(env::processors);
    if slots == 0 {
        return Err(Error::invalid("--slots 0 would do nothing"));
    }
    Ok(crate::cluster::ExecutorSettings {
        scheduler: crate::cluster::parse_address(&arguments.scheduler)
            .map_err(|error| error.context("--scheduler"))?,
        host: arguments.host.unwrap_or_else(|| arguments.bind.to_string()),
        bind: arguments.bind,
        port: arguments.port,
        control_port: arguments.control_port,
        work_dir: arguments.work_dir,
        slots,
        memory_limit,
        heartbeat: arguments.heartbeat,
        s3: StoreOptions {
            retry_timeout: Duration::from_secs(arguments.retry_timeout),
            ..StoreOptions::default()
        },
    })
}

#[cfg(not(feature = "cluster"))]
pub async fn distribute(_: Job, _: &str, _: &RunArguments) -> Result<(Job, TaskTracker)> {
    Err(missing())
}

#[cfg(not(feature = "cluster"))]
pub async fn cluster(_: ClusterArguments) -> Result<ExitCode> {
    Err(missing())
}

#[cfg(not(feature = "cluster"))]
fn missing() -> Error {
    Error::invalid("this dayport was built without clusters")
        .with_hint("build it with `cargo build --release --features cluster`")
}
