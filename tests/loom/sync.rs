//! The locks of `parking_lot` that `src` uses, made of those of loom.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// What becomes of a wait with a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timeouts {
    /// It may end at any time, as it may for the one who waits.
    Fire,
    /// It ends by a notification only: one that is lost is found.
    Never,
}

thread_local! {
    /// The rule of the model that this thread of the system explores; loom runs its threads on that one.
    static TIMEOUTS: Cell<Timeouts> = const { Cell::new(Timeouts::Fire) };
}

/// Sets the rule for the models that this thread explores from now on.
pub(crate) fn set_timeouts(timeouts: Timeouts) {
    TIMEOUTS.set(timeouts);
}

/// A mutex, as `parking_lot::Mutex`.
#[derive(Debug)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

/// The guard of a [`Mutex`], without the inner one only within [`Condvar::wait_for`].
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    inner: Option<loom::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    /// As `parking_lot::Mutex::new`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// As `parking_lot::Mutex::lock`.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            inner: Some(self.0.lock().unwrap()),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().unwrap()
    }
}

/// A condition variable, as `parking_lot::Condvar`.
#[derive(Debug)]
pub struct Condvar(loom::sync::Condvar);

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl Condvar {
    /// As `parking_lot::Condvar::new`.
    pub fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    /// As `parking_lot::Condvar::notify_one`.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// As `parking_lot::Condvar::notify_all`.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// As `parking_lot::Condvar::wait`.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let inner = guard.inner.take().unwrap();
        guard.inner = Some(self.0.wait(inner).unwrap());
    }

    /// As `parking_lot::Condvar::wait_for`, by the rule of the model.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) {
        match TIMEOUTS.get() {
            Timeouts::Never => self.wait(guard),
            Timeouts::Fire => {
                guard.inner = None;
                loom::thread::yield_now();
                guard.inner = Some(guard.mutex.0.lock().unwrap());
            }
        }
    }
}
