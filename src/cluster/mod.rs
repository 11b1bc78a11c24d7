//! Runs plans on an Apache Ballista cluster.
//!
//! ```text
//! driver:    definition → plan ─distribute→ ─codec→ bytes ─client→ scheduler
//! executors: bytes ─codec→ scans, query, RemoteStagedWriteExec → withheld uploads, rows that describe them
//! driver:    rows → the same commit and publication as on one machine
//! ```
//! [`ClusterRunner`] is a [`PlanRunner`](crate::engine::PlanRunner) of the engine, which knows nothing
//! of other machines. Ballista's own scheduler and executor run here as library calls
//! ([`run_scheduler`], [`run_executor`]) that know our operators and open buckets as the driver does.
//! No credentials are sent: each machine has its own.
//!
//! | file | concept |
//! |---|---|
//! | `driver` | the runner: plans a definition, submits it, and applies what comes back |
//! | `client` | a job of the scheduler, from its plan to its rows |
//! | `executor`, `execution_engine`, `cancellation`, `stores` | the executor, its tasks and its stores |
//! | `scheduler`, `session` | the scheduler, and the settings that all parts share |
//! | `scan/` | scans in tasks on other machines |
//! | `write/` | staged writes in tasks on other machines |
//! | `partition_index`, `counts` | what tasks need to know, and what they report |
//! | `wire/` | operators and errors as bytes |

mod cancellation;
mod client;
mod counts;
mod driver;
mod execution_engine;
mod executor;
mod partition_index;
mod scan;
mod scheduler;
mod session;
mod stores;
mod wire;
mod write;

pub(crate) use client::{ClusterClient, parse_address};
pub(crate) use driver::ClusterRunner;
pub(crate) use executor::{ExecutorSettings, run_executor};
pub(crate) use scheduler::{SchedulerSettings, run_scheduler};
