//! One scan of one plan, which may be assigned to a shared scan.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use crate::listing::snapshot::SourceFile;
use crate::scan::batch_channel::BatchReceiver;
use crate::scan::json::columns::ScanColumns;
use crate::scan::json::pipeline::ReadSettings;
use crate::scan::record::Scan;
use crate::scan::shared::shared_scan::SharedScan;

/// The scan requests of one plan, collected while it is made: an extension of its session.
#[derive(Debug, Default)]
pub struct ScanRequests {
    requests: Mutex<Vec<Arc<ScanRequest>>>,
}

impl ScanRequests {
    pub(crate) fn add(&self, request: Arc<ScanRequest>) {
        self.requests.lock().push(request);
    }

    pub(super) fn take(&self) -> Vec<Arc<ScanRequest>> {
        std::mem::take(&mut *self.requests.lock())
    }
}

/// A scan of a plan that can be done in a shared scan.
#[derive(Debug)]
pub(crate) struct ScanRequest {
    pub(super) scan: Arc<Scan>,
    /// The files to read, without empty ones.
    pub(super) files: Vec<SourceFile>,
    pub(super) kind: RequestKind,
    assignment: Mutex<Assignment>,
}

/// The format of a request's files, with what their reader needs to know.
#[derive(Debug)]
pub(crate) enum RequestKind {
    Json {
        settings: ReadSettings,
        columns: Box<ScanColumns>,
    },
    Parquet {
        /// DataFusion's scan of the same files, of all columns.
        plan: Arc<dyn ExecutionPlan>,
        projection: Vec<usize>,
        /// The condition of the rows that the plan needs. The shared scan may return others, too.
        predicate: Option<Arc<dyn PhysicalExpr>>,
    },
}

#[derive(Debug)]
enum Assignment {
    /// The plan reads the files itself.
    None,
    Assigned {
        shared_scan: Arc<SharedScan>,
        receiver: BatchReceiver,
        /// The partitions of the plan that have opened their input.
        opened: HashSet<usize>,
    },
}

/// The input that a shared scan provides to one partition of a plan.
pub(crate) struct SharedScanInput {
    shared_scan: Arc<SharedScan>,
    receiver: BatchReceiver,
}

impl ScanRequest {
    /// Creates a request that is not assigned to a shared scan.
    pub(crate) fn new(scan: Arc<Scan>, files: Vec<SourceFile>, kind: RequestKind) -> Self {
        Self {
            scan,
            files,
            kind,
            assignment: Mutex::new(Assignment::None),
        }
    }

    /// Returns the name of the source.
    pub(super) fn source(&self) -> &str {
        &self.scan.source
    }

    /// Returns the compressed bytes of the files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.meta.size).sum()
    }

    /// Assigns the request to a shared scan, whose batches `receiver` gets.
    pub(super) fn assign(&self, shared_scan: Arc<SharedScan>, receiver: BatchReceiver) {
        *self.assignment.lock() = Assignment::Assigned {
            shared_scan,
            receiver,
            opened: HashSet::new(),
        };
    }

    /// Opens the input of one partition, of `partitions` of the plan.
    ///
    /// Returns `None` if the request is not assigned to a shared scan, or if the partition has been
    /// opened before: the plan then reads the files itself.
    pub(crate) fn open(&self, partition: usize, partitions: usize) -> Option<SharedScanInput> {
        let mut assignment = self.assignment.lock();
        let Assignment::Assigned {
            shared_scan,
            receiver,
            opened,
        } = &mut *assignment
        else {
            return None;
        };
        if !opened.insert(partition) {
            return None;
        }
        let input = SharedScanInput {
            shared_scan: Arc::clone(shared_scan),
            receiver: receiver.clone(),
        };
        if opened.len() == partitions {
            // Only the opened inputs hold the receiver now: when all of them are dropped, the shared
            // scan continues without this plan.
            *assignment = Assignment::None;
        }
        Some(input)
    }
}

impl SharedScanInput {
    /// Returns the batches of this partition. The first input of a shared scan starts it.
    pub(crate) fn stream(
        self,
        context: &Arc<TaskContext>,
        schema: SchemaRef,
    ) -> Result<SendableRecordBatchStream> {
        self.shared_scan.start(context)?;
        Ok(self.receiver.stream(schema))
    }
}
