//! The work of reading one file, whose errors and panics get the name of the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

use super::damage::DamageSearch;
use super::open_file::OpenFile;
use crate::planted_fault::without_last_row;

/// Plans the reading of one file.
#[derive(Debug)]
pub(super) struct FilePlanner {
    planner: Box<dyn MorselPlanner>,
    file: Arc<OpenFile>,
    damage: Arc<DamageSearch>,
    max_row_bytes: usize,
}

impl FilePlanner {
    /// Wraps what plans the reading of `file`, in which `damage` finds columns that cannot be read, and whose
    /// rows have up to `max_row_bytes`.
    pub(super) fn boxed(
        planner: Box<dyn MorselPlanner>,
        file: Arc<OpenFile>,
        damage: Arc<DamageSearch>,
        max_row_bytes: usize,
    ) -> Box<dyn MorselPlanner> {
        Box::new(Self {
            planner,
            file,
            damage,
            max_row_bytes,
        })
    }
}

impl MorselPlanner for FilePlanner {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self {
            planner,
            file,
            damage,
            max_row_bytes,
        } = *self;
        // The reader panics on some damaged files.
        let planned = catch_unwind(AssertUnwindSafe(|| planner.plan()))
            .unwrap_or_else(|panic| Err(file.panicked(panic)))
            .map_err(|error| file.name(error))?;
        let Some(mut plan) = planned else {
            return Ok(None);
        };
        let morsels = plan.take_morsels().into_iter();
        let morsels = morsels.map(|morsel| -> Box<dyn Morsel> {
            let (file, damage) = (Arc::clone(&file), Arc::clone(&damage));
            Box::new(FileMorsel {
                morsel,
                file,
                damage,
                max_row_bytes,
            })
        });
        let planners = plan.take_ready_planners().into_iter();
        let planners = planners.map(|planner| {
            let (file, damage) = (Arc::clone(&file), Arc::clone(&damage));
            Self::boxed(planner, file, damage, max_row_bytes)
        });
        let mut named = MorselPlan::new()
            .with_morsels(morsels.collect())
            .with_planners(planners.collect());
        if let Some(pending) = plan.take_pending_planner() {
            named.set_pending_planner(async move {
                let next = AssertUnwindSafe(pending.into_future()).catch_unwind().await;
                next.unwrap_or_else(|panic| Err(file.panicked(panic)))
                    .map_err(|error| file.name(error))
                    .map(|planner| Self::boxed(planner, file, damage, max_row_bytes))
            });
        }
        Ok(Some(named))
    }
}

/// Rows of one file.
#[derive(Debug)]
struct FileMorsel {
    morsel: Box<dyn Morsel>,
    file: Arc<OpenFile>,
    damage: Arc<DamageSearch>,
    max_row_bytes: usize,
}

impl Morsel for FileMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self {
            morsel,
            file,
            damage,
            max_row_bytes,
        } = *self;
        AssertUnwindSafe(morsel.into_stream())
            .catch_unwind()
            .then(move |batch| {
                let (file, damage) = (Arc::clone(&file), Arc::clone(&damage));
                async move {
                    match batch.unwrap_or_else(|panic| Err(file.panicked(panic))) {
                        Ok(batch) => {
                            file.check_width(&batch, max_row_bytes)?;
                            file.add_returned(batch.num_rows());
                            Ok(without_last_row(
                                "the last row of a Parquet batch is lost",
                                batch,
                            ))
                        }
                        Err(error) if file.is_damage(&error) => {
                            let column = damage.first_column().await;
                            Err(file.damaged_in(column, &error))
                        }
                        Err(error) => Err(file.name(error)),
                    }
                }
            })
            .boxed()
    }
}
