//! One reading of a source for several plans.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use object_store::path::Path;

use crate::listing::snapshot::{SourceFile, digest};
use crate::scan::batch_channel::{Feed, Intake, fail_all, feeds};
use crate::scan::json::columns::Columns;
use crate::scan::json::pipeline::{ReadSettings, Reader, SharedFile, read};
use crate::scan::plan::spread;
use crate::scan::scan_log::Scan;
use crate::scan::shared::request::{How, Offer};

/// A pass that has been formed. It starts when the first plan asks for a batch.
#[derive(Debug)]
pub(crate) struct Pass {
    work: Mutex<Option<Work>>,
}

/// What is to be read, and for whom.
enum Work {
    Json {
        settings: ReadSettings,
        /// For each task, its files.
        groups: Vec<Vec<SharedFile>>,
        members: Vec<JsonMember>,
    },
    Parquet {
        plan: Arc<dyn ExecutionPlan>,
        members: Vec<ParquetMember>,
    },
}

struct JsonMember {
    columns: Columns,
    scan: Arc<Scan>,
    /// One for each task.
    feeds: Vec<Feed>,
}

struct ParquetMember {
    /// Its columns among those of the pass.
    places: Vec<usize>,
    scan: Arc<Scan>,
    feeds: Vec<Feed>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Work::Json { .. } => "Json",
            Work::Parquet { .. } => "Parquet",
        })
    }
}

impl Pass {
    /// Offers of the same key can be read together: those of one source, and of Parquet the same
    /// files, since a batch of its reader does not say which file it is from.
    pub(crate) fn key(offer: &Offer) -> String {
        match &offer.how {
            How::Json { .. } => offer.scan.source.clone(),
            How::Parquet { .. } => format!("{}\t{}", offer.scan.source, digest(&offer.scan.files)),
        }
    }

    /// Those of the offers of one key that saw the same files alike; `None` if there are not two.
    pub(crate) fn members(offers: Vec<&Arc<Offer>>) -> Option<Vec<&Arc<Offer>>> {
        let mut seen: BTreeMap<&Path, (u64, Option<&str>)> = BTreeMap::new();
        let mut members = Vec::new();
        for offer in offers {
            let versions = offer.files.iter().map(|file| {
                let version = (file.meta.size, file.meta.e_tag.as_deref());
                (&file.meta.location, version)
            });
            let versions: Vec<_> = versions.collect();
            let alike = |(path, version): &(&Path, _)| {
                seen.get(path).is_none_or(|earlier| earlier == version)
            };
            if versions.iter().all(alike) {
                seen.extend(versions);
                members.push(offer);
            }
        }
        (members.len() > 1).then_some(members)
    }

    /// Reserves a place for each of the members, and tells how many have one.
    pub(crate) fn form(members: &[&Arc<Offer>]) -> u64 {
        let formed = match members.first().map(|offer| &offer.how) {
            Some(How::Json { settings, .. }) => json(settings, members),
            Some(How::Parquet { plan, .. }) => parquet(plan, members),
            None => None,
        };
        let Some((work, intakes)) = formed else {
            return 0;
        };
        let pass = Arc::new(Self {
            work: Mutex::new(Some(work)),
        });
        let mut placed = 0;
        for (offer, intake) in members.iter().zip(intakes) {
            offer.reserve(Arc::clone(&pass), intake);
            placed += 1;
        }
        placed
    }

    /// Starts the reading, once.
    pub(crate) fn start(&self, context: &Arc<TaskContext>) -> Result<()> {
        let work = self
            .work
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match work {
            None => Ok(()),
            Some(Work::Json {
                settings,
                groups,
                members,
            }) => start_json(&settings, groups, members, context),
            Some(Work::Parquet { plan, members }) => start_parquet(&plan, members, context),
        }
    }
}

/// What is to be read, and the ends that the members take it from.
type Formed = (Work, Vec<Intake>);

fn json(settings: &ReadSettings, offers: &[&Arc<Offer>]) -> Option<Formed> {
    let mut files: BTreeMap<&Path, (&SourceFile, Vec<usize>)> = BTreeMap::new();
    for (number, offer) in offers.iter().enumerate() {
        for file in &offer.files {
            let entry = files.entry(&file.meta.location);
            entry.or_insert((file, Vec::new())).1.push(number);
        }
    }
    let all = files.values().map(|(file, _)| (*file).clone()).collect();
    let groups: Vec<Vec<SharedFile>> = spread(all, settings.tasks)
        .into_iter()
        .map(|group| {
            let shared = group.into_iter().map(|file| {
                let readers = files.get(&file.meta.location);
                SharedFile {
                    readers: readers
                        .map(|(_, readers)| readers.clone())
                        .unwrap_or_default(),
                    file,
                }
            });
            shared.collect()
        })
        .collect();
    let (mut members, mut intakes) = (Vec::new(), Vec::new());
    for offer in offers {
        let How::Json { columns, .. } = &offer.how else {
            return None;
        };
        let (feeds, intake) = feeds(groups.len());
        intakes.push(intake);
        members.push(JsonMember {
            columns: Columns::clone(columns),
            scan: Arc::clone(&offer.scan),
            feeds,
        });
    }
    let work = Work::Json {
        settings: settings.clone(),
        groups,
        members,
    };
    Some((work, intakes))
}

fn start_json(
    settings: &ReadSettings,
    groups: Vec<Vec<SharedFile>>,
    mut members: Vec<JsonMember>,
    context: &Arc<TaskContext>,
) -> Result<()> {
    for files in groups {
        let readers = members.iter_mut().filter_map(|member| {
            Some(Reader {
                columns: member.columns.clone(),
                scan: Arc::clone(&member.scan),
                feed: member.feeds.pop()?,
            })
        });
        read(settings, files, readers.collect(), context)?;
    }
    Ok(())
}

fn parquet(like: &Arc<dyn ExecutionPlan>, offers: &[&Arc<Offer>]) -> Option<Formed> {
    let (mut projections, mut predicates) = (Vec::new(), Vec::new());
    for offer in offers {
        let How::Parquet {
            projection,
            predicate,
            ..
        } = &offer.how
        else {
            return None;
        };
        projections.push(projection);
        predicates.push(predicate.clone());
    }
    let mut union: Vec<usize> = projections.iter().copied().flatten().copied().collect();
    union.sort_unstable();
    union.dedup();
    let plan = parquet_plan(like, &union, predicates)?;
    let tasks = plan.properties().output_partitioning().partition_count();
    let (mut members, mut intakes) = (Vec::new(), Vec::new());
    for (offer, projection) in offers.iter().zip(projections) {
        let (feeds, intake) = feeds(tasks);
        intakes.push(intake);
        let place = |column: &usize| union.partition_point(|other| other < column);
        members.push(ParquetMember {
            places: projection.iter().map(place).collect(),
            scan: Arc::clone(&offer.scan),
            feeds,
        });
    }
    Some((Work::Parquet { plan, members }, intakes))
}

/// The scan of the columns that any of the plans needs, without the row groups that none needs.
fn parquet_plan(
    like: &Arc<dyn ExecutionPlan>,
    union: &[usize],
    predicates: Vec<Option<Arc<dyn PhysicalExpr>>>,
) -> Option<Arc<dyn ExecutionPlan>> {
    let exec = like.downcast_ref::<DataSourceExec>()?;
    let config = exec.data_source().downcast_ref::<FileScanConfig>()?;
    let mut source = config
        .file_source()
        .downcast_ref::<ParquetSource>()?
        .clone();
    let predicates: Option<Vec<_>> = predicates.into_iter().collect();
    let any = predicates.and_then(|predicates| {
        predicates.into_iter().reduce(|one, other| {
            Arc::new(BinaryExpr::new(one, Operator::Or, other)) as Arc<dyn PhysicalExpr>
        })
    });
    if let Some(any) = any {
        source = source.with_predicate(any);
    }
    let config = FileScanConfigBuilder::from(config.clone())
        .with_source(Arc::new(source))
        .with_projection_indices(Some(union.to_vec()))
        .ok()?
        .build();
    Some(DataSourceExec::from_data_source(config))
}

fn start_parquet(
    plan: &Arc<dyn ExecutionPlan>,
    mut members: Vec<ParquetMember>,
    context: &Arc<TaskContext>,
) -> Result<()> {
    let tasks = plan.properties().output_partitioning().partition_count();
    for task in 0..tasks {
        let mut batches = plan.execute(task, Arc::clone(context))?;
        let takers = members.iter_mut().filter_map(|member| {
            Some(Taker {
                places: member.places.clone(),
                scan: Arc::clone(&member.scan),
                feed: member.feeds.pop()?,
            })
        });
        let mut takers: Vec<Taker> = takers.collect();
        tokio::spawn(async move {
            while let Some(batch) = batches.next().await {
                match batch {
                    Ok(batch) => hand_on(&mut takers, &batch).await,
                    Err(error) => {
                        let feeds: Vec<&Feed> = takers.iter().map(|taker| &taker.feed).collect();
                        fail_all(&feeds, error).await;
                        return;
                    }
                }
                if takers.is_empty() {
                    return;
                }
            }
            for taker in takers {
                taker.feed.end().await;
            }
        });
    }
    Ok(())
}

/// A plan that takes the batches of one task.
struct Taker {
    places: Vec<usize>,
    scan: Arc<Scan>,
    feed: Feed,
}

async fn hand_on(takers: &mut Vec<Taker>, batch: &RecordBatch) {
    let mut left = Vec::with_capacity(takers.len());
    for taker in takers.drain(..) {
        let taken = match batch.project(&taker.places) {
            Ok(own) => taker.feed.send(own).await,
            Err(error) => {
                taker.feed.fail(error.into()).await;
                false
            }
        };
        if taken {
            let rows = &taker.scan.counts.rows_read;
            rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            left.push(taker);
        }
    }
    *takers = left;
}
