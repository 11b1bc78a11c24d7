//! A bounded channel of record batches, from the tasks that read files to the partitions of a plan.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use tokio::sync::{Mutex, mpsc};

use crate::error::Error;
use crate::memory_gate::MemoryPermit;
use crate::planted_fault::strikes_rows;

/// The maximum number of batches in the channel, besides those that the plan has received.
const MAX_BUFFERED_BATCHES: usize = 2;

enum Message {
    /// A batch, and the permission for what it holds in memory.
    Batch(RecordBatch, Option<Arc<MemoryPermit>>),
    Failed(DataFusionError),
    /// One of the senders has sent all its batches.
    End,
}

/// The sending half of a batch channel, held by one task that reads files.
pub(crate) struct BatchSender {
    messages: mpsc::Sender<Message>,
}

/// The receiving half of a batch channel, shared by the partitions of a plan: each batch goes to the
/// partition that asks for it first.
#[derive(Debug, Clone)]
pub(crate) struct BatchReceiver {
    queue: Arc<Mutex<Queue>>,
}

struct Queue {
    messages: mpsc::Receiver<Message>,
    /// The number of senders that have not ended.
    open_senders: usize,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("open_senders", &self.open_senders)
            .finish_non_exhaustive()
    }
}

/// Creates a bounded channel with one sender for each of `tasks`.
///
/// A sender waits while the channel is full, so that reading is no faster than the plan
/// (backpressure).
pub(super) fn batch_channel(tasks: usize) -> (Vec<BatchSender>, BatchReceiver) {
    let (sender, messages) = mpsc::channel(MAX_BUFFERED_BATCHES);
    let senders = (0..tasks)
        .map(|_| BatchSender {
            messages: sender.clone(),
        })
        .collect();
    let queue = Queue {
        messages,
        open_senders: tasks,
    };
    let receiver = BatchReceiver {
        queue: Arc::new(Mutex::new(queue)),
    };
    (senders, receiver)
}

impl BatchSender {
    /// Sends a batch. Returns false if the plan needs no more batches. `permit` is held until the plan asks
    /// for another batch.
    pub(super) async fn send(&self, batch: RecordBatch, permit: Option<Arc<MemoryPermit>>) -> bool {
        if strikes_rows("a batch is not sent", &batch) {
            return true;
        }
        self.messages
            .send(Message::Batch(batch, permit))
            .await
            .is_ok()
    }

    /// Waits until the plan needs no more batches.
    pub(super) async fn closed(&self) {
        self.messages.closed().await;
    }

    /// Sends an error, which must be the last message.
    pub(super) async fn fail(&self, error: DataFusionError) {
        // Without a receiver nobody needs the error.
        let _ = self.messages.send(Message::Failed(error)).await;
    }

    /// Marks the end of the batches. A sender that is dropped without it fails the receiver.
    pub(super) async fn end(&self) {
        let _ = self.messages.send(Message::End).await;
    }
}

#[cfg(test)]
impl BatchSender {
    /// Sends a batch just while its receiver goes away: after the channel was emptied.
    pub(super) async fn send_late(
        &self,
        receiver: BatchReceiver,
        batch: RecordBatch,
        permit: MemoryPermit,
    ) {
        let place = self.messages.reserve().await;
        drop(receiver);
        let message = Message::Batch(batch, Some(Arc::new(permit)));
        place.unwrap_or_else(|_| unreachable!()).send(message);
    }
}

/// Sends one error to all of `senders`.
pub(super) async fn fail_all(senders: &[&BatchSender], error: DataFusionError) {
    if let [sender] = senders {
        return sender.fail(error).await;
    }
    let shared = Arc::new(error);
    for sender in senders {
        let error = DataFusionError::Shared(Arc::clone(&shared));
        sender.fail(error).await;
    }
}

impl BatchReceiver {
    /// Returns a stream of batches for one partition of the plan.
    pub(crate) fn stream(&self, schema: SchemaRef) -> SendableRecordBatchStream {
        let queue = Arc::clone(&self.queue);
        let batches = futures::stream::unfold(Some((queue, None)), |state| async {
            let (queue, previous) = state?;
            drop(previous);
            match next(&queue).await {
                Ok(None) => None,
                Ok(Some((batch, permit))) => Some((Ok(batch), Some((queue, permit)))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

/// A batch, and the permission for what it holds in memory.
type PermittedBatch = (RecordBatch, Option<Arc<MemoryPermit>>);

async fn next(queue: &Mutex<Queue>) -> Result<Option<PermittedBatch>> {
    let mut queue = queue.lock().await;
    loop {
        if queue.open_senders == 0 {
            return Ok(None);
        }
        match queue.messages.recv().await {
            Some(Message::Batch(batch, _)) if strikes_rows("a received batch is lost", &batch) => {}
            Some(Message::Batch(batch, permit)) => return Ok(Some((batch, permit))),
            Some(Message::Failed(error)) => return Err(error),
            Some(Message::End) => queue.open_senders -= 1,
            None => {
                return Err(Error::internal("the reading of a source ended unexpectedly").into());
            }
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

    fn stream(receiver: &BatchReceiver) -> SendableRecordBatchStream {
        receiver.stream(batch().schema())
    }

    #[tokio::test]
    async fn a_stream_ends_when_every_sender_has_ended() {
        let (senders, receiver) = batch_channel(2);
        for sender in senders {
            tokio::spawn(async move {
                assert!(sender.send(batch(), None).await);
                sender.end().await;
            });
        }
        let (one, other) = (stream(&receiver), stream(&receiver));
        let (of_one, of_other): (Vec<_>, Vec<_>) =
            tokio::try_join!(one.try_collect(), other.try_collect()).unwrap();
        assert_eq!(of_one.len() + of_other.len(), 2);
    }

    #[tokio::test]
    async fn a_sender_that_is_dropped_before_its_end_is_an_error() {
        let (mut senders, receiver) = batch_channel(2);
        senders.pop().unwrap().end().await;
        drop(senders);
        let error = stream(&receiver).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.to_string().contains("ended unexpectedly"), "{error}");
    }

    #[tokio::test]
    async fn sending_fails_once_the_plan_has_ended() {
        let (senders, receiver) = batch_channel(1);
        drop(receiver);
        assert!(!senders[0].send(batch(), None).await);
    }
}
