//! One scan of a source for several plans.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use object_store::path::Path;
use parking_lot::Mutex;

use crate::listing::file_groups::group_files_by_size;
use crate::listing::snapshot::{SourceFile, digest};
use crate::planted_fault::strikes;
use crate::scan::batch_channel::{BatchReceiver, BatchSender, batch_channel, fail_all};
use crate::scan::json::columns::ScanColumns;
use crate::scan::json::pipeline::{ReadSettings, start_pipeline};
use crate::scan::json::{JsonConsumer, SharedFile};
use crate::scan::parquet::source::CheckedParquetSource;
use crate::scan::record::Scan;
use crate::scan::shared::request::{RequestKind, ScanRequest};

/// A scan whose batches go to several plans. It starts when the first of them opens its input.
#[derive(Debug)]
pub(super) struct SharedScan {
    /// `None` once the scan has started.
    pending: Mutex<Option<PendingScan>>,
}

/// The work of a shared scan that has not started: the files or plan to read, and for whom.
enum PendingScan {
    Json {
        settings: ReadSettings,
        /// The files of each task.
        groups: Vec<Vec<SharedFile>>,
        members: Vec<JsonMember>,
    },
    Parquet {
        plan: Arc<dyn ExecutionPlan>,
        members: Vec<ParquetMember>,
    },
}

/// A plan that gets rows of a shared JSON scan.
struct JsonMember {
    columns: ScanColumns,
    scan: Arc<Scan>,
    /// One for each task.
    senders: Vec<BatchSender>,
}

/// A plan that gets rows of a shared Parquet scan.
struct ParquetMember {
    /// The indexes of its columns among those of the shared scan.
    column_indexes: Vec<usize>,
    scan: Arc<Scan>,
    /// One for each task.
    senders: Vec<BatchSender>,
}

impl std::fmt::Debug for PendingScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PendingScan::Json { .. } => "Json",
            PendingScan::Parquet { .. } => "Parquet",
        })
    }
}

impl SharedScan {
    /// Returns a key that is equal for requests that one scan can serve: those of the same source,
    /// and for Parquet of the same files, since a batch of its reader does not say which file it is
    /// from.
    pub(super) fn group_key(request: &ScanRequest) -> String {
        match &request.kind {
            RequestKind::Json { .. } => request.scan.source.clone(),
            RequestKind::Parquet { .. } => {
                format!("{}\t{}", request.scan.source, digest(&request.scan.files))
            }
        }
    }

    /// Keeps those requests of one key that listed the same version of each file that they have in
    /// common. Returns `None` if fewer than two are left.
    pub(super) fn compatible(requests: Vec<&Arc<ScanRequest>>) -> Option<Vec<&Arc<ScanRequest>>> {
        let mut seen: BTreeMap<&Path, (u64, Option<&str>)> = BTreeMap::new();
        let mut compatible = Vec::new();
        for request in requests {
            let versions: Vec<_> = request
                .files
                .iter()
                .map(|file| {
                    let version = (file.meta.size, file.meta.e_tag.as_deref());
                    (&file.meta.location, version)
                })
                .collect();
            let is_same = |(path, version): &(&Path, _)| {
                seen.get(path).is_none_or(|earlier| earlier == version)
            };
            if versions.iter().all(is_same) {
                seen.extend(versions);
                compatible.push(request);
            }
        }
        (compatible.len() > 1).then_some(compatible)
    }

    /// Assigns compatible requests to a new shared scan. Returns how many have been assigned.
    pub(super) fn assign(requests: &[&Arc<ScanRequest>]) -> u64 {
        let prepared = match requests.first().map(|request| &request.kind) {
            Some(RequestKind::Json { settings, .. }) => prepare_json(settings, requests),
            Some(RequestKind::Parquet { plan, .. }) => prepare_parquet(plan, requests),
            None => None,
        };
        let Some((pending, receivers)) = prepared else {
            return 0;
        };
        let shared_scan = Arc::new(Self {
            pending: Mutex::new(Some(pending)),
        });
        let mut assigned = 0;
        for (request, receiver) in requests.iter().zip(receivers) {
            request.assign(Arc::clone(&shared_scan), receiver);
            assigned += 1;
        }
        assigned
    }

    /// Starts the tasks that read, unless they have been started before.
    pub(super) fn start(&self, context: &Arc<TaskContext>) -> Result<()> {
        let pending = self.pending.lock().take();
        match pending {
            None => Ok(()),
            Some(PendingScan::Json {
                settings,
                groups,
                members,
            }) => start_json(&settings, groups, members, context),
            Some(PendingScan::Parquet { plan, members }) => start_parquet(&plan, members, context),
        }
    }
}

/// A scan to start, and for each of its members the receiver of its batches.
type PreparedScan = (PendingScan, Vec<BatchReceiver>);

fn prepare_json(settings: &ReadSettings, requests: &[&Arc<ScanRequest>]) -> Option<PreparedScan> {
    let mut files: BTreeMap<&Path, (&SourceFile, Vec<usize>)> = BTreeMap::new();
    for (member, request) in requests.iter().enumerate() {
        for file in &request.files {
            let entry = files.entry(&file.meta.location);
            entry.or_insert((file, Vec::new())).1.push(member);
        }
    }
    let all = files.values().map(|(file, _)| (*file).clone()).collect();
    let groups: Vec<Vec<SharedFile>> = group_files_by_size(all, settings.tasks)
        .into_iter()
        .map(|group| {
            let shared = group.into_iter().map(|file| {
                let consumers = files.get(&file.meta.location);
                SharedFile {
                    consumers: consumers
                        .map(|(_, consumers)| consumers.clone())
                        .unwrap_or_default(),
                    file,
                }
            });
            shared.collect()
        })
        .collect();
    let (mut members, mut receivers) = (Vec::new(), Vec::new());
    for request in requests {
        let RequestKind::Json { columns, .. } = &request.kind else {
            return None;
        };
        let (senders, receiver) = batch_channel(groups.len());
        receivers.push(receiver);
        members.push(JsonMember {
            columns: ScanColumns::clone(columns),
            scan: Arc::clone(&request.scan),
            senders,
        });
    }
    let pending = PendingScan::Json {
        settings: settings.clone(),
        groups,
        members,
    };
    Some((pending, receivers))
}

fn start_json(
    settings: &ReadSettings,
    groups: Vec<Vec<SharedFile>>,
    mut members: Vec<JsonMember>,
    context: &Arc<TaskContext>,
) -> Result<()> {
    for files in groups {
        let consumers = members.iter_mut().filter_map(|member| {
            Some(JsonConsumer {
                columns: member.columns.clone(),
                scan: Arc::clone(&member.scan),
                sender: member.senders.pop()?,
            })
        });
        start_pipeline(settings, files, consumers.collect(), context)?;
    }
    Ok(())
}

fn prepare_parquet(
    like: &Arc<dyn ExecutionPlan>,
    requests: &[&Arc<ScanRequest>],
) -> Option<PreparedScan> {
    let (mut projections, mut predicates) = (Vec::new(), Vec::new());
    for request in requests {
        let RequestKind::Parquet {
            projection,
            predicate,
            ..
        } = &request.kind
        else {
            return None;
        };
        projections.push(projection);
        predicates.push(predicate.clone());
    }
    let mut union: Vec<usize> = projections.iter().copied().flatten().copied().collect();
    union.sort_unstable();
    union.dedup();
    let scans = requests.iter().map(|request| Arc::clone(&request.scan));
    let plan = parquet_plan(like, &union, predicates, scans.collect())?;
    let tasks = plan.properties().output_partitioning().partition_count();
    let (mut members, mut receivers) = (Vec::new(), Vec::new());
    for (request, projection) in requests.iter().zip(projections) {
        let (senders, receiver) = batch_channel(tasks);
        receivers.push(receiver);
        let index = |column: &usize| union.partition_point(|other| other < column);
        members.push(ParquetMember {
            column_indexes: projection.iter().map(index).collect(),
            scan: Arc::clone(&request.scan),
            senders,
        });
    }
    Some((PendingScan::Parquet { plan, members }, receivers))
}

/// Returns a scan like `like` of the columns that any plan needs, without the row groups that no
/// plan needs. Its rows are counted for `scans`.
fn parquet_plan(
    like: &Arc<dyn ExecutionPlan>,
    union: &[usize],
    predicates: Vec<Option<Arc<dyn PhysicalExpr>>>,
    scans: Vec<Arc<Scan>>,
) -> Option<Arc<dyn ExecutionPlan>> {
    let exec = like.downcast_ref::<DataSourceExec>()?;
    let config = exec.data_source().downcast_ref::<FileScanConfig>()?;
    let mut source = config
        .file_source()
        .downcast_ref::<CheckedParquetSource>()?
        .clone()
        .for_scans(scans);
    // A plan without a predicate needs every row group.
    let all_predicates: Option<Vec<_>> = predicates.into_iter().collect();
    let any = all_predicates.and_then(|predicates| {
        predicates.into_iter().reduce(|one, other| {
            Arc::new(BinaryExpr::new(one, Operator::Or, other)) as Arc<dyn PhysicalExpr>
        })
    });
    if let Some(any) = any {
        source = source.with_predicate(any);
    }
    let shared = FileScanConfigBuilder::from(config.clone())
        .with_source(Arc::new(source))
        .with_projection_indices(Some(union.to_vec()))
        .ok()?
        .build();
    Some(DataSourceExec::from_data_source(shared))
}

fn start_parquet(
    plan: &Arc<dyn ExecutionPlan>,
    mut members: Vec<ParquetMember>,
    context: &Arc<TaskContext>,
) -> Result<()> {
    let tasks = plan.properties().output_partitioning().partition_count();
    for task in 0..tasks {
        let mut batches = plan.execute(task, Arc::clone(context))?;
        let mut consumers: Vec<BatchConsumer> = members
            .iter_mut()
            .filter_map(|member| {
                Some(BatchConsumer {
                    column_indexes: member.column_indexes.clone(),
                    scan: Arc::clone(&member.scan),
                    sender: member.senders.pop()?,
                })
            })
            .collect();
        tokio::spawn(async move {
            while let Some(batch) = batches.next().await {
                match batch {
                    Ok(batch) => forward(&mut consumers, &batch).await,
                    Err(error) => {
                        let senders: Vec<&BatchSender> =
                            consumers.iter().map(|consumer| &consumer.sender).collect();
                        fail_all(&senders, error).await;
                        return;
                    }
                }
                if consumers.is_empty() {
                    return;
                }
            }
            for consumer in consumers {
                consumer.sender.end().await;
            }
        });
    }
    Ok(())
}

/// A plan that gets the batches of one task of a Parquet scan.
struct BatchConsumer {
    column_indexes: Vec<usize>,
    scan: Arc<Scan>,
    sender: BatchSender,
}

/// Forwards a batch to all consumers, and drops those that need no more.
async fn forward(consumers: &mut Vec<BatchConsumer>, batch: &RecordBatch) {
    let mut remaining = Vec::with_capacity(consumers.len());
    for consumer in consumers.drain(..) {
        let is_sent = match batch.project(&consumer.column_indexes) {
            Ok(_) if strikes("a consumer of Parquet misses a batch") => true,
            Ok(own) => consumer.sender.send(own, None).await,
            Err(error) => {
                consumer.sender.fail(error.into()).await;
                false
            }
        };
        if is_sent {
            let rows = &consumer.scan.counts.rows_read;
            rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            remaining.push(consumer);
        }
    }
    *consumers = remaining;
}
