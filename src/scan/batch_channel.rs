//! The way of a scan's batches from the tasks that read files to the plan that wants them.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use tokio::sync::{Mutex, mpsc};

use crate::error::Error;

/// Batches that wait for the plan, besides those that its tasks have taken.
const BATCHES_AHEAD: usize = 2;

enum Message {
    Batch(RecordBatch),
    Failed(DataFusionError),
    /// One of the feeding tasks has read all it had to.
    End,
}

/// A feeding task's end.
pub(crate) struct Feed {
    messages: mpsc::Sender<Message>,
}

/// The plan's end. Whichever of the plan's tasks asks first gets the next batch.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    queue: Arc<Mutex<Queue>>,
}

struct Queue {
    messages: mpsc::Receiver<Message>,
    /// Feeding tasks that have not ended.
    feeding: usize,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("feeding", &self.feeding)
            .finish_non_exhaustive()
    }
}

/// As many feeds as there are feeding `tasks`, and the intake of what they send.
pub(crate) fn feeds(tasks: usize) -> (Vec<Feed>, Intake) {
    let (sender, messages) = mpsc::channel(BATCHES_AHEAD);
    let feeds = (0..tasks).map(|_| Feed {
        messages: sender.clone(),
    });
    let queue = Queue {
        messages,
        feeding: tasks,
    };
    let intake = Intake {
        queue: Arc::new(Mutex::new(queue)),
    };
    (feeds.collect(), intake)
}

impl Feed {
    /// Whether the plan still wants batches.
    pub(crate) async fn send(&self, batch: RecordBatch) -> bool {
        self.messages.send(Message::Batch(batch)).await.is_ok()
    }

    /// The last thing that is sent.
    pub(crate) async fn fail(&self, error: DataFusionError) {
        // Nobody to tell means that nobody needs it.
        let _ = self.messages.send(Message::Failed(error)).await;
    }

    /// Everything was sent. A feed that is dropped without it broke off.
    pub(crate) async fn end(&self) {
        let _ = self.messages.send(Message::End).await;
    }
}

/// Fails all of `feeds` with one error.
pub(crate) async fn fail_all(feeds: &[&Feed], error: DataFusionError) {
    if let [feed] = feeds {
        return feed.fail(error).await;
    }
    let error = Arc::new(error);
    for feed in feeds {
        feed.fail(DataFusionError::Shared(Arc::clone(&error))).await;
    }
}

impl Intake {
    /// A stream of batches for one task of the plan.
    pub(crate) fn stream(&self, schema: SchemaRef) -> SendableRecordBatchStream {
        let queue = Arc::clone(&self.queue);
        let batches = futures::stream::unfold(Some(queue), |queue| async {
            let queue = queue?;
            match next(&queue).await {
                Ok(None) => None,
                Ok(Some(batch)) => Some((Ok(batch), Some(queue))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

async fn next(queue: &Mutex<Queue>) -> Result<Option<RecordBatch>> {
    let mut queue = queue.lock().await;
    loop {
        if queue.feeding == 0 {
            return Ok(None);
        }
        match queue.messages.recv().await {
            Some(Message::Batch(batch)) => return Ok(Some(batch)),
            Some(Message::Failed(error)) => return Err(error),
            Some(Message::End) => queue.feeding -= 1,
            None => return Err(Error::internal("the reading of a source broke off").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use futures::TryStreamExt;

    use super::*;

    fn batch() -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        RecordBatch::try_from_iter([("n", numbers)]).unwrap()
    }

    fn stream(intake: &Intake) -> SendableRecordBatchStream {
        intake.stream(batch().schema())
    }

    #[tokio::test]
    async fn the_end_is_where_every_task_has_ended() {
        let (feeds, intake) = feeds(2);
        for feed in feeds {
            tokio::spawn(async move {
                assert!(feed.send(batch()).await);
                feed.end().await;
            });
        }
        let (one, other) = (stream(&intake), stream(&intake));
        let (one, other): (Vec<_>, Vec<_>) =
            tokio::try_join!(one.try_collect(), other.try_collect()).unwrap();
        assert_eq!(one.len() + other.len(), 2);
    }

    #[tokio::test]
    async fn a_task_that_breaks_off_is_no_end() {
        let (mut feeds, intake) = feeds(2);
        feeds.pop().unwrap().end().await;
        drop(feeds);
        let error = stream(&intake).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
    }

    #[tokio::test]
    async fn a_plan_that_ends_early_wants_no_more() {
        let (feeds, intake) = feeds(1);
        drop(intake);
        assert!(!feeds[0].send(batch()).await);
    }
}
