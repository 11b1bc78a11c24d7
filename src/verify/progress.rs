//! The progress of a verification.

/// A listener to the progress of reading.
pub(crate) trait VerifyProgress: Send + Sync {
    /// Adds `bytes` to those that will be read.
    fn planned(&self, bytes: u64);

    /// Adds `bytes` to those that were read.
    fn read(&self, bytes: u64);
}

/// A listener that ignores everything.
pub(crate) struct NoProgress;

impl VerifyProgress for NoProgress {
    fn planned(&self, _: u64) {}
    fn read(&self, _: u64) {}
}
