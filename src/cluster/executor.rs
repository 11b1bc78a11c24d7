//! Ballista's executor as a library call.

use std::net::{IpAddr, SocketAddr, TcpListener};
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

use crate::cluster::codec::PlanCodec;
use crate::cluster::engine::EndingEngine;
use crate::cluster::stores::Stores;
use crate::cluster::{MOST_MESSAGE, session_config};
use crate::env;
use crate::error::{Error, Result};
use crate::stage::{Compressing, Destinations};
use crate::store::StoreOptions;

/// How often it is looked whether the scheduler answers.
const LOOK: Duration = Duration::from_millis(100);

/// An executor.
#[derive(Debug, Clone)]
pub struct ExecutorSettings {
    /// The address of the scheduler.
    pub scheduler: (String, u16),
    pub bind: IpAddr,
    /// Of the data; 0 picks one that is free.
    pub port: u16,
    /// Of the commands of the scheduler; 0 picks one that is free.
    pub control_port: u16,
    /// The name under which the others reach it.
    pub host: String,
    /// For what is exchanged and spilled.
    pub work_dir: PathBuf,
    /// Tasks at once.
    pub slots: usize,
    /// For all tasks together, in bytes.
    pub memory_limit: u64,
    /// It tells the scheduler so often that it is there.
    pub heartbeat: Duration,
    /// How sources are read.
    pub s3: StoreOptions,
}

/// Serves until SIGTERM, Ctrl-C or a stop by the scheduler, then ends the tasks that it has.
pub async fn run_executor(settings: ExecutorSettings) -> Result<()> {
    let (scheduler_host, scheduler_port) = settings.scheduler.clone();
    let stores = Arc::new(Stores::new(settings.s3));
    let spills = settings.work_dir.join("spills");
    std::fs::create_dir_all(&spills).map_err(|error| {
        Error::invalid(format!("cannot use `{}`", settings.work_dir.display())).with_source(error)
    })?;
    let work_dir = settings.work_dir.to_str().map(str::to_owned);
    let work_dir = work_dir.ok_or_else(|| Error::invalid("--work-dir is not UTF-8"))?;
    let destinations = Arc::new(Destinations::default());
    let health = ExecutorHealth::new();
    let compressing = Arc::new(Compressing::new(settings.slots));
    let config = ExecutorProcessConfig {
        executor_id: format!("dayport-{}", env::random_suffix()),
        bind_host: settings.bind.to_string(),
        external_host: Some(settings.host),
        port: free_port(settings.bind, settings.port)?,
        grpc_port: free_port(settings.bind, settings.control_port)?,
        scheduler_host: scheduler_host.clone(),
        scheduler_port,
        vcores: settings.slots,
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        work_dir: Some(work_dir),
        grpc_max_decoding_message_size: MOST_MESSAGE,
        grpc_max_encoding_message_size: MOST_MESSAGE,
        executor_heartbeat_interval_seconds: settings.heartbeat.as_secs().max(1),
        memory_pool_size: Some(settings.memory_limit),
        override_execution_engine: Some(Arc::new(EndingEngine::default())),
        override_physical_codec: Some(Arc::new(PlanCodec::default())),
        override_config_producer: Some(Arc::new(move || {
            session_config(SessionConfig::new_with_ballista())
                .with_extension(Arc::clone(&destinations))
                .with_extension(Arc::clone(&compressing))
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
    let telling = tokio::spawn(tell(health));
    let served = start_executor_process(Arc::new(config)).await;
    telling.abort();
    served.map_err(|error| match error {
        BallistaError::GrpcConnectionError(_) => Error::unavailable(format!(
            "the scheduler at {scheduler_host}:{scheduler_port} cannot be reached"
        ))
        .with_source(error)
        .with_hint("is `dayport cluster scheduler` running there?"),
        error => Error::internal("the executor broke off").with_source(error),
    })
}

/// Logs when the scheduler knows this executor, and when it does not answer any more.
async fn tell(health: ExecutorHealth) {
    let mut known = false;
    loop {
        match (known, health.is_ready()) {
            (false, true) => info!("registered"),
            (true, false) => warn!("the scheduler does not answer"),
            _ => {}
        }
        known = health.is_ready();
        tokio::time::sleep(LOOK).await;
    }
}

/// The port, or one that nobody has at this moment.
fn free_port(bind: IpAddr, port: u16) -> Result<u16> {
    let address = SocketAddr::new(bind, port);
    let cannot = |error| Error::invalid(format!("cannot listen on {address}")).with_source(error);
    let listener = TcpListener::bind(address).map_err(cannot)?;
    Ok(listener.local_addr().map_err(cannot)?.port())
}
