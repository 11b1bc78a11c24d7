//! Runs Ballista's scheduler as a library call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::SessionConfigExt;
use ballista_core::utils::default_session_builder;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::cluster::session::{MAX_MESSAGE_BYTES, ballista_config};
use crate::cluster::wire::codec::PlanCodec;
use crate::error::{Error, Result};

/// The interval at which a draining scheduler checks whether its jobs have ended.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The settings of a scheduler.
#[derive(Debug, Clone)]
pub(crate) struct SchedulerSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The host name under which executors and drivers reach it.
    pub host: String,
    /// The time without a heartbeat after which an executor is lost and its tasks are retried on
    /// others.
    pub executor_timeout: Duration,
    /// The maximum time that a stop waits for running jobs.
    pub grace: Duration,
}

/// Serves until `stop` is cancelled, then waits for the running jobs. Calls `listening` with the
/// address.
pub(crate) async fn run_scheduler(
    settings: SchedulerSettings,
    stop: CancellationToken,
    listening: impl FnOnce(SocketAddr),
) -> Result<()> {
    let cannot_listen =
        |error| Error::invalid(format!("cannot listen on {}", settings.listen)).with_source(error);
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let config = Arc::new(config(&settings, address));
    let failed = |error: ballista_core::error::BallistaError| {
        Error::internal("the scheduler ended unexpectedly").with_source(error)
    };
    config.validate().map_err(failed)?;
    let cluster = BallistaCluster::new_from_config(&config)
        .await
        .map_err(failed)?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, config)
        .await
        .map_err(failed)?;
    listening(address);
    let serving = start_grpc_service_with_listener(listener, scheduler.clone());
    let drained = async {
        stop.cancelled().await;
        info!("draining: running jobs are waited for");
        let jobs = async {
            while scheduler.running_job_number() + scheduler.pending_job_number() > 0 {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(settings.grace, jobs).await
    };
    tokio::select! {
        served = serving => served.map_err(failed),
        drained = drained => drained.map_err(|_| {
            Error::unavailable("stopped before all jobs had ended")
                .with_hint("their runs fail clean; run them again")
        }),
    }
}

fn config(settings: &SchedulerSettings, address: SocketAddr) -> SchedulerConfig {
    let seconds = settings.executor_timeout.as_secs().max(1);
    let check_interval = (seconds / 4).max(1);
    SchedulerConfig {
        external_host: settings.host.clone(),
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        // A task can be cancelled only where the scheduler can reach the executor.
        scheduling_policy: TaskSchedulingPolicy::PushStaged,
        task_distribution: TaskDistributionPolicy::RoundRobin,
        grpc_server_max_decoding_message_size: MAX_MESSAGE_BYTES,
        grpc_server_max_encoding_message_size: MAX_MESSAGE_BYTES,
        grpc_client_max_message_size: MAX_MESSAGE_BYTES,
        executor_timeout_seconds: seconds,
        expire_dead_executor_interval_seconds: check_interval,
        no_executors_grace_period_seconds: seconds,
        override_physical_codec: Some(Arc::new(PlanCodec::default())),
        override_config_producer: Some(Arc::new(|| {
            ballista_config(SessionConfig::new_with_ballista())
        })),
        override_session_builder: Some(Arc::new(default_session_builder)),
        ..SchedulerConfig::default()
    }
}
