//! tokio's bounded channel, each step of which is announced to loom.
//!
//! A send has two steps, as in tokio: it reserves a place, and then fills it. In between the receiver may
//! close the channel and empty it; what is sent then stays there as long as there is a sender.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};

/// The order of the steps. Without it loom would not know that they depend on each other.
#[derive(Debug, Clone)]
struct Steps(Arc<AtomicUsize>);

impl Steps {
    fn announce(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The half that blocks while the channel is full.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    /// `None` only while it is dropped.
    inner: Option<mpsc::Sender<T>>,
    steps: Steps,
}

/// The half that blocks while the channel is empty.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    /// `None` only while it is dropped.
    inner: Option<mpsc::Receiver<T>>,
    steps: Steps,
}

/// Creates a channel.
pub(crate) fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    let steps = Steps(Arc::new(AtomicUsize::new(0)));
    let sender = Sender {
        inner: Some(sender),
        steps: steps.clone(),
    };
    let receiver = Receiver {
        inner: Some(receiver),
        steps,
    };
    (sender, receiver)
}

impl<T> Sender<T> {
    /// Returns true once the receiver is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.steps.announce();
        self.inner.as_ref().unwrap().is_closed()
    }

    /// Sends `value`. Returns false if the receiver is gone.
    pub(crate) fn send(&self, value: T) -> bool {
        let place = loop {
            self.steps.announce();
            match self.inner.as_ref().unwrap().try_reserve() {
                Ok(place) => break place,
                Err(TrySendError::Closed(())) => return false,
                Err(TrySendError::Full(())) => loom::thread::yield_now(),
            }
        };
        self.steps.announce();
        place.send(value);
        true
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.steps.announce();
        self.inner = None;
    }
}

impl<T> Receiver<T> {
    /// Returns the next value, or `None` once all senders are gone.
    pub(crate) fn recv(&mut self) -> Option<T> {
        loop {
            self.steps.announce();
            match self.inner.as_mut().unwrap().try_recv() {
                Ok(value) => return Some(value),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => loom::thread::yield_now(),
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.steps.announce();
        self.inner = None;
    }
}
