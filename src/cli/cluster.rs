//! `dayport cluster`: runs a cluster's scheduler or executor; also connects `dayport run --cluster`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio_util::task::TaskTracker;

use crate::cli::job::Job;
use crate::cli::shared::JobArguments;
use crate::cli::units;
use crate::error::{Error, ExitCode, Result};

pub(super) const EXAMPLES: &str = "\
A cluster is one scheduler and any number of executors, all of the same version of dayport. Each
machine needs the rights of a run (`dayport policy`) and its own credentials, which are never sent to
other machines. Connections are neither encrypted nor authenticated: keep the ports inside a trusted
network. On SIGTERM an executor finishes its tasks, and the scheduler waits for running jobs.

Examples:
  dayport cluster scheduler --listen 0.0.0.0:50050 --host scheduler
  dayport cluster executor --scheduler df://scheduler:50050 --bind 0.0.0.0 --host executor-1 \\
      --work-dir /var/lib/dayport
  dayport run --cluster df://scheduler:50050 --from s3://raw/ --to s3://bucket/prefix/

Exit codes: 0 stopped, 1 failed, 2 the call is wrong, 75 the scheduler cannot be reached.";

/// The arguments of `dayport cluster`.
#[derive(Debug, Args)]
pub(super) struct ClusterArguments {
    #[command(subcommand)]
    pub role: ClusterRole,
}

/// The role of a process in the cluster.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterRole {
    /// Distribute the tasks of runs to executors
    Scheduler(SchedulerArguments),
    /// Execute tasks
    Executor(ExecutorArguments),
}

/// The arguments of `dayport cluster scheduler`.
#[derive(Debug, Args)]
pub(super) struct SchedulerArguments {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
    pub listen: SocketAddr,

    /// The host name at which executors reach it [default: the address]
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// The time without a heartbeat after which an executor is lost and its tasks are reassigned
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = units::duration)]
    pub executor_timeout: Duration,

    /// The maximum time that a stop waits for running jobs
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = units::duration)]
    pub grace: Duration,
}

/// The arguments of `dayport cluster executor`.
#[derive(Debug, Args)]
pub(super) struct ExecutorArguments {
    /// The scheduler: df://host:port
    #[arg(
        long,
        env = "DAYPORT_CLUSTER",
        value_name = "URL",
        hide_env_values = true
    )]
    pub scheduler: String,

    /// The address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub bind: IpAddr,

    /// The port for data; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,

    /// The port for the scheduler's commands; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub control_port: u16,

    /// The host name at which the scheduler and other executors reach it [default: the address]
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// The folder for spill files and shuffle files
    #[arg(long, env = "DAYPORT_WORK_DIR", value_name = "DIR")]
    pub work_dir: PathBuf,

    /// The maximum number of concurrent tasks [default: the processors]
    #[arg(long, env = "DAYPORT_SLOTS", value_name = "N")]
    pub slots: Option<usize>,

    /// The memory limit of all tasks together, for example 4GiB [default: half of the memory of the machine or container]
    #[arg(long, env = "DAYPORT_MEMORY_LIMIT", value_name = "SIZE")]
    pub memory_limit: Option<String>,

    /// The interval between heartbeats to the scheduler
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = units::duration)]
    pub heartbeat: Duration,

    /// The maximum time to retry requests to a store that does not respond, for example 90s or 2m
    #[arg(
        long,
        env = "DAYPORT_RETRY_TIMEOUT",
        value_name = "DURATION",
        default_value = "75s",
        value_parser = units::duration
    )]
    pub retry_timeout: Duration,
}

/// The arguments that make a run use a cluster.
#[derive(Debug, Args)]
#[command(next_help_heading = "On a cluster")]
pub(super) struct ClusterRunArguments {
    /// The scheduler of the cluster that executes the run: df://host:port
    #[arg(
        long,
        env = "DAYPORT_CLUSTER",
        value_name = "URL",
        hide_env_values = true
    )]
    pub cluster: Option<String>,

    /// The minimum compressed bytes of source data per task; each task writes its own files
    #[arg(
        long,
        env = "DAYPORT_TASK_SIZE",
        value_name = "SIZE",
        default_value = "256MiB",
        requires = "cluster"
    )]
    pub task_size: String,

    /// The maximum number of tasks per table
    #[arg(
        long,
        env = "DAYPORT_TASKS",
        value_name = "N",
        default_value_t = 256,
        requires = "cluster"
    )]
    pub tasks: usize,
}

/// Makes the cluster behind `address` execute the job. The calls that it still makes to the cluster
/// afterwards come back as tasks, to wait for.
#[cfg(feature = "cluster")]
pub(super) async fn distribute(
    mut job: Job,
    address: &str,
    distribution: &ClusterRunArguments,
    arguments: &JobArguments,
) -> Result<(Job, TaskTracker)> {
    use crate::cli::config;
    use crate::cluster::{ClusterClient, ClusterRunner};
    use crate::store::Location;

    let task_size = units::size("--task-size", &distribution.task_size, 1)?;
    let (client, calls) = ClusterClient::connect(address).await?;
    let runner = ClusterRunner {
        to: Location::parse(&arguments.to)?,
        s3: config::destination_store(&arguments.s3)?,
        min_task_bytes: task_size,
        max_tasks: distribution.tasks,
        client,
    };
    job.engine = job.engine.with_runner(std::sync::Arc::new(runner));
    Ok((job, calls))
}

/// Runs the command.
#[cfg(feature = "cluster")]
pub(super) async fn cluster(arguments: ClusterArguments) -> Result<ExitCode> {
    use tracing::info;

    use crate::cli::signal::stop_on_signal;
    use crate::cluster::{run_executor, run_scheduler};

    match arguments.role {
        ClusterRole::Scheduler(arguments) => {
            let settings = scheduler(arguments);
            let on_listening = |address: SocketAddr| info!(address = %address, "listening");
            let stop = stop_on_signal("running jobs are finished first");
            run_scheduler(settings, stop, on_listening).await?;
        }
        ClusterRole::Executor(arguments) => run_executor(executor(arguments)?).await?,
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
    use crate::env;
    use crate::memory_budget::{MAX_DEFAULT_LIMIT, MIN_LIMIT};
    use crate::store::StoreOptions;

    let memory_limit = match &arguments.memory_limit {
        Some(text) => units::size("--memory-limit", text, MIN_LIMIT)?,
        None => env::usable_memory().map_or(MAX_DEFAULT_LIMIT, |usable| usable / 2),
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
            retry_timeout: arguments.retry_timeout,
            ..StoreOptions::default()
        },
    })
}

/// Fails: this build has no clusters.
#[cfg(not(feature = "cluster"))]
pub(super) async fn distribute(
    _: Job,
    _: &str,
    _: &ClusterRunArguments,
    _: &JobArguments,
) -> Result<(Job, TaskTracker)> {
    Err(built_without_clusters())
}

/// Fails: this build has no clusters.
#[cfg(not(feature = "cluster"))]
pub(super) async fn cluster(_: ClusterArguments) -> Result<ExitCode> {
    Err(built_without_clusters())
}

#[cfg(not(feature = "cluster"))]
fn built_without_clusters() -> Error {
    Error::invalid("this dayport was built without clusters")
        .with_hint("build it with `cargo build --release --features cluster`")
}
