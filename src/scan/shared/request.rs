//! A scan that could be part of a pass.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;

use crate::listing::snapshot::SourceFile;
use crate::scan::batch_channel::Intake;
use crate::scan::json::columns::Columns;
use crate::scan::json::pipeline::ReadSettings;
use crate::scan::scan_log::Scan;
use crate::scan::shared::shared_scan::Pass;

/// The offers of one plan, collected while it is made: an extension of its session.
#[derive(Debug, Default)]
pub struct Offers {
    offers: Mutex<Vec<Arc<Offer>>>,
}

impl Offers {
    pub(crate) fn add(&self, offer: Arc<Offer>) {
        self.lock().push(offer);
    }

    pub(crate) fn take(&self) -> Vec<Arc<Offer>> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Offer>>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One scan of one plan.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) scan: Arc<Scan>,
    /// Without empty ones.
    pub(crate) files: Vec<SourceFile>,
    pub(crate) how: How,
    place: Mutex<Place>,
}

/// How its files are read.
#[derive(Debug)]
pub(crate) enum How {
    Json {
        settings: ReadSettings,
        columns: Box<Columns>,
    },
    Parquet {
        /// DataFusion's scan of the same files, of all columns.
        plan: Arc<dyn ExecutionPlan>,
        projection: Vec<usize>,
        /// Rows for which it is not true are not needed, but may come.
        predicate: Option<Arc<dyn PhysicalExpr>>,
    },
}

#[derive(Debug)]
enum Place {
    /// It reads for itself.
    None,
    Reserved {
        pass: Arc<Pass>,
        intake: Intake,
        /// Partitions of the plan that have begun to take batches.
        entered: HashSet<usize>,
    },
}

/// The way into a pass for one task of a plan.
pub(crate) struct Entry {
    pass: Arc<Pass>,
    intake: Intake,
}

impl Offer {
    pub(crate) fn new(scan: Arc<Scan>, files: Vec<SourceFile>, how: How) -> Self {
        Self {
            scan,
            files,
            how,
            place: Mutex::new(Place::None),
        }
    }

    pub(crate) fn reserve(&self, pass: Arc<Pass>, intake: Intake) {
        *self.lock() = Place::Reserved {
            pass,
            intake,
            entered: HashSet::new(),
        };
    }

    /// Enters the pass that the scan has a place in, once for each partition of the plan.
    pub(crate) fn enter(&self, partition: usize, partitions: usize) -> Option<Entry> {
        let mut place = self.lock();
        let Place::Reserved {
            pass,
            intake,
            entered,
        } = &mut *place
        else {
            return None;
        };
        if !entered.insert(partition) {
            return None;
        }
        let entry = Entry {
            pass: Arc::clone(pass),
            intake: intake.clone(),
        };
        if entered.len() == partitions {
            // Whoever has entered holds the intake now: when all of them end, the pass goes on
            // without this plan.
            *place = Place::None;
        }
        Some(entry)
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The batches that this task gets. The first one who enters starts the pass.
    pub(crate) fn stream(
        self,
        context: &Arc<TaskContext>,
        schema: SchemaRef,
    ) -> Result<SendableRecordBatchStream> {
        self.pass.start(context)?;
        Ok(self.intake.stream(schema))
    }
}
