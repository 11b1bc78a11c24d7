//! The limit of open files and connections of this process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::debug;

/// The maximum limit that is asked for. A process may have more, and needs less.
const MAX_DESCRIPTORS: u64 = 65_536;

/// Raises the limit of descriptors to what the system allows this process.
///
/// The usual limit of 1,024 is for programs with `select`; many tables with many open files each, and
/// connections to a store, need more. A limit that cannot be raised stays.
pub(super) fn raise_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let wanted = hard.min(MAX_DESCRIPTORS);
    if soft >= wanted {
        return;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => debug!(from = soft, to = wanted, "raised the limit of descriptors"),
        Err(error) => debug!(%error, limit = soft, "the limit of descriptors stays"),
    }
}
