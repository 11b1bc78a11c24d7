//! Past one machine: plans run by an Apache Ballista cluster.
//!
//! ```text
//! driver:    definition → plan ─distribute→ ─codec→ bytes ─Cluster→ scheduler
//! executors: bytes ─codec→ scans, query, StageExec → withheld uploads, rows that describe them
//! driver:    rows → the same commit and publication as on one machine
//! ```
//! Ballista's own scheduler and executor run here as library calls ([`run_scheduler`],
//! [`run_executor`]) that know our operators ([`PlanCodec`]) and open buckets as the driver does
//! ([`Stores`]). No credentials travel: each machine has its own.

mod client;
mod codec;
mod engine;
mod executor;
mod scheduler;
mod stores;

pub use client::{Cluster, Outcome, parse_address as address};
pub use codec::PlanCodec;
pub use executor::{ExecutorSettings, run_executor};
pub use scheduler::{SchedulerSettings, run_scheduler};
pub use stores::Stores;

use ballista_core::extension::SessionConfigExt;
use datafusion::prelude::SessionConfig;

/// The largest message between the parts of a cluster, in bytes: a plan names all its files.
pub const MOST_MESSAGE: u32 = 256 << 20;

/// What Ballista asks of a session whose plans it runs; `of` says the rest.
pub fn session_config(of: SessionConfig) -> SessionConfig {
    of.upgrade_for_ballista()
        // Our writers are numbered before the run, so the number of tasks must not change in it.
        .set_bool(
            ballista_core::config::BALLISTA_ADAPTIVE_PLANNER_ENABLED,
            false,
        )
        .set_usize(
            ballista_core::config::BALLISTA_CLIENT_GRPC_MAX_MESSAGE_SIZE,
            MOST_MESSAGE as usize,
        )
}
