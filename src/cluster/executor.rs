//! Runs Ballista's executor as a library call.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::extension::SessionConfigExt;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::health::ExecutorHealth;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use tracing::{info, warn};

use crate::cluster::execution_engine::CancellableEngine;
use crate::cluster::session::{MAX_MESSAGE_BYTES, ballista_config};
use crate::cluster::stores::SourceStores;
use crate::cluster::wire::codec::PlanCodec;
use crate::cluster::write::Destinations;
use crate::env;
use crate::error::{Error, Result};
use crate::spill_folder::SpillFolder;
use crate::stage::CompressionLimit;
use crate::store::StoreOptions;

/// The interval at which the connection to the scheduler is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The ports of which a free one is selected.
///
/// Ballista takes the number of a port, not a listener, so that the port is free until it listens.
/// Systems give the ports from 32768 on to outgoing connections, one of which could take it meanwhile.
const PORTS: Range<u16> = 10_000..32_768;

/// The number of further ports that are tried before none counts as free.
const ATTEMPTS: usize = 100;

/// The settings of an executor.
#[derive(Debug, Clone)]
pub(crate) struct ExecutorSettings {
    /// The host and the port of the scheduler.
    pub scheduler: (String, u16),
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port that serves the rows of tasks; 0 selects a free one.
    pub port: u16,
    /// The port that receives the commands of the scheduler; 0 selects a free one.
    pub control_port: u16,
    /// The host name under which the other machines reach it.
    pub host: String,
    /// The folder for rows that are exchanged or spilled.
    pub work_dir: PathBuf,
    /// The maximum number of tasks that run concurrently.
    pub slots: usize,
    /// The memory limit of all tasks together, in bytes.
    pub memory_limit: u64,
    /// The interval of heartbeats to the scheduler.
    pub heartbeat: Duration,
    /// The options with which sources are read.
    pub s3: StoreOptions,
}

/// Serves until SIGTERM, Ctrl-C or a stop by the scheduler, then finishes the tasks that it has.
pub(crate) async fn run_executor(settings: ExecutorSettings) -> Result<()> {
    let (scheduler_host, scheduler_port) = settings.scheduler.clone();
    let stores = Arc::new(SourceStores::new(settings.s3));
    let id = format!("dayport-{}", env::random_suffix());
    // Removed when the executor ends; those of killed executors are removed now.
    let spill_folder = SpillFolder::create(&settings.work_dir.join("spills"), &id)
        .map_err(|error| error.context("--work-dir"))?;
    let spills = spill_folder.path().to_owned();
    let work_dir = settings
        .work_dir
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::invalid("--work-dir is not UTF-8"))?;
    let destinations = Arc::new(Destinations::default());
    let health = ExecutorHealth::new();
    let compression = Arc::new(CompressionLimit::new(settings.slots));
    let config = ExecutorProcessConfig {
        executor_id: id,
        bind_host: settings.bind.to_string(),
        external_host: Some(settings.host),
        port: free_port(settings.bind, settings.port)?,
        grpc_port: free_port(settings.bind, settings.control_port)?,
        scheduler_host: scheduler_host.clone(),
        scheduler_port,
        vcores: settings.slots,
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        work_dir: Some(work_dir),
        grpc_max_decoding_message_size: MAX_MESSAGE_BYTES,
        grpc_max_encoding_message_size: MAX_MESSAGE_BYTES,
        executor_heartbeat_interval_seconds: settings.heartbeat.as_secs().max(1),
        memory_pool_size: Some(settings.memory_limit),
        override_execution_engine: Some(Arc::new(CancellableEngine::default())),
        override_physical_codec: Some(Arc::new(PlanCodec::default())),
        override_config_producer: Some(Arc::new(move || {
            ballista_config(SessionConfig::new_with_ballista())
                .with_extension(Arc::clone(&destinations))
                .with_extension(Arc::clone(&compression))
        })),
        override_runtime_producer: Some(Arc::new(move |_| {
            let disk = DiskManagerBuilder::default()
                .with_mode(DiskManagerMode::Directories(vec![spills.clone()]));
            RuntimeEnvBuilder::new()
                .with_object_store_registry(Arc::clone(&stores) as _)
                .with_disk_manager_builder(disk)
                .build_arc()
        })),
        health: health.clone(),
        ..ExecutorProcessConfig::default()
    };
    let logging = tokio::spawn(log_connection(health));
    let served = start_executor_process(Arc::new(config)).await;
    logging.abort();
    drop(spill_folder);
    served.map_err(|error| match error {
        BallistaError::GrpcConnectionError(_) => Error::unavailable(format!(
            "the scheduler at {scheduler_host}:{scheduler_port} cannot be reached"
        ))
        .with_source(error)
        .with_hint("is `dayport cluster scheduler` running there?"),
        error => Error::internal("the executor ended unexpectedly").with_source(error),
    })
}

/// Logs when this executor is registered with the scheduler, and when the scheduler stops responding.
async fn log_connection(health: ExecutorHealth) {
    let mut is_registered = false;
    loop {
        match (is_registered, health.is_ready()) {
            (false, true) => info!("registered"),
            (true, false) => warn!("the scheduler does not respond"),
            _ => {}
        }
        is_registered = health.is_ready();
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Returns `port`, or a free port of [`PORTS`] if it is 0.
fn free_port(bind: IpAddr, port: u16) -> Result<u16> {
    let check = |port| TcpListener::bind(SocketAddr::new(bind, port)).map(|_| port);
    let mut checked = check(match port {
        0 => env::random_port(PORTS),
        port => port,
    });
    for _ in 0..ATTEMPTS {
        if port != 0 || checked.is_ok() {
            break;
        }
        checked = check(env::random_port(PORTS));
    }
    checked.map_err(|error| {
        Error::invalid(format!("cannot listen on {}", SocketAddr::new(bind, port)))
            .with_source(error)
    })
}
