//! A job, from its plan to its rows.

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

use crate::cluster::MOST_MESSAGE;
use crate::cluster::codec::PlanCodec;
use crate::engine_error::{from_datafusion, from_elsewhere};
use crate::env;
use crate::error::{Error, Result};
use crate::scan::remote::tally::Tally;

/// How often the scheduler is asked how a job is.
const LOOK: Duration = Duration::from_millis(200);

/// A scheduler that does not answer, or does not know a job, for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// One call, at most: a scheduler reads a plan of many files before it answers.
const CALL: Duration = Duration::from_secs(120);

type Client = SchedulerGrpcClient<Channel>;

/// The scheduler of a cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// For messages.
    address: String,
    client: Client,
    /// Held by whatever may speak to the scheduler.
    /// Held until the last call to the scheduler is made.
    tracked: TaskTrackerToken,
}

/// The host and the port of `df://host:port`.
pub fn parse_address(text: &str) -> Result<(String, u16)> {
    let wrong = || no_address(text);
    let url = Url::parse(text).map_err(|error| wrong().with_source(error))?;
    let is_bare = url.username().is_empty() && matches!(url.path(), "" | "/");
    match (url.scheme(), url.host_str(), url.port()) {
        ("df", Some(host), Some(port)) if is_bare && !host.is_empty() => {
            Ok((host.to_owned(), port))
        }
        _ => Err(wrong()),
    }
}

fn no_address(text: &str) -> Error {
    Error::invalid(format!("`{text}` is no address of a scheduler"))
        .with_hint("write it like df://scheduler:50050")
}

/// What a job came to.
#[derive(Debug)]
pub struct Outcome {
    pub batches: Vec<RecordBatch>,
    /// What its scans counted.
    pub tally: Tally,
}

impl Cluster {
    /// Connects to `df://host:port`. The tracker is empty once the cluster is dropped and all its calls
    /// are made: a job that is aborted is cancelled after its run is over.
    pub async fn connect(address: &str) -> Result<(Self, TaskTracker)> {
        let (host, port) = parse_address(address)?;
        let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"))
            .map_err(|error| no_address(address).with_source(error))?
            .connect_timeout(PATIENCE)
            .timeout(CALL)
            .http2_keep_alive_interval(PATIENCE)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect().await.map_err(|error| {
            Error::unavailable(format!("the scheduler at {address} cannot be reached"))
                .with_source(error)
                .with_hint("is `dayport cluster scheduler` running there?")
        })?;
        let most = MOST_MESSAGE as usize;
        let tracker = TaskTracker::new();
        let cluster = Self {
            address: address.to_owned(),
            client: SchedulerGrpcClient::new(channel)
                .max_encoding_message_size(most)
                .max_decoding_message_size(most),
            tracked: tracker.token(),
        };
        Ok((cluster, tracker))
    }

    /// Runs a plan to its end. A job that nobody waits for any more is cancelled.
    pub async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
        name: &str,
    ) -> Result<Outcome> {
        let node = PhysicalPlanNode::try_from_physical_plan(plan, &PlanCodec::default())
            .map_err(from_datafusion)?;
        let mut plan = Vec::new();
        node.try_encode(&mut plan).map_err(from_datafusion)?;
        let job = self.submit(plan, config, name).await?;
        info!(job = job.id, name, "submitted");
        let locations = job.ended().await?;
        let tally = job.tally().await?;
        let mut batches = Vec::new();
        for location in locations {
            batches.extend(fetch(location).await?);
        }
        job.done().await;
        Ok(Outcome { batches, tally })
    }

    async fn submit(&self, plan: Vec<u8>, config: &SessionConfig, name: &str) -> Result<Job> {
        let session = format!("{name}-{}", env::random_suffix());
        let entries = config.options().entries().into_iter();
        let settings = entries.map(|entry| KeyValuePair {
            key: entry.key,
            value: entry.value,
        });
        let mut request = Request::new(ExecuteQueryParams {
            session_id: session.clone(),
            settings: settings.collect(),
            operation_id: session.clone(),
            query: Some(Query::PhysicalPlan(plan)),
        });
        insert_version_header(request.metadata_mut());
        let mut client = self.client.clone();
        let answer = client.execute_query(request).await;
        let answer = answer.map_err(|status| self.silent(status))?.into_inner();
        match answer.result {
            Some(execute_query_result::Result::Success(success)) => Ok(Job {
                cluster: self.clone(),
                id: success.job_id,
                session,
                ended: false,
            }),
            Some(execute_query_result::Result::Failure(failure)) => {
                let text = format!("{failure:?}");
                Err(from_elsewhere(&text).unwrap_or_else(|| {
                    Error::internal(format!("the scheduler does not take the plan: {text}"))
                        .with_hint("do all machines of the cluster run the same version?")
                }))
            }
            None => Err(Error::internal("the scheduler answers nothing")),
        }
    }

    fn silent(&self, status: Status) -> Error {
        let what = format!("the scheduler at {} does not answer", self.address);
        match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::Unimplemented => {
                Error::invalid(format!("the scheduler at {} refuses", self.address))
                    .with_source(status)
                    .with_hint("do all machines of the cluster run the same version?")
            }
            _ => Error::unavailable(what)
                .with_source(status)
                .with_hint("nothing was published; run again when the cluster is up"),
        }
    }
}

/// A job that the scheduler has taken.
struct Job {
    cluster: Cluster,
    id: String,
    session: String,
    ended: bool,
}

impl Job {
    /// Where its rows lie.
    async fn ended(&self) -> Result<Vec<PartitionLocation>> {
        let mut client = self.cluster.client.clone();
        let mut known = Instant::now();
        loop {
            let asked = GetJobStatusParams {
                job_id: self.id.clone(),
            };
            let status = match client.get_job_status(asked).await {
                Ok(answer) => answer.into_inner().status.and_then(|status| status.status),
                Err(status) if known.elapsed() > PATIENCE => {
                    return Err(self.cluster.silent(status));
                }
                Err(_) => None,
            };
            match status {
                Some(job_status::Status::Successful(successful)) => {
                    return Ok(successful.partition_location);
                }
                Some(job_status::Status::Failed(failed)) => {
                    debug!(job = self.id, error = failed.error, "failed");
                    return Err(from_elsewhere(&failed.error).unwrap_or_else(|| {
                        Error::unavailable(format!("the cluster gave up: {}", failed.error))
                            .with_hint("nothing was published; the executors' logs say more")
                    }));
                }
                Some(job_status::Status::Queued(_) | job_status::Status::Running(_)) => {
                    known = Instant::now();
                }
                // It knows of no job, as one does that was started anew.
                None if known.elapsed() > PATIENCE => {
                    let address = &self.cluster.address;
                    return Err(Error::unavailable(format!(
                        "the scheduler at {address} has lost the job"
                    ))
                    .with_hint("nothing was published; run again"));
                }
                None => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn tally(&self) -> Result<Tally> {
        let mut client = self.cluster.client.clone();
        let asked = GetJobMetricsParams {
            job_id: self.id.clone(),
        };
        let answer = client.get_job_metrics(asked).await;
        let answer = answer.map_err(|status| self.cluster.silent(status))?;
        let stages = answer.into_inner().stages.into_iter();
        let operators = stages.flat_map(|stage| stage.operators);
        let metrics = operators.flat_map(|operator| operator.metrics);
        let mut tally = Tally::default();
        for metric in metrics {
            if let Some(Metric::Count(NamedCount { name, value })) = metric.metric {
                tally.take(&name, value);
            }
        }
        Ok(tally)
    }

    /// Its session is of no more use.
    async fn done(mut self) {
        self.ended = true;
        let mut client = self.cluster.client.clone();
        let session_id = std::mem::take(&mut self.session);
        // What is left of it goes with time.
        let _ = client
            .remove_session(RemoveSessionParams { session_id })
            .await;
    }
}

impl Drop for Job {
    /// Executors give up what they have begun for it.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (cluster, job_id) = (self.cluster.clone(), self.id.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let Cluster {
                    mut client,
                    tracked,
                    ..
                } = cluster;
                let _ = client.cancel_job(CancelJobParams { job_id }).await;
                drop(tracked);
            });
        }
    }
}

/// The rows of one partition, from the executor that has them.
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
    let port = u16::try_from(port).map_err(|_| foreign())?;
    let mut client = BallistaClient::try_new(
        &host,
        port,
        MOST_MESSAGE as usize,
        false,
        None,
        RETRIES,
        RETRY_MILLISECONDS,
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

/// Times that an executor is asked for rows, and the wait between them.
const RETRIES: u8 = 3;
const RETRY_MILLISECONDS: u64 = 500;
