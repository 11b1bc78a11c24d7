//! The session settings that Ballista requires.

use ballista_core::config::{
    BALLISTA_ADAPTIVE_PLANNER_ENABLED, BALLISTA_CLIENT_GRPC_MAX_MESSAGE_SIZE,
};
use ballista_core::extension::SessionConfigExt;
use datafusion::prelude::SessionConfig;

/// The maximum size of a message between the parts of a cluster, in bytes: a plan names all its files.
pub(super) const MAX_MESSAGE_BYTES: u32 = 256 << 20;

/// Returns `config` with the settings that Ballista requires of a session whose plans it runs.
pub(super) fn ballista_config(config: SessionConfig) -> SessionConfig {
    config
        .upgrade_for_ballista()
        // Our writers are numbered before the run, so the number of tasks must not change in it.
        .set_bool(BALLISTA_ADAPTIVE_PLANNER_ENABLED, false)
        .set_usize(
            BALLISTA_CLIENT_GRPC_MAX_MESSAGE_SIZE,
            MAX_MESSAGE_BYTES as usize,
        )
}
