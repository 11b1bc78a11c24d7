//! Files whose rows are decoded once for several consumers.

use crate::listing::snapshot::SourceFile;

/// A file and its consumers.
#[derive(Debug, Clone)]
pub(crate) struct SharedFile {
    pub(crate) file: SourceFile,
    /// The indexes of the consumers of the file's rows, at least one.
    pub(crate) consumers: Vec<usize>,
}
