//! The client of a scheduler: runs a job, from its plan to its rows.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::client::BallistaClient;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::operator_metric::Metric;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, GetJobMetricsParams, GetJobStatusParams, KeyValuePair,
    NamedCount, PartitionLocation, RemoveSessionParams, execute_query_result, job_status,
};
use ballista_core::version::insert_version_header;
use datafusion::arrow::array::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::TryStreamExt;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tracing::{debug, info};
use url::Url;

use crate::cluster::counts::RemoteCounts;
use crate::cluster::session::MAX_MESSAGE_BYTES;
use crate::cluster::wire::codec::PlanCodec;
use crate::cluster::wire::error::decode_from_wire;
use crate::engine_error::from_datafusion;
use crate::env;
use crate::error::{Error, Result};
use crate::store::shown_url;

/// The interval at which the status of a job is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The time after which a scheduler that does not respond, or does not know a job, is given up.
const SCHEDULER_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of one call: a scheduler decodes a plan of many files before it responds.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// The number of times that an executor is asked for rows again, and the delay before each.
const FETCH_RETRIES: u8 = 3;
const FETCH_RETRY_MILLISECONDS: u64 = 500;

type GrpcClient = SchedulerGrpcClient<Channel>;

/// A connection to the scheduler of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct ClusterClient {
    /// The address of the scheduler, for messages.
    address: String,
    grpc: GrpcClient,
    /// A token that is held by every task that may call the scheduler.
    token: TaskTrackerToken,
}

/// Parses `df://host:port` to the host and the port.
///
/// # Errors
/// [`Error::invalid`] if it is anything else.
pub(crate) fn parse_address(text: &str) -> Result<(String, u16)> {
    let wrong = || no_address(text);
    let url = Url::parse(text).map_err(|error| wrong().with_source(error))?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_bare = !has_user && matches!(url.path(), "" | "/");
    match (url.scheme(), url.host_str(), url.port()) {
        ("df", Some(host), Some(port)) if is_bare && !host.is_empty() => {
            Ok((host.to_owned(), port))
        }
        _ => Err(wrong()),
    }
}

fn no_address(text: &str) -> Error {
    let shown = shown_url(text);
    Error::invalid(format!("`{shown}` is no address of a scheduler"))
        .with_hint("write it like df://scheduler:50050")
}

/// The result of a job.
#[derive(Debug)]
pub(crate) struct JobResult {
    /// The rows of the plan.
    pub batches: Vec<RecordBatch>,
    /// The counts of its scans and writers.
    pub counts: RemoteCounts,
}

impl ClusterClient {
    /// Connects to `df://host:port`. The returned tracker is empty when no client calls the scheduler
    /// any more: a job that is dropped is cancelled after its run is over.
    pub(crate) async fn connect(address: &str) -> Result<(Self, TaskTracker)> {
        let (host, port) = parse_address(address)?;
        let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"))
            .map_err(|error| no_address(address).with_source(error))?
            .connect_timeout(SCHEDULER_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .http2_keep_alive_interval(SCHEDULER_TIMEOUT)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect().await.map_err(|error| {
            Error::unavailable(format!("the scheduler at {address} cannot be reached"))
                .with_source(error)
                .with_hint("is `dayport cluster scheduler` running there?")
        })?;
        let max_bytes = MAX_MESSAGE_BYTES as usize;
        let tracker = TaskTracker::new();
        let client = Self {
            address: address.to_owned(),
            grpc: SchedulerGrpcClient::new(channel)
                .max_encoding_message_size(max_bytes)
                .max_decoding_message_size(max_bytes),
            token: tracker.token(),
        };
        Ok((client, tracker))
    }

    /// Runs a plan to its end. The job is cancelled if the future is dropped.
    pub(crate) async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
        name: &str,
    ) -> Result<JobResult> {
        let node = PhysicalPlanNode::try_from_physical_plan(plan, &PlanCodec::default())
            .map_err(from_datafusion)?;
        let mut encoded = Vec::new();
        node.try_encode(&mut encoded).map_err(from_datafusion)?;
        let job = self.submit(encoded, config, name).await?;
        info!(job = job.id, name, "submitted");
        let locations = job.wait().await?;
        let counts = job.counts().await?;
        let mut batches = Vec::new();
        for location in locations {
            batches.extend(fetch(location).await?);
        }
        job.finish().await;
        Ok(JobResult { batches, counts })
    }

    async fn submit(&self, plan: Vec<u8>, config: &SessionConfig, name: &str) -> Result<Job> {
        let session = format!("{name}-{}", env::random_suffix());
        let settings = config
            .options()
            .entries()
            .into_iter()
            .map(|entry| KeyValuePair {
                key: entry.key,
                value: entry.value,
            })
            .collect();
        let mut request = Request::new(ExecuteQueryParams {
            session_id: session.clone(),
            settings,
            operation_id: session.clone(),
            query: Some(Query::PhysicalPlan(plan)),
        });
        insert_version_header(request.metadata_mut());
        let mut grpc = self.grpc.clone();
        let response = grpc
            .execute_query(request)
            .await
            .map_err(|status| self.call_error(status))?;
        match response.into_inner().result {
            Some(execute_query_result::Result::Success(success)) => Ok(Job {
                client: self.clone(),
                id: success.job_id,
                session,
                is_finished: false,
            }),
            Some(execute_query_result::Result::Failure(failure)) => {
                let text = format!("{failure:?}");
                Err(decode_from_wire(&text).unwrap_or_else(|| {
                    Error::internal(format!("the scheduler does not accept the plan: {text}"))
                        .with_hint("do all machines of the cluster run the same version?")
                }))
            }
            None => Err(Error::internal("the scheduler returned no result")),
        }
    }

    /// Returns the error of a failed call.
    fn call_error(&self, status: Status) -> Error {
        let address = &self.address;
        match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::Unimplemented => {
                Error::invalid(format!("the scheduler at {address} refuses the call"))
                    .with_source(status)
                    .with_hint("do all machines of the cluster run the same version?")
            }
            _ => Error::unavailable(format!("the scheduler at {address} does not respond"))
                .with_source(status)
                .with_hint("nothing was published; run again when the cluster is up"),
        }
    }
}

/// A job that the scheduler has accepted.
struct Job {
    client: ClusterClient,
    id: String,
    session: String,
    is_finished: bool,
}

impl Job {
    /// Waits for the end of the job, and returns the locations of its rows.
    async fn wait(&self) -> Result<Vec<PartitionLocation>> {
        let mut grpc = self.client.grpc.clone();
        let mut last_known = Instant::now();
        loop {
            let request = GetJobStatusParams {
                job_id: self.id.clone(),
            };
            let status = match grpc.get_job_status(request).await {
                Ok(response) => response
                    .into_inner()
                    .status
                    .and_then(|status| status.status),
                Err(status) if last_known.elapsed() > SCHEDULER_TIMEOUT => {
                    return Err(self.client.call_error(status));
                }
                Err(_) => None,
            };
            match status {
                Some(job_status::Status::Successful(successful)) => {
                    return Ok(successful.partition_location);
                }
                Some(job_status::Status::Failed(failed)) => {
                    debug!(job = self.id, error = failed.error, "failed");
                    return Err(decode_from_wire(&failed.error).unwrap_or_else(|| {
                        Error::unavailable(format!("the cluster gave up: {}", failed.error))
                            .with_hint("nothing was published; the executors' logs say more")
                    }));
                }
                Some(job_status::Status::Queued(_) | job_status::Status::Running(_)) => {
                    last_known = Instant::now();
                }
                // A restarted scheduler does not know the job.
                None if last_known.elapsed() > SCHEDULER_TIMEOUT => {
                    let address = &self.client.address;
                    return Err(Error::unavailable(format!(
                        "the scheduler at {address} has lost the job"
                    ))
                    .with_hint("nothing was published; run again"));
                }
                None => {}
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the counts that the tasks of the job reported.
    async fn counts(&self) -> Result<RemoteCounts> {
        let mut grpc = self.client.grpc.clone();
        let request = GetJobMetricsParams {
            job_id: self.id.clone(),
        };
        let response = grpc
            .get_job_metrics(request)
            .await
            .map_err(|status| self.client.call_error(status))?;
        let stages = response.into_inner().stages.into_iter();
        let operators = stages.flat_map(|stage| stage.operators);
        let metrics = operators.flat_map(|operator| operator.metrics);
        let mut counts = RemoteCounts::default();
        for metric in metrics {
            if let Some(Metric::Count(NamedCount { name, value })) = metric.metric {
                counts.add(&name, value);
            }
        }
        Ok(counts)
    }

    /// Removes the session of a job whose rows are fetched.
    async fn finish(mut self) {
        self.is_finished = true;
        let mut grpc = self.client.grpc.clone();
        let session_id = std::mem::take(&mut self.session);
        // If the call fails, the scheduler expires the session.
        let _ = grpc
            .remove_session(RemoveSessionParams { session_id })
            .await;
    }
}

impl Drop for Job {
    /// Cancels a job that is not finished: executors then abort the uploads that they have started.
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let (client, job_id) = (self.client.clone(), self.id.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let ClusterClient {
                    mut grpc, token, ..
                } = client;
                let _ = grpc.cancel_job(CancelJobParams { job_id }).await;
                drop(token);
            });
        }
    }
}

/// Fetches the rows of one partition from the executor that has them.
async fn fetch(location: PartitionLocation) -> Result<Vec<RecordBatch>> {
    let layout = location.layout();
    let foreign = || Error::internal("the scheduler does not say where the rows are");
    let executor = location.executor_meta.ok_or_else(foreign)?;
    let partition = location.partition_id.ok_or_else(foreign)?;
    let (host, port) = (executor.host, executor.port);
    let lost = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::unavailable(format!(
            "the executor at {host}:{port} is gone, and with it the names of staged files"
        ))
        .with_source(error)
        .with_hint("nothing was published; run again")
    };
    let mut client = BallistaClient::try_new(
        &host,
        u16::try_from(port).map_err(|_| foreign())?,
        MAX_MESSAGE_BYTES as usize,
        false,
        None,
        FETCH_RETRIES,
        FETCH_RETRY_MILLISECONDS,
        0,
        0,
    )
    .await
    .map_err(|error| lost(error.into()))?;
    let rows = client
        .fetch_partition(
            &executor.id,
            &partition.into(),
            location.file_id,
            layout,
            true,
        )
        .await
        .map_err(|error| lost(error.into()))?;
    rows.try_collect().await.map_err(|error| lost(error.into()))
}
